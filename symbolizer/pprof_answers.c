/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_answers.h"

#include "base/cleanup.h"
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
static uint32_t *find(const struct pprof_answers *a, uint32_t module, uint64_t va)
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

int pprof_answers_put(struct pprof_answers *a, uint32_t module, uint64_t va, uint32_t *ret)
{
	uint32_t *slot;

	if (a->n + 1 > a->slot_count / 2 && grow_slots(a))
		return -1;
	slot = find(a, module, va);
	if (!*slot) {
		if (mem_grow(&a->items, &a->cap, a->n + 1, sizeof(*a->items), ITEMS_MAX))
			return -1;
		a->items[a->n++] = (struct pprof_answer){.va = va, .module = module};
		*slot = (uint32_t)a->n;
	}
	*ret = *slot - 1;
	return 0;
}

// ---- in order ------------------------------------------------------------------------------------

struct place {
	uint64_t va;
	uint32_t module;
	uint32_t number;
};

enum { BYTES_OF_VA = sizeof(uint64_t), BYTES_OF_KEY = BYTES_OF_VA + sizeof(uint32_t) };

// Bytes of the key, the least significant first: the address, then the module.
static unsigned byte_of(const struct place *p, unsigned i)
{
	if (i < BYTES_OF_VA)
		return p->va >> 8 * i & 0xff;
	return p->module >> 8 * (i - BYTES_OF_VA) & 0xff;
}

// One pass of a radix sort. False, and nothing done, where that byte is the same in all.
static bool sort_by(unsigned byte, const struct place *from, struct place *to, size_t n)
{
	size_t start[257] = {0};

	for (size_t i = 0; i < n; i++)
		start[byte_of(&from[i], byte) + 1]++;
	if (start[byte_of(&from[0], byte) + 1] == n)
		return false;
	for (size_t i = 1; i < countof(start); i++)
		start[i] += start[i - 1];
	for (size_t i = 0; i < n; i++)
		to[start[byte_of(&from[i], byte)]++] = from[i];
	return true;
}

static const struct place *sort(struct place *a, struct place *b, size_t n)
{
	for (unsigned byte = 0; n && byte < BYTES_OF_KEY; byte++) {
		struct place *sorted = b;

		if (!sort_by(byte, a, b, n))
			continue;
		b = a;
		a = sorted;
	}
	return a;
}

uint32_t *pprof_answers_in_order(const struct pprof_answers *a)
{
	_cleanup_free_ struct place *places = mem_calloc(2 * a->n, sizeof(*places));
	uint32_t *order = mem_calloc(a->n, sizeof(*order));
	const struct place *sorted;

	if (!places || !order) {
		free(order);
		return NULL;
	}
	for (size_t i = 0; i < a->n; i++)
		places[i] = (struct place){a->items[i].va, a->items[i].module, (uint32_t)i};
	sorted = sort(places, places + a->n, a->n);
	for (size_t i = 0; i < a->n; i++)
		order[i] = sorted[i].number;
	return order;
}
