/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/gsym_function.h"

#include "base/mem.h"
#include "symbolizer/frame.h"
#include "symbolizer/gsym_format.h"
#include "symbolizer/indexer/gsym_stretches.h"

#include <inttypes.h>

enum { ITEMS_MAX = INT32_MAX };

void gsym_function_deinit(struct gsym_function *f)
{
	free(f->lines);
	free(f->nodes);
	free(f->ranges);
	free(f->stretches);
	*f = GSYM_FUNCTION_INIT;
}

static int bad(const struct gsym_image *g, uint64_t start, const char *what, struct err *e)
{
	return err_set(e, ERR_BAD_GSYM, "%s: malformed GSYM file: function at %#" PRIx64 ": %s",
		       g->name, start, what);
}

/* ---- the line table ---- */

struct line_state {
	struct gsym_line row;
	int64_t first; // what a special opcode can add to the line: first … first + range - 1
	int64_t range;
	bool overflow;
};

static void advance(struct line_state *s, uint64_t address, int64_t line)
{
	s->overflow |= add_overflows(s->row.address, address, &s->row.address);
	s->row.line += (uint32_t)line; // modulo 2^32, as its writers count
}

// True: the opcode makes a row.
static bool step(struct line_state *s, uint8_t op, struct byte_reader *r)
{
	switch (op) {
	case GSYM_LINE_FILE:
		s->row.file = (uint32_t)read_uleb(r);
		return false;
	case GSYM_LINE_ADDRESS:
		advance(s, read_uleb(r), 0);
		return true;
	case GSYM_LINE_LINE:
		advance(s, 0, read_sleb(r));
		return false;
	default:
		op -= GSYM_LINE_SPECIAL;
		advance(s, (uint64_t)(op / s->range), s->first + op % s->range);
		return true;
	}
}

// Of rows at one address the last counts.
static int add_line(struct gsym_function *f, const struct gsym_line *row, struct err *e)
{
	if (f->line_count && f->lines[f->line_count - 1].address == row->address)
		f->line_count--;
	if (mem_grow(&f->lines, &f->line_cap, f->line_count + 1, sizeof(*f->lines), ITEMS_MAX))
		return err_nomem(e);
	f->lines[f->line_count++] = *row;
	return 0;
}

static int read_lines(struct gsym_function *f, const struct gsym_image *g, struct str bytes,
		      struct err *e)
{
	struct byte_reader r = gsym_reader(g, bytes);
	struct line_state s = {.row = {f->start, 1, 0}};
	int64_t last;
	uint8_t op;

	s.first = read_sleb(&r);
	last = read_sleb(&r);
	s.row.line = (uint32_t)read_uleb(&r);
	if (s.first < INT32_MIN || last > INT32_MAX || last < s.first)
		return bad(g, f->start, "the range of special line opcodes is empty or too wide",
			   e);
	s.range = last - s.first + 1;
	for (op = read_u8(&r); op != GSYM_LINE_END; op = read_u8(&r)) {
		bool is_row = step(&s, op, &r);

		if (r.failed || s.overflow)
			break;
		if (is_row && s.row.file >= g->file_count)
			return bad(g, f->start, "a line refers to a file that is not there", e);
		if (is_row && add_line(f, &s.row, e))
			return -1;
	}
	if (r.failed || s.overflow)
		return bad(g, f->start, "its line table has no end or leaves the address space", e);
	return 0;
}

/* ---- inlined code ---- */

static int add_range(struct gsym_function *f, const struct gsym_range *range, struct err *e)
{
	if (mem_grow(&f->ranges, &f->range_cap, f->range_count + 1, sizeof(*f->ranges), ITEMS_MAX))
		return err_nomem(e);
	f->ranges[f->range_count++] = *range;
	return 0;
}

// Offsets count from where the first range of the parent starts.
static int read_ranges(struct gsym_function *f, const struct gsym_image *g, struct byte_reader *r,
		       uint64_t base, struct gsym_node *node, struct err *e)
{
	uint64_t n = read_uleb(r);

	node->first_range = (uint32_t)f->range_count;
	for (node->range_count = 0; node->range_count < n; node->range_count++) {
		struct gsym_range range;
		bool overflow = add_overflows(base, read_uleb(r), &range.start);

		overflow |= add_overflows(range.start, read_uleb(r), &range.end);
		if (r->failed || overflow)
			return bad(g, f->start, "ranges of inlined code are cut short or too far",
				   e);
		if (add_range(f, &range, e))
			return -1;
	}
	return 0;
}

