/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_function.h"

#include "base/mem.h"
#include <dwarf.h>

/* A scope that nothing can be inlined into: there is nothing but functions to be looked for. */
#define FUNCTIONS_ONLY UINT32_MAX

void dwarf_functions_init(struct dwarf_functions *f, struct dwarf_file *file, struct uhx_builder *b,
			  const struct symbols *symbols)
{
	*f = (struct dwarf_functions){
		.image = file->image,
		.builder = b,
		.layers = LAYERS_INIT,
		.covered = LAYERS_INIT,
		.seen = MAP64_INIT,
	};
	dwarf_lines_init(&f->lines, file, b);
	dwarf_names_init(&f->names, b, symbols);
}

void dwarf_functions_deinit(struct dwarf_functions *f)
{
	dwarf_lines_deinit(&f->lines);
	dwarf_names_deinit(&f->names);
	layers_deinit(&f->layers);
	layers_deinit(&f->covered);
	map64_deinit(&f->seen);
	free(f->owners);
	free(f->nested);
}

static bool is_code(const struct dwarf_functions *f, uint64_t start, uint64_t end)
{
	return start < end && end <= elf_image_code_end(f->image, start);
}

// One layer for each range of the entry that is code of this file.
static int add_ranges(struct dwarf_functions *f, const struct dwarf_unit *u, const struct dwarf_attributes *a,
		      uint32_t scope, struct err *e)
{
	struct dwarf_ranges ranges;
	uint64_t start;
	uint64_t end;

	dwarf_ranges_begin(&ranges, u, a);
	while (dwarf_ranges_next(&ranges, &start, &end))
		if (is_code(f, start, end) && layers_add(&f->layers, start, end, scope, e))
			return -1;
	return 0;
}

// 0 where there is none, and where it is beyond what an index can say.
static uint32_t small_number(const struct dwarf_attributes *a, enum dwarf_slot slot)
{
	uint64_t value;

	return dwarf_has(a, slot) && dwarf_unsigned(&a->value[slot], &value) && value <= INT32_MAX
		       ? (uint32_t)value
		       : 0;
}

static uhx_id inlined_scope(struct dwarf_functions *f, struct dwarf_unit *u, const struct dwarf_attributes *a,
			    uhx_id parent)
{
	struct uhx_scope scope = {
		.parent = parent,
		.call_file = dwarf_lines_file(&f->lines, small_number(a, SLOT_CALL_FILE)),
		.call_line = small_number(a, SLOT_CALL_LINE),
		.call_column = small_number(a, SLOT_CALL_COLUMN),
		.source = SOURCE_DWARF,
	};
	struct dwarf_entry origin;

	if (!dwarf_has(a, SLOT_ABSTRACT_ORIGIN) ||
	    !dwarf_reference(u, &a->value[SLOT_ABSTRACT_ORIGIN], &origin))
		return parent;
	scope.function = dwarf_names_inlined(&f->names, &origin);
	f->inlined++;
	return uhx_builder_scope(f->builder, &scope);
}

static int keep_nested(struct dwarf_functions *f, const struct dwarf_entry *d, struct err *e)
{
	if (f->level == DWARF_NESTED_LEVELS_MAX) {
		f->too_deep = true;
		return 0;
	}
	if (mem_grow(&f->nested, &f->nested_cap, f->nested_count + 1, sizeof(*f->nested),
		     DWARF_NESTED_MAX))
		return err_nomem(e);
	f->nested[f->nested_count++] = (struct dwarf_nested){*d, f->level + 1};
	return 0;
}

static int add_inlined(struct dwarf_functions *f, const struct dwarf_entry *d, uhx_id parent,
		       uhx_id *ret_scope, struct err *e)
{
	struct dwarf_attributes a;

	if (!dwarf_entry_read(d, &a))
		return 0;
	*ret_scope = inlined_scope(f, d->unit, &a, parent);
	return add_ranges(f, d->unit, &a, *ret_scope, e);
}

// Local classes have members, and these may have code; where that is not so, only their own local classes
// count. In C there are none of these.
static uhx_id below_declaration(const struct dwarf_entry *d)
{
	return dwarf_is_flat(d->unit->language) ? 0 : FUNCTIONS_ONLY;
}

// What a child of a function means for the walk: *ret_scope is the scope of its own children, 0 where
// there is nothing to see below it.
static int visit(struct dwarf_functions *f, const struct dwarf_entry *d, uhx_id parent, uhx_id *ret_scope,
		 struct err *e)
{
	*ret_scope = 0;
	switch (d->abbrev->tag) {
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_with_stmt:
		*ret_scope = parent;
		return 0;
	case DW_TAG_inlined_subroutine:
		return parent == FUNCTIONS_ONLY ? 0 : add_inlined(f, d, parent, ret_scope, e);
	case DW_TAG_subprogram:
		if (dwarf_has_code(d))
			return keep_nested(f, d, e);
		*ret_scope = below_declaration(d);
		return 0;
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		*ret_scope = below_declaration(d);
		return 0;
	default:
		return 0;
	}
}

