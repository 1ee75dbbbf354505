/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which door a request goes through: one static table of methods and path patterns.
 *
 *   /v1/missing            literal segments
 *   /buildid/{}/debuginfo  {} takes one segment that is not empty
 *   /v1/debuginfo/{*}      {*} takes the rest, slashes and all; it is not empty and comes last
 *
 * The first pattern that matches path and method wins.
 */
#ifndef SERVER_ROUTER_H
#define SERVER_ROUTER_H

#include "base/err.h"
#include "base/str.h"
#include "server/target.h"

struct request;

enum method {
	METHOD_GET = 1,
	METHOD_HEAD = 2,
	METHOD_POST = 4,
	METHOD_PUT = 8,
	METHOD_DELETE = 16,
	METHOD_PATCH = 32,
	METHOD_OPTIONS = 64,
	METHOD_OTHER = 128,
};

enum method method_parse(struct str name);
const char *method_name(enum method m);
/* "GET, HEAD", as in Allow. */
enum { METHODS_TEXT = 64 };
void methods_text(unsigned methods, char out[static METHODS_TEXT]);

/*
 * A door. It runs on the lane its route names and fills the request's response.
 *   DOOR_DONE    the response is there
 *   DOOR_PARKED  somebody was given a waker (server/exchange.h): the door is called again when
 * woken DOOR_DEFER   an I/O lane door that would have to block: call it again on LANE_WORK -1
 * respond with *e
 */
enum door_outcome { DOOR_DONE = 0, DOOR_PARKED = 1, DOOR_DEFER = 2 };
typedef int door_fn(struct request *rq, struct err *e);

/*
 * Takes a streamed body piece by piece, on the route's lane, before the door runs. The last call
 * has `last` set, and comes for an empty body, too.
 */
typedef int sink_fn(struct request *rq, struct str piece, bool last, struct err *e);

/* Where a door runs. I/O threads serve all connections: nothing there may take a millisecond. */
enum lane { LANE_IO, LANE_WORK, LANE_INGEST, LANE_COUNT };

enum error_style {
	STYLE_PROBLEM, /* problem+json */
	STYLE_CONNECT, /* the Connect protocol's JSON */
	STYLE_PLAIN,   /* debuginfod: text for what is final, a TCP reset for what may pass */
};

enum { ROUTE_PARAMS_MAX = 2 };

struct route {
	const char *name; /* label in metrics and logs */
	unsigned methods; /* of enum method; HEAD is taken where GET is */
	const char *pattern;
	door_fn *door;
	enum lane lane;
	enum error_style style;
	unsigned scope;	   /* what the caller's token must allow; 0: open to all */
	bool agents;	   /* a token with SCOPE_AGENT will do, too */
	door_fn *precheck; /* before the body is read, on the I/O thread: 0 or -1 with *e; may be
			      NULL */
	bool takes_body;
	sink_fn *sink;	   /* with takes_body: streamed instead of buffered */
	uint64_t max_body; /* 0: the default for buffered bodies */
	bool quiet;	   /* logged at debug level */
};

/*
 * *ret and the captured parts. ERR_NOT_FOUND, ERR_METHOD (*ret_allowed: methods the path has),
 * ERR_BAD_PATH ("." and ".." segments). *ret_style is set in any case: that of the first route
 * whose first segment is the request's.
 */
struct route_match {
	const struct route *route;
	struct str param[ROUTE_PARAMS_MAX];
	unsigned allowed;
	enum error_style style;
};
int router_match(const struct route *table /* ends with a NULL name */, enum method m,
		 const struct target *t, struct route_match *ret, struct err *e) MUST_CHECK;

#endif
