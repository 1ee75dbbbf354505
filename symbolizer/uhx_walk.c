/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/uhx_walk.h"

#include "base/mem.h"
#include "symbolizer/uhx_view.h"

#include <inttypes.h>
#include <string.h>

struct walk {
	const struct uhx_view *view;
	uhx_row_visitor *visit;
	void *ctx;
	struct uhx_hit row; // entry 0: a hole, or none yet
	uint64_t start;
	uint64_t blocks; // of the segments before
	struct frames *chain;
};

// A row ends where the next one starts.
static int end_row(struct walk *w, uint64_t end, struct err *e)
{
	if (end < w->start)
		return err_set(e, ERR_BAD_INDEX,
			       "rows at %#" PRIx64 " are out of order; rebuild the index", end);
	if (!w->row.entry || end == w->start)
		return 0;
	uhx_view_chain(w->view, &w->row, w->chain);
	if (!w->chain->n)
		return err_set(e, ERR_BAD_INDEX,
			       "the row at %#" PRIx64 " is damaged; rebuild the index", w->start);
	return w->visit(w->ctx, w->start, end, w->chain, e);
}

static int walk_block(struct walk *w, uint64_t number, uint64_t base, struct err *e)
{
	struct uhx_hit hit;

	if (!uhx_view_block(w->view, number, &hit.block))
		return err_set(e, ERR_BAD_INDEX, "block %" PRIu64 " is damaged; rebuild the index",
			       number);
	for (unsigned i = 0; i <= hit.block.head.rows; i++) {
		uint64_t start = base + uhx_block_start(&hit.block, i);
		int result = end_row(w, start, e);

		if (result)
			return result;
		w->start = start;
		uhx_hit_row(&hit, i);
		w->row = hit;
	}
	return 0;
}

static int walk_segment(struct walk *w, const struct uhx_segment *s, struct err *e)
{
	uint64_t keys = w->view->part[UHX_BLOCK_OFFSETS].count;

	// Segments that share blocks would let few bytes ask for any number of rows.
	if (s->first_block != w->blocks || !range_fits(s->first_block, s->block_count, keys))
		return err_set(e, ERR_BAD_INDEX, "a segment is damaged; rebuild the index");
	for (uint64_t n = s->first_block; n < (uint64_t)s->first_block + s->block_count; n++) {
		uint64_t key = s->base + uhx_view_u32(w->view, UHX_KEYS)[n];
		int result = walk_block(w, n, key, e);

		if (result)
			return result;
	}
	w->blocks += s->block_count;
	// The last row of a sound segment is a hole.
	w->row.entry = 0;
	return 0;
}

int uhx_walk(const struct uhx *u, uhx_row_visitor *visit, void *ctx, struct err *e)
{
	const struct uhx_view *v = uhx_view(u);
	const struct uhx_part *segments = &v->part[UHX_SEGMENTS];
	_cleanup_free_ struct frames *chain = mem_alloc(sizeof(*chain));
	struct walk w = {.view = v, .visit = visit, .ctx = ctx, .chain = chain};

	if (!chain)
		return err_nomem(e);
	for (uint64_t i = 0; i < segments->count; i++) {
		struct uhx_segment s;
		int result;

		memcpy(&s, segments->p + i * sizeof(s), sizeof(s));
		result = walk_segment(&w, &s, e);
		if (result)
			return result;
	}
	return 0;
}
