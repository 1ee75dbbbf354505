/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_function.h"

#include "base/mem.h"
#include "symbolizer/indexer/dwarf_walk.h"
#include <dwarf.h>

void dwarf_functions_init(struct dwarf_functions *f, struct elf_image *img, struct uhx_builder *b,
			  const struct symbols *symbols, Dwarf *dbg)
{
	*f = (struct dwarf_functions){
		.image = img,
		.builder = b,
		.layers = LAYERS_INIT,
		.covered = LAYERS_INIT,
		.seen = MAP64_INIT,
	};
	dwarf_lines_init(&f->lines, img, b);
	dwarf_names_init(&f->names, b, symbols, dbg);
}

void dwarf_functions_deinit(struct dwarf_functions *f)
{
	dwarf_lines_deinit(&f->lines);
	dwarf_names_deinit(&f->names);
	layers_deinit(&f->layers);
	layers_deinit(&f->covered);
	map64_deinit(&f->seen);
	free(f->nested);
}

// The attributes of an entry that say where its code is and where it was called.
struct place {
	Dwarf_Attribute low;
	Dwarf_Attribute high;
	Dwarf_Attribute origin;
	bool has_low;
	bool has_high;
	bool has_ranges;
	bool has_origin;
	Dwarf_Word call_file;
	Dwarf_Word call_line;
	Dwarf_Word call_column;
};

static int take(Dwarf_Attribute *attr, void *arg)
{
	struct place *p = arg;

	switch (dwarf_whatattr(attr)) {
	case DW_AT_low_pc:
		p->low = *attr;
		p->has_low = true;
		break;
	case DW_AT_high_pc:
		p->high = *attr;
		p->has_high = true;
		break;
	case DW_AT_ranges:
		p->has_ranges = true;
		break;
	case DW_AT_abstract_origin:
		p->origin = *attr;
		p->has_origin = true;
		break;
	case DW_AT_call_file:
		dwarf_formudata(attr, &p->call_file);
		break;
	case DW_AT_call_line:
		dwarf_formudata(attr, &p->call_line);
		break;
	case DW_AT_call_column:
		dwarf_formudata(attr, &p->call_column);
		break;
	default:
		break;
	}
	return DWARF_CB_OK;
}

static bool read_place(Dwarf_Die *die, struct place *ret)
{
	memset(ret, 0, sizeof(*ret));
	return dwarf_getattrs(die, take, ret, 0) >= 0;
}

static bool is_code(const struct dwarf_functions *f, uint64_t start, uint64_t end)
{
	return start < end && end <= elf_image_code_end(f->image, start);
}

static int add_range(struct dwarf_functions *f, uint64_t start, uint64_t end, uint32_t scope, struct err *e)
{
	return is_code(f, start, end) ? layers_add(&f->layers, start, end, scope, e) : 0;
}

// DW_AT_high_pc is an address in DWARF 2 and 3, and a length where its form is a constant.
static bool low_and_high(struct place *p, Dwarf_Addr *ret_low, Dwarf_Addr *ret_high)
{
	Dwarf_Word length;

	if (!p->has_low || !p->has_high || dwarf_formaddr(&p->low, ret_low))
		return false;
	if (dwarf_whatform(&p->high) != DW_FORM_addr && dwarf_formudata(&p->high, &length) == 0)
		return !add_overflows(*ret_low, length, ret_high);
	return dwarf_formaddr(&p->high, ret_high) == 0;
}

// One layer for each range of the entry that is code of this file.
static int add_ranges(struct dwarf_functions *f, Dwarf_Die *die, struct place *p, uint32_t scope,
		      struct err *e)
{
	ptrdiff_t at = 0;
	Dwarf_Addr base;
	Dwarf_Addr start;
	Dwarf_Addr end;

	if (!p->has_ranges)
		return low_and_high(p, &start, &end) ? add_range(f, start, end, scope, e) : 0;
	for (int i = 0; i < DWARF_RANGES_MAX && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0; i++)
		if (add_range(f, start, end, scope, e))
			return -1;
	return 0;
}

static uint32_t clip_u32(Dwarf_Word value)
{
	return value <= INT32_MAX ? (uint32_t)value : 0;
}

static uhx_id inlined_scope(struct dwarf_functions *f, struct place *p, uhx_id parent)
{
	struct uhx_scope scope = {
		.parent = parent,
		.call_file = dwarf_lines_file(&f->lines, p->call_file),
		.call_line = clip_u32(p->call_line),
		.call_column = clip_u32(p->call_column),
		.source = SOURCE_DWARF,
	};
	Dwarf_Die origin;

	if (!p->has_origin || !dwarf_formref_die(&p->origin, &origin))
		return parent;
	scope.function = dwarf_names_inlined(&f->names, &origin);
	f->inlined++;
	return uhx_builder_scope(f->builder, &scope);
}

