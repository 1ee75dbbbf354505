/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands out ranges of an array that the kernel reads while it is written. Ranges are rounded up to
 * powers of two, and lie at multiples of their size (a buddy system): a large one that is free is
 * halved as often as needed, and two free halves become one again, so that whoever once took much
 * in one size leaves it to all. A range that was given back may still be walked at that moment, so it
 * is handed out again only after two ticks. Nothing is allocated. No threads.
 */
#ifndef AGENT_SLOT_RANGES_H
#define AGENT_SLOT_RANGES_H

#include "base/base.h"

enum {
	SLOT_RANGES_MAX = 1 << 16, /* slots */
	SLOT_RANGE_SIZES = 17,	   /* 1, 2, 4 … 65536 */
};

#define SLOT_RANGES_NONE UINT32_MAX

struct slot_ranges {
	uint32_t size;
	uint32_t free[SLOT_RANGE_SIZES]; /* the first of each size, or NONE */
	/* given back since the last tick; in the tick before */
	uint32_t fresh[SLOT_RANGE_SIZES];
	uint32_t resting[SLOT_RANGE_SIZES];
	/* Of lists, by a range's first slot; `previous` only of those that are free. */
	uint32_t next[SLOT_RANGES_MAX], previous[SLOT_RANGES_MAX];
	uint8_t free_size[SLOT_RANGES_MAX]; /* log2 of the free range that begins there, plus 1; or 0 */
};

/* size: at most SLOT_RANGES_MAX. */
void slot_ranges_init(struct slot_ranges *r, uint32_t size);
/* n > 0. False: there is no room. */
bool slot_ranges_take(struct slot_ranges *r, uint32_t n, uint32_t *ret_first);
/* n as it was asked for. */
void slot_ranges_give(struct slot_ranges *r, uint32_t first, uint32_t n);
void slot_ranges_tick(struct slot_ranges *r);

#endif
