/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_lines.h"

#include "base/mem.h"
#include "symbolizer/indexer/path.h"

enum { DECODE_FACTOR = 8 }; // each byte of the section may be decoded as often

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
		.bytes_left = DECODE_FACTOR * (uint64_t)file->line.n + MIB(1),
		.builder = b,
	};
}

void dwarf_lines_deinit(struct dwarf_lines *l)
{
	line_program_deinit(&l->program);
	free(l->spans.items);
	folded_lines_deinit(&l->folded);
	free(l->spare.items);
	free(l->file_ids);
	free(l->file_known);
	buf_deinit(&l->relative);
	buf_deinit(&l->path);
}

// ---- files --------------------------------------------------------------------------------------------

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

static bool goes_on(const struct line_span *last, const struct line_span *span)
{
	return last->end == span->start && last->file == span->file && last->line == span->line &&
	       last->column == span->column && last->sequence == span->sequence;
}

static int add_span(struct line_spans *s, const struct line_span *span)
{
	if (s->n && goes_on(&s->items[s->n - 1], span)) {
		s->items[s->n - 1].end = span->end;
		return 0;
	}
	if (s->n == s->cap && mem_grow(&s->items, &s->cap, s->n + 1, sizeof(*s->items), LINE_SPANS_MAX))
		return -1;
	s->items[s->n++] = *span;
	return 0;
}

// The last row reaches to `end`.
static int close_row(struct dwarf_lines *l, uint64_t end)
{
	const struct line_row *row = &l->sequence.last;
	struct line_span span = {.start = row->address, .end = MIN(end, l->sequence.code_end)};

	if (span.start >= span.end)
		return 0;
	span.file = dwarf_lines_file(l, row->file);
	span.line = row->line <= INT32_MAX ? row->line : 0;
	span.column = row->column <= INT32_MAX ? row->column : 0;
	span.sequence = (uint32_t)l->sequence_count - 1;
	return add_span(&l->spans, &span);
}

// What a sequence says about addresses behind its end does not count.
static void cut_spans(struct dwarf_lines *l, uint64_t end)
{
	struct line_spans *s = &l->spans;

	while (s->n > l->sequence.first && s->items[s->n - 1].start >= end)
		s->n--;
	if (s->n > l->sequence.first)
		s->items[s->n - 1].end = MIN(s->items[s->n - 1].end, end);
}

static void open_sequence(struct dwarf_lines *l, const struct line_row *row)
{
	l->sequence = (struct line_sequence){
		.last = *row,
		.open = true,
		.code_end = elf_image_code_end(l->image, row->address),
		.first = l->spans.n,
	};
	l->sequence_count++;
}

static int take_row(struct dwarf_lines *l, const struct line_row *row)
{
	struct line_sequence *q = &l->sequence;

	if (!q->open) {
		if (!row->end_sequence)
			open_sequence(l, row);
		return 0;
	}
	if (row->end_sequence) {
		q->open = false;
		if (row->address < q->last.address) {
			cut_spans(l, row->address);
			return 0;
		}
		return close_row(l, row->address);
	}
	if (row->address < q->last.address)
		return 0;
	if (row->address > q->last.address && close_row(l, row->address))
		return -1;
	q->last = *row;
	return 0;
}

static int take_rows(void *ctx, const struct line_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (take_row(ctx, &rows[i]))
			return -1;
	return 0;
}

// ---- sorting: sequences come in any order, each sorted in itself --------------------------------------

// Behind the last of those from `i` on that are sorted.
static size_t run_end(const struct line_spans *s, size_t i)
{
	for (i++; i < s->n && s->items[i].start >= s->items[i - 1].start; i++)
		;
	return MIN(i, s->n);
}

// Of two that start together the first stays the first.
static void merge(const struct line_span *from, size_t i, size_t middle, size_t end, struct line_span *to)
{
	size_t k = middle;

	for (size_t at = i; at < end; at++)
		to[at] = k == end || (i < middle && from[i].start <= from[k].start) ? from[i++] : from[k++];
}

// Merges neighbouring runs into the spare.
static void merge_runs(struct dwarf_lines *l)
{
	for (size_t i = 0; i < l->spans.n;) {
		size_t middle = run_end(&l->spans, i);
		size_t end = middle < l->spans.n ? run_end(&l->spans, middle) : middle;

		merge(l->spans.items, i, middle, end, l->spare.items);
		i = end;
	}
}

static int sort_spans(struct dwarf_lines *l)
{
	while (run_end(&l->spans, 0) < l->spans.n) {
		struct line_spans spans = l->spans;

		if (mem_grow(&l->spare.items, &l->spare.cap, spans.n, sizeof(*spans.items), LINE_SPANS_MAX))
			return -1;
		merge_runs(l);
		l->spare.n = spans.n;
		l->spans = l->spare;
		l->spare = spans;
	}
	return 0;
}

