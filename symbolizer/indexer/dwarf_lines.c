/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_lines.h"

#include "base/mem.h"
#include "symbolizer/indexer/path.h"
#include <dwarf.h>

void dwarf_lines_deinit(struct dwarf_lines *l)
{
	free(l->spans);
	free(l->file_ids);
	free(l->file_known);
	buf_deinit(&l->path);
}

static int load_files(struct dwarf_lines *l, Dwarf_Die *unit, struct err *e)
{
	Dwarf_Attribute attr;
	const char *dir = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attr));

	l->comp_dir = str_from(dir);
	if (dwarf_getsrcfiles(unit, &l->files, &l->file_count)) {
		l->files = NULL;
		l->file_count = 0;
	}
	if (!l->file_count)
		return 0;
	if (mem_grow(&l->file_ids, &l->file_cap, l->file_count, sizeof(*l->file_ids), LINE_FILES_MAX) ||
	    mem_grow(&l->file_known, &l->known_cap, l->file_count, sizeof(*l->file_known), LINE_FILES_MAX))
		return err_nomem(e);
	memset(l->file_known, 0, l->file_count * sizeof(*l->file_known));
	return 0;
}

uhx_id dwarf_lines_file(struct dwarf_lines *l, uint64_t index)
{
	const char *name;

	if (index >= l->file_count)
		return 0;
	if (l->file_known[index])
		return l->file_ids[index];
	name = dwarf_filesrc(l->files, index, NULL, NULL);
	l->file_known[index] = true;
	l->file_ids[index] = 0;
	// libdw's word for the missing file 0 of DWARF 2 to 4
	if (name && strcmp(name, "???") != 0) {
		path_join(l->comp_dir, str_from(name), &l->path);
		if (l->path.n && !l->path.failed)
			l->file_ids[index] = uhx_builder_file(l->builder, buf_str(&l->path));
	}
	return l->file_ids[index];
}

struct row {
	Dwarf_Addr address;
	bool end_sequence;
};

static bool read_row(Dwarf_Lines *lines, size_t i, struct row *ret, Dwarf_Line **ret_line)
{
	*ret_line = dwarf_onesrcline(lines, i);
	return *ret_line && dwarf_lineaddr(*ret_line, &ret->address) == 0 &&
	       dwarf_lineendsequence(*ret_line, &ret->end_sequence) == 0;
}

static struct line_span make_span(struct dwarf_lines *l, Dwarf_Line *line, uint64_t start, uint64_t end)
{
	struct line_span span = {.start = start, .end = end};
	Dwarf_Files *files;
	size_t file;
	int number;

	if (dwarf_line_file(line, &files, &file) == 0)
		span.file = dwarf_lines_file(l, file);
	if (dwarf_lineno(line, &number) == 0 && number > 0)
		span.line = (uint32_t)number;
	if (dwarf_linecol(line, &number) == 0 && number > 0)
		span.column = (uint32_t)number;
	return span;
}

static int add_span(struct dwarf_lines *l, const struct line_span *span, struct err *e)
{
	struct line_span *last = l->n ? &l->spans[l->n - 1] : NULL;

	if (last && last->end == span->start && last->file == span->file &&
	    last->line == span->line && last->column == span->column) {
		last->end = span->end;
		return 0;
	}
	if (mem_grow(&l->spans, &l->cap, l->n + 1, sizeof(*l->spans), LINE_SPANS_MAX))
		return err_nomem(e);
	l->spans[l->n++] = *span;
	return 0;
}

// libdw sorts by address over all sequences, the end of one before the start of the next.
static int add_spans(struct dwarf_lines *l, Dwarf_Lines *lines, size_t count,
		     const struct elf_image *img, struct err *e)
{
	uint64_t code_end = 0;
	Dwarf_Line *line;
	Dwarf_Line *next_line;
	struct row row;
	struct row next;

	if (!count || !read_row(lines, 0, &row, &line))
		return 0;
	for (size_t i = 1; i < count; i++, row = next, line = next_line) {
		if (!read_row(lines, i, &next, &next_line))
			return 0;
		if (row.end_sequence || next.address <= row.address)
			continue;
		if (row.address >= code_end)
			code_end = elf_image_code_end(img, row.address);
		if (row.address < code_end) {
			uint64_t end = MIN(next.address, code_end);
			struct line_span span = make_span(l, line, row.address, end);

			if (add_span(l, &span, e))
				return -1;
		}
	}
	return 0;
}

int dwarf_lines_load(struct dwarf_lines *l, Dwarf_Die *unit, const struct elf_image *img, struct err *e)
{
	Dwarf_Attribute attr;
	Dwarf_Lines *lines;
	size_t count;

	l->n = 0;
	l->file_count = 0;
	if (!dwarf_attr(unit, DW_AT_stmt_list, &attr))
		return 0;
	if (dwarf_getsrclines(unit, &lines, &count))
		return 1;
	if (load_files(l, unit, e))
		return -1;
	return add_spans(l, lines, count, img, e);
}

size_t dwarf_lines_from(const struct dwarf_lines *l, uint64_t address)
{
	size_t low = 0;
	size_t high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->spans[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void add_row(const struct dwarf_lines *l, uint64_t start, uint64_t end, uhx_id scope,
		    const struct line_span *span)
{
	struct uhx_row row = {.start = start, .end = end, .scope = scope};

	if (span) {
		row.file = span->file;
		row.line = span->line;
		row.column = span->column;
	}
	uhx_builder_row(l->builder, &row);
}

void dwarf_lines_rows(const struct dwarf_lines *l, uint64_t start, uint64_t end, uhx_id scope)
{
	for (size_t i = dwarf_lines_from(l, start); start < end; i++) {
		const struct line_span *span = i < l->n ? &l->spans[i] : NULL;

		if (!span || span->start >= end) {
			add_row(l, start, end, scope, NULL);
			return;
		}
		if (span->start > start)
			add_row(l, start, span->start, scope, NULL);
		add_row(l, MAX(start, span->start), MIN(end, span->end), scope, span);
		start = MIN(end, span->end);
	}
}
