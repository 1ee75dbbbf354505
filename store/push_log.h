/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The push log: what makes "200" mean "kept". A record is appended, and the append returns when it is on
 * disk; appends that arrive together share one fsync (group commit by the log's own thread). Records are
 * {length, position, xxh3, bytes} (push_log_file.h); a torn tail is cut off on open. Files roll at 64 MiB;
 * a record is forgotten when everything up to its position has been released.
 *
 * A position is a 64-bit count that only grows. Thread-safe.
 */
#ifndef STORE_PUSH_LOG_H
#define STORE_PUSH_LOG_H

#include "base/err.h"
#include "base/str.h"

struct push_log;

/* ERR_CONFLICT: another process has it open. */
int push_log_open(const char *dir, struct push_log **ret, struct err *e) MUST_CHECK;
/* Tells logs apart, for who notes positions elsewhere: random, made with the log, kept as DIR/id. */
const char *push_log_id(const struct push_log *l);
/* Did opening find damage that no crash explains? *ret (ERR_CORRUPT) says how much and where it is kept. */
bool push_log_damaged(const struct push_log *l, struct err *ret);
/* Calls fn for each record not yet released, in order; for start-up, before appends. */
typedef int push_log_fn(void *ctx, uint64_t position, struct str record, struct err *e);
int push_log_replay(struct push_log *l, push_log_fn *fn, void *ctx, struct err *e) MUST_CHECK;
/*
 * Queues the record; done(ctx, position, error or NULL) is called once, from the log's thread, when it is
 * on disk or cannot be. ERR_OVERLOADED when too much is queued (then done is not called).
 */
typedef void push_log_done(void *ctx, uint64_t position, const struct err *failure);
int push_log_append(struct push_log *l, struct str record, push_log_done *done, void *ctx,
		    struct err *e) MUST_CHECK;
/*
 * Everything up to and including position is safe elsewhere. Takes effect on disk soon after; until then a
 * crash may bring released records back.
 */
int push_log_release(struct push_log *l, uint64_t position, struct err *e) MUST_CHECK;
/*
 * The same at start-up, before the replay, from who noted positions elsewhere: it holds, whatever the log
 * itself remembers, and no position up to it is given again.
 */
void push_log_skip(struct push_log *l, uint64_t position);
/* Finishes queued appends. */
void push_log_close(struct push_log *l);

#endif
