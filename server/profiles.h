/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles on their way in and out. A push is validated, appended to the push log (then acknowledged) and
 * merged into the head: one open window per series. When the window closes, it is symbolized and written as
 * segments, together with a note of how far the log was taken, and the log is released up to there. A query
 * merges segments and heads and resolves again what was unresolved, so that debug info that came late names
 * old profiles too.
 *
 * Thread-safe. Blocking calls say so; they belong on worker threads.
 */
#ifndef SERVER_PROFILES_H
#define SERVER_PROFILES_H

#include "base/err.h"
#include "server/binaries.h"
#include "store/catalog.h"
#include "store/profile_dir.h"
#include "store/push_log.h"
#include "symbolizer/push_request.h"

struct profiles;

struct profiles_config {
	struct binaries *binaries;
	struct catalog *catalog;
	struct push_log *log;
	struct profile_dir *dir;
	uint64_t window_ms; /* 60 s */
	size_t head_bytes;  /* memory cap of the head; beyond it the window closes early */
};

/* Replays the log into the head. */
int profiles_new(const struct profiles_config *cfg, struct profiles **ret, struct err *e) MUST_CHECK;
/* Writes the head as segments, releases the log, joins. */
void profiles_free(struct profiles *p);

/*
 * Validates every profile of the request (ERR_BAD_PPROF, …: nothing is kept), queues it on the log.
 * done(ctx, failure or NULL) comes once, from another thread, when it may be acknowledged. `body` is the
 * identity request bytes (protobuf); it is copied.
 */
typedef void profiles_done(void *ctx, const struct err *failure);
int profiles_push(struct profiles *p, struct str body, const struct push_request *rq,
		  profiles_done *done, void *ctx, struct err *e) MUST_CHECK;

/*
 * Who pushed and was answered wants to see it: calls wake(ctx) once, from another thread, when all that was
 * acknowledged until now has been taken in, or wait_ms is over. BINARIES_SETTLED: it has been already, and
 * wake is not called. ERR_OVERLOADED, ERR_NOMEM.
 */
int profiles_wait(struct profiles *p, const struct binaries_waiting *what, struct err *e) MUST_CHECK;

struct profiles_query {
	const char *match; /* "" or NULL: everything */
	int64_t from_unix_ns;
	int64_t to_unix_ns;
};
/*
 * CPU and disk, no waiting: of what was pushed, what profiles_wait() does not wait for is there. Appends a
 * gzip pprof. ERR_NOT_FOUND: nothing matches; ERR_BAD_REQUEST: bad matcher, or several
 * profile types match and __name__ is not given (the message lists them). The view collects what is pending.
 */
int profiles_query(struct profiles *p, const struct profiles_query *q, struct binaries_view *view,
		   struct buf *out, struct err *e) MUST_CHECK;

/* Closes the window now and waits until the segments are written (tests, shutdown). */
int profiles_flush(struct profiles *p, struct err *e) MUST_CHECK;

#endif
