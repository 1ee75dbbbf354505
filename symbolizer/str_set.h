/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of byte strings, numbered 0, 1, 2… in the order of first sight, so that equal things
 * become one and the result does not depend on the hash. Keys of many-field things are their encoded
 * bytes.
 *
 * Keys are borrowed or copied into the arena as the caller says; the table itself is heap memory,
 * released by str_set_deinit(). Owned by one thread.
 */
#ifndef SYMBOLIZER_STR_SET_H
#define SYMBOLIZER_STR_SET_H

#include "base/arena.h"
#include "base/str.h"

enum { STR_SET_RECENT = 1024 };

struct str_set_slot;

struct str_set {
	struct arena *arena; /* for copied keys; NULL where all are borrowed */
	struct str_set_slot *slots;
	size_t slot_count;
	struct str *keys; /* by index */
	size_t key_cap;
	size_t n;
	/* Index by where recently seen keys lay: most strings recur by pointer. */
	uint32_t recent[STR_SET_RECENT];
};

#define STR_SET_INIT(arena_ptr) ((struct str_set){.arena = (arena_ptr)})

void str_set_deinit(struct str_set *t);

/* 1: new, 0: was there; *ret_index is its number. -1: out of memory (or over the arena's cap). */
int str_set_borrow(struct str_set *t, struct str key, uint32_t *ret_index) MUST_CHECK;
int str_set_copy(struct str_set *t, struct str key, uint32_t *ret_index) MUST_CHECK;

#endif
