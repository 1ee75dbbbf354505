/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debugging information entries: their attributes, what these mean, and a walk over a unit that meets each
 * entry at most once, in the order of the file, whatever DW_AT_sibling says: it is believed only where it
 * leads forward. No recursion, no state beyond the structs. An entry borrows from its unit.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_ENTRY_H
#define SYMBOLIZER_INDEXER_DWARF_ENTRY_H

#include "symbolizer/indexer/dwarf_file.h"

enum { DWARF_IN_PLACE_MAX = 1 << 20 /* bytes of a string inside an entry, with its NUL */ };

struct dwarf_entry {
	struct dwarf_unit *unit;
	const struct abbrev *abbrev;
	const uint8_t *at;         /* its abbreviation code */
	const uint8_t *attributes; /* behind the code */
};

static inline uint64_t dwarf_entry_key(const struct dwarf_entry *d)
{
	return dwarf_key(d->unit, d->at);
}

static inline bool dwarf_may_have(const struct dwarf_entry *d, enum dwarf_slot slot)
{
	return d->abbrev->slots & 1U << slot;
}

static inline bool dwarf_has_code(const struct dwarf_entry *d)
{
	return dwarf_may_have(d, SLOT_LOW_PC) || dwarf_may_have(d, SLOT_RANGES);
}

/* The entry at a place of a unit that was read. False: there is none. */
bool dwarf_entry_at(struct dwarf_unit *u, const uint8_t *at, struct dwarf_entry *ret);
/* Reads the attributes that have slots; where the entry ends, or NULL where it is cut. */
const uint8_t *dwarf_entry_read(const struct dwarf_entry *d, struct dwarf_attributes *ret);

/* What a value means in the unit it was read from. Strings are empty, the rest false, where it is damaged. */
struct str dwarf_string(const struct dwarf_unit *u, const struct dwarf_value *v);
bool dwarf_address(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *ret);
bool dwarf_unsigned(const struct dwarf_value *v, uint64_t *ret);
/* Item `index` of a table of numbers that starts at `base` of a section. */
bool dwarf_table_item(const struct dwarf_unit *u, struct str section, uint64_t base, uint64_t index,
		      unsigned size, uint64_t *ret);
/* Into another unit or the alternate file, too. */
bool dwarf_reference(struct dwarf_unit *u, const struct dwarf_value *v, struct dwarf_entry *ret);
/* The string, or an empty one where the entry has no such attribute. */
struct str dwarf_text(const struct dwarf_unit *u, const struct dwarf_attributes *a, enum dwarf_slot slot);

struct dwarf_walk {
	struct dwarf_entry entry;
	const uint8_t *next;
	unsigned depth; /* of the entry; that of the unit's children is 1 */
	unsigned floor; /* the walk ends where this depth does */
};

/* The children of a unit that was read. */
void dwarf_walk_begin(struct dwarf_walk *w, struct dwarf_unit *u);
/*
 * The next entry, after exactly one of the two below for the one before. False where the level at `floor`
 * is at its end; one level lower the walk may go on.
 */
bool dwarf_walk_next(struct dwarf_walk *w);
/* On to the children; false: there are none, and it is done with. */
bool dwarf_walk_enter(struct dwarf_walk *w);
/* Past the entry and all that is below it. */
void dwarf_walk_pass(struct dwarf_walk *w);

#endif
