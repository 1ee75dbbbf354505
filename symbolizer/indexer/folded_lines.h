/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of functions that the linker folded into one (ICF): a table then has several sequences that start
 * at the same address, each with the lines of another function. They must not be mixed. The first of them
 * stays where it was; the others are kept here, for the function that the code is named after may be one
 * of theirs: its lines begin where it was declared, or soon after.
 *
 * Owned by one thread; reused from table to table.
 */
#ifndef SYMBOLIZER_INDEXER_FOLDED_LINES_H
#define SYMBOLIZER_INDEXER_FOLDED_LINES_H

#include "symbolizer/indexer/line_span.h"

struct folded_sequence {
	uint64_t start;
	size_t first; /* span */
	size_t n;
};

struct folded_lines {
	struct line_spans spans; /* by sequence, then by address */
	struct folded_sequence *sequences; /* by start */
	size_t n;
	size_t cap;
	bool *marks;             /* by sequence: seen, folded */
	size_t mark_cap;
};

enum { FOLDED_TOGETHER_MAX = 256 /* functions that are one, of which the lines are looked at */ };

#define FOLDED_LINES_INIT ((struct folded_lines){0})

void folded_lines_deinit(struct folded_lines *f);
void folded_lines_clear(struct folded_lines *f);

/*
 * Takes what is folded out of `spans`, which are sorted by address, those of one address by sequence, of
 * which there are `sequences`. ERR_NOMEM.
 */
int folded_lines_take(struct folded_lines *f, struct line_spans *spans, size_t sequences, struct err *e) MUST_CHECK;

/*
 * The spans of the sequence at `start` that suits a function declared at `line` better than one that
 * begins at `than` does; n is 0 where none does.
 */
struct line_spans folded_lines_better(const struct folded_lines *f, uint64_t start, uint32_t line, uint32_t than);

#endif
