/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the tree of inlined code to one innermost node per address, as LLVM's lookup descends
 * (InlineInfo.cpp): an address is in a node if it is in all its ancestors, and of siblings that
 * claim it the first one wins.
 */
#ifndef SYMBOLIZER_INDEXER_GSYM_STRETCHES_H
#define SYMBOLIZER_INDEXER_GSYM_STRETCHES_H

#include "symbolizer/indexer/gsym_function.h"

/* Fills f->stretches from nodes and ranges. ERR_NOMEM; ERR_BAD_GSYM: siblings overlap too much. */
int gsym_stretches_find(struct gsym_function *f, const struct gsym_image *g,
			struct err *e) MUST_CHECK;

#endif
