/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inlined functions of one function, from the chains of its rows back to the tree that a GSYM
 * file has (InlineInfo.h). What was inlined by the same call is one node, however many ranges it
 * has. Owned by one thread; out of memory latches and is told by gsym_inlines_encode().
 */
#ifndef SYMBOLIZER_GSYM_INLINES_H
#define SYMBOLIZER_GSYM_INLINES_H

#include "base/buf.h"
#include "symbolizer/frame.h"
#include "symbolizer/str_set.h"

/* An inlined function, and the place it was called from. */
struct gsym_call {
	uint32_t name;
	uint32_t file;
	uint32_t line;
};

struct gsym_inline_node;
struct gsym_inline_range;

struct gsym_inlines {
	struct gsym_inline_node *nodes; /* 0 is the function itself */
	size_t node_count;
	size_t node_cap;
	struct gsym_inline_range *ranges;
	size_t range_count;
	size_t range_cap;
	struct arena keys;
	struct str_set index; /* number + 1 is the node's */
	uint32_t path[FRAMES_MAX]; /* the nodes of the row before */
	size_t depth;
	bool nomem;
};

#define GSYM_INLINES_INIT ((struct gsym_inlines){.keys = ARENA_INIT(GIB(4))})

void gsym_inlines_deinit(struct gsym_inlines *t);
/* The next function. */
void gsym_inlines_clear(struct gsym_inlines *t);
/* What [start, end) was inlined by, outermost call first; rows come by address. n < FRAMES_MAX. */
void gsym_inlines_add(struct gsym_inlines *t, uint64_t start, uint64_t end,
		      const struct gsym_call *calls, size_t n);
/* Is anything inlined at all, as far as is known? */
bool gsym_inlines_any(const struct gsym_inlines *t);
/* The tree of a function called `name` that lies in [start, end). ERR_NOMEM. */
int gsym_inlines_encode(struct gsym_inlines *t, uint32_t name, uint64_t start, uint64_t end,
			struct buf *out, struct err *e) MUST_CHECK;

#endif