static int read_call(struct gsym_node *node, const struct gsym_image *g, struct byte_reader *r,
		     bool *ret_has_children)
{
	uint64_t file;

	*ret_has_children = read_u8(r) != 0;
	node->name = read_uint(r, g->string_size);
	file = read_uleb(r);
	node->file = (uint32_t)file;
	node->line = (uint32_t)read_uleb(r);
	return r->failed || file >= g->file_count ? -1 : 0;
}

static int add_node(struct gsym_function *f, const struct gsym_node *node, struct err *e)
{
	if (mem_grow(&f->nodes, &f->node_cap, f->node_count + 1, sizeof(*f->nodes), ITEMS_MAX))
		return err_nomem(e);
	f->nodes[f->node_count++] = *node;
	return 0;
}

// The tree comes depth first; a node without ranges ends the children of its parent.
static int read_inlines(struct gsym_function *f, const struct gsym_image *g, struct str bytes,
			struct err *e)
{
	struct byte_reader r = gsym_reader(g, bytes);
	uint32_t parents[FRAMES_MAX];
	uint32_t parent = GSYM_NONE;
	size_t depth = 0;

	do {
		uint64_t base = depth ? f->ranges[f->nodes[parent].first_range].start : f->start;
		struct gsym_node node = {.parent = parent};
		bool has_children;

		if (read_ranges(f, g, &r, base, &node, e))
			return -1;
		if (!node.range_count) {
			depth -= depth != 0;
			parent = depth ? parents[depth - 1] : GSYM_NONE;
			continue;
		}
		if (read_call(&node, g, &r, &has_children))
			return bad(g, f->start, "a call of inlined code is cut short or names no file",
				   e);
		if (add_node(f, &node, e))
			return -1;
		if (!has_children)
			continue;
		if (depth == FRAMES_MAX)
			return bad(g, f->start, "inlined code is nested too deep", e);
		parent = parents[depth++] = (uint32_t)f->node_count - 1;
	} while (depth);
	return r.failed ? bad(g, f->start, "its inlined code is cut short", e) : 0;
}

/* ---- the whole ---- */

static int read_info(struct gsym_function *f, const struct gsym_image *g, uint64_t kind,
		     struct str bytes, struct err *e)
{
	switch (kind) {
	case GSYM_INFO_LINES:
		f->line_count = 0;
		return read_lines(f, g, bytes, e);
	case GSYM_INFO_INLINES:
		f->node_count = f->range_count = 0;
		return read_inlines(f, g, bytes, e);
	case GSYM_INFO_MERGED:
		f->merged = bytes;
		return 0;
	default: // call sites, and what is to come
		return 0;
	}
}

static void clear(struct gsym_function *f, uint64_t start)
{
	f->start = start;
	f->merged = STR_EMPTY;
	f->line_count = f->node_count = f->range_count = f->stretch_count = 0;
}

int gsym_function_read(struct gsym_function *f, const struct gsym_image *g, struct str info,
		       uint64_t start, struct err *e)
{
	struct byte_reader r = gsym_reader(g, info);
	uint64_t kind;

	clear(f, start);
	f->size = read_uint(&r, sizeof(uint32_t));
	f->name = read_uint(&r, g->string_size);
	do {
		uint64_t n;
		struct str bytes;

		kind = read_uint(&r, sizeof(uint32_t));
		n = read_uint(&r, sizeof(uint32_t));
		bytes = read_bytes(&r, n);
		if (r.failed)
			return bad(g, start, "its info is cut short", e);
		if (read_info(f, g, kind, bytes, e))
			return -1;
	} while (kind != GSYM_INFO_END);
	f->info_size = info.n - byte_reader_left(&r);
	return gsym_stretches_find(f, g, e);
}

int gsym_merged_next(const struct gsym_image *g, struct str *merged, uint32_t *left,
		     uint64_t *ret_name, struct err *e)
{
	struct byte_reader r = gsym_reader(g, *merged);
	struct byte_reader function;

	if (*left == UINT32_MAX)
		*left = merged->n ? (uint32_t)read_uint(&r, sizeof(uint32_t)) : 0;
	if (!*left)
		return 0;
	function = gsym_reader(g, read_bytes(&r, read_uint(&r, sizeof(uint32_t))));
	read_uint(&function, sizeof(uint32_t)); // its size is that of the one it was folded into
	*ret_name = read_uint(&function, g->string_size);
	if (r.failed || function.failed)
		return err_set(e, ERR_BAD_GSYM,
			       "%s: malformed GSYM file: merged functions are cut short", g->name);
	*merged = str_skip(*merged, merged->n - byte_reader_left(&r));
	--*left;
	return 1;
}
