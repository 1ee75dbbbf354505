/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/layers.h"

#include "base/mem.h"

enum { MOVES_PER_ITEM = 8 };

void layers_deinit(struct layers *l)
{
	free(l->items);
	free(l->heap);
	*l = LAYERS_INIT;
}

void layers_clear(struct layers *l)
{
	l->n = 0;
}

int layers_add(struct layers *l, uint64_t start, uint64_t end, uint32_t value, struct err *e)
{
	if (end <= start)
		return 0;
	if (l->n == l->cap && mem_grow(&l->items, &l->cap, l->n + 1, sizeof(*l->items), LAYERS_MAX))
		return err_nomem(e);
	l->items[l->n] = (struct layer){start, end, value, (uint32_t)l->n};
	l->n++;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct layer *x = a;
	const struct layer *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

// Few are far from their place: parents stand before their children. Where many are, qsort() is better.
static void sort(struct layers *l)
{
	size_t moves = 0;

	for (size_t i = 1; i < l->n; i++) {
		struct layer item = l->items[i];
		size_t k = i;

		for (; k > 0 && l->items[k - 1].start > item.start; k--)
			l->items[k] = l->items[k - 1];
		l->items[k] = item;
		moves += i - k;
		if (moves > MOVES_PER_ITEM * l->n) {
			qsort(l->items, l->n, sizeof(*l->items), by_start);
			return;
		}
	}
}

// A heap of item indexes with the latest layer on top.
static bool above(const struct layers *l, uint32_t a, uint32_t b)
{
	return l->items[a].order > l->items[b].order;
}

static void push(struct layers *l, size_t *n, uint32_t item)
{
	size_t i = (*n)++;

	for (; i > 0 && above(l, item, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		l->heap[i] = l->heap[(i - 1) / 2];
	l->heap[i] = item;
}

static void pop(struct layers *l, size_t *n)
{
	uint32_t item = l->heap[--*n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= *n)
			break;
		if (child + 1 < *n && above(l, l->heap[child + 1], l->heap[child]))
			child++;
		if (!above(l, l->heap[child], item))
			break;
		l->heap[i] = l->heap[child];
		i = child;
	}
	l->heap[i] = item;
}

// What has been given out last, held back in case the same layer goes on.
struct output {
	layers_sink *sink;
	void *ctx;
	struct layer last;
};

static void flush(struct output *o)
{
	if (o->last.end > o->last.start)
		o->sink(o->ctx, o->last.start, o->last.end, o->last.value);
}

static void give(struct output *o, uint64_t start, uint64_t end, const struct layer *top)
{
	if (o->last.end == start && o->last.value == top->value && o->last.end > o->last.start) {
		o->last.end = end;
		return;
	}
	flush(o);
	o->last = (struct layer){start, end, top->value, 0};
}

// What shows in [from, to), given the layers that have started.
static void emit(struct layers *l, size_t *open, uint64_t from, uint64_t to, struct output *o)
{
	while (*open && from < to) {
		const struct layer *top = &l->items[l->heap[0]];
		uint64_t end = MIN(top->end, to);

		if (top->end <= from) {
			pop(l, open);
			continue;
		}
		give(o, from, end, top);
		from = end;
	}
}

int layers_flatten(struct layers *l, layers_sink *sink, void *ctx, struct err *e)
{
	struct output o = {.sink = sink, .ctx = ctx};
	size_t open = 0;
	uint64_t from = 0;

	if (!l->n)
		return 0;
	if (l->n == 1) {
		sink(ctx, l->items[0].start, l->items[0].end, l->items[0].value);
		return 0;
	}
	if (mem_grow(&l->heap, &l->heap_cap, l->n, sizeof(*l->heap), LAYERS_MAX))
		return err_nomem(e);
	sort(l);
	for (size_t i = 0; i < l->n; i++) {
		emit(l, &open, from, l->items[i].start, &o);
		from = l->items[i].start;
		push(l, &open, (uint32_t)i);
	}
	emit(l, &open, from, UINT64_MAX, &o);
	flush(&o);
	return 0;
}
