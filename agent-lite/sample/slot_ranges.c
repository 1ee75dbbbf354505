/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/slot_ranges.h"

#include <string.h>

/* The smallest power of two that holds n. */
static int size_class(uint32_t n)
{
	int class = 0;

	while (class < SLOT_RANGE_SIZES && (UINT32_C(1) << class) < n)
		class++;
	return class;
}

/* ---- what is free ---------------------------------------------------------------------------- */

static void put_free(struct slot_ranges *r, uint32_t first, int class)
{
	uint32_t next = r->free[class];

	r->next[first] = next;
	r->previous[first] = SLOT_RANGES_NONE;
	if (next != SLOT_RANGES_NONE)
		r->previous[next] = first;
	r->free[class] = first;
	r->free_size[first] = (uint8_t)(class + 1);
}

static void take_free(struct slot_ranges *r, uint32_t first, int class)
{
	uint32_t next = r->next[first], previous = r->previous[first];

	if (next != SLOT_RANGES_NONE)
		r->previous[next] = previous;
	if (previous != SLOT_RANGES_NONE)
		r->next[previous] = next;
	else
		r->free[class] = next;
	r->free_size[first] = 0;
}

/* With its other half, if that is free too, and so on. */
static void set_free(struct slot_ranges *r, uint32_t first, int class)
{
	for (; class + 1 < SLOT_RANGE_SIZES; class++) {
		uint32_t other = first ^ UINT32_C(1) << class;

		if (other >= r->size || r->free_size[other] != class + 1)
			break;
		take_free(r, other, class);
		first = MIN(first, other);
	}
	put_free(r, first, class);
}

void slot_ranges_init(struct slot_ranges *r, uint32_t size)
{
	uint32_t at = 0;

	r->size = size;
	memset(r->free_size, 0, sizeof(r->free_size));
	for (int i = 0; i < SLOT_RANGE_SIZES; i++)
		r->free[i] = r->fresh[i] = r->resting[i] = SLOT_RANGES_NONE;
	// The powers of two that make up the size, the largest first: each at a multiple of itself.
	for (int class = SLOT_RANGE_SIZES - 1; class >= 0; class--) {
		if (!(size >> class & 1))
			continue;
		put_free(r, at, class);
		at += UINT32_C(1) << class;
	}
}

bool slot_ranges_take(struct slot_ranges *r, uint32_t n, uint32_t *ret_first)
{
	int class = size_class(n), from = class;
	uint32_t first;

	while (from < SLOT_RANGE_SIZES && r->free[from] == SLOT_RANGES_NONE)
		from++;
	if (from >= SLOT_RANGE_SIZES)
		return false;
	first = r->free[from];
	take_free(r, first, from);
	while (from-- > class)
		put_free(r, first + (UINT32_C(1) << from), from);
	*ret_first = first;
	return true;
}

/* ---- what rests ------------------------------------------------------------------------------ */

void slot_ranges_give(struct slot_ranges *r, uint32_t first, uint32_t n)
{
	int class = size_class(n);

	r->next[first] = r->fresh[class];
	r->fresh[class] = first;
}

void slot_ranges_tick(struct slot_ranges *r)
{
	for (int class = 0; class < SLOT_RANGE_SIZES; class++) {
		uint32_t first = r->resting[class];

		while (first != SLOT_RANGES_NONE) {
			uint32_t next = r->next[first];

			set_free(r, first, class);
			first = next;
		}
		r->resting[class] = r->fresh[class];
		r->fresh[class] = SLOT_RANGES_NONE;
	}
}
