/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_scopes.h"

#include "base/mem.h"
#include "symbolizer/indexer/dwarf_walk.h"
#include <dwarf.h>

#define IN_ALTERNATE_FILE (UINT64_C(1) << 63)

void dwarf_scopes_init(struct dwarf_scopes *s, Dwarf *main)
{
	*s = (struct dwarf_scopes){.main = main, .of_entry = MAP64_INIT, .units = MAP64_INIT};
}

void dwarf_scopes_deinit(struct dwarf_scopes *s)
{
	map64_deinit(&s->of_entry);
	map64_deinit(&s->units);
	free(s->items);
}

uint64_t dwarf_scopes_key(const struct dwarf_scopes *s, Dwarf_Die *die)
{
	uint64_t key = dwarf_dieoffset(die);

	return dwarf_cu_getdwarf(die->cu) == s->main ? key : key | IN_ALTERNATE_FILE;
}

// Languages whose plain names are whole names.
static bool is_flat(int language)
{
	switch (language) {
	case DW_LANG_C:
	case DW_LANG_C89:
	case DW_LANG_C99:
	case DW_LANG_C11:
	case DW_LANG_Go: // "main.f"
	case DW_LANG_Mips_Assembler:
		return true;
	default:
		return false;
	}
}

static bool declares_functions(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
	case DW_TAG_enumeration_type: // Rust implements functions on them
		return true;
	default:
		return false;
	}
}

static const char *scope_name(Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);

	if (name)
		return name;
	return dwarf_tag(die) == DW_TAG_namespace ? "(anonymous namespace)" : "(anonymous)";
}

// Index + 1 of a new scope; its parent where there is no memory for it.
static uint32_t add_scope(struct dwarf_scopes *s, Dwarf_Die *die, uint32_t parent)
{
	if (mem_grow(&s->items, &s->cap, s->n + 1, sizeof(*s->items), NAME_SCOPES_MAX))
		return parent;
	s->items[s->n++] = (struct name_scope){parent, scope_name(die)};
	return (uint32_t)s->n;
}

static void note_function(struct dwarf_scopes *s, Dwarf_Die *die, uint32_t scope)
{
	if (scope && map64_set(&s->of_entry, dwarf_scopes_key(s, die), scope))
		return; // an unqualified name is the worst that comes of it
}

static void walk_unit(struct dwarf_scopes *s, Dwarf_Die *unit)
{
	Dwarf_Die at[DWARF_NESTING_MAX];
	uint32_t scope[DWARF_NESTING_MAX] = {0};
	struct dwarf_walk walk = {0};
	size_t depth = 0;

	if (!dwarf_walk_child(&walk, unit, &at[0]))
		return;
	for (;;) {
		int tag = dwarf_tag(&at[depth]);

		if (tag == DW_TAG_subprogram)
			note_function(s, &at[depth], scope[depth]);
		if (declares_functions(tag) && depth + 1 < DWARF_NESTING_MAX &&
		    dwarf_walk_child(&walk, &at[depth], &at[depth + 1])) {
			scope[depth + 1] = add_scope(s, &at[depth], scope[depth]);
			depth++;
			continue;
		}
		while (!dwarf_walk_sibling(&walk, &at[depth])) {
			if (depth == 0)
				return;
			depth--;
		}
	}
}

static void append_scope(const struct dwarf_scopes *s, uint32_t scope, struct buf *out)
{
	uint32_t chain[DWARF_NESTING_MAX];
	size_t n = 0;

	for (; scope && n < DWARF_NESTING_MAX; scope = s->items[scope - 1].parent)
		chain[n++] = scope;
	while (n-- > 0) {
		buf_puts(out, s->items[chain[n] - 1].name);
		buf_puts(out, "::");
	}
}

bool dwarf_scopes_qualify(struct dwarf_scopes *s, Dwarf_Die *function, struct buf *out)
{
	uint64_t known;
	Dwarf_Die unit;
	uint64_t key;

	if (!dwarf_cu_die(function->cu, &unit, NULL, NULL, NULL, NULL, NULL, NULL) ||
	    is_flat(dwarf_srclang(&unit)))
		return false;
	key = dwarf_scopes_key(s, &unit);
	if (!map64_get(&s->units, key, &known)) {
		walk_unit(s, &unit);
		if (map64_set(&s->units, key, 1))
			return false;
	}
	if (!map64_get(&s->of_entry, dwarf_scopes_key(s, function), &known))
		return false;
	append_scope(s, (uint32_t)known, out);
	return true;
}
