/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mapping_insert.h"

#include "base/mem.h"

#include <string.h>

static void release_item(struct mapping *m)
{
	module_unref(m->module);
	free(m->path);
	*m = (struct mapping){.kind = MAPPING_ANON};
}

static int copy_item(struct mapping *to, const struct mapping *from)
{
	char *path = from->path ? mem_strdup(from->path) : NULL;

	if (from->path && !path)
		return -1;
	*to = *from;
	to->path = path;
	to->module = from->module ? module_ref(from->module) : NULL;
	return 0;
}

int mappings_copy(struct mappings *to, const struct mappings *from, struct err *e)
{
	if (mem_grow(&to->items, &to->cap, from->n, sizeof(*to->items), MAPPINGS_MAX) < 0)
		return err_nomem(e);
	for (size_t i = 0; i < from->n; i++) {
		if (copy_item(&to->items[to->n], &from->items[i]) < 0)
			return err_nomem(e);
		to->n++;
	}
	return 0;
}

/* Is what backs b, where it is, what backs a there? */
static bool continues(const struct mapping *a, const struct mapping *b)
{
	if (a->kind != b->kind || a->kind != MAPPING_FILE)
		return a->kind == b->kind;
	return a->offset - a->start == b->offset - b->start && a->evented && b->evented &&
	       a->device == b->device && a->inode == b->inode && a->generation == b->generation &&
	       a->build_id_size == b->build_id_size &&
	       memcmp(a->build_id, b->build_id, sizeof(a->build_id)) == 0;
}

/* Which items an address range [start, end) meets: [*lo, *hi). */
static void find_met(const struct mappings *m, uint64_t start, uint64_t end, size_t *ret_lo,
		     size_t *ret_hi)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->items[mid].end <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (hi = lo; hi < m->n && m->items[hi].start < end; hi++)
		;
	*ret_lo = lo;
	*ret_hi = hi;
}

/* Code that grows piece by piece (JIT) stays one mapping. */
static void join_anonymous(const struct mappings *m, struct mapping *item, size_t *lo, size_t *hi)
{
	if (item->kind != MAPPING_ANON)
		return;
	if (*lo > 0 && m->items[*lo - 1].end == item->start &&
	    m->items[*lo - 1].kind == MAPPING_ANON)
		--*lo;
	if (*hi < m->n && m->items[*hi].start == item->end && m->items[*hi].kind == MAPPING_ANON)
		++*hi;
	if (*lo < *hi && m->items[*lo].kind == MAPPING_ANON)
		item->start = MIN(item->start, m->items[*lo].start);
	if (*lo < *hi && m->items[*hi - 1].kind == MAPPING_ANON)
		item->end = MAX(item->end, m->items[*hi - 1].end);
}

/* What the item leaves of the mappings it meets: at most one on its left, one on its right. */
static int cut_met(struct mappings *m, const struct mapping *item, size_t lo, size_t hi,
		   struct mapping *left, struct mapping *right)
{
	if (lo < hi && m->items[hi - 1].end > item->end) {
		if (copy_item(right, &m->items[hi - 1]) < 0)
			return -1;
		right->offset += item->end - right->start;
		right->start = item->end;
	}
	if (lo < hi && m->items[lo].start < item->start) {
		if (copy_item(left, &m->items[lo]) < 0) {
			release_item(right);
			return -1;
		}
		left->end = item->start;
	}
	return 0;
}

static int replace(struct mappings *m, size_t lo, size_t hi, struct mapping *with, size_t count)
{
	size_t n = m->n - (hi - lo) + count;

	if (n > MAPPINGS_MAX) {
		m->dropped++;
		return 0;
	}
	if (mem_grow(&m->items, &m->cap, n, sizeof(*m->items), MAPPINGS_MAX) < 0)
		return -1;
	for (size_t i = lo; i < hi; i++)
		release_item(&m->items[i]);
	memmove(m->items + lo + count, m->items + hi, (m->n - hi) * sizeof(*m->items));
	memcpy(m->items + lo, with, count * sizeof(*with));
	memset(with, 0, count * sizeof(*with));
	m->n = n;
	return 0;
}

/* Is it there already, as it is? */
static bool is_known(const struct mappings *m, const struct mapping *item, size_t lo, size_t hi)
{
	return hi == lo + 1 && m->items[lo].start <= item->start &&
	       m->items[lo].end >= item->end && continues(&m->items[lo], item);
}

static int insert_among(struct mappings *m, struct mapping *item, size_t lo, size_t hi)
{
	struct mapping with[3] = {{.kind = MAPPING_ANON}, {.kind = MAPPING_ANON},
				  {.kind = MAPPING_ANON}};
	struct mapping *left = &with[0], *right = &with[2];
	size_t first;
	int r;

	join_anonymous(m, item, &lo, &hi);
	if (cut_met(m, item, lo, hi, left, right) < 0)
		return -1;
	first = left->end ? 0 : 1;
	with[1] = *item;
	*item = (struct mapping){.kind = MAPPING_ANON};
	r = replace(m, lo, hi, with + first, (right->end ? 3 : 2) - first);
	for (size_t i = 0; i < countof(with); i++)
		release_item(&with[i]);
	return r;
}

int mapping_insert(struct mappings *m, struct mapping *item, struct err *e)
{
	size_t lo, hi;
	int r;

	find_met(m, item->start, item->end, &lo, &hi);
	if (is_known(m, item, lo, hi)) {
		release_item(item);
		return MAPPING_KNOWN;
	}
	// Most lie where nothing was.
	if (lo == hi && item->kind != MAPPING_ANON)
		r = replace(m, lo, hi, item, 1);
	else
		r = insert_among(m, item, lo, hi);
	release_item(item);
	return r < 0 ? err_nomem(e) : 0;
}
