/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/row_merge.h"

#include "base/cleanup.h"
#include "base/mem.h"

// The smallest is on top. `slot` is what the key is of: a cursor or a row.
struct heap_item {
	uint64_t key;
	uint32_t number; // in order of addition: decides among equal keys
	uint32_t slot;
};

struct heap {
	struct heap_item *items;
	size_t n;
	size_t cap;
};

static bool is_below(const struct heap_item *a, const struct heap_item *b)
{
	return a->key != b->key ? a->key < b->key : a->number < b->number;
}

// Lets an item sink from `i` to its place.
static void heap_sink(struct heap *h, size_t i, struct heap_item item)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && is_below(&h->items[child + 1], &h->items[child]))
			child++;
		if (!is_below(&h->items[child], &item))
			break;
		h->items[i] = h->items[child];
		i = child;
	}
	h->items[i] = item;
}

static int heap_push(struct heap *h, struct heap_item item)
{
	size_t i = h->n;

	if (h->n == h->cap && mem_grow(&h->items, &h->cap, h->n + 1, sizeof(item), UINT32_MAX))
		return -1;
	h->n++;
	for (; i > 0 && is_below(&item, &h->items[(i - 1) / 2]); i = (i - 1) / 2)
		h->items[i] = h->items[(i - 1) / 2];
	h->items[i] = item;
	return 0;
}

static struct heap_item heap_pop(struct heap *h)
{
	struct heap_item top = h->items[0];

	h->n--;
	if (h->n)
		heap_sink(h, 0, h->items[h->n]);
	return top;
}

// Places that are used again, for what heap items refer to by number.
struct slots {
	uint32_t *free;
	size_t free_n;
	size_t free_cap;
	size_t n; // places there are
};

struct merge {
	struct row_log *log;
	size_t next_run;
	const uint8_t *scope_rank;
	struct heap cursors; // runs that have begun, by the start of their row
	struct row_cursor *cursor;
	size_t cursor_cap;
	struct slots cursor_slots;
	// Of the rows that have begun the best, apart from the others: most rows overlap with none.
	struct uhx_row best; // empty: none
	struct heap_item best_item;
	struct heap others;
	struct uhx_row *row;
	size_t row_cap;
	struct slots row_slots;
	row_sink *sink;
	void *ctx;
};

// The number of a free place. -1 when out of memory.
static int64_t take_slot(struct slots *s, void *items, size_t *cap, size_t size)
{
	if (s->free_n)
		return s->free[--s->free_n];
	if (mem_grow(items, cap, s->n + 1, size, UINT32_MAX) ||
	    mem_grow(&s->free, &s->free_cap, s->n + 1, sizeof(*s->free), UINT32_MAX))
		return -1;
	return (int64_t)s->n++;
}

static void give_slot(struct slots *s, uint32_t slot)
{
	s->free[s->free_n++] = slot;
}

static void take_other(struct merge *m)
{
	m->best_item = heap_pop(&m->others);
	m->best = m->row[m->best_item.slot];
	give_slot(&m->row_slots, m->best_item.slot);
}

// Gives out what the rows that have begun say about [from, to).
static int emit(struct merge *m, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t end = MIN(m->best.end, to);

		if (from < end) {
			int result = m->sink(m->ctx, from, end, &m->best);

			if (result)
				return result;
			from = end;
		} else if (m->others.n) {
			take_other(m);
		} else {
			break;
		}
	}
	return 0;
}

static int put_aside(struct merge *m, const struct uhx_row *row, struct heap_item item)
{
	int64_t slot = take_slot(&m->row_slots, &m->row, &m->row_cap, sizeof(*m->row));

	if (slot < 0)
		return -1;
	m->row[slot] = *row;
	item.slot = (uint32_t)slot;
	return heap_push(&m->others, item);
}

static int open_row(struct merge *m, const struct row_cursor *c)
{
	struct heap_item item = {.key = UINT8_MAX - m->scope_rank[c->row.scope], .number = c->number};
	bool is_over = m->best.end <= c->row.start;

	for (; is_over && m->others.n && is_below(&m->others.items[0], &item);
	     is_over = m->best.end <= c->row.start)
		take_other(m);
	if (!is_over && is_below(&m->best_item, &item))
		return put_aside(m, &c->row, item);
	if (!is_over && put_aside(m, &m->best, m->best_item))
		return -1;
	m->best = c->row;
	m->best_item = item;
	return 0;
}

// Runs that begin at or before the next row of those that have begun.
static int begin_runs(struct merge *m)
{
	for (; m->next_run < m->log->run_count; m->next_run++) {
		const struct row_run *run = &m->log->runs[m->next_run];
		int64_t slot;

		if (m->cursors.n && run->start > m->cursors.items[0].key)
			break;
		slot = take_slot(&m->cursor_slots, &m->cursor, &m->cursor_cap, sizeof(*m->cursor));
		if (slot < 0)
			return -1;
		m->cursor[slot] = row_log_begin(run);
		if (heap_push(&m->cursors, (struct heap_item){run->start, run->first, (uint32_t)slot}))
			return -1;
	}
	return 0;
}

static void pass_row(struct merge *m)
{
	struct heap_item top = m->cursors.items[0];
	struct row_cursor *c = &m->cursor[top.slot];

	if (row_log_next(c)) {
		heap_sink(&m->cursors, 0, (struct heap_item){c->row.start, c->number, top.slot});
	} else {
		heap_pop(&m->cursors);
		give_slot(&m->cursor_slots, top.slot);
	}
}

static int sweep(struct merge *m, struct err *e)
{
	uint64_t from = 0;

	for (;;) {
		const struct row_cursor *c;
		int result;

		if (begin_runs(m))
			return err_nomem(e);
		if (!m->cursors.n)
			return emit(m, from, UINT64_MAX);
		c = &m->cursor[m->cursors.items[0].slot];
		result = emit(m, from, c->row.start);
		if (result)
			return result;
		from = c->row.start;
		if (open_row(m, c))
			return err_nomem(e);
		pass_row(m);
	}
}

static int by_start(const void *a, const void *b)
{
	const struct row_run *x = a;
	const struct row_run *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

int row_merge(struct row_log *log, const uint8_t *scope_rank, row_sink *sink, void *ctx, struct err *e)
{
	struct merge m = {.log = log, .scope_rank = scope_rank, .sink = sink, .ctx = ctx};
	int result;

	if (log->run_count)
		qsort(log->runs, log->run_count, sizeof(*log->runs), by_start);
	result = sweep(&m, e);
	free(m.cursors.items);
	free(m.cursor);
	free(m.cursor_slots.free);
	free(m.others.items);
	free(m.row);
	free(m.row_slots.free);
	return result;
}
