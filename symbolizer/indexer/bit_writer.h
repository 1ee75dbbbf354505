/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of any width up to 32 bits, one behind the other, lowest bit first: what
 * symbolizer/uhx_bits.h reads. Failure latches in the buffer. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_BIT_WRITER_H
#define SYMBOLIZER_INDEXER_BIT_WRITER_H

#include "base/buf.h"

struct bit_writer {
	struct buf *out;
	uint64_t word;
	unsigned used; /* bits of word, below 8 between calls */
};

#define BIT_WRITER(buffer) ((struct bit_writer){(buffer), 0, 0})

/* value < 2^width. */
static inline void bit_writer_put(struct bit_writer *w, uint32_t value, unsigned width)
{
	w->word |= (uint64_t)value << w->used;
	w->used += width;
	if (w->used < 8)
		return;
	buf_append(w->out, &w->word, w->used / 8); // little-endian: its low bytes
	w->word >>= w->used / 8 * 8;
	w->used %= 8;
}

/* Up to the next byte with zero bits. */
static inline void bit_writer_align(struct bit_writer *w)
{
	if (w->used)
		buf_append(w->out, &w->word, 1);
	w->word = 0;
	w->used = 0;
}

#endif
