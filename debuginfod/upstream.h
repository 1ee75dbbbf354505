/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching from upstream debuginfod servers: one thread, one libcurl multi handle, many transfers; no
 * caller ever waits on a thread. All servers are asked in order of preference with a short head start
 * each, and a slow one does not hold up the others. http(s) redirects only, at most 5; caps on size, rate
 * and concurrency per server. The body goes to a staging file; whether it is what it claims to be is found
 * out by its receiver (indexer probe).
 *
 * Protocol: elfutils debuginfod(8), webapi: GET BASE/buildid/HEX/{debuginfo,executable}.
 */
#ifndef DEBUGINFOD_UPSTREAM_H
#define DEBUGINFOD_UPSTREAM_H

#include "base/build_id.h"
#include "base/err.h"

struct upstream;

struct upstream_config {
	char *const *urls; /* NULL-terminated; copied, "ima:…" words are passed over */
	uint64_t max_file_bytes;
	uint64_t max_day_bytes;        /* all fetches of a UTC day together; 0: no limit */
	unsigned per_server;           /* concurrent transfers */
	uint64_t connect_timeout_ms;
	uint64_t first_byte_timeout_ms; /* then the next server is asked, too */
	uint64_t stall_timeout_ms;     /* hardly a byte for so long (seconds count): given up */
	const char *staging_dir;
	const char *user_agent;
};

enum upstream_outcome { UPSTREAM_OK, UPSTREAM_NONE, UPSTREAM_FAILED };

struct upstream_result {
	enum upstream_outcome outcome;
	int fd;            /* OK: the staging file, at offset 0; the callback's */
	const char *url;   /* OK: the server's base URL without user:password@; lives as long as struct upstream */
	struct err err;    /* FAILED: what went wrong with the last one */
};

/* Called once, from the upstream thread: hand over quickly, do not block. */
typedef void upstream_done(void *ctx, const struct upstream_result *r);

struct upstream_ask {
	const struct build_id *id; /* only GNU build-IDs can be asked for */
	const char *artifact;      /* "debuginfo" or "executable" */
	const char *forwarded;     /* X-Forwarded-For of who asked us; NULL or "": nobody */
	upstream_done *done;
	void *ctx;
};

/* ERR_CONFIG: a URL that is not http(s). */
int upstream_new(const struct upstream_config *cfg, struct upstream **ret, struct err *e) MUST_CHECK;
bool upstream_configured(const struct upstream *u); /* any URL at all */
/*
 * The word that stands for this process at the end of X-Forwarded-For in what it asks: whoever is asked
 * something that carries its own token is in a loop (debuginfod/protocol.h).
 */
const char *upstream_token(const struct upstream *u);
/* Takes copies. When it fails (ERR_OVERLOADED, ERR_SHUTTING_DOWN, ERR_UNAVAILABLE without URLs), done is not called. */
int upstream_fetch(struct upstream *u, const struct upstream_ask *ask, struct err *e) MUST_CHECK;
/* Aborts transfers (their callbacks get FAILED), refuses new ones, joins the thread. */
void upstream_stop(struct upstream *u);
void upstream_free(struct upstream *u); /* stops; accepts NULL */

#endif