static int keep_nested(struct dwarf_functions *f, Dwarf_Die *die, struct err *e)
{
	if (mem_grow(&f->nested, &f->nested_cap, f->nested_count + 1, sizeof(*f->nested),
		     DWARF_NESTED_MAX))
		return err_nomem(e);
	f->nested[f->nested_count++] = *die;
	return 0;
}

// What a child of a function means for the walk: *ret_scope is the scope of its own children, 0 where
// there is nothing to see below it.
static int visit(struct dwarf_functions *f, Dwarf_Die *die, uhx_id parent, uhx_id *ret_scope, struct err *e)
{
	struct place place;

	*ret_scope = 0;
	switch (dwarf_tag(die)) {
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_with_stmt:
		*ret_scope = parent;
		return 0;
	case DW_TAG_inlined_subroutine:
		if (!read_place(die, &place))
			return 0;
		*ret_scope = inlined_scope(f, &place, parent);
		return add_ranges(f, die, &place, *ret_scope, e);
	case DW_TAG_subprogram:
		return keep_nested(f, die, e);
	default:
		return 0;
	}
}

// Depth first, without recursion: parents are painted before their children.
static int walk_scopes(struct dwarf_functions *f, Dwarf_Die *function, uhx_id root, struct err *e)
{
	Dwarf_Die at[DWARF_DEPTH_MAX];
	uhx_id scope[DWARF_DEPTH_MAX];
	struct dwarf_walk walk = {0};
	size_t depth = 0;

	if (!dwarf_walk_child(&walk, function, &at[0]))
		return 0;
	scope[0] = root;
	for (;;) {
		uhx_id below;

		if (visit(f, &at[depth], scope[depth], &below, e))
			return -1;
		if (below && depth + 1 == DWARF_DEPTH_MAX)
			f->too_deep = true;
		else if (below && dwarf_walk_child(&walk, &at[depth], &at[depth + 1])) {
			scope[++depth] = below;
			continue;
		}
		while (!dwarf_walk_sibling(&walk, &at[depth])) {
			if (depth == 0)
				return 0;
			depth--;
		}
	}
}

static void emit_piece(void *ctx, uint64_t start, uint64_t end, uint32_t scope)
{
	struct dwarf_functions *f = ctx;

	dwarf_lines_rows(&f->lines, start, end, scope);
}

// Keeps the function's own ranges; false where an earlier unit has described it.
static int note_ranges(struct dwarf_functions *f, bool *ret_new, struct err *e)
{
	const struct layer *first = &f->layers.items[0];
	uint64_t end;

	for (size_t i = 0; i < f->layers.n; i++)
		if (layers_add(&f->covered, f->layers.items[i].start, f->layers.items[i].end,
			       DWARF_COVERED, e))
			return -1;
	*ret_new = !map64_get(&f->seen, first->start, &end) || end != first->end;
	if (*ret_new && map64_set(&f->seen, first->start, first->end))
		return err_nomem(e);
	return 0;
}

static int add_one(struct dwarf_functions *f, Dwarf_Die *die, struct err *e)
{
	struct uhx_scope scope = {.source = SOURCE_DWARF};
	struct place place;
	uhx_id root;
	bool is_new;

	layers_clear(&f->layers);
	if (!read_place(die, &place) || (!place.has_ranges && !place.has_low))
		return 0;
	if (add_ranges(f, die, &place, 0, e))
		return -1;
	if (!f->layers.n)
		return 0;
	if (note_ranges(f, &is_new, e))
		return -1;
	if (!is_new)
		return 0;
	scope.function = dwarf_names_function(&f->names, die, f->layers.items[0].start);
	root = uhx_builder_scope(f->builder, &scope);
	for (size_t i = 0; i < f->layers.n; i++)
		f->layers.items[i].value = root;
	if (walk_scopes(f, die, root, e))
		return -1;
	f->functions++;
	return layers_flatten(&f->layers, emit_piece, f, e);
}

int dwarf_function_add(struct dwarf_functions *f, Dwarf_Die *die, struct err *e)
{
	if (add_one(f, die, e))
		return -1;
	while (f->nested_count) {
		Dwarf_Die inner = f->nested[--f->nested_count];

		if (add_one(f, &inner, e))
			return -1;
	}
	return 0;
}
