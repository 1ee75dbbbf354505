/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump arena for everything that dies together: one request, one decoded profile, one job. The cap
 * is that request's memory quota; at the cap, allocation returns NULL rather than growing. Owned by
 * one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"
#include "base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used; /* bytes taken from the system */
	size_t cap;
};

#define ARENA_INIT(cap_bytes) ((struct arena){NULL, 0, (cap_bytes)})

void arena_deinit(struct arena *a);
/* 16-byte aligned, uninitialised; NULL at the cap or out of memory. */
void *arena_alloc(struct arena *a, size_t size) MUST_CHECK;
void *arena_calloc(struct arena *a, size_t count, size_t size) MUST_CHECK; /* zeroed */
void *arena_dup(struct arena *a, const void *p, size_t n) MUST_CHECK;
/* A NUL-terminated copy; .p == NULL on failure. */
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3) MUST_CHECK;

#define arena_new(a, type) ((type *)arena_calloc((a), 1, sizeof(type)))
#define arena_array(a, count, type) ((type *)arena_calloc((a), (count), sizeof(type)))

#endif
