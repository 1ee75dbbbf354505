/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_scan.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "symbolizer/indexer/dwarf_function.h"
#include "symbolizer/indexer/dwarf_split.h"
#include <dwarf.h>

enum { ALTERNATE_NUMBER = 1, FIRST_SPLIT_NUMBER };

enum {
	UNIT_DEPTH_MAX = 128,
	LOOSE_MAX = 1 << 27,
	LOOSE_FACTOR = 2, // by the size of .debug_line; units may share a table
};

// Lines that no function of their unit covers, kept until all functions are known.
struct loose {
	struct line_span *items;
	size_t n;
	size_t cap;
	uint64_t left; // spans that may yet be looked at
};

struct scan {
	const struct dwarf_scan_input *in;
	struct warnings *warnings;
	struct dwarf_functions functions;
	struct dwarf_counts counts;
	struct loose loose;
	struct dwarf_file file;
	struct dwarf_file alternate;
	struct dwarf_split split;
	struct str missing; // the first .dwo file that was not given
};

// Below a function without code may be one that has it: a member of a local class, a lambda. In C there
// are none of these, but many entries to look at.
static bool holds_functions(const struct dwarf_entry *d)
{
	switch (d->abbrev->tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
		return true;
	case DW_TAG_structure_type:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return !dwarf_is_flat(d->unit->language);
	default:
		return false;
	}
}

static int walk_unit(struct scan *s, struct dwarf_unit *u, struct err *e)
{
	struct dwarf_walk walk;

	dwarf_walk_begin(&walk, u);
	while (dwarf_walk_next(&walk)) {
		if (walk.entry.abbrev->tag == DW_TAG_subprogram && dwarf_has_code(&walk.entry)) {
			if (dwarf_function_add(&s->functions, &walk, e))
				return -1;
		} else if (holds_functions(&walk.entry) && walk.depth < UNIT_DEPTH_MAX) {
			dwarf_walk_enter(&walk);
		} else {
			dwarf_walk_pass(&walk);
		}
	}
	return 0;
}

static int add_loose(struct scan *s, const struct line_span *from, uint64_t start, uint64_t end,
		     struct err *e)
{
	struct loose *l = &s->loose;

	if (start >= end || !from->line)
		return 0;
	if (mem_grow(&l->items, &l->cap, l->n + 1, sizeof(*l->items), LOOSE_MAX))
		return err_nomem(e);
	l->items[l->n] = *from;
	l->items[l->n].start = start;
	l->items[l->n].end = end;
	l->n++;
	return 0;
}

// Where the unit says it has code: what its line table says about other places is not to be believed.
static int paint_unit(struct scan *s, const struct dwarf_unit *u, const struct dwarf_attributes *a,
		      struct err *e)
{
	struct layers *l = &s->functions.covered;
	struct dwarf_ranges ranges;
	uint64_t start;
	uint64_t end;

	layers_clear(l);
	dwarf_ranges_begin(&ranges, u, a);
	while (dwarf_ranges_next(&ranges, &start, &end))
		if (layers_add(l, start, end, DWARF_UNCOVERED, e))
			return -1;
	if (l->n || u->tag != DW_TAG_compile_unit)
		return 0;
	return layers_add(l, 0, UINT64_MAX, DWARF_UNCOVERED, e); // lines are of code of this file in any case
}

struct gaps {
	struct scan *scan;
	bool failed;
};

static void collect_lines(void *ctx, uint64_t start, uint64_t end, uint32_t value)
{
	struct gaps *g = ctx;
	const struct dwarf_lines *l = &g->scan->functions.lines;

	if (value != DWARF_UNCOVERED)
		return;
	for (size_t i = dwarf_lines_from(l, start);
	     i < l->spans.n && l->spans.items[i].start < end && g->scan->loose.left; i++, g->scan->loose.left--)
		if (add_loose(g->scan, &l->spans.items[i], MAX(l->spans.items[i].start, start),
			      MIN(l->spans.items[i].end, end), NULL))
			g->failed = true;
}

static int collect_loose(struct scan *s, struct err *e)
{
	struct gaps g = {.scan = s};

	if (layers_flatten(&s->functions.covered, collect_lines, &g, e))
		return -1;
	return g.failed ? err_nomem(e) : 0;
}

// Where the functions of a skeleton unit are.
static struct dwarf_unit *other_half(struct scan *s, const struct dwarf_unit *u, const struct dwarf_attributes *a)
{
	struct dwarf_unit *half;

	if (u->type != DW_UT_skeleton && !dwarf_has(a, SLOT_DWO_NAME))
		return NULL;
	half = dwarf_split_join(&s->split, u);
	if (!half && !s->counts.split_units++)
		s->missing = dwarf_text(u, a, SLOT_DWO_NAME);
	return half;
}

static void warn_of(struct scan *s, const struct err *e)
{
	warn(s->warnings, "%s: %s", s->in->image->name, e->msg);
}

