/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/gsym_stretches.h"

#include "base/mem.h"
#include "symbolizer/frame.h"

#include <inttypes.h>

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct gsym_stretch *)a)->start;
	uint64_t y = ((const struct gsym_stretch *)b)->start;

	return x < y ? -1 : x > y;
}

// A stretch starts wherever some range starts or ends.
static int cut(struct gsym_function *f, struct err *e)
{
	size_t n = 0;

	if (mem_grow(&f->stretches, &f->stretch_cap, f->range_count * 2, sizeof(*f->stretches),
		     SIZE_MAX))
		return err_nomem(e);
	for (size_t i = 0; i < f->range_count; i++) {
		f->stretches[n++] = (struct gsym_stretch){f->ranges[i].start, GSYM_NONE};
		f->stretches[n++] = (struct gsym_stretch){f->ranges[i].end, GSYM_NONE};
	}
	qsort(f->stretches, n, sizeof(*f->stretches), by_start);
	f->stretch_count = 0;
	for (size_t i = 0; i < n; i++)
		if (!i || f->stretches[i].start != f->stretches[f->stretch_count - 1].start)
			f->stretches[f->stretch_count++] = f->stretches[i];
	return 0;
}

static size_t first_at(const struct gsym_function *f, uint64_t start)
{
	size_t low = 0;
	size_t n = f->stretch_count;

	while (n > 0) {
		size_t half = n / 2;

		if (f->stretches[low + half].start < start) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low;
}

// What the parent has and no sibling has taken yet; the stretches looked at.
static size_t take(struct gsym_function *f, uint32_t node, const struct gsym_range *range)
{
	size_t first = first_at(f, range->start);
	size_t i;

	for (i = first; i < f->stretch_count && f->stretches[i].start < range->end; i++)
		if (f->stretches[i].node == f->nodes[node].parent)
			f->stretches[i].node = node;
	return i - first;
}

int gsym_stretches_find(struct gsym_function *f, const struct gsym_image *g, struct err *e)
{
	// Siblings that do not overlap look at each stretch once per level.
	uint64_t allowed;

	f->stretch_count = 0;
	if (!f->node_count)
		return 0;
	if (cut(f, e))
		return -1;
	allowed = (uint64_t)f->stretch_count * (FRAMES_MAX + 1);
	for (uint32_t node = 0; node < f->node_count; node++) {
		for (uint32_t i = 0; i < f->nodes[node].range_count; i++) {
			size_t n = take(f, node, &f->ranges[f->nodes[node].first_range + i]);

			if (n > allowed)
				return err_set(e, ERR_BAD_GSYM,
					       "%s: malformed GSYM file: function at %#" PRIx64
					       ": inlined code overlaps too much",
					       g->name, f->start);
			allowed -= n;
		}
	}
	return 0;
}
