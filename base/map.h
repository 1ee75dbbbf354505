/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash maps: byte-string keys to pointers, and u64 keys to u64 values. Open addressing, XXH3 with a
 * per-process random seed, since keys come from outside. Keys of `struct map` are copied. Not
 * thread-safe; the owner locks.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/base.h"
#include "base/str.h"

/* The hash of these maps, seeded once per process: for a table of another shape. Never write it down. */
uint64_t map_hash(const void *p, size_t n);

struct map_slot;

struct map {
	struct map_slot *slots;
	size_t n;
	size_t cap;
	size_t tombs;
};

#define MAP_INIT ((struct map){NULL, 0, 0, 0})

void map_deinit(struct map *m); /* frees keys, not values */
void *map_get(const struct map *m, struct str key);
/* Sets or replaces; *ret_old (may be NULL) gets the former value. -1 when out of memory. */
int map_set(struct map *m, struct str key, void *value, void **ret_old) MUST_CHECK;
void *map_del(struct map *m, struct str key); /* the former value or NULL */
/* Walk: *pos starts at 0. Deleting the current key while walking is allowed; inserting is not. */
bool map_next(const struct map *m, size_t *pos, struct str *ret_key, void **ret_value);

struct map64 {
	uint64_t *keys;
	uint64_t *values;
	uint8_t *used;
	size_t n;
	size_t cap;
};

#define MAP64_INIT ((struct map64){NULL, NULL, NULL, 0, 0})

void map64_deinit(struct map64 *m);
bool map64_get(const struct map64 *m, uint64_t key, uint64_t *ret_value);
int map64_set(struct map64 *m, uint64_t key, uint64_t value) MUST_CHECK;
void map64_clear(struct map64 *m);

#endif