static int scan_unit(struct scan *s, struct dwarf_unit *u, struct err *e)
{
	struct err problem = ERR_INIT;
	struct dwarf_unit *half;
	struct dwarf_attributes a;
	int lines;

	if (u->type == DW_UT_type || u->type == DW_UT_split_type) // describes no code
		return 0;
	if (!dwarf_unit_read(u, &a, &problem)) {
		warn_of(s, &problem);
		return problem.kind == ERR_NOMEM ? err_nomem(e) : 0;
	}
	if (u->tag == DW_TAG_partial_unit) // what dwz shares between units
		return 0;
	s->counts.units++;
	half = other_half(s, u, &a);
	lines = dwarf_lines_load(&s->functions.lines, u, &a, &problem);
	if (lines < 0)
		return err_nomem(e);
	if (lines)
		warn_of(s, &problem);
	if (paint_unit(s, u, &a, e) || walk_unit(s, half ? half : u, e))
		return -1;
	return collect_loose(s, e);
}

static int scan_units(struct scan *s, struct err *e)
{
	for (size_t i = 0; i < s->file.unit_count; i++)
		if (scan_unit(s, &s->file.units[i], e))
			return -1;
	return 0;
}

static uhx_id symbol_scope(struct uhx_builder *b, const struct symbol *symbol)
{
	struct uhx_scope scope = {.source = SOURCE_DWARF};

	scope.function = uhx_builder_function(b, &(struct uhx_function){.linkage = symbol->name});
	return uhx_builder_scope(b, &scope);
}

// Spans that do not overlap meet as many symbols as both are; those of units that share a table may overlap.
static void name_loose_lines(struct scan *s, struct uhx_builder *b)
{
	const struct symbols *symbols = s->in->symbols;
	uint64_t rows = LOOSE_FACTOR * ((uint64_t)s->loose.n + symbols->span_count) + 1;

	for (size_t i = 0; i < s->loose.n; i++) {
		const struct line_span *line = &s->loose.items[i];

		for (size_t k = symbols_span_from(symbols, line->start);
		     k < symbols->span_count && symbols->spans[k].start < line->end && rows; k++, rows--) {
			const struct symbol_span *span = &symbols->spans[k];
			struct uhx_row row = {
				.start = MAX(span->start, line->start),
				.end = MIN(span->end, line->end),
				.scope = symbol_scope(b, &symbols->items[span->symbol]),
				.file = line->file,
				.line = line->line,
				.column = line->column,
			};

			uhx_builder_row(b, &row);
		}
	}
	if (!rows)
		s->loose.left = 0;
}

static void tell_ranges(const struct scan *s, const struct dwarf_file *f)
{
	if (f->unit_count && !f->ranges_left)
		warn(s->warnings, "%s: too many entries share range lists: some were left out", f->image->name);
}

static void tell(const struct scan *s)
{
	if (s->counts.split_units)
		warn(s->warnings,
		     "%s: the functions of %llu units are in .dwo files that were not given (the first: " STR_FMT
		     "): names come from symbols, inlined functions are missing",
		     s->in->image->name, (unsigned long long)s->counts.split_units, STR_ARG(s->missing));
	dwarf_split_tell(&s->split, s->in->image->name, s->warnings);
	if (!s->loose.left)
		warn(s->warnings, "%s: too many units share line tables: lines of code without a function were left out",
		     s->in->image->name);
	tell_ranges(s, &s->file);
	for (size_t i = 0; i < s->split.n; i++)
		tell_ranges(s, &s->split.files[i]);
	if (s->functions.too_deep)
		warn(s->warnings, "%s: scopes nested more than %d deep were cut", s->in->image->name,
		     DWARF_DEPTH_MAX);
}

static int open_file(struct scan *s, struct dwarf_file *f, struct elf_image *img, struct err *e)
{
	struct err problem = ERR_INIT;
	bool cut;

	if (dwarf_file_open(f, img, DWARF_SECTIONS, &cut, &problem)) {
		*e = problem;
		return -1;
	}
	if (cut)
		warn(s->warnings, "%s: .debug_info ends early: %s", img->name, problem.msg);
	return 0;
}

static int run(struct scan *s, struct uhx_builder *b, struct err *e)
{
	if (open_file(s, &s->file, s->in->image, e))
		return -1;
	if (s->in->alternate) {
		if (open_file(s, &s->alternate, s->in->alternate, e))
			return -1;
		s->alternate.number = ALTERNATE_NUMBER;
		s->file.alternate = &s->alternate;
	}
	if (dwarf_split_open(&s->split, s->in->split, s->in->split_count, FIRST_SPLIT_NUMBER, s->warnings, e))
		return -1;
	s->loose.left = LOOSE_FACTOR * (uint64_t)s->file.line.n + MIB(1);
	dwarf_functions_init(&s->functions, &s->file, b, s->in->symbols);
	if (scan_units(s, e))
		return -1;
	name_loose_lines(s, b);
	tell(s);
	return 0;
}

static void deinit(struct scan *s)
{
	dwarf_functions_deinit(&s->functions);
	free(s->loose.items);
	dwarf_file_close(&s->file);
	dwarf_file_close(&s->alternate);
	dwarf_split_close(&s->split);
}

int dwarf_scan(const struct dwarf_scan_input *in, struct uhx_builder *b, struct warnings *w,
	       struct dwarf_counts *ret, struct err *e)
{
	struct scan s = {.in = in, .warnings = w, .split = DWARF_SPLIT_INIT, .missing = STR_EMPTY};
	int result = run(&s, b, e);

	s.counts.functions = s.functions.functions;
	s.counts.inlined = s.functions.inlined;
	if (!result)
		*ret = s.counts;
	deinit(&s);
	return result;
}
