/* SPDX-License-Identifier: Apache-2.0 */
/* What profiles.c (the way in) and profile_query.c (the way out) share. See profiles.c for the
 * threads. */
#ifndef SERVER_PROFILES_INTERNAL_H
#define SERVER_PROFILES_INTERNAL_H

#include "base/thread.h"
#include "server/head.h"
#include "server/profiles.h"
#include <pthread.h>

struct arrival;
struct arrival_wait;

struct profiles {
	struct profiles_config cfg;
	struct thread intake;
	struct thread writer;
	pthread_mutex_t lock;
	pthread_cond_t wake;	/* the intake has something to do */
	pthread_cond_t write;	/* the writer has */
	pthread_cond_t changed; /* anything a caller may wait for */

	/* guarded by lock */
	size_t logging; /* appends whose end the log has not told yet */
	struct arrival *arrivals, *arrivals_last;
	size_t arriving_bytes;	 /* records between push and head */
	uint64_t arrived, taken; /* counts of records queued, and of those taken into the head */
	struct arrival_wait *waits, *waits_last; /* for `taken` to get there, the nearest first */
	struct head *open;	 /* the intake adds to it, and makes it the closing one */
	struct head *closing;	 /* read-only while set; the writer ends it */
	struct head *spare;	 /* the next open one */
	uint64_t released;	 /* what the log was told */
	uint64_t flush_asked, flush_closed;
	uint64_t failures; /* windows that could not be written */
	uint64_t retry_at_ms;
	bool incomplete; /* a record could not be taken in: only a replay can */
	bool stopping;	 /* the intake ends when all is taken in */
	bool writer_stopping;
};

/* With the lock held. Frees it with the last reference. */
void profiles_head_unref(struct head *h);

/* With the lock held: the waits that `taken` has ended. To be handed on without the lock; NULL is fine. */
struct arrival_wait *profiles_waits_over(struct profiles *p) MUST_CHECK;
void profiles_waits_wake(struct arrival_wait *over);

#endif
