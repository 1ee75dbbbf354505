/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flights.h"

void flights_init(struct flights *f)
{
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->left, NULL);
	f->keys = MAP_INIT;
}

void flights_deinit(struct flights *f)
{
	map_deinit(&f->keys);
	pthread_cond_destroy(&f->left);
	pthread_mutex_destroy(&f->lock);
}

int flights_enter(struct flights *f, struct str key, struct err *e)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	while (map_get(&f->keys, key))
		pthread_cond_wait(&f->left, &f->lock);
	rc = map_set(&f->keys, key, f, NULL);
	pthread_mutex_unlock(&f->lock);
	return rc ? err_nomem(e) : 0;
}

void flights_leave(struct flights *f, struct str key)
{
	pthread_mutex_lock(&f->lock);
	map_del(&f->keys, key);
	pthread_cond_broadcast(&f->left);
	pthread_mutex_unlock(&f->lock);
}
