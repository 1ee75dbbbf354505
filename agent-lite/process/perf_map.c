/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/perf_map.h"

#include "agent-lite/process/clean_text.h"
#include "base/cleanup.h"
#include "base/mem.h"

#include <string.h>

void perf_map_deinit(struct perf_map *m)
{
	free(m->entries);
	buf_deinit(&m->names);
	*m = PERF_MAP_INIT;
}

size_t perf_map_bytes(const struct perf_map *m)
{
	return m->cap * sizeof(*m->entries) + m->names.cap;
}

const char *perf_map_find(const struct perf_map *m, uint64_t address)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct perf_map_entry *at = &m->entries[mid];

		if (address < at->start)
			hi = mid;
		else if (address - at->start >= at->size)
			lo = mid + 1;
		else
			return m->names.p + at->name;
	}
	return NULL;
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct entries {
	struct perf_map_entry *items;
	size_t n, cap;
};

static void entries_free(struct entries *e)
{
	free(e->items);
}

static bool parse_hex(struct str s, uint64_t *ret)
{
	if (str_has_prefix(s, STR("0x")))
		s = str_skip(s, 2);
	return str_hex_to_u64(s, ret);
}

static bool parse_line(struct str line, struct perf_map_entry *ret, struct str *ret_name)
{
	struct str start, size;
	uint64_t n;

	if (!str_next(&line, ' ', &start) || !str_next(&line, ' ', &size) || line.n == 0)
		return false;
	if (!parse_hex(start, &ret->start) || !parse_hex(size, &n) || n == 0 || n > UINT32_MAX ||
	    ret->start + n < ret->start)
		return false;
	ret->size = (uint32_t)n;
	*ret_name = line;
	return true;
}

/* Where the name lies in names. False: there is no room. */
static bool put_name(struct buf *names, struct str name, uint32_t *ret)
{
	size_t at = names->n;

	name.n = MIN(name.n, (size_t)PERF_MAP_NAME_MAX);
	name.n = strnlen(name.p, name.n);
	if (at + name.n + 1 > names->max)
		return false;
	buf_append_str(names, name);
	buf_append_c(names, 0);
	if (names->failed)
		return false;
	clean_text(names->p + at);
	*ret = (uint32_t)at;
	return true;
}

static int read_lines(struct perf_map *m, struct str text, struct entries *ret, struct err *e)
{
	struct str line;

	while (str_next(&text, '\n', &line)) {
		struct perf_map_entry entry;
		struct str name;

		if (line.n == 0)
			continue;
		if (!parse_line(line, &entry, &name) || m->n + ret->n >= PERF_MAP_ENTRIES_MAX ||
		    !put_name(&m->names, name, &entry.name)) {
			m->dropped++;
			continue;
		}
		if (mem_grow(&ret->items, &ret->cap, ret->n + 1, sizeof(*ret->items),
			     PERF_MAP_ENTRIES_MAX) < 0)
			return err_nomem(e);
		ret->items[ret->n++] = entry;
	}
	return m->names.nomem ? err_nomem(e) : 0;
}

/* ---- one range, one name --------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct perf_map_entry *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* The entries that hold the place where the sweep is, newest first: a heap. */
struct open_entries {
	struct perf_map_entry *items;
	size_t n;
};

static void swap(struct perf_map_entry *a, struct perf_map_entry *b)
{
	struct perf_map_entry old = *a;

	*a = *b;
	*b = old;
}

static void push(struct open_entries *open, const struct perf_map_entry *entry)
{
	size_t at = open->n++;

	open->items[at] = *entry;
	for (; at > 0 && open->items[(at - 1) / 2].name < open->items[at].name; at = (at - 1) / 2)
		swap(&open->items[(at - 1) / 2], &open->items[at]);
}

static void pop(struct open_entries *open)
{
	size_t at = 0;

	open->items[0] = open->items[--open->n];
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < open->n && open->items[child + 1].name > open->items[child].name)
			child++;
		if (child >= open->n || open->items[child].name < open->items[at].name)
			return;
		swap(&open->items[child], &open->items[at]);
		at = child;
	}
}

static uint64_t end_of(const struct perf_map_entry *entry)
{
	return entry->start + entry->size;
}

/* [start, end) has the newest open entry's name. */
static int emit(struct entries *out, uint64_t start, uint64_t end, uint32_t name)
{
	struct perf_map_entry *last = out->n ? &out->items[out->n - 1] : NULL;

	if (last && last->name == name && end_of(last) == start) {
		last->size += (uint32_t)(end - start);
		return 0;
	}
	// Twice as many ranges as entries, at most.
	if (mem_grow(&out->items, &out->cap, out->n + 1, sizeof(*out->items),
		     2 * PERF_MAP_ENTRIES_MAX) < 0)
		return -1;
	out->items[out->n++] =
		(struct perf_map_entry){start, (uint32_t)(end - start), name};
	return 0;
}

/* From sorted entries that overlap to ranges that do not: from place to place where that changes. */
static int sweep(const struct entries *in, struct open_entries *open, struct entries *out)
{
	uint64_t at = 0;
	size_t i = 0;

	while (i < in->n || open->n > 0) {
		uint64_t next;

		if (open->n == 0)
			at = in->items[i].start;
		for (; i < in->n && in->items[i].start <= at; i++)
			push(open, &in->items[i]);
		while (open->n > 0 && end_of(&open->items[0]) <= at)
			pop(open);
		if (open->n == 0)
			continue;
		next = end_of(&open->items[0]);
		if (i < in->n)
			next = MIN(next, in->items[i].start);
		if (emit(out, at, next, open->items[0].name) < 0)
			return -1;
		at = next;
	}
	return 0;
}

/* Old entries and new ones, both in order. */
static int merge(const struct perf_map *m, const struct entries *added, struct entries *ret)
{
	size_t i = 0, j = 0;

	ret->items = mem_calloc(m->n + added->n, sizeof(*ret->items));
	if (!ret->items)
		return -1;
	while (i < m->n || j < added->n) {
		bool old = j >= added->n ||
			   (i < m->n && m->entries[i].start <= added->items[j].start);

		ret->items[ret->n++] = old ? m->entries[i++] : added->items[j++];
	}
	return 0;
}

static int rebuild(struct perf_map *m, struct entries *added, struct err *e)
{
	_cleanup_(entries_free) struct entries all = {NULL, 0, 0}, ranges = {NULL, 0, 0};
	_cleanup_free_ struct perf_map_entry *heap = NULL;
	struct open_entries open = {NULL, 0};

	qsort(added->items, added->n, sizeof(*added->items), by_start);
	if (merge(m, added, &all) < 0)
		return err_nomem(e);
	heap = mem_calloc(all.n, sizeof(*heap));
	open.items = heap;
	if (!heap || sweep(&all, &open, &ranges) < 0)
		return err_nomem(e);
	free(m->entries);
	m->entries = steal_ptr(ranges.items);
	m->n = ranges.n;
	m->cap = ranges.cap;
	return 0;
}

int perf_map_add(struct perf_map *m, struct str text, struct err *e)
{
	_cleanup_(entries_free) struct entries added = {NULL, 0, 0};
	size_t names = m->names.n;

	if (read_lines(m, text, &added, e) < 0 || (added.n > 0 && rebuild(m, &added, e) < 0)) {
		m->names.n = names;
		m->names.failed = m->names.nomem = false;
		return -1;
	}
	return 0;
}
