/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/intern.h"

#include "base/digest.h"
#include "base/mem.h"
#include <string.h>
#include <sys/random.h>

enum { FIRST_CAP = 1024 };

void intern_init(struct intern *t)
{
	*t = (struct intern){0};
	// Names come from outside; without a seed somebody could make them all collide.
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uintptr_t)t;
}

void intern_deinit(struct intern *t)
{
	free(t->slots);
	*t = (struct intern){0};
}

uint32_t intern_hash(const struct intern *t, const void *p, size_t n)
{
	return (uint32_t)xxh3_seeded(p, n, t->seed);
}

uint32_t intern_find(const struct intern *t, uint32_t hash, intern_equal *equal, const void *owner,
		     const void *key)
{
	if (!t->cap)
		return 0;
	for (size_t i = hash & (t->cap - 1); t->slots[i].id; i = (i + 1) & (t->cap - 1)) {
		if (t->slots[i].hash == hash && equal(owner, t->slots[i].id, key))
			return t->slots[i].id;
	}
	return 0;
}

static void place(struct intern_slot *slots, size_t cap, struct intern_slot slot)
{
	size_t i = slot.hash & (cap - 1);

	while (slots[i].id)
		i = (i + 1) & (cap - 1);
	slots[i] = slot;
}

static int grow(struct intern *t)
{
	size_t cap = t->cap ? t->cap * 2 : FIRST_CAP;
	struct intern_slot *slots = mem_calloc(cap, sizeof(*slots));

	if (!slots)
		return -1;
	for (size_t i = 0; i < t->cap; i++) {
		if (t->slots[i].id)
			place(slots, cap, t->slots[i]);
	}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

int intern_add(struct intern *t, uint32_t hash, uint32_t id)
{
	// At most three quarters full, so that a search soon meets a free slot.
	if (t->n + t->n / 3 >= t->cap && grow(t))
		return -1;
	place(t->slots, t->cap, (struct intern_slot){id, hash});
	t->n++;
	return 0;
}

int record_set_init(struct record_set *s, size_t item_size)
{
	*s = (struct record_set){.item_size = item_size};
	intern_init(&s->index);
	if (mem_grow(&s->items, &s->cap, 1, item_size, UINT32_MAX))
		return -1;
	memset(s->items, 0, item_size);
	s->n = 1;
	return 0;
}

void record_set_deinit(struct record_set *s)
{
	free(s->items);
	intern_deinit(&s->index);
	*s = (struct record_set){0};
}

static bool records_equal(const void *owner, uint32_t id, const void *key)
{
	const struct record_set *s = owner;

	return memcmp(record_set_at(s, id), key, s->item_size) == 0;
}

uint32_t record_set_put(struct record_set *s, const void *item)
{
	uint32_t hash = intern_hash(&s->index, item, s->item_size);
	uint32_t id = intern_find(&s->index, hash, records_equal, s, item);

	if (id)
		return id;
	if (mem_grow(&s->items, &s->cap, s->n + 1, s->item_size, UINT32_MAX))
		return 0;
	id = (uint32_t)s->n;
	if (intern_add(&s->index, hash, id))
		return 0;
	memcpy(s->items + s->n * s->item_size, item, s->item_size);
	s->n++;
	return id;
}
