/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include <pthread.h>
#include <sys/random.h>

enum { FIRST_CAP = 16 };

struct map_slot {
	char *key; // NULL: free; tomb: deleted
	size_t n;
	uint64_t hash;
	void *value;
};

static char tomb[1];
static uint64_t hash_seed;
static pthread_once_t hash_seed_once = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
	if (getrandom(&hash_seed, sizeof(hash_seed), GRND_NONBLOCK) != sizeof(hash_seed))
		hash_seed = clock_mono_ns() ^ (uint64_t)(uintptr_t)&hash_seed;
}

uint64_t map_hash(const void *p, size_t n)
{
	pthread_once(&hash_seed_once, draw_seed);
	return xxh3_seeded(p, n, hash_seed);
}

static bool is_live(const struct map_slot *s)
{
	return s->key && s->key != tomb;
}

void map_deinit(struct map *m)
{
	for (size_t i = 0; i < m->cap; i++) {
		if (is_live(&m->slots[i]))
			free(m->slots[i].key);
	}
	free(m->slots);
	*m = MAP_INIT;
}

// The table is never full, so the walk ends at a free slot.
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
	if (!m->cap)
		return NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (!s->key)
			return NULL;
		if (s->key != tomb && s->hash == hash &&
		    str_eq((struct str){s->key, s->n}, key))
			return s;
	}
}

static struct map_slot *first_free(struct map_slot *slots, size_t cap, uint64_t hash)
{
	size_t i = hash & (cap - 1);

	while (is_live(&slots[i]))
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static int rehash(struct map *m, size_t cap)
{
	struct map_slot *slots = mem_calloc(cap, sizeof(*slots));

	if (!slots)
		return -1;
	for (size_t i = 0; i < m->cap; i++) {
		if (is_live(&m->slots[i]))
			*first_free(slots, cap, m->slots[i].hash) = m->slots[i];
	}
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	m->tombs = 0;
	return 0;
}

// Room for one more at a load of at most 3/4, tombs included.
static int make_room(struct map *m)
{
	size_t cap = m->cap ? m->cap : FIRST_CAP;

	if (m->cap && (m->n + m->tombs + 1) <= m->cap / 4 * 3)
		return 0;
	if (m->n + 1 > cap / 2 && mul_overflows(cap, 2, &cap))
		return -1;
	return rehash(m, cap);
}

void *map_get(const struct map *m, struct str key)
{
	struct map_slot *s = find(m, key, map_hash(key.p, key.n));

	return s ? s->value : NULL;
}

int map_set(struct map *m, struct str key, void *value, void **ret_old)
{
	uint64_t hash = map_hash(key.p, key.n);
	struct map_slot *s = find(m, key, hash);
	void *old = s ? s->value : NULL;
	char *copy;

	if (!s) {
		copy = mem_strndup(key.p, key.n);
		if (!copy || make_room(m)) {
			free(copy);
			return -1;
		}
		s = first_free(m->slots, m->cap, hash);
		m->tombs -= s->key == tomb;
		m->n++;
		*s = (struct map_slot){copy, key.n, hash, NULL};
	}
	s->value = value;
	if (ret_old)
		*ret_old = old;
	return 0;
}

void *map_del(struct map *m, struct str key)
{
	struct map_slot *s = find(m, key, map_hash(key.p, key.n));
	void *old;

	if (!s)
		return NULL;
	old = s->value;
	free(s->key);
	*s = (struct map_slot){.key = tomb};
	m->n--;
	m->tombs++;
	return old;
}

bool map_next(const struct map *m, size_t *pos, struct str *ret_key, void **ret_value)
{
	while (*pos < m->cap) {
		const struct map_slot *s = &m->slots[(*pos)++];

		if (!is_live(s))
			continue;
		if (ret_key)
			*ret_key = (struct str){s->key, s->n};
		if (ret_value)
			*ret_value = s->value;
		return true;
	}
	return false;
}

void map64_deinit(struct map64 *m)
{
	free(m->keys);
	free(m->values);
	free(m->used);
	*m = MAP64_INIT;
}

// The slot of key, or the free one where it belongs. cap > 0 and the table is never full.
static size_t slot64(const struct map64 *m, uint64_t key)
{
	size_t i = map_hash(&key, sizeof(key)) & (m->cap - 1);

	while (m->used[i] && m->keys[i] != key)
		i = (i + 1) & (m->cap - 1);
	return i;
}

static void put64(struct map64 *m, uint64_t key, uint64_t value)
{
	size_t i = slot64(m, key);

	m->n += !m->used[i];
	m->used[i] = 1;
	m->keys[i] = key;
	m->values[i] = value;
}

static int grow64(struct map64 *m)
{
	struct map64 grown = MAP64_INIT;

	grown.cap = m->cap ? m->cap : FIRST_CAP / 2;
	if (mul_overflows(grown.cap, 2, &grown.cap))
		return -1;
	grown.keys = mem_calloc(grown.cap, sizeof(*grown.keys));
	grown.values = mem_calloc(grown.cap, sizeof(*grown.values));
	grown.used = mem_calloc(grown.cap, sizeof(*grown.used));
	if (!grown.keys || !grown.values || !grown.used) {
		map64_deinit(&grown);
		return -1;
	}
	for (size_t i = 0; i < m->cap; i++) {
		if (m->used[i])
			put64(&grown, m->keys[i], m->values[i]);
	}
	map64_deinit(m);
	*m = grown;
	return 0;
}

bool map64_get(const struct map64 *m, uint64_t key, uint64_t *ret_value)
{
	size_t i;

	if (!m->n)
		return false;
	i = slot64(m, key);
	if (!m->used[i])
		return false;
	*ret_value = m->values[i];
	return true;
}

int map64_set(struct map64 *m, uint64_t key, uint64_t value)
{
	if (m->n + 1 > m->cap / 4 * 3 && grow64(m))
		return -1;
	put64(m, key, value);
	return 0;
}

void map64_clear(struct map64 *m)
{
	if (m->n)
		memset(m->used, 0, m->cap);
	m->n = 0;
}
