/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/slot_ranges.h"

void slot_ranges_init(struct slot_ranges *r, uint32_t size)
{
	r->size = size;
	r->used = 0;
	for (int i = 0; i < SLOT_RANGE_SIZES; i++)
		r->free[i] = r->fresh[i] = r->resting[i] = SLOT_RANGES_NONE;
}

/* The smallest power of two that holds n. */
static int size_class(uint32_t n)
{
	int class = 0;

	while (class < SLOT_RANGE_SIZES && (UINT32_C(1) << class) < n)
		class++;
	return class;
}

bool slot_ranges_take(struct slot_ranges *r, uint32_t n, uint32_t *ret_first)
{
	int class = size_class(n);
	uint32_t first = class < SLOT_RANGE_SIZES ? r->free[class] : SLOT_RANGES_NONE;

	if (class >= SLOT_RANGE_SIZES)
		return false;
	if (first != SLOT_RANGES_NONE) {
		r->free[class] = r->next[first];
	} else {
		if (r->size - r->used < UINT32_C(1) << class)
			return false;
		first = r->used;
		r->used += UINT32_C(1) << class;
	}
	*ret_first = first;
	return true;
}

void slot_ranges_give(struct slot_ranges *r, uint32_t first, uint32_t n)
{
	int class = size_class(n);

	r->next[first] = r->fresh[class];
	r->fresh[class] = first;
}

static void append(struct slot_ranges *r, uint32_t *list, uint32_t rest)
{
	while (*list != SLOT_RANGES_NONE)
		list = &r->next[*list];
	*list = rest;
}

void slot_ranges_tick(struct slot_ranges *r)
{
	for (int i = 0; i < SLOT_RANGE_SIZES; i++) {
		// The shorter list is walked: what rests came within one tick.
		append(r, &r->resting[i], r->free[i]);
		r->free[i] = r->resting[i];
		r->resting[i] = r->fresh[i];
		r->fresh[i] = SLOT_RANGES_NONE;
	}
}
