/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mappings.h"

#include "agent-lite/process/clean_text.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/sysmacros.h>

static void clear_items(struct mappings *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].path);
	m->n = 0;
	m->dropped = 0;
}

void mappings_deinit(struct mappings *m)
{
	clear_items(m);
	free(m->items);
	*m = MAPPINGS_INIT;
}

/* "start-end" in hexadecimal. */
static bool parse_range(struct str s, uint64_t *start, uint64_t *end)
{
	struct str lo;

	return str_next(&s, '-', &lo) && str_hex_to_u64(lo, start) && str_hex_to_u64(s, end) &&
	       *start < *end;
}

/* "fd:01": major and minor, hexadecimal. */
static bool parse_device(struct str s, uint64_t *ret)
{
	struct str major_text;
	uint64_t major_n, minor_n;

	if (!str_next(&s, ':', &major_text) || !str_hex_to_u64(major_text, &major_n) ||
	    !str_hex_to_u64(s, &minor_n) || major_n > UINT32_MAX || minor_n > UINT32_MAX)
		return false;
	*ret = makedev((unsigned)major_n, (unsigned)minor_n);
	return true;
}

static char *copy_path(struct str path)
{
	char *copy = mem_strndup(path.p, MIN(path.n, (size_t)MAPPING_PATH_MAX));

	if (copy)
		clean_text(copy);
	return copy;
}

enum mapping_kind mapping_kind_of(const struct mapping *m, struct str path)
{
	if (path.n == 0 || (path.p[0] != '/' && path.p[0] != '['))
		return MAPPING_ANON;
	if (str_is(path, "[vdso]"))
		return MAPPING_VDSO;
	if (str_is(path, "[vsyscall]"))
		return MAPPING_VSYSCALL;
	if (path.p[0] == '[' || (m->inode == 0 && m->build_id_size == 0))
		return MAPPING_ANON;
	return MAPPING_FILE;
}

int mapping_set_path(struct mapping *m, struct str path, struct err *e)
{
	static const struct str deleted = {" (deleted)", 10};

	m->deleted = str_has_suffix(path, deleted);
	if (m->deleted)
		path.n -= deleted.n;
	m->path = copy_path(path);
	return m->path ? 0 : err_nomem(e);
}

/* 1: an executable mapping in *ret; 0: another one; MALFORMED; -1: out of memory. */
enum { MALFORMED = 2 };

static int parse_line(struct str line, struct mapping *ret, struct err *e)
{
	struct str range, perms, offset, device, inode;
	struct mapping m = {.kind = MAPPING_ANON};

	if (!str_next(&line, ' ', &range) || !str_next(&line, ' ', &perms) ||
	    !str_next(&line, ' ', &offset) || !str_next(&line, ' ', &device) ||
	    !str_next(&line, ' ', &inode))
		return MALFORMED;
	if (perms.n != 4)
		return MALFORMED;
	if (perms.p[2] != 'x')
		return 0;
	if (!parse_range(range, &m.start, &m.end) || !str_hex_to_u64(offset, &m.offset) ||
	    !parse_device(device, &m.device) || !str_to_u64(inode, UINT64_MAX, &m.inode))
		return MALFORMED;
	// Only leading blanks are padding: a path may end in one.
	while (line.n > 0 && line.p[0] == ' ')
		line = str_skip(line, 1);
	m.kind = mapping_kind_of(&m, line);
	if (m.kind == MAPPING_FILE && mapping_set_path(&m, line, e) < 0)
		return -1;
	*ret = m;
	return 1;
}

static int append(struct mappings *m, const struct mapping *item, struct err *e)
{
	bool in_order = m->n == 0 || item->start >= m->items[m->n - 1].end;

	if (!in_order || m->n >= MAPPINGS_MAX) {
		m->dropped++;
		free(item->path);
		return 0;
	}
	if (mem_grow(&m->items, &m->cap, m->n + 1, sizeof(*m->items), MAPPINGS_MAX) < 0) {
		free(item->path);
		return err_nomem(e);
	}
	m->items[m->n++] = *item;
	return 0;
}

int mappings_parse(struct mappings *m, struct str maps_text, struct err *e)
{
	struct str line;

	clear_items(m);
	while (str_next(&maps_text, '\n', &line)) {
		struct mapping item;
		int r;

		if (line.n == 0)
			continue;
		r = parse_line(line, &item, e);
		if (r < 0 || (r == 1 && append(m, &item, e) < 0))
			return -1;
		if (r == MALFORMED)
			m->dropped++;
	}
	return 0;
}

struct mapping *mappings_find(const struct mappings *m, uint64_t address)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct mapping *at = &m->items[mid];

		if (address < at->start)
			hi = mid;
		else if (address >= at->end)
			lo = mid + 1;
		else
			return at;
	}
	return NULL;
}
