/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_scopes.h"

#include "base/mem.h"
#include <dwarf.h>

void dwarf_scopes_deinit(struct dwarf_scopes *s)
{
	map64_deinit(&s->of_entry);
	map64_deinit(&s->units);
	free(s->items);
}

bool dwarf_is_flat(unsigned language)
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

// A definition outside of the class that declares it has its name there.
static struct str scope_name(const struct dwarf_entry *d)
{
	struct dwarf_entry at = *d;
	struct dwarf_attributes a;

	for (int i = 0; i < DWARF_CHAIN_MAX && dwarf_entry_read(&at, &a); i++) {
		enum dwarf_slot on = dwarf_has(&a, SLOT_ABSTRACT_ORIGIN) ? SLOT_ABSTRACT_ORIGIN
									 : SLOT_SPECIFICATION;
		struct dwarf_unit *unit = at.unit;

		if (dwarf_has(&a, SLOT_NAME))
			return dwarf_text(unit, &a, SLOT_NAME);
		if (!dwarf_has(&a, on) || !dwarf_reference(unit, &a.value[on], &at))
			break;
	}
	return d->abbrev->tag == DW_TAG_namespace ? STR("(anonymous namespace)") : STR("(anonymous)");
}

// Index + 1 of a new scope; its parent where there is no memory for it.
static uint32_t add_scope(struct dwarf_scopes *s, const struct dwarf_entry *d, uint32_t parent)
{
	if (mem_grow(&s->items, &s->cap, s->n + 1, sizeof(*s->items), NAME_SCOPES_MAX))
		return parent;
	s->items[s->n++] = (struct name_scope){parent, scope_name(d)};
	return (uint32_t)s->n;
}

static void note_function(struct dwarf_scopes *s, const struct dwarf_entry *d, uint32_t scope)
{
	if (scope && map64_set(&s->of_entry, dwarf_entry_key(d), scope))
		return; // an unqualified name is the worst that comes of it
}

static void walk_unit(struct dwarf_scopes *s, struct dwarf_unit *unit)
{
	uint32_t scope[DWARF_NESTING_MAX + 1] = {0};
	struct dwarf_walk walk;

	dwarf_walk_begin(&walk, unit);
	while (dwarf_walk_next(&walk)) {
		unsigned depth = walk.depth;
		unsigned tag = walk.entry.abbrev->tag;

		if (tag == DW_TAG_subprogram)
			note_function(s, &walk.entry, scope[depth]);
		if (!dwarf_declares_functions(tag) || !walk.entry.abbrev->children ||
		    depth == DWARF_NESTING_MAX) {
			dwarf_walk_pass(&walk);
			continue;
		}
		scope[depth + 1] = add_scope(s, &walk.entry, scope[depth]);
		dwarf_walk_enter(&walk);
	}
}

static void append_scope(const struct dwarf_scopes *s, uint32_t scope, struct buf *out)
{
	uint32_t chain[DWARF_NESTING_MAX];
	size_t n = 0;

	for (; scope && n < DWARF_NESTING_MAX; scope = s->items[scope - 1].parent)
		chain[n++] = scope;
	while (n-- > 0) {
		buf_append_str(out, s->items[chain[n] - 1].name);
		buf_puts(out, "::");
	}
}

bool dwarf_scopes_qualify(struct dwarf_scopes *s, const struct dwarf_entry *function, struct buf *out)
{
	struct dwarf_unit *unit = function->unit;
	uint64_t known;
	uint64_t key;

	if (dwarf_is_flat(unit->language))
		return false;
	key = dwarf_key(unit, unit->entries);
	if (!map64_get(&s->units, key, &known)) {
		walk_unit(s, unit);
		if (map64_set(&s->units, key, 1))
			return false;
	}
	if (!map64_get(&s->of_entry, dwarf_entry_key(function), &known))
		return false;
	append_scope(s, (uint32_t)known, out);
	return true;
}
