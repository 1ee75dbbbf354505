/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of a GSYM file into a builder. At each address they say what LLVM's lookup says
 * (GsymReader.h): the function that starts last before it counts, if it reaches so far; of those
 * that start together the first one that does. A function without size reaches to the next one, at
 * most GSYM_GUESS_MAX bytes.
 */
#ifndef SYMBOLIZER_INDEXER_GSYM_SCAN_H
#define SYMBOLIZER_INDEXER_GSYM_SCAN_H

#include "symbolizer/indexer/gsym_image.h"
#include "symbolizer/indexer/uhx_builder.h"

enum { GSYM_GUESS_MAX = 4096 };

struct gsym_counts {
	uint64_t functions;
	uint64_t with_lines;
	uint64_t merged; /* names of functions that were folded into others */
};

/* ERR_BAD_GSYM, ERR_NOMEM; what the builder cannot take, it tells itself. */
int gsym_scan(const struct gsym_image *g, struct uhx_builder *b, struct gsym_counts *ret,
	      struct err *e) MUST_CHECK;

#endif
