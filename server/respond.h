/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request will be answered with, described by its door on whatever thread that runs, and
 * sent by the I/O thread. A later respond_*() replaces an earlier one, except for headers already
 * added.
 */
#ifndef SERVER_RESPOND_H
#define SERVER_RESPOND_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct request;

enum { RESPONSE_HEADERS_MAX = 16, RESPONSE_ERROR_MAX = 64 * 1024 };

struct response_header {
	const char *name;  /* static */
	const char *value; /* the request's arena, or static */
};

struct response {
	int status;		  /* 0: none yet */
	const char *content_type; /* NULL: no such header */
	struct buf body;
	int fd; /* >= 0: the body is [offset, offset + size) of this file */
	uint64_t offset;
	uint64_t size; /* of the body, either way */
	struct response_header headers[RESPONSE_HEADERS_MAX];
	size_t header_count;
	bool close;	    /* the connection ends after this answer */
	bool reset;	    /* no answer at all: a TCP reset */
	enum err_kind kind; /* ERR_NONE unless an error is answered */
	char cause[256];    /* its message, for the log */
};

#define RESPONSE_INIT ((struct response){.fd = -1, .body = {.max = SIZE_MAX}})

void response_deinit(struct response *r);

/* Takes the buffer's bytes. */
void respond_buf(struct request *rq, int status, const char *content_type, struct buf *take);
/* Copies. */
void respond_bytes(struct request *rq, int status, const char *content_type, struct str bytes);
void respond_empty(struct request *rq, int status);
/* 200 with a document, which gets its line feed here, or -1 where it did not fit. Takes the buffer. */
int respond_json(struct request *rq, struct buf *take, struct err *e) MUST_CHECK;
/* Takes the fd. */
void respond_fd(struct request *rq, int status, const char *content_type, int fd, uint64_t offset,
		uint64_t size);
/* Adds a header; without memory it is left out. */
void respond_header(struct request *rq, const char *name, const char *fmt, ...) PRINTF(3, 4);
/*
 * In the form of the request's route: problem+json (RFC 9457), Connect's error, plain text or a
 * reset.
 */
void respond_err(struct request *rq, const struct err *e);
/* Ends the connection by a reset: what debuginfod clients do not remember as "does not exist". */
void respond_reset(struct request *rq, const struct err *e);

const char *http_reason(int status); /* "Not Found" */

#endif
