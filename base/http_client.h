/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request at a time, for the tools and the agent (the server's streaming fetches from upstream
 * are debuginfod/upstream's). libcurl's easy interface: http and https only, at most 5 redirects,
 * low-speed and connect limits. One client per thread.
 */
#ifndef BASE_HTTP_CLIENT_H
#define BASE_HTTP_CLIENT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include <stdatomic.h>

struct http_client;

typedef void http_progress_fn(void *ctx, uint64_t done, uint64_t total);

struct http_request {
	const char *method;        /* "GET", … */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	struct str body;            /* or: */
	int body_fd;                /* >= 0: streamed from its start; body is then ignored */
	uint64_t body_size;
	uint64_t timeout_ms;        /* whole request; 0: only the low-speed limit */
	int out_fd;                 /* >= 0: response body of 2xx goes there instead of the buffer */
	http_progress_fn *progress;
	void *progress_ctx;
	uint64_t send_bytes_per_s; /* at most, over some seconds; 0: as fast as it goes */
	const atomic_bool *stop;   /* once true the request ends within a second; may be NULL */
};

#define HTTP_REQUEST_INIT ((struct http_request){.method = "GET", .body_fd = -1, .out_fd = -1})

struct http_response {
	long status;
	struct buf body;          /* capped by the client's max_body */
	char content_type[128];
	uint64_t retry_after_s;   /* 0: none */
	struct buf headers;       /* raw response headers */
};

int http_client_new(const char *user_agent, size_t max_body, struct http_client **ret,
		    struct err *e) MUST_CHECK;
/* Bearer token sent with every request; copied. NULL removes it. */
int http_client_token(struct http_client *c, const char *token, struct err *e) MUST_CHECK;
/* Whether it is http:// or https://, with a host and a port that can be. */
bool http_url_is_valid(const struct http_client *c, const char *url);
/* 0 whenever a final status arrived, whatever it is; -1: ERR_UNAVAILABLE, ERR_TIMEOUT, … */
int http_do(struct http_client *c, const struct http_request *rq, struct http_response *ret,
	    struct err *e) MUST_CHECK;
void http_response_deinit(struct http_response *r);
void http_client_free(struct http_client *c);

/*
 * Turns a status >= 400 into *e: a problem+json's code and detail where there is one, else by status
 * (401/403 refused, 404 not found, 429/5xx unavailable). Returns -1; 0 for a status below 400.
 */
int http_status_err(const struct http_response *r, const char *url, struct err *e);

/* First value of a response header (case-insensitive), trimmed; empty when absent. */
struct str http_header(const struct http_response *r, const char *name);

#endif
