/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_scan.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "symbolizer/indexer/dwarf_function.h"
#include "symbolizer/indexer/dwarf_walk.h"
#include "symbolizer/indexer/elf_inflate.h"
#include <dwarf.h>
#include <setjmp.h>

enum { UNIT_DEPTH_MAX = 128, LOOSE_MAX = 1 << 27 };

// Lines that no function of their unit covers, kept until all functions are known.
struct loose {
	struct line_span *items;
	size_t n;
	size_t cap;
};

struct scan {
	const struct dwarf_scan_input *in;
	struct warnings *warnings;
	struct dwarf_functions functions;
	struct dwarf_counts counts;
	struct loose loose;
	Elf *alternate;
	Dwarf *alternate_dwarf;
	Dwarf *dwarf;
};

// libdw's answer to a failed allocation is a handler that must not return.
static jmp_buf out_of_memory;

static NORETURN void on_oom(void)
{
	longjmp(out_of_memory, 1);
}

// Below a function without code may be one that has it: a member of a local class, a lambda.
static bool holds_functions(Dwarf_Die *die, int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
		return true;
	case DW_TAG_subprogram:
		return !dwarf_hasattr(die, DW_AT_low_pc) && !dwarf_hasattr(die, DW_AT_ranges);
	default:
		return false;
	}
}

static int walk_unit(struct scan *s, Dwarf_Die *unit, struct err *e)
{
	Dwarf_Die at[UNIT_DEPTH_MAX];
	struct dwarf_walk walk = {0};
	size_t depth = 0;

	if (!dwarf_walk_child(&walk, unit, &at[0]))
		return 0;
	for (;;) {
		int tag = dwarf_tag(&at[depth]);

		if (tag == DW_TAG_subprogram && dwarf_function_add(&s->functions, &at[depth], e))
			return -1;
		if (holds_functions(&at[depth], tag) && depth + 1 < UNIT_DEPTH_MAX &&
		    dwarf_walk_child(&walk, &at[depth], &at[depth + 1])) {
			depth++;
			continue;
		}
		while (!dwarf_walk_sibling(&walk, &at[depth])) {
			if (depth == 0)
				return 0;
			depth--;
		}
	}
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
static int paint_unit(struct scan *s, Dwarf_Die *unit, struct err *e)
{
	struct layers *l = &s->functions.covered;
	ptrdiff_t at = 0;
	Dwarf_Addr base;
	Dwarf_Addr start;
	Dwarf_Addr end;

	layers_clear(l);
	for (int i = 0; i < DWARF_RANGES_MAX && (at = dwarf_ranges(unit, at, &base, &start, &end)) > 0; i++)
		if (layers_add(l, start, end, DWARF_UNCOVERED, e))
			return -1;
	for (size_t i = 0; !l->n && dwarf_tag(unit) == DW_TAG_compile_unit && i < s->in->image->code_count; i++)
		if (layers_add(l, s->in->image->code[i].start, s->in->image->code[i].end, DWARF_UNCOVERED, e))
			return -1;
	return 0;
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
	for (size_t i = dwarf_lines_from(l, start); i < l->n && l->spans[i].start < end; i++)
		if (add_loose(g->scan, &l->spans[i], MAX(l->spans[i].start, start),
			      MIN(l->spans[i].end, end), NULL))
			g->failed = true;
}

static int collect_loose(struct scan *s, struct err *e)
{
	struct gaps g = {.scan = s};

	if (layers_flatten(&s->functions.covered, collect_lines, &g, e))
		return -1;
	return g.failed ? err_nomem(e) : 0;
}

static bool is_split(Dwarf_Die *unit, uint8_t type)
{
	Dwarf_Attribute attr;

	return type == DW_UT_skeleton || dwarf_attr(unit, DW_AT_GNU_dwo_name, &attr);
}

static int scan_unit(struct scan *s, Dwarf_Die *unit, uint8_t type, struct err *e)
{
	struct err problem = ERR_INIT;
	int lines;

	// what dwz shares between units and type units describe no code
	if (type == DW_UT_type || type == DW_UT_split_type || dwarf_tag(unit) == DW_TAG_partial_unit)
		return 0;
	s->counts.units++;
	if (is_split(unit, type))
		s->counts.split_units++;
	lines = dwarf_lines_load(&s->functions.lines, unit, &problem);
	if (lines < 0)
		return err_nomem(e);
	if (lines)
		warn(s->warnings, "%s: %s", s->in->image->name, problem.msg);
	if (paint_unit(s, unit, e) || walk_unit(s, unit, e))
		return -1;
	return collect_loose(s, e);
}

static int scan_units(struct scan *s, struct err *e)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;
	uint8_t type;
	int more;

	while ((more = dwarf_get_units(s->dwarf, cu, &cu, NULL, &type, &unit, NULL)) == 0)
		if (scan_unit(s, &unit, type, e))
			return -1;
	if (more < 0)
		warn(s->warnings, "%s: .debug_info ends early: %s", s->in->image->name, dwarf_errmsg(-1));
	return 0;
}

