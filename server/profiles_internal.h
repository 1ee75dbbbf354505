/* SPDX-License-Identifier: Apache-2.0 */
/* What profiles.c (the way in) and profile_query.c (the way out) share. See profiles.c for the threads. */
#ifndef SERVER_PROFILES_INTERNAL_H
#define SERVER_PROFILES_INTERNAL_H

#include "server/head.h"
#include "server/profiles.h"
#include <pthread.h>

struct arrival;

struct profiles {
	struct profiles_config cfg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;      /* the thread has something to do */
	pthread_cond_t published; /* publishing ended, or a flush was done */

	/* guarded by lock; `open` and `closing` are replaced by the thread alone */
	struct arrival *arrivals, *arrivals_last;
	size_t arriving_bytes; /* records between push and head */
	uint64_t arrived, taken; /* counts of records queued, and of those taken into the head */
	struct head *open;
	struct head *closing;  /* read-only while set */
	bool publishing;       /* closing is turning into segments */
	uint64_t epoch;        /* counts publications */
	uint64_t flush_asked, flush_done;
	bool stopping;

	/* the thread's own */
	uint64_t retry_at_ms;
};

#endif
