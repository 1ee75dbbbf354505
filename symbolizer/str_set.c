/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/str_set.h"

#include "base/map.h"
#include "base/mem.h"

enum { SLOTS_MIN = 64, KEYS_MAX = INT32_MAX };

struct str_set_slot {
	uint32_t hash;
	uint32_t number; // index + 1; 0 is a free slot
};

void str_set_deinit(struct str_set *t)
{
	free(t->slots);
	free(t->keys);
	*t = STR_SET_INIT(t->arena);
}

// The slot that holds key, or the free one where it belongs. The table is never full.
static struct str_set_slot *find(const struct str_set *t, struct str key, uint32_t hash)
{
	size_t mask = t->slot_count - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct str_set_slot *s = &t->slots[i];

		if (!s->number || (s->hash == hash && str_eq(t->keys[s->number - 1], key)))
			return s;
	}
}

static int grow_slots(struct str_set *t)
{
	size_t count = t->slot_count ? t->slot_count * 2 : SLOTS_MIN;
	struct str_set_slot *slots = mem_calloc(count, sizeof(*slots));

	if (!slots)
		return -1;
	for (size_t i = 0; i < t->slot_count; i++) {
		const struct str_set_slot *s = &t->slots[i];
		size_t to = s->hash & (count - 1);

		if (!s->number)
			continue;
		while (slots[to].number)
			to = (to + 1) & (count - 1);
		slots[to] = *s;
	}
	free(t->slots);
	t->slots = slots;
	t->slot_count = count;
	return 0;
}

static int make_room(struct str_set *t)
{
	if (t->n + 1 > t->slot_count / 4 * 3 && grow_slots(t))
		return -1;
	return mem_grow(&t->keys, &t->key_cap, t->n + 1, sizeof(*t->keys), KEYS_MAX);
}

static int add(struct str_set *t, struct str key, bool copy, uint32_t *ret_index)
{
	uint32_t hash = (uint32_t)map_hash(key.p, key.n);
	struct str_set_slot *s;

	if (make_room(t))
		return -1;
	s = find(t, key, hash);
	if (s->number) {
		*ret_index = s->number - 1;
		return 0;
	}
	if (copy)
		key = arena_str(t->arena, key);
	if (!key.p)
		return -1;
	t->keys[t->n++] = key;
	*s = (struct str_set_slot){hash, (uint32_t)t->n};
	*ret_index = s->number - 1;
	return 1;
}

static uint32_t *recent_of(struct str_set *t, struct str key)
{
	uint64_t where = (uintptr_t)key.p ^ key.n;

	// Fibonacci hashing: the upper bits are the good ones.
	return &t->recent[(where * 0x9e3779b97f4a7c15) >> 32 & (STR_SET_RECENT - 1)];
}

int str_set_borrow(struct str_set *t, struct str key, uint32_t *ret_index)
{
	uint32_t *recent = recent_of(t, key);
	int is_new;

	if (*recent < t->n && t->keys[*recent].p == key.p && t->keys[*recent].n == key.n) {
		*ret_index = *recent;
		return 0;
	}
	is_new = add(t, key, false, ret_index);
	if (is_new >= 0)
		*recent = *ret_index;
	return is_new;
}

int str_set_copy(struct str_set *t, struct str key, uint32_t *ret_index)
{
	uint32_t *recent = recent_of(t, key);
	int is_new;

	// By content: another key may lie there by now.
	if (*recent < t->n && str_eq(t->keys[*recent], key)) {
		*ret_index = *recent;
		return 0;
	}
	is_new = add(t, key, true, ret_index);
	if (is_new >= 0)
		*recent = *ret_index;
	return is_new;
}