static uhx_id symbol_scope(struct uhx_builder *b, const struct symbol *symbol)
{
	struct uhx_scope scope = {.source = SOURCE_DWARF};

	scope.function = uhx_builder_function(b, &(struct uhx_function){.linkage = symbol->name});
	return uhx_builder_scope(b, &scope);
}

static void name_loose_lines(const struct scan *s, struct uhx_builder *b)
{
	const struct symbols *symbols = s->in->symbols;

	for (size_t i = 0; i < s->loose.n; i++) {
		const struct line_span *line = &s->loose.items[i];

		for (size_t k = symbols_span_from(symbols, line->start);
		     k < symbols->span_count && symbols->spans[k].start < line->end; k++) {
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
}

static void tell(const struct scan *s)
{
	if (s->counts.split_units)
		warn(s->warnings,
		     "%s: the functions of %llu units are in .dwo files, which are not read: names come "
		     "from symbols, inlined functions are missing",
		     s->in->image->name, (unsigned long long)s->counts.split_units);
	if (s->functions.too_deep)
		warn(s->warnings, "%s: scopes nested more than %d deep were cut", s->in->image->name,
		     DWARF_DEPTH_MAX);
}

static int begin(struct scan *s, struct err *e)
{
	struct elf_image *img = s->in->image;
	struct elf_image *alt = s->in->alternate;

	if (elf_inflate_debug(img, e) || (alt && elf_inflate_debug(alt, e)))
		return -1;
	s->dwarf = dwarf_begin_elf(img->elf, DWARF_C_READ, NULL);
	if (!s->dwarf)
		return err_set(e, ERR_BAD_ELF, "%s: debug information cannot be read: %s", img->name,
			       dwarf_errmsg(-1));
	dwarf_new_oom_handler(s->dwarf, on_oom);
	if (!alt)
		return 0;
	s->alternate_dwarf = dwarf_begin_elf(alt->elf, DWARF_C_READ, NULL);
	if (!s->alternate_dwarf)
		return err_set(e, ERR_BAD_ELF, "%s: debug information cannot be read: %s", alt->name,
			       dwarf_errmsg(-1));
	dwarf_new_oom_handler(s->alternate_dwarf, on_oom);
	dwarf_setalt(s->dwarf, s->alternate_dwarf);
	return 0;
}

static int run(struct scan *s, struct uhx_builder *b, struct err *e)
{
	if (setjmp(out_of_memory))
		return err_set(e, ERR_INDEXER_MEMORY,
			       "%s: its debug information needs more memory than allowed",
			       s->in->image->name);
	if (begin(s, e))
		return -1;
	dwarf_functions_init(&s->functions, s->in->image, b, s->in->symbols, s->dwarf);
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
	dwarf_end(s->dwarf);
	dwarf_end(s->alternate_dwarf);
}

int dwarf_scan(const struct dwarf_scan_input *in, struct uhx_builder *b, struct warnings *w,
	       struct dwarf_counts *ret, struct err *e)
{
	struct scan *s = mem_zalloc(sizeof(*s)); // on the heap: longjmp spoils locals
	int result;

	if (!s)
		return err_nomem(e);
	s->in = in;
	s->warnings = w;
	result = run(s, b, e);
	s->counts.functions = s->functions.functions;
	s->counts.inlined = s->functions.inlined;
	if (!result)
		*ret = s->counts;
	deinit(s);
	free(s);
	return result;
}
