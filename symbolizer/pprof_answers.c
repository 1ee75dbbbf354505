/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_answers.h"

#include "base/map.h"
#include "base/mem.h"

enum { SLOTS_MIN = 64, ITEMS_MAX = 1 << 30 };

void pprof_answers_deinit(struct pprof_answers *a)
{
	free(a->items);
	free(a->slots);
	*a = PPROF_ANSWERS_INIT;
}

// Where (module, va) is, or the free slot where it belongs. The table is never full.
static uint32_t *find(const struct pprof_answers *a, uint64_t module, uint64_t va)
{
	const uint64_t key[] = {module, va};
	size_t mask = a->slot_count - 1;

	for (size_t i = map_hash(key, sizeof(key)) & mask;; i = (i + 1) & mask) {
		const struct pprof_answer *item;

		if (!a->slots[i])
			return &a->slots[i];
		item = &a->items[a->slots[i] - 1];
		if (item->va == va && item->module == module)
			return &a->slots[i];
	}
}

static int grow_slots(struct pprof_answers *a)
{
	size_t count = a->slot_count ? a->slot_count * 2 : SLOTS_MIN;
	uint32_t *slots = mem_calloc(count, sizeof(*slots));

	if (!slots)
		return -1;
	free(a->slots);
	a->slots = slots;
	a->slot_count = count;
	for (size_t i = 0; i < a->n; i++)
		*find(a, a->items[i].module, a->items[i].va) = (uint32_t)i + 1;
	return 0;
}

int pprof_answers_at(struct pprof_answers *a, uint64_t module, uint64_t va,
		     struct pprof_answer **ret)
{
	uint32_t *slot;

	if (a->n + 1 > a->slot_count / 2 && grow_slots(a))
		return -1;
	slot = find(a, module, va);
	if (*slot) {
		*ret = &a->items[*slot - 1];
		return 0;
	}
	if (mem_grow(&a->items, &a->cap, a->n + 1, sizeof(*a->items), ITEMS_MAX))
		return -1;
	a->items[a->n] = (struct pprof_answer){.va = va, .module = module};
	*ret = &a->items[a->n++];
	*slot = (uint32_t)a->n;
	return 1;
}
