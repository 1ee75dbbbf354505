/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rows that overlap, in any order, to one row per address: at each address the row of the
 * highest-ranked source wins, among equals the one that was added first. O(n log n) time in the
 * worst case; memory for each run of the log, and for the rows that overlap at one place. The same
 * rows in the same order give the same result.
 */
#ifndef SYMBOLIZER_INDEXER_ROW_MERGE_H
#define SYMBOLIZER_INDEXER_ROW_MERGE_H

#include "base/err.h"
#include "symbolizer/indexer/row_log.h"

/*
 * Called in address order with pieces that do not overlap; row->start and row->end are those of the
 * row that won, not of the piece. A nonzero result ends the merge.
 */
typedef int row_sink(void *ctx, uint64_t start, uint64_t end, const struct uhx_row *row);

/*
 * scope_rank[row.scope] is the rank of each row. The log is finished, and its runs come to be in another
 * order. -1 with ERR_NOMEM, or what the sink returned.
 */
int row_merge(struct row_log *log, const uint8_t *scope_rank, row_sink *sink, void *ctx,
	      struct err *e) MUST_CHECK;

#endif
