/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of a .uhx as bytes, and its twin with the columns. A row's line is stored as the distance
 * from a base line that its entry carries; where the lines of one node are too far apart for the
 * width that is best for the block, the node gets several entries, each with a base of its own.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_BLOCK_ENCODE_H
#define SYMBOLIZER_INDEXER_UHX_BLOCK_ENCODE_H

#include "symbolizer/indexer/uhx_blocks.h"

/* Appends the block at hand to b->blocks and b->columns; row_count > 0. */
void uhx_block_encode(struct uhx_blocks *b);

#endif