// What is below the function that the walk is at; parents are painted before their children. Nothing is
// looked at where root is 0.
static int walk_scopes(struct dwarf_functions *f, struct dwarf_walk *w, uhx_id root, struct err *e)
{
	uhx_id scope[DWARF_DEPTH_MAX + 1]; // by depth below the function
	unsigned outside = w->depth;
	unsigned floor = w->floor;

	if (!root) {
		dwarf_walk_pass(w);
		return 0;
	}
	if (!dwarf_walk_enter(w))
		return 0;
	w->floor = outside + 1;
	scope[1] = root;
	while (dwarf_walk_next(w)) {
		unsigned depth = w->depth - outside;
		uhx_id below;

		if (visit(f, &w->entry, scope[depth], &below, e))
			return -1;
		if (below && w->entry.abbrev->children && depth == DWARF_DEPTH_MAX) {
			f->too_deep = true;
			below = 0;
		}
		if (!below) {
			dwarf_walk_pass(w);
			continue;
		}
		if (dwarf_walk_enter(w))
			scope[depth + 1] = below;
	}
	w->floor = floor;
	return 0;
}

static void emit_piece(void *ctx, uint64_t start, uint64_t end, uint32_t scope)
{
	struct dwarf_functions *f = ctx;

	dwarf_lines_rows(&f->lines, start, end, scope);
}

// Keeps the function's own ranges.
static int cover(struct dwarf_functions *f, struct err *e)
{
	for (size_t i = 0; i < f->layers.n; i++)
		if (layers_add(&f->covered, f->layers.items[i].start, f->layers.items[i].end,
			       DWARF_COVERED, e))
			return -1;
	return 0;
}

// The function that has the same first range; 0: this one is new there.
static uhx_id owner_of(const struct dwarf_functions *f)
{
	const struct layer *first = &f->layers.items[0];
	uint64_t index;

	return map64_get(&f->seen, first->start, &index) && f->owners[index].end == first->end
		       ? f->owners[index].function
		       : 0;
}

static int own(struct dwarf_functions *f, uhx_id function, struct err *e)
{
	const struct layer *first = &f->layers.items[0];

	if (mem_grow(&f->owners, &f->owner_cap, f->owner_count + 1, sizeof(*f->owners), DWARF_OWNERS_MAX) ||
	    map64_set(&f->seen, first->start, f->owner_count))
		return err_nomem(e);
	f->owners[f->owner_count++] = (struct dwarf_owner){first->end, function};
	return 0;
}

// Is it worth a walk? Then *ret_root is its scope.
static int begin_function(struct dwarf_functions *f, const struct dwarf_entry *d, uhx_id *ret_root,
			  struct err *e)
{
	struct uhx_scope scope = {.source = SOURCE_DWARF};
	struct dwarf_attributes a;
	uint64_t start;
	uint32_t line;
	uhx_id owner;

	*ret_root = 0;
	layers_clear(&f->layers);
	if (!dwarf_has_code(d) || !dwarf_entry_read(d, &a))
		return 0;
	if (add_ranges(f, d->unit, &a, 0, e))
		return -1;
	if (!f->layers.n)
		return 0;
	if (cover(f, e))
		return -1;
	owner = owner_of(f);
	if (owner) {
		dwarf_names_folded(&f->names, owner, d, &a);
		return 0;
	}
	start = f->layers.items[0].start;
	scope.function = dwarf_names_function(&f->names, d, &a, start, &line);
	dwarf_names_symbols(&f->names, scope.function, start);
	dwarf_lines_choose(&f->lines, start, line);
	*ret_root = uhx_builder_scope(f->builder, &scope);
	for (size_t i = 0; i < f->layers.n; i++)
		f->layers.items[i].value = *ret_root;
	return own(f, scope.function, e);
}

static int add_one(struct dwarf_functions *f, struct dwarf_walk *w, struct err *e)
{
	uhx_id root;

	if (begin_function(f, &w->entry, &root, e))
		return -1;
	if (!root) // thrown away by the linker, or described before; members of its local classes need not be
		return walk_scopes(f, w, below_declaration(&w->entry), e);
	if (walk_scopes(f, w, root, e))
		return -1;
	f->functions++;
	return layers_flatten(&f->layers, emit_piece, f, e);
}

int dwarf_function_add(struct dwarf_functions *f, struct dwarf_walk *walk, struct err *e)
{
	f->level = 0;
	if (add_one(f, walk, e))
		return -1;
	while (f->nested_count) {
		const struct dwarf_nested *last = &f->nested[--f->nested_count];
		struct dwarf_walk inner = {.entry = last->entry, .depth = 1, .floor = 1};

		f->level = last->level;
		if (add_one(f, &inner, e))
			return -1;
	}
	return 0;
}
