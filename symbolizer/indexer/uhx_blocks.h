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

/*
 * A function in the place where it lies: of its own, or inlined at a line of another place. The rows
 * of one place are all in one file.
 */
struct uhx_node {
	uint32_t function; /* the file's id; never 0 */
	uint32_t parent;   /* node, a smaller number; 0: none */
	uint32_t call_line;
	uint32_t call_column; /* at most UINT16_MAX */
	/* where the block at hand has it: valid if `block` is that one's number + 1 */
	uint32_t block;
	uint32_t entry;
};

/* All nodes; number 0 is unused. */
struct uhx_nodes {
	struct uhx_node *items;
	size_t n;
	size_t cap;
};

/* What a row says; node 0 is a hole. */
struct uhx_content {
	uint32_t node;
	uint32_t line;
	uint32_t column; /* at most UINT16_MAX */
};

struct uhx_blocks {
	struct uhx_nodes *nodes; /* borrowed */
	struct buf segments;
	struct buf stretches;
	struct buf keys;
	struct buf offsets;
	struct buf blocks;
	struct buf column_offsets;
	struct buf columns;
	uint64_t rows; /* holes not counted */
	struct uhx_segment segment;
	bool segment_open;
	uint64_t end; /* of the last row */
	/* the block at hand */
	uint32_t number;
	uint32_t key; /* start of its first row, from the segment's base */
	size_t row_count;
	uint32_t starts[UHX_BLOCK_ROWS]; /* from the key */
	struct uhx_content contents[UHX_BLOCK_ROWS];
	size_t entry_count;
	uint32_t entries[UHX_BLOCK_ENTRIES + 1]; /* nodes; [0] unused */
};

void uhx_blocks_init(struct uhx_blocks *b, struct uhx_nodes *nodes);
void uhx_blocks_deinit(struct uhx_blocks *b);
/* end - start < 4 GiB - 1. */
void uhx_blocks_add(struct uhx_blocks *b, uint64_t start, uint64_t end,
		    const struct uhx_content *content);
void uhx_blocks_finish(struct uhx_blocks *b);

#endif
