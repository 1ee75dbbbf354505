/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One at a time per key: who enters a key that somebody is in waits until they have left. For work that
 * must not be done twice at once (storing the same bytes, making the same copy). Thread-safe.
 */
#ifndef STORE_FLIGHTS_H
#define STORE_FLIGHTS_H

#include "base/err.h"
#include "base/map.h"
#include <pthread.h>

struct flights {
	pthread_mutex_t lock; /* guards keys */
	pthread_cond_t left;
	struct map keys;
};

void flights_init(struct flights *f);
void flights_deinit(struct flights *f);
/* ERR_NOMEM. */
int flights_enter(struct flights *f, struct str key, struct err *e) MUST_CHECK;
void flights_leave(struct flights *f, struct str key);

#endif
