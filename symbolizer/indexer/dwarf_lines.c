/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_lines.h"

#include "base/mem.h"
#include "symbolizer/indexer/path.h"

void dwarf_lines_init(struct dwarf_lines *l, struct dwarf_file *file, struct uhx_builder *b)
{
	*l = (struct dwarf_lines){
		.image = file->image,
		.sections =
			{
				.line = file->line,
				.line_str = file->line_str,
				.str = file->str,
				.big_endian = file->big_endian,
			},
		.program = LINE_PROGRAM_INIT,
		.relative = BUF_INIT(PATH_TEXT_MAX),
		.path = BUF_INIT(PATH_TEXT_MAX),
		.builder = b,
	};
}

void dwarf_lines_deinit(struct dwarf_lines *l)
{
	line_program_deinit(&l->program);
	free(l->spans);
	free(l->sequence);
	free(l->file_ids);
	free(l->file_known);
	buf_deinit(&l->relative);
	buf_deinit(&l->path);
}

// ---- files --------------------------------------------------------------------------------------

static int forget_files(struct dwarf_lines *l, struct err *e)
{
	size_t n = l->program.file_count;

	if (!n)
		return 0;
	if (mem_grow(&l->file_ids, &l->file_cap, n, sizeof(*l->file_ids), LINE_FILES_MAX) ||
	    mem_grow(&l->file_known, &l->known_cap, n, sizeof(*l->file_known), LINE_FILES_MAX))
		return err_nomem(e);
	memset(l->file_known, 0, n * sizeof(*l->file_known));
	return 0;
}

static uhx_id make_file(struct dwarf_lines *l, const struct line_file *file)
{
	if (!file->name.n)
		return 0;
	buf_clear(&l->relative);
	if (file->dir.n && file->name.p[0] != '/') {
		buf_append_str(&l->relative, file->dir);
		buf_append_c(&l->relative, '/');
	}
	buf_append_str(&l->relative, file->name);
	path_join(l->comp_dir, buf_str(&l->relative), &l->path);
	return l->relative.failed || l->path.failed ? 0 : uhx_builder_file(l->builder, buf_str(&l->path));
}

uhx_id dwarf_lines_file(struct dwarf_lines *l, uint64_t index)
{
	if (index >= l->program.file_count)
		return 0;
	if (!l->file_known[index]) {
		l->file_ids[index] = make_file(l, &l->program.files[index]);
		l->file_known[index] = true;
	}
	return l->file_ids[index];
}

// ---- rows to spans ------------------------------------------------------------------------------

static int add_span(struct dwarf_lines *l, const struct line_span *span)
{
	struct line_span *last = l->n ? &l->spans[l->n - 1] : NULL;

	if (last && last->end == span->start && last->file == span->file &&
	    last->line == span->line && last->column == span->column) {
		last->end = span->end;
		return 0;
	}
	if (mem_grow(&l->spans, &l->cap, l->n + 1, sizeof(*l->spans), LINE_SPANS_MAX))
		return -1;
	l->spans[l->n++] = *span;
	return 0;
}

static int add_row_span(struct dwarf_lines *l, const struct line_row *row, uint64_t end)
{
	struct line_span span = {
		.start = row->address,
		.end = end,
		.file = dwarf_lines_file(l, row->file),
		.line = row->line <= INT32_MAX ? row->line : 0,
		.column = row->column <= INT32_MAX ? row->column : 0,
	};

	return span.start < span.end ? add_span(l, &span) : 0;
}

static int add_sequence(struct dwarf_lines *l, uint64_t end)
{
	uint64_t code_end;

	if (!l->row_count)
		return 0;
	code_end = elf_image_code_end(l->image, l->sequence[0].address);
	end = MIN(end, code_end); // 0: not code
	for (size_t i = 0; i < l->row_count; i++) {
		uint64_t next = i + 1 < l->row_count ? l->sequence[i + 1].address : end;

		if (add_row_span(l, &l->sequence[i], MIN(next, end)))
			return -1;
	}
	return 0;
}

static int take_row(void *ctx, const struct line_row *row)
{
	struct dwarf_lines *l = ctx;

	if (row->end_sequence) {
		int rc = add_sequence(l, row->address);

		l->row_count = 0;
		return rc;
	}
	if (l->row_count && row->address < l->sequence[l->row_count - 1].address)
		return 0;
	if (mem_grow(&l->sequence, &l->row_cap, l->row_count + 1, sizeof(*l->sequence), LINE_SPANS_MAX))
		return -1;
	l->sequence[l->row_count++] = *row;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct line_span *x = a;
	const struct line_span *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static bool is_sorted(const struct dwarf_lines *l)
{
	for (size_t i = 1; i < l->n; i++)
		if (l->spans[i].start < l->spans[i - 1].end)
			return false;
	return true;
}

// Sequences come in any order. Should two overlap, the one that starts later is believed.
static void order_spans(struct dwarf_lines *l)
{
	if (is_sorted(l))
		return;
	qsort(l->spans, l->n, sizeof(*l->spans), by_start);
	for (size_t i = 0; i + 1 < l->n; i++)
		l->spans[i].end = MIN(l->spans[i].end, l->spans[i + 1].start);
}

static bool table_offset(struct dwarf_lines *l, const struct dwarf_unit *u, const struct dwarf_attributes *a,
			 uint64_t *ret)
{
	if (!dwarf_has(a, SLOT_STMT_LIST) || !dwarf_unsigned(&a->value[SLOT_STMT_LIST], ret))
		return false;
	l->sections.address_size = u->sizes.address;
	l->comp_dir = dwarf_text(u, a, SLOT_COMP_DIR);
	return true;
}

int dwarf_lines_load(struct dwarf_lines *l, const struct dwarf_unit *u, const struct dwarf_attributes *a,
		     struct err *e)
{
	uint64_t offset;

	l->n = 0;
	l->row_count = 0;
	l->program.file_count = 0;
	if (!table_offset(l, u, a, &offset))
		return 0;
	if (line_program_parse(&l->program, &l->sections, offset, e)) {
		l->program.file_count = 0;
		return e->kind == ERR_NOMEM ? -1 : 1;
	}
	if (forget_files(l, e))
		return -1;
	if (line_program_run(&l->program, take_row, l))
		return err_nomem(e);
	order_spans(l);
	return 0;
}

// ---- spans to rows of the index -----------------------------------------------------------------

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
