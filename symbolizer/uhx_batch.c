/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many look-ups in turn, a few at a time: each step is done for all of them before the next one, and
 * asks for the memory that the next one will read. So the waits for memory overlap.
 */
#include "symbolizer/uhx_view.h"

enum { LANES = 16 };

static void answer(const struct uhx_view *v, const struct uhx_search *s, bool columns,
		   struct uhx_chain *chain)
{
	chain->n = 0;
	chain->source = SOURCE_NONE;
	if (s->found)
		uhx_view_places(v, &s->hit, columns, chain);
}

static void search(const struct uhx_view *v, const uint64_t *va, struct uhx_search *lanes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		uhx_search_block(v, va[i], &lanes[i]);
	for (size_t i = 0; i < n; i++)
		uhx_search_head(v, &lanes[i]);
	for (size_t i = 0; i < n; i++)
		uhx_search_group(v, &lanes[i]);
	for (size_t i = 0; i < n; i++)
		uhx_search_row(&lanes[i]);
	for (size_t i = 0; i < n; i++)
		uhx_search_line(v, &lanes[i]);
}

void uhx_chain_many(const struct uhx *u, const uint64_t *va, size_t n, bool columns,
		    uhx_chain_sink *sink, void *ctx)
{
	const struct uhx_view *v = uhx_view(u);
	UNINITIALIZED struct uhx_search lanes[LANES];
	UNINITIALIZED struct uhx_chain chain;

	for (size_t first = 0; first < n; first += LANES) {
		size_t count = MIN(n - first, (size_t)LANES);

		search(v, va + first, lanes, count);
		for (size_t i = 0; i < count; i++) {
			answer(v, &lanes[i], columns, &chain);
			sink(ctx, first + i, &chain);
		}
	}
}
