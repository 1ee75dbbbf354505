/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespaces and classes around a function's entry. Entries do not point to their parents, so the
 * declarations of a unit are walked once, when a name of that unit first needs it: few do, since most
 * names that need qualifying come with a linkage name.
 *
 * Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_SCOPES_H
#define SYMBOLIZER_INDEXER_DWARF_SCOPES_H

#include "base/buf.h"
#include "base/map.h"
#include "symbolizer/indexer/dwarf_entry.h"

enum { DWARF_CHAIN_MAX = 16, DWARF_NESTING_MAX = 64, NAME_SCOPES_MAX = 1 << 24 };

/* A namespace or class that functions are declared in. */
struct name_scope {
	uint32_t parent; /* index + 1; 0: none */
	struct str name;
};

struct dwarf_scopes {
	struct map64 of_entry; /* function -> index + 1 in items */
	struct map64 units;    /* those walked */
	struct name_scope *items;
	size_t n;
	size_t cap;
};

#define DWARF_SCOPES_INIT ((struct dwarf_scopes){.of_entry = MAP64_INIT, .units = MAP64_INIT})
void dwarf_scopes_deinit(struct dwarf_scopes *s);

/* Languages whose plain names are whole names, and whose structures hold no functions. */
bool dwarf_is_flat(unsigned language);
/* Appends "ns::Class::"; false, and nothing appended, for a function that is in none. */
bool dwarf_scopes_qualify(struct dwarf_scopes *s, const struct dwarf_entry *function, struct buf *out);

#endif
