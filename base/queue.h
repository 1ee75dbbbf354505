/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue and the worker pool that drains it. Ownership of a task moves with the push: a
 * refused push (full, or closed) leaves it with the caller. Thread-safe.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "base/base.h"
#include "base/err.h"

struct pool;

typedef void pool_fn(void *task, void *ctx);

/*
 * `threads` workers named `name`-N that call fn(task, ctx) for each task pushed, in order of arrival.
 * At most `depth` tasks wait. Signals are blocked in the workers.
 */
int pool_new(const char *name, unsigned threads, size_t depth, pool_fn *fn, void *ctx,
	     struct pool **ret, struct err *e) MUST_CHECK;
/* False when the queue is full or the pool is closing: the task stays yours. */
bool pool_push(struct pool *p, void *task) MUST_CHECK;
size_t pool_waiting(const struct pool *p);
size_t pool_busy(const struct pool *p);
size_t pool_depth(const struct pool *p);
/* Refuses new tasks, finishes those taken and queued, joins. Accepts NULL. */
void pool_free(struct pool *p);

#endif
