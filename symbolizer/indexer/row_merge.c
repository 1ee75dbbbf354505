/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/row_merge.h"

#include "base/mem.h"
#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

// A row to be sorted: its start, from the lowest of all, and its place in the order of addition.
struct start {
	uint64_t at;
	uint32_t row;
};

// One stable counting pass by the digit of the start at `shift`.
static void sort_pass(const struct start *from, struct start *to, size_t n, unsigned shift)
{
	size_t at[DIGITS] = {0};
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		at[from[i].at >> shift & (DIGITS - 1)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t count = at[d];

		at[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[from[i].at >> shift & (DIGITS - 1)]++] = from[i];
}

// Rows by start, equal starts in order of addition. A radix sort: line tables arrive as thousands of
// short ascending runs, on which comparing sorts are several times slower.
static struct start *sort_rows(const struct uhx_row *rows, size_t n, struct start *order,
			       struct start *spare)
{
	uint64_t low = UINT64_MAX;
	uint64_t high = 0;

	for (size_t i = 0; i < n; i++) {
		low = MIN(low, rows[i].start);
		high = MAX(high, rows[i].start);
	}
	for (size_t i = 0; i < n; i++)
		order[i] = (struct start){rows[i].start - low, (uint32_t)i};
	for (unsigned shift = 0; shift < 64 && (high - low) >> shift; shift += DIGIT_BITS) {
		struct start *sorted = spare;

		sort_pass(order, sorted, n, shift);
		spare = order;
		order = sorted;
	}
	return order;
}

// A heap of the rows that have started: the smallest key is the best row. The low half of a key is
// the row's index, that is its place in the order of addition; the high half falls with its rank.
struct heap {
	uint64_t *keys;
	size_t n;
};

static uint64_t key_of(const uint8_t *scope_rank, const struct uhx_row *rows, uint32_t i)
{
	return (uint64_t)(UINT8_MAX - scope_rank[rows[i].scope]) << 32 | i;
}

static void heap_push(struct heap *h, uint64_t key)
{
	size_t i = h->n++;

	for (; i > 0 && h->keys[(i - 1) / 2] > key; i = (i - 1) / 2)
		h->keys[i] = h->keys[(i - 1) / 2];
	h->keys[i] = key;
}

static void heap_pop(struct heap *h)
{
	uint64_t key = h->keys[--h->n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->keys[child + 1] < h->keys[child])
			child++;
		if (h->keys[child] >= key)
			break;
		h->keys[i] = h->keys[child];
		i = child;
	}
	h->keys[i] = key;
}

struct merge {
	const struct uhx_row *rows;
	struct heap open;
	row_sink *sink;
	void *ctx;
};

// Gives out what the open rows say about [from, to).
static int emit(struct merge *m, uint64_t from, uint64_t to)
{
	while (m->open.n && from < to) {
		const struct uhx_row *best = &m->rows[(uint32_t)m->open.keys[0]];
		uint64_t end = MIN(best->end, to);
		int result;

		if (best->end <= from) {
			heap_pop(&m->open);
			continue;
		}
		result = m->sink(m->ctx, from, end, best);
		if (result)
			return result;
		from = end;
	}
	return 0;
}

static int sweep(struct merge *m, const struct start *order, size_t n, const uint8_t *scope_rank)
{
	uint64_t from = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = m->rows[order[i].row].start;
		int result = emit(m, from, start);

		if (result)
			return result;
		from = start;
		heap_push(&m->open, key_of(scope_rank, m->rows, order[i].row));
	}
	return emit(m, from, UINT64_MAX);
}

int row_merge(const struct uhx_row *rows, size_t n, const uint8_t *scope_rank, row_sink *sink,
	      void *ctx, struct err *e)
{
	struct start *starts = mem_calloc(n, 2 * sizeof(*starts));
	uint64_t *keys = mem_calloc(n, sizeof(*keys));
	struct merge m = {rows, {keys, 0}, sink, ctx};
	int result = -1;

	if (starts && keys)
		result = sweep(&m, sort_rows(rows, n, starts, starts + n), n, scope_rank);
	else
		err_nomem(e);
	free(starts);
	free(keys);
	return result;
}
