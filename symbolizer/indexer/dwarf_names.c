/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_names.h"

#include "base/mem.h"
#include "symbolizer/indexer/dwarf_scopes.h"

enum { NAME_TEXT_MAX = 64 * 1024, ALIASES_MAX = 256 /* symbols at one address */ };

void dwarf_names_init(struct dwarf_names *n, struct uhx_builder *b, const struct symbols *symbols)
{
	*n = (struct dwarf_names){
		.builder = b,
		.symbols = symbols,
		.by_entry = MAP64_INIT,
		.scopes = DWARF_SCOPES_INIT,
		.text = BUF_INIT(NAME_TEXT_MAX),
	};
}

void dwarf_names_deinit(struct dwarf_names *n)
{
	map64_deinit(&n->by_entry);
	dwarf_scopes_deinit(&n->scopes);
	buf_deinit(&n->text);
}

struct naming {
	struct str linkage;
	struct str name;
	uint32_t line;
	struct dwarf_entry entry; // the last of the chain: the declaration
};

static void take_names(struct naming *n, const struct dwarf_unit *u, const struct dwarf_attributes *a)
{
	uint64_t line;

	if (!n->linkage.n)
		n->linkage = dwarf_text(u, a, SLOT_LINKAGE_NAME);
	if (!n->name.n)
		n->name = dwarf_text(u, a, SLOT_NAME);
	if (!n->line && dwarf_has(a, SLOT_DECL_LINE) && dwarf_unsigned(&a->value[SLOT_DECL_LINE], &line) &&
	    line <= INT32_MAX)
		n->line = (uint32_t)line;
}

// `a` is what was read of the entry, and is overwritten.
static void follow_chain(const struct dwarf_entry *d, struct dwarf_attributes *a, struct naming *ret)
{
	*ret = (struct naming){.linkage = STR_EMPTY, .name = STR_EMPTY, .entry = *d};
	for (int i = 0; i < DWARF_CHAIN_MAX; i++) {
		enum dwarf_slot on = dwarf_has(a, SLOT_SPECIFICATION) ? SLOT_SPECIFICATION
								      : SLOT_ABSTRACT_ORIGIN;
		struct dwarf_entry next;

		take_names(ret, ret->entry.unit, a);
		if (!dwarf_has(a, on) || (ret->linkage.n && ret->line) ||
		    !dwarf_reference(ret->entry.unit, &a->value[on], &next))
			return;
		ret->entry = next;
		if (!dwarf_entry_read(&next, a))
			return;
	}
}

// Is `name` the DWARF name with a clone's suffix behind it?
static bool is_clone_of(struct str name, struct str dwarf_name)
{
	return name.n > dwarf_name.n && name.p[dwarf_name.n] == '.' &&
	       str_has_prefix(name, dwarf_name);
}

static bool is_mangled(struct str name)
{
	return str_has_prefix(name, STR("_Z")) || str_has_prefix(name, STR("_R")) ||
	       str_has_prefix(name, STR("_D"));
}

// A mangled name spells the plain one, a destructor's without its tilde; several functions may have
// been folded into one address.
static bool spells(struct str mangled, struct str name)
{
	const char *angle;
	size_t n;

	if (str_has_prefix(name, STR("~")))
		name = str_skip(name, 1);
	angle = memchr(name.p, '<', name.n);
	n = angle ? (size_t)(angle - name.p) : name.n;
	return n == 0 || str_has_prefix(name, STR("operator")) || memmem(mangled.p, mangled.n, name.p, n);
}

// The symbol that says more than the debug info does, or an empty name.
static struct str better_symbol(const struct dwarf_names *n, const struct naming *naming, uint64_t entry)
{
	struct str known = naming->linkage.n ? naming->linkage : naming->name;
	const struct symbol *symbol;
	size_t count = symbols_at(n->symbols, entry, &symbol);
	struct str found = STR_EMPTY;

	for (size_t i = 0; i < MIN(count, (size_t)ALIASES_MAX); i++) {
		struct str name = symbol[i].name;

		if (str_eq(name, known))
			return STR_EMPTY;
		if (found.n)
			continue;
		if (known.n ? is_clone_of(name, known) : true)
			found = name;
		else if (!naming->linkage.n && is_mangled(name) && spells(name, naming->name))
			found = name;
	}
	return found;
}

static uhx_id add_function(struct dwarf_names *n, const struct naming *naming, struct str symbol)
{
	struct uhx_function f = {.start_line = naming->line};

	if (symbol.n) {
		f.linkage = symbol;
	} else if (naming->linkage.n) {
		f.linkage = naming->linkage;
	} else {
		f.linkage = naming->name;
		buf_clear(&n->text);
		if (dwarf_scopes_qualify(&n->scopes, &naming->entry, &n->text)) {
			buf_append_str(&n->text, f.linkage);
			f.display = n->text.failed ? STR_EMPTY : buf_str(&n->text);
		}
	}
	return uhx_builder_function(n->builder, &f);
}

uhx_id dwarf_names_function(struct dwarf_names *n, const struct dwarf_entry *d,
			    const struct dwarf_attributes *a, uint64_t start, uint32_t *ret_line)
{
	struct dwarf_attributes chain = *a;
	struct naming naming;

	follow_chain(d, &chain, &naming);
	*ret_line = naming.line;
	return add_function(n, &naming, better_symbol(n, &naming, start));
}

void dwarf_names_symbols(struct dwarf_names *n, uhx_id function, uint64_t start)
{
	const struct symbol *symbol;
	size_t count = symbols_at(n->symbols, start, &symbol);

	for (size_t i = 0; i < MIN(count, (size_t)ALIASES_MAX); i++)
		uhx_builder_alias(n->builder, function, symbol[i].name);
}

void dwarf_names_folded(struct dwarf_names *n, uhx_id function, const struct dwarf_entry *other,
			const struct dwarf_attributes *a)
{
	struct dwarf_attributes chain = *a;
	struct naming naming;

	follow_chain(other, &chain, &naming);
	uhx_builder_alias(n->builder, function, naming.linkage.n ? naming.linkage : naming.name);
}

uhx_id dwarf_names_inlined(struct dwarf_names *n, const struct dwarf_entry *origin)
{
	uint64_t key = dwarf_entry_key(origin);
	struct dwarf_attributes a;
	struct naming naming;
	uint64_t known;
	uhx_id id;

	if (map64_get(&n->by_entry, key, &known))
		return (uhx_id)known;
	if (!dwarf_entry_read(origin, &a))
		a.has = 0;
	follow_chain(origin, &a, &naming);
	id = add_function(n, &naming, STR_EMPTY);
	// Without memory for the cache the name is found the long way again.
	if (map64_set(&n->by_entry, key, id))
		return id;
	return id;
}
