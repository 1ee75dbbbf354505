/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many look-ups in turn, a few at a time: each step is done for all of them before the next one, and
 * asks for the memory that the next one will read. So the waits for memory overlap.
 */
#include "symbolizer/uhx_view.h"

enum { LANES = 16 };

struct lane {
	uint64_t block;
	uint32_t at;
	bool found;
	struct uhx_hit hit;
};

static void find_block(const struct uhx_view *v, uint64_t va, struct lane *l)
{
	l->found = uhx_view_find_block(v, va, &l->block, &l->at);
	if (!l->found)
		return;
	__builtin_prefetch(uhx_view_u32(v, UHX_BLOCK_OFFSETS) + l->block);
	__builtin_prefetch(uhx_view_u32(v, UHX_COLUMN_OFFSETS) + l->block);
}

static void ask_for_block(const struct uhx_view *v, const struct lane *l)
{
	if (l->found)
		uhx_view_ask(v, l->block);
}

static void find_row(const struct uhx_view *v, struct lane *l)
{
	l->found = l->found && uhx_view_find_row(v, l->block, l->at, &l->hit);
}

static void answer(const struct uhx_view *v, const struct lane *l, struct uhx_chain *chain)
{
	chain->n = 0;
	chain->source = SOURCE_NONE;
	if (l->found)
		uhx_view_places(v, &l->hit, chain);
}

void uhx_chain_many(const struct uhx *u, const uint64_t *va, size_t n, uhx_chain_sink *sink,
		    void *ctx)
{
	const struct uhx_view *v = uhx_view(u);
	UNINITIALIZED struct lane lanes[LANES];
	UNINITIALIZED struct uhx_chain chain;

	for (size_t first = 0; first < n; first += LANES) {
		size_t count = MIN(n - first, (size_t)LANES);

		for (size_t i = 0; i < count; i++)
			find_block(v, va[first + i], &lanes[i]);
		for (size_t i = 0; i < count; i++)
			ask_for_block(v, &lanes[i]);
		for (size_t i = 0; i < count; i++)
			find_row(v, &lanes[i]);
		for (size_t i = 0; i < count; i++) {
			answer(v, &lanes[i], &chain);
			sink(ctx, first + i, &chain);
		}
	}
}
