/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of any width up to 32 bits, one behind the other, lowest bit first: what
 * symbolizer/uhx_bits.h reads. Writes 8 bytes at a time: behind what is to be written there must be
 * room for so many. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_BIT_WRITER_H
#define SYMBOLIZER_INDEXER_BIT_WRITER_H

#include "base/base.h"
#include <string.h>

enum { BIT_WRITER_SLACK = 8 };

struct bit_writer {
	char *at;
	uint64_t word; /* bits that are not written yet, or not for good */
	unsigned used; /* how many: below 8 between calls */
};

#define BIT_WRITER(to) ((struct bit_writer){(to), 0, 0})

/* value < 2^width. */
static inline void bit_writer_put(struct bit_writer *w, uint32_t value, unsigned width)
{
	unsigned bytes;

	w->word |= (uint64_t)value << w->used;
	w->used += width;
	memcpy(w->at, &w->word, sizeof(w->word)); // little-endian: its low bytes first
	bytes = w->used / 8;
	w->at += bytes;
	w->word >>= 8 * bytes; // at most 39 bits were used
	w->used %= 8;
}

/* Up to the next byte with zero bits. */
static inline void bit_writer_align(struct bit_writer *w)
{
	if (w->used)
		*w->at++ = (char)w->word;
	w->word = 0;
	w->used = 0;
}

#endif
