/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that an index knows, row by row in address order, for those who turn it into something else.
 * Any number of threads may walk at once; strings of the frames live until the last reference to
 * the index goes.
 */
#ifndef SYMBOLIZER_UHX_WALK_H
#define SYMBOLIZER_UHX_WALK_H

#include "symbolizer/uhx_reader.h"

/* What is known in [start, end): one chain, never an empty one. A nonzero result ends the walk. */
typedef int uhx_row_visitor(void *ctx, uint64_t start, uint64_t end, const struct frames *chain,
			    struct err *e);

/* Holes are left out. ERR_BAD_INDEX, ERR_NOMEM, or what the visitor returned. */
int uhx_walk(const struct uhx *u, uhx_row_visitor *visit, void *ctx,
		   struct err *e) MUST_CHECK;

#endif
