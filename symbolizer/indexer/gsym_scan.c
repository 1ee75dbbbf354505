/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/gsym_scan.h"

#include "base/mem.h"
#include "symbolizer/indexer/gsym_function.h"
#include "symbolizer/indexer/path.h"

#include <inttypes.h>

enum { PATH_BYTES_MAX = 64 * 1024 };

struct scan {
	const struct gsym_image *g;
	struct uhx_builder *builder;
	struct gsym_counts *counts;
	struct gsym_function f;
	uint64_t unread; // bytes of infos; each counts once, or few bytes could ask for any work
	uhx_id *files;   // by the file's number; 0: not asked for yet
	struct buf path;
	uhx_id *scopes; // by node
	size_t scope_cap;

	// Functions that start where the one before did: what is theirs, and from where it is free.
	uint64_t start;
	uint64_t free_from;
	uint64_t next; // where the first one behind them starts
};

static int bad(const struct scan *s, uint64_t start, const char *what, struct err *e)
{
	return err_set(e, ERR_BAD_GSYM, "%s: malformed GSYM file: function at %#" PRIx64 ": %s",
		       s->g->name, start, what);
}

// 0, which stands for none, where number 0 or an entry without a name is meant.
static uhx_id file_of(struct scan *s, uint32_t number)
{
	struct str folder;
	struct str name;

	if (s->files[number])
		return s->files[number];
	gsym_image_file(s->g, number, &folder, &name);
	path_join(folder, name, &s->path);
	s->files[number] = uhx_builder_file(s->builder, buf_str(&s->path));
	return s->files[number];
}

static uhx_id function_of(struct scan *s, uint64_t name)
{
	struct uhx_function f = {.linkage = gsym_image_string(s->g, name)};

	return uhx_builder_function(s->builder, &f);
}

static enum frame_source source_of(const struct scan *s)
{
	return s->f.line_count || s->f.node_count ? SOURCE_DWARF : SOURCE_SYMTAB;
}

// Node 0 is the function itself: of it only a call would make another frame.
static uhx_id node_scope(struct scan *s, uint32_t number, uhx_id physical)
{
	const struct gsym_node *node = &s->f.nodes[number];
	struct uhx_scope scope = {
		.parent = number ? s->scopes[node->parent] : physical,
		.call_file = file_of(s, node->file),
		.call_line = node->line,
		.source = source_of(s),
	};

	if (!number && !scope.call_file)
		return physical;
	scope.function = function_of(s, node->name);
	return uhx_builder_scope(s->builder, &scope);
}

static int make_scopes(struct scan *s, uhx_id physical, struct err *e)
{
	if (mem_grow(&s->scopes, &s->scope_cap, s->f.node_count, sizeof(*s->scopes), SIZE_MAX))
		return err_nomem(e);
	for (uint32_t i = 0; i < s->f.node_count; i++)
		s->scopes[i] = node_scope(s, i, physical);
	return 0;
}

// `line` and `stretch` are the first ones behind the row.
static void add_row(struct scan *s, struct uhx_row *row, size_t line, size_t stretch)
{
	const struct gsym_function *f = &s->f;

	if (stretch && f->stretches[stretch - 1].node != GSYM_NONE)
		row->scope = s->scopes[f->stretches[stretch - 1].node];
	if (line && f->lines[line - 1].file) {
		row->file = file_of(s, f->lines[line - 1].file);
		row->line = f->lines[line - 1].line;
	}
	uhx_builder_row(s->builder, row);
}

static void add_rows(struct scan *s, uint64_t start, uint64_t end, uhx_id physical)
{
	const struct gsym_function *f = &s->f;
	size_t stretch = 0;
	size_t line = 0;

	while (start < end) {
		struct uhx_row row = {.start = start, .end = end, .scope = physical};

		while (line < f->line_count && f->lines[line].address <= start)
			line++;
		while (stretch < f->stretch_count && f->stretches[stretch].start <= start)
			stretch++;
		if (line < f->line_count)
			row.end = MIN(row.end, f->lines[line].address);
		if (stretch < f->stretch_count)
			row.end = MIN(row.end, f->stretches[stretch].start);
		start = row.end;
		add_row(s, &row, line, stretch);
	}
}

