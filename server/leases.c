/* SPDX-License-Identifier: Apache-2.0 */
#include "server/leases.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include <pthread.h>

struct lease {
	uint64_t until_ms;
	unsigned uploads; /* under way: until_ms does not count */
};

struct leases {
	uint64_t duration_ms;
	pthread_mutex_t lock; /* guards the map; a leaf */
	struct map by_id;     /* text → struct lease * */
};

int leases_new(uint64_t duration_ms, struct leases **ret, struct err *e)
{
	struct leases *l = mem_zalloc(sizeof(*l));

	if (!l)
		return err_nomem(e);
	l->duration_ms = duration_ms;
	pthread_mutex_init(&l->lock, NULL);
	*ret = l;
	return 0;
}

void leases_free(struct leases *l)
{
	size_t at = 0;
	struct str key;
	void *value;

	if (!l)
		return;
	while (map_next(&l->by_id, &at, &key, &value))
		free(value);
	map_deinit(&l->by_id);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

uint64_t leases_duration_ms(const struct leases *l)
{
	return l->duration_ms;
}

static struct lease *find(const struct leases *l, const struct build_id *id)
{
	char text[BUILD_ID_TEXT];

	build_id_text(id, text);
	return map_get(&l->by_id, str_from(text));
}

static bool is_over(const struct lease *x, uint64_t now)
{
	return !x->uploads && now >= x->until_ms;
}

static void sweep(struct leases *l, uint64_t now)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(&l->by_id, &at, &key, &value)) {
		if (is_over(value, now))
			free(map_del(&l->by_id, key));
	}
}

static int add(struct leases *l, const struct build_id *id, uint64_t until_ms, struct err *e)
{
	struct lease *x = mem_zalloc(sizeof(*x));
	char text[BUILD_ID_TEXT];

	build_id_text(id, text);
	if (!x || map_set(&l->by_id, str_from(text), x, NULL)) {
		free(x);
		return err_nomem(e);
	}
	x->until_ms = until_ms;
	return 0;
}

static int take(struct leases *l, const struct build_id *id, struct err *e)
{
	uint64_t now = clock_mono_ms();
	struct lease *x = find(l, id);

	if (x && !is_over(x, now))
		return LEASE_HELD;
	if (x) {
		x->until_ms = now + l->duration_ms;
		return 0;
	}
	if (l->by_id.n >= LEASES_MAX)
		sweep(l, now);
	return l->by_id.n >= LEASES_MAX ? LEASE_HELD : add(l, id, now + l->duration_ms, e);
}

int leases_take(struct leases *l, const struct build_id *id, struct err *e)
{
	int rc;

	pthread_mutex_lock(&l->lock);
	rc = take(l, id, e);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

bool leases_upload_begins(struct leases *l, const struct build_id *id)
{
	struct lease *x;
	bool leased;

	pthread_mutex_lock(&l->lock);
	x = find(l, id);
	leased = x != NULL;
	if (x)
		x->uploads++;
	pthread_mutex_unlock(&l->lock);
	return leased;
}

void leases_upload_ends(struct leases *l, const struct build_id *id, bool refused)
{
	struct lease *x;

	pthread_mutex_lock(&l->lock);
	x = find(l, id);
	if (x && x->uploads)
		x->uploads--;
	if (x && !refused)
		x->until_ms = 0;
	pthread_mutex_unlock(&l->lock);
}
