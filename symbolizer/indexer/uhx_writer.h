/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing merged rows and what they refer to as a .uhx file. Only what some row needs is written,
 * in the order of its first address, so that what is looked up together lies together. Owned by
 * one thread; the tables are borrowed, and gain the demangled names.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_WRITER_H
#define SYMBOLIZER_INDEXER_UHX_WRITER_H

#include "base/cleanup.h"
#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/indexer/uhx_tables.h"

struct uhx_writer;

int uhx_writer_new(struct uhx_tables *tables, struct uhx_writer **ret, struct err *e) MUST_CHECK;
void uhx_writer_free(struct uhx_writer *w);
DEFINE_CLEANUP(struct uhx_writer *, uhx_writer_free)

/*
 * The next piece in address order: a row_sink (symbolizer/indexer/row_merge.h), ctx is the
 * writer.
 */
int uhx_writer_row(void *ctx, uint64_t start, uint64_t end, const struct uhx_row *row);

/* Writes everything to fd at its position. ERR_TOO_LARGE, ERR_NOMEM, ERR_IO, ERR_NO_SPACE. */
int uhx_writer_finish(struct uhx_writer *w, const struct uhx_meta *meta, int fd,
		      struct uhx_counts *ret, struct err *e) MUST_CHECK;

#endif
