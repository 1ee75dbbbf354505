/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_names.h"

#include "base/mem.h"
#include "symbolizer/indexer/dwarf_scopes.h"
#include <dwarf.h>

enum { NAME_TEXT_MAX = 64 * 1024 };

void dwarf_names_init(struct dwarf_names *n, struct uhx_builder *b, const struct symbols *symbols,
		      Dwarf *main)
{
	*n = (struct dwarf_names){
		.builder = b,
		.symbols = symbols,
		.by_entry = MAP64_INIT,
		.text = BUF_INIT(NAME_TEXT_MAX),
	};
	dwarf_scopes_init(&n->scopes, main);
}

void dwarf_names_deinit(struct dwarf_names *n)
{
	map64_deinit(&n->by_entry);
	dwarf_scopes_deinit(&n->scopes);
	buf_deinit(&n->text);
}

struct naming {
	const char *linkage;
	const char *name;
	uint32_t line;
	Dwarf_Die entry; // the last of the chain: the declaration
};

// One pass over the attributes of an entry; a look-up for each would be one pass for each.
struct pass {
	struct naming *naming;
	Dwarf_Attribute next; // where the chain goes on
	bool goes_on;
};

static int take(Dwarf_Attribute *attr, void *arg)
{
	struct pass *p = arg;
	Dwarf_Word line;

	switch (dwarf_whatattr(attr)) {
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		if (!p->naming->linkage)
			p->naming->linkage = dwarf_formstring(attr);
		break;
	case DW_AT_name:
		if (!p->naming->name)
			p->naming->name = dwarf_formstring(attr);
		break;
	case DW_AT_decl_line:
		if (!p->naming->line && dwarf_formudata(attr, &line) == 0 && line <= INT32_MAX)
			p->naming->line = (uint32_t)line;
		break;
	case DW_AT_abstract_origin:
	case DW_AT_specification:
		p->next = *attr;
		p->goes_on = true;
		break;
	default:
		break;
	}
	return DWARF_CB_OK;
}

static void follow_chain(Dwarf_Die *die, struct naming *ret)
{
	*ret = (struct naming){.entry = *die};
	for (int i = 0; i < DWARF_CHAIN_MAX; i++) {
		struct pass p = {.naming = ret};

		dwarf_getattrs(&ret->entry, take, &p, 0);
		if (!p.goes_on || (ret->linkage && ret->line) ||
		    !dwarf_formref_die(&p.next, &ret->entry))
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
static bool spells(struct str mangled, const char *name)
{
	size_t n;

	name += *name == '~';
	n = strcspn(name, "<");
	return n == 0 || strncmp(name, "operator", 8) == 0 || memmem(mangled.p, mangled.n, name, n);
}

// The symbol that says more than the debug info does, or an empty name.
static struct str better_symbol(const struct dwarf_names *n, const struct naming *naming, uint64_t entry)
{
	struct str known = str_from(naming->linkage ? naming->linkage : naming->name);
	const struct symbol *symbol;
	size_t count = symbols_at(n->symbols, entry, &symbol);
	struct str found = STR_EMPTY;

	for (size_t i = 0; i < count; i++) {
		struct str name = symbol[i].name;

		if (str_eq(name, known))
			return STR_EMPTY;
		if (found.n)
			continue;
		if (known.n ? is_clone_of(name, known) : true)
			found = name;
		else if (!naming->linkage && is_mangled(name) && spells(name, naming->name))
			found = name;
	}
	return found;
}

static uhx_id add_function(struct dwarf_names *n, const struct naming *naming, struct str symbol)
{
	struct uhx_function f = {.start_line = naming->line};
	Dwarf_Die entry = naming->entry;

	if (symbol.n) {
		f.linkage = symbol;
	} else if (naming->linkage) {
		f.linkage = str_from(naming->linkage);
	} else {
		f.linkage = str_from(naming->name);
		buf_clear(&n->text);
		if (dwarf_scopes_qualify(&n->scopes, &entry, &n->text)) {
			buf_append_str(&n->text, f.linkage);
			f.display = n->text.failed ? STR_EMPTY : buf_str(&n->text);
		}
	}
	return uhx_builder_function(n->builder, &f);
}

uhx_id dwarf_names_function(struct dwarf_names *n, Dwarf_Die *die, uint64_t entry)
{
	struct naming naming;

	follow_chain(die, &naming);
	return add_function(n, &naming, better_symbol(n, &naming, entry));
}

uhx_id dwarf_names_inlined(struct dwarf_names *n, Dwarf_Die *origin)
{
	uint64_t key = dwarf_scopes_key(&n->scopes, origin);
	struct naming naming;
	uint64_t known;
	uhx_id id;

	if (map64_get(&n->by_entry, key, &known))
		return (uhx_id)known;
	follow_chain(origin, &naming);
	id = add_function(n, &naming, STR_EMPTY);
	// Without memory for the cache the name is found the long way again.
	if (map64_set(&n->by_entry, key, id))
		return id;
	return id;
}
