/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding rows as the segments and blocks of a .uhx (symbolizer/uhx_format.h). Rows come in
 * address order and do not overlap; neighbours that say the same become one; gaps become holes.
 * Failure latches in the buffers. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_BLOCKS_H
#define SYMBOLIZER_INDEXER_UHX_BLOCKS_H

#include "base/buf.h"
#include "symbolizer/uhx_format.h"

struct uhx_blocks {
	struct buf segments;
	struct buf keys;
	struct buf offsets;
	struct buf blocks;
	uint64_t rows; /* holes not counted */
	struct uhx_segment segment;
	bool segment_open;
	uint64_t end; /* of the last row */
	uint32_t key; /* start of pending[0], from the segment's base */
	size_t pending_count;
	/* by column, start relative to the key */
	uint32_t pending[UHX_COLUMNS][UHX_BLOCK_ROWS];
};

/* What a row says: all columns but the start. scope is not 0. */
struct uhx_content {
	uint32_t value[UHX_COLUMNS]; /* [UHX_COLUMN_START] unused */
};

void uhx_blocks_init(struct uhx_blocks *b);
void uhx_blocks_deinit(struct uhx_blocks *b);
/* end - start < 4 GiB. */
void uhx_blocks_add(struct uhx_blocks *b, uint64_t start, uint64_t end,
		    const struct uhx_content *content);
void uhx_blocks_finish(struct uhx_blocks *b);

#endif
