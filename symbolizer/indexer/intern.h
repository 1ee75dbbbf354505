/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving equal things equal ids. An index holds only hashes and ids; the things lie in their
 * owner's array. record_set is the common owner: fixed-size records without padding, compared as
 * bytes. Ids are dense from 1 in order of arrival, so they depend on the input alone, although the
 * hash is seeded. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_INTERN_H
#define SYMBOLIZER_INDEXER_INTERN_H

#include "base/base.h"

struct intern_slot {
	uint32_t id; /* 0: free */
	uint32_t hash;
};

struct intern {
	struct intern_slot *slots;
	size_t cap; /* a power of two */
	size_t n;
	uint64_t seed;
};

/* Is the thing with this id equal to key? */
typedef bool intern_equal(const void *owner, uint32_t id, const void *key);

void intern_init(struct intern *t);
void intern_deinit(struct intern *t);
uint32_t intern_hash(const struct intern *t, const void *p, size_t n);
/* The id, or 0. */
uint32_t intern_find(const struct intern *t, uint32_t hash, intern_equal *equal, const void *owner,
		     const void *key);
/* -1 when out of memory. The caller has made sure that it is not there yet. */
int intern_add(struct intern *t, uint32_t hash, uint32_t id) MUST_CHECK;

struct record_set {
	char *items; /* record 0 is all zero */
	size_t item_size;
	size_t n; /* including record 0 */
	size_t cap;
	struct intern index;
};

int record_set_init(struct record_set *s, size_t item_size) MUST_CHECK; /* -1: out of memory */
void record_set_deinit(struct record_set *s);
/* The id of an equal record, added if new; 0 when out of memory or ids. */
uint32_t record_set_put(struct record_set *s, const void *item);
/* Valid until the next put. id < n. */
static inline const void *record_set_at(const struct record_set *s, uint32_t id)
{
	return s->items + (size_t)id * s->item_size;
}

#endif