static bool overlap(const struct line_spans *s)
{
	for (size_t i = 1; i < s->n; i++)
		if (s->items[i].start < s->items[i - 1].end)
			return true;
	return false;
}

// Should two sequences overlap otherwise than by folding, the one that starts later is believed.
static int order_spans(struct dwarf_lines *l, struct err *e)
{
	struct line_spans *s = &l->spans;

	if (!s->n)
		return 0;
	if (sort_spans(l))
		return err_nomem(e);
	if (!overlap(s))
		return 0;
	if (folded_lines_take(&l->folded, s, l->sequence_count, e))
		return -1;
	for (size_t i = 0; i + 1 < s->n; i++)
		s->items[i].end = MIN(s->items[i].end, s->items[i + 1].start);
	return 0;
}

// ---- loading ------------------------------------------------------------------------------------------

static int parse(struct dwarf_lines *l, uint64_t offset, struct err *e)
{
	int rc;

	if (!l->bytes_left)
		return err_set(e, ERR_TOO_LARGE, "line table at 0x%llx: too many units share theirs",
			       (unsigned long long)offset);
	rc = line_program_parse(&l->program, &l->sections, offset, e);
	l->bytes_left -= MIN(l->bytes_left, l->program.bytes);
	return rc;
}

static int load(struct dwarf_lines *l, uint64_t offset, struct err *e)
{
	if (parse(l, offset, e)) {
		l->program.file_count = 0;
		return e->kind == ERR_NOMEM ? -1 : 1;
	}
	if (forget_files(l, e))
		return -1;
	if (line_program_run(&l->program, take_rows, l))
		return err_nomem(e);
	if (l->sequence.open) // it does not end: nobody knows how far it goes
		cut_spans(l, 0);
	return order_spans(l, e);
}

static void forget_table(struct dwarf_lines *l)
{
	l->spans.n = 0;
	l->sequence_count = 0;
	folded_lines_clear(&l->folded);
	l->chosen.n = 0;
	l->sequence.open = false;
	l->program.file_count = 0;
	l->loaded = false;
	l->problem = ERR_INIT;
}

static bool is_loaded(const struct dwarf_lines *l, uint64_t offset, struct str comp_dir, uint8_t address_size)
{
	return l->loaded && l->offset == offset && str_eq(l->comp_dir, comp_dir) &&
	       l->sections.address_size == address_size;
}

int dwarf_lines_load(struct dwarf_lines *l, const struct dwarf_unit *u, const struct dwarf_attributes *a,
		     struct err *e)
{
	struct str comp_dir = dwarf_text(u, a, SLOT_COMP_DIR);
	uint64_t offset;

	if (!dwarf_has(a, SLOT_STMT_LIST) || !dwarf_unsigned(&a->value[SLOT_STMT_LIST], &offset)) {
		forget_table(l);
		return 0;
	}
	if (!is_loaded(l, offset, comp_dir, u->sizes.address)) {
		forget_table(l);
		l->sections.address_size = u->sizes.address;
		l->comp_dir = comp_dir;
		l->offset = offset;
		l->outcome = load(l, offset, &l->problem);
		l->loaded = l->outcome >= 0;
	}
	if (l->outcome)
		*e = l->problem;
	return l->outcome;
}

// ---- spans to rows of the index -----------------------------------------------------------------------

static size_t span_from(const struct line_spans *s, uint64_t address)
{
	size_t low = 0;
	size_t high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->items[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t dwarf_lines_from(const struct dwarf_lines *l, uint64_t address)
{
	return span_from(&l->spans, address);
}

void dwarf_lines_choose(struct dwarf_lines *l, uint64_t start, uint32_t line)
{
	size_t i;

	l->chosen.n = 0;
	if (!l->folded.n)
		return;
	i = span_from(&l->spans, start);
	if (i < l->spans.n && l->spans.items[i].start == start)
		l->chosen = folded_lines_better(&l->folded, start, line, l->spans.items[i].line);
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

static const struct line_spans *spans_at(const struct dwarf_lines *l, uint64_t address)
{
	const struct line_spans *chosen = &l->chosen;

	return chosen->n && address >= chosen->items[0].start && address < chosen->items[chosen->n - 1].end
		       ? chosen
		       : &l->spans;
}

void dwarf_lines_rows(const struct dwarf_lines *l, uint64_t start, uint64_t end, uhx_id scope)
{
	const struct line_spans *s = spans_at(l, start);

	for (size_t i = span_from(s, start); start < end; i++) {
		const struct line_span *span = i < s->n ? &s->items[i] : NULL;

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