static int add_merged(struct scan *s, uhx_id function, struct err *e)
{
	struct str rest = s->f.merged;
	uint32_t left = UINT32_MAX;
	uint64_t name;
	int r;

	while ((r = gsym_merged_next(s->g, &rest, &left, &name, e)) > 0) {
		uhx_builder_alias(s->builder, function, gsym_image_string(s->g, name));
		s->counts->merged++;
	}
	return r;
}

static uint64_t end_of(const struct scan *s)
{
	uint64_t limit = s->next;
	uint64_t end;

	if (add_overflows(s->f.start, s->f.size ? s->f.size : (uint64_t)GSYM_GUESS_MAX, &end))
		end = UINT64_MAX;
	return MIN(end, limit);
}

static int add_function(struct scan *s, struct err *e)
{
	struct uhx_scope scope = {.source = source_of(s)};
	uint64_t end = end_of(s);
	uhx_id physical;

	if (!gsym_image_string(s->g, s->f.name).n)
		return bad(s, s->f.start, "it has no name", e);
	scope.function = function_of(s, s->f.name);
	physical = uhx_builder_scope(s->builder, &scope);
	if (make_scopes(s, physical, e) || add_merged(s, scope.function, e))
		return -1;
	add_rows(s, s->free_from, end, physical);
	s->free_from = MAX(s->free_from, end);
	s->counts->functions++;
	s->counts->with_lines += s->f.line_count != 0;
	return 0;
}

static int read_function(struct scan *s, uint32_t i, struct err *e)
{
	struct str info = gsym_image_info(s->g, i);

	if (gsym_function_read(&s->f, s->g, info, s->start, e))
		return -1;
	if (s->f.info_size > s->unread)
		return bad(s, s->start, "its info overlaps that of others", e);
	s->unread -= s->f.info_size;
	return add_function(s, e);
}

// Function i starts a group: where do the next ones start?
static int begin_group(struct scan *s, uint32_t i, uint64_t start, struct err *e)
{
	if (i && start < s->start)
		return bad(s, start, "it is out of order", e);
	s->start = s->free_from = start;
	s->next = UINT64_MAX;
	for (uint32_t k = i + 1; k < s->g->count; k++) {
		uint64_t later;

		if (!gsym_image_address(s->g, k, &later) || later == start)
			continue;
		s->next = later;
		break;
	}
	return 0;
}

static int scan_all(struct scan *s, struct err *e)
{
	for (uint32_t i = 0; i < s->g->count; i++) {
		uint64_t start;

		if (!gsym_image_address(s->g, i, &start))
			return bad(s, s->g->base, "an address has more than 64 bits", e);
		if ((!i || start != s->start) && begin_group(s, i, start, e))
			return -1;
		if (read_function(s, i, e))
			return -1;
	}
	return buf_check(&s->path, "the path of a source file", e);
}

int gsym_scan(const struct gsym_image *g, struct uhx_builder *b, struct gsym_counts *ret,
	      struct err *e)
{
	struct gsym_counts counts = {0};
	struct scan s = {
		.g = g,
		.builder = b,
		.counts = &counts,
		.f = GSYM_FUNCTION_INIT,
		.unread = g->infos.n,
		.files = mem_calloc(MAX(g->file_count, 1U), sizeof(*s.files)),
		.path = BUF_INIT(PATH_BYTES_MAX),
	};
	int result = s.files ? scan_all(&s, e) : err_nomem(e);

	gsym_function_deinit(&s.f);
	free(s.files);
	free(s.scopes);
	buf_deinit(&s.path);
	if (!result)
		*ret = counts;
	return result;
}
