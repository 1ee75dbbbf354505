/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request as its door sees it: target, headers, body, who asks, and the response being
 * made. It belongs to one thread at a time (an I/O thread, then a worker, …; server/exchange.h
 * moves it) and lives until its answer has been sent or the connection is gone. Strings live in its
 * arena.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "base/arena.h"
#include "base/build_id.h"
#include "base/buf.h"
#include "base/err.h"
#include "server/respond.h"
#include "server/router.h"
#include "server/target.h"

enum {
	REQUEST_ID_MAX = 64,
	REQUEST_HEADERS_MAX = 100,
	REQUEST_ARENA_MAX = 1024 * 1024,
	REQUEST_WAIT_MAX_S = 300,
};

struct request_header {
	struct str name;
	struct str value;
};

/* Who asks, and what they may do (store/catalog.h enum token_scope). */
struct principal {
	char name[64]; /* the token's; "anonymous" */
	unsigned scopes;
};

struct request {
	void *app; /* the server's; NULL in tests of the core */
	enum method method;
	struct target target;
	const struct route *route; /* NULL: none matched */
	enum error_style style;
	struct str param[ROUTE_PARAMS_MAX];
	struct request_header *headers;
	size_t header_count;
	char id[REQUEST_ID_MAX + 1];
	char peer[48]; /* the client's address, numeric */
	struct principal principal;
	bool on_io_thread; /* the door must not block now: DOOR_DEFER */

	struct buf body;     /* buffered bodies, as sent */
	uint64_t body_bytes; /* received so far, streamed ones too */

	/* the door's own, for streamed bodies and waits; freed with the request */
	void *state;
	void (*state_free)(void *state);
	struct err woken_with; /* kind ERR_NONE, or the failure the waker came with */

	char build_id[BUILD_ID_TEXT]; /* for the log line; "" where there is none */
	uint64_t started_ns;
	struct response response;
	struct arena arena;
};

void request_init(struct request *rq, void *app);
void request_deinit(struct request *rq);
/* Copies a header; beyond the cap ERR_BAD_REQUEST. */
int request_add_header(struct request *rq, struct str name, struct str value,
		       struct err *e) MUST_CHECK;
/* Takes over a well-formed X-Request-Id, or makes one. */
void request_set_id(struct request *rq);

/* First value, trimmed; empty when absent. Names in any case. */
struct str request_header(const struct request *rq, const char *name);
bool request_arg(const struct request *rq, const char *name, struct str *ret);
/* "1", "true", "yes", "on", or named without a value. */
bool request_flag(const struct request *rq, const char *name);
/* ?wait=SECONDS, clipped to REQUEST_WAIT_MAX_S. ERR_BAD_REQUEST. */
int request_wait_ms(const struct request *rq, uint64_t fallback_ms, uint64_t *ret,
		    struct err *e) MUST_CHECK;
/* A number argument with a default and a cap. ERR_BAD_REQUEST. */
int request_u64(const struct request *rq, const char *name, uint64_t fallback, uint64_t max,
		uint64_t *ret, struct err *e) MUST_CHECK;
/* The media type without parameters, e.g. "application/json"; in any case. */
bool request_content_type_is(const struct request *rq, const char *type);
/*
 * The body without its Content-Encoding (gzip, zstd, identity), appended to out, whose max is the
 * cap. ERR_UNSUPPORTED for other codings, ERR_BAD_ENCODING, ERR_TOO_LARGE.
 */
int request_identity_body(const struct request *rq, struct buf *out, struct err *e) MUST_CHECK;
/* build_id_parse() of a captured part, noted for the log line. */
int request_build_ids(struct request *rq, struct str text, struct build_id ret[static 2],
		      struct err *e) MUST_CHECK;

#endif
