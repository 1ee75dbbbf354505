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
	struct uhx_position row; // scope 0: a hole, or none yet
	uint64_t start;
	struct frames *chain;
};

// A row ends where the next one starts.
static int end_row(struct walk *w, uint64_t end, struct err *e)
{
	if (end < w->start)
		return err_set(e, ERR_BAD_INDEX,
			       "rows at %#" PRIx64 " are out of order; rebuild the index", end);
	if (!w->row.scope || end == w->start)
		return 0;
	uhx_view_chain(w->view, &w->row, w->chain);
	if (!w->chain->n)
		return err_set(e, ERR_BAD_INDEX,
			       "the row at %#" PRIx64 " is damaged; rebuild the index", w->start);
	return w->visit(w->ctx, w->start, end, w->chain, e);
}

static int walk_block(struct walk *w, uint64_t number, uint64_t base, struct err *e)
{
	struct uhx_block_view b;

	if (!uhx_view_block(w->view, number, &b))
		return err_set(e, ERR_BAD_INDEX, "block %" PRIu64 " is damaged; rebuild the index",
			       number);
	for (unsigned i = 0; i < b.head->count; i++) {
		uint64_t start = base + uhx_block_value(&b, UHX_COLUMN_START, i);
		int result = end_row(w, start, e);

		if (result)
			return result;
		w->start = start;
		w->row = (struct uhx_position){
			.scope = uhx_block_value(&b, UHX_COLUMN_SCOPE, i),
			.file = uhx_block_value(&b, UHX_COLUMN_FILE, i),
			.line = uhx_block_value(&b, UHX_COLUMN_LINE, i),
			.column = uhx_block_value(&b, UHX_COLUMN_COLUMN, i),
		};
	}
	return 0;
}

static int walk_segment(struct walk *w, const struct uhx_segment *s, struct err *e)
{
	const struct uhx_part *keys = &w->view->part[UHX_KEYS];

	if (!range_fits(s->first_block, s->block_count, keys->count))
		return err_set(e, ERR_BAD_INDEX, "a segment is damaged; rebuild the index");
	for (uint64_t n = s->first_block; n < (uint64_t)s->first_block + s->block_count; n++) {
		uint32_t key;
		int result;

		memcpy(&key, keys->p + n * sizeof(key), sizeof(key));
		result = walk_block(w, n, s->base + key, e);
		if (result)
			return result;
	}
	// The last row of a sound segment is a hole.
	w->row.scope = 0;
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
