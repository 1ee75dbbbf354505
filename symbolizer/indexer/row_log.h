/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in order of addition, in some 8 bytes each instead of 32: there are up to hundreds of millions.
 * Each is written as what sets it apart from the one before. Readers tell rows unit by unit and function
 * by function, so that most starts rise: a stretch of rows whose starts do not fall is a run, and each run
 * can be read on its own.
 *
 * Memory comes in pieces that never move. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_ROW_LOG_H
#define SYMBOLIZER_INDEXER_ROW_LOG_H

#include "symbolizer/indexer/uhx_builder.h"

struct row_run {
	const uint8_t *at; /* its first row's bytes */
	uint64_t start;    /* of its first row */
	uint32_t first;    /* number of its first row */
	uint32_t n;
};

struct row_log {
	struct uhx_row last; /* not yet written, for rows grow; valid if n > 0 */
	uint32_t n;
	struct uhx_row before; /* the one before the last */
	struct row_run *runs;
	size_t run_count;
	size_t run_cap;
	uint8_t **pieces;
	size_t piece_count;
	size_t piece_cap;
	uint8_t *at; /* where the next row is written */
};

/* Where a run is being read. */
struct row_cursor {
	struct uhx_row row; /* the current one */
	uint32_t number;    /* in order of addition */
	uint32_t left;      /* rows behind it */
	const uint8_t *at;
};

#define ROW_LOG_INIT ((struct row_log){0})

void row_log_deinit(struct row_log *l);
/* -1 when out of memory. At most UINT32_MAX rows. */
int row_log_add(struct row_log *l, const struct uhx_row *row) MUST_CHECK;
/* Writes the last row; none may follow. */
int row_log_finish(struct row_log *l) MUST_CHECK;

/* At the run's first row. */
struct row_cursor row_log_begin(const struct row_run *run);
/* To the next; false at the end of the run. */
bool row_log_next(struct row_cursor *c);

#endif
