/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of address space and the line it comes from. */
#ifndef SYMBOLIZER_INDEXER_LINE_SPAN_H
#define SYMBOLIZER_INDEXER_LINE_SPAN_H

#include "symbolizer/indexer/uhx_builder.h"

struct line_span {
	uint64_t start;
	uint64_t end;
	uhx_id file;
	uint32_t line;
	uint32_t column;
	uint32_t sequence; /* of the table, counted from 0 */
};

struct line_spans {
	struct line_span *items;
	size_t n;
	size_t cap;
};

enum { LINE_SPANS_MAX = 1 << 27 };

#endif
