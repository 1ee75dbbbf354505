/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/folded_lines.h"

#include "base/mem.h"

void folded_lines_deinit(struct folded_lines *f)
{
	free(f->spans.items);
	free(f->sequences);
	free(f->marks);
	*f = FOLDED_LINES_INIT;
}

void folded_lines_clear(struct folded_lines *f)
{
	f->spans.n = 0;
	f->n = 0;
}

static int by_sequence(const void *a, const void *b)
{
	const struct line_span *x = a;
	const struct line_span *y = b;

	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_start(const void *a, const void *b)
{
	const struct folded_sequence *x = a;
	const struct folded_sequence *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int list_sequences(struct folded_lines *f, struct err *e)
{
	const struct line_span *spans = f->spans.items;

	qsort(f->spans.items, f->spans.n, sizeof(*f->spans.items), by_sequence);
	for (size_t i = 0; i < f->spans.n; i++) {
		if (!i || spans[i].sequence != spans[i - 1].sequence) {
			if (mem_grow(&f->sequences, &f->cap, f->n + 1, sizeof(*f->sequences), LINE_SPANS_MAX))
				return err_nomem(e);
			f->sequences[f->n++] = (struct folded_sequence){spans[i].start, i, 0};
		}
		f->sequences[f->n - 1].n++;
	}
	qsort(f->sequences, f->n, sizeof(*f->sequences), by_start);
	return 0;
}

// A sequence is folded if it starts where one before it did.
static void mark(bool *seen, bool *folded, const struct line_spans *spans)
{
	const struct line_span *first = NULL; // of the sequence that started last

	for (size_t i = 0; i < spans->n; i++) {
		const struct line_span *s = &spans->items[i];

		if (seen[s->sequence])
			continue;
		seen[s->sequence] = true;
		folded[s->sequence] = first && first->start == s->start;
		first = s;
	}
}

int folded_lines_take(struct folded_lines *f, struct line_spans *spans, size_t sequences, struct err *e)
{
	size_t n = 0;
	bool *folded;

	if (mem_grow(&f->marks, &f->mark_cap, 2 * sequences, sizeof(*f->marks), 2 * (size_t)LINE_SPANS_MAX))
		return err_nomem(e);
	memset(f->marks, 0, 2 * sequences * sizeof(*f->marks));
	folded = f->marks + sequences;
	mark(f->marks, folded, spans);
	for (size_t i = 0; i < spans->n; i++) {
		if (!folded[spans->items[i].sequence]) {
			spans->items[n++] = spans->items[i];
			continue;
		}
		if (mem_grow(&f->spans.items, &f->spans.cap, f->spans.n + 1, sizeof(*f->spans.items),
			     LINE_SPANS_MAX))
			return err_nomem(e);
		f->spans.items[f->spans.n++] = spans->items[i];
	}
	spans->n = n;
	return f->spans.n ? list_sequences(f, e) : 0;
}

// The first sequence at `start` or behind it.
static size_t sequence_from(const struct folded_lines *f, uint64_t start)
{
	size_t low = 0;
	size_t high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->sequences[mid].start < start)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

// How far behind its declaration a function's first line is.
static uint32_t distance(uint32_t declared, uint32_t first)
{
	return first >= declared ? first - declared : UINT32_MAX;
}

struct line_spans folded_lines_better(const struct folded_lines *f, uint64_t start, uint32_t line, uint32_t than)
{
	struct line_spans best = {NULL, 0, 0};
	uint32_t nearest = distance(line, than);

	if (!line || !f->n)
		return best;
	for (size_t i = sequence_from(f, start), seen = 0;
	     i < f->n && f->sequences[i].start == start && seen < FOLDED_TOGETHER_MAX; i++, seen++) {
		struct line_span *first = &f->spans.items[f->sequences[i].first];

		if (distance(line, first->line) >= nearest)
			continue;
		nearest = distance(line, first->line);
		best = (struct line_spans){first, f->sequences[i].n, 0};
	}
	return best;
}
