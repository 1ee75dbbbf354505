/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Abbreviation tables (DWARF 5, section 7.5.3), each compiled once into steps: what to skip, what to read
 * and where to put it. An entry of no interest costs one addition where all its forms have a fixed size.
 *
 * A table belongs to its offset in .debug_abbrev and to the sizes a unit has; units share it. How many
 * bytes may be read for all tables is bounded, for tables may overlap. Owned by one thread; tables live
 * as long as the set.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_ABBREV_H
#define SYMBOLIZER_INDEXER_DWARF_ABBREV_H

#include "base/byte_reader.h"
#include "base/err.h"
#include "base/map.h"

enum { ABBREV_ATTRIBUTES_MAX = 1024, ABBREVS_MAX = 1 << 20 };

/* The attributes that somebody asks for; a place in struct dwarf_attributes. */
enum dwarf_slot {
	SLOT_NONE,
	SLOT_SIBLING,
	SLOT_NAME,
	SLOT_LINKAGE_NAME,
	SLOT_DECL_LINE,
	SLOT_ABSTRACT_ORIGIN,
	SLOT_SPECIFICATION,
	SLOT_SIGNATURE,
	SLOT_LOW_PC,
	SLOT_HIGH_PC,
	SLOT_RANGES,
	SLOT_ENTRY_PC,
	SLOT_CALL_FILE,
	SLOT_CALL_LINE,
	SLOT_CALL_COLUMN,
	SLOT_STMT_LIST,
	SLOT_COMP_DIR,
	SLOT_LANGUAGE,
	SLOT_STR_OFFSETS_BASE,
	SLOT_ADDR_BASE,
	SLOT_RNGLISTS_BASE,
	SLOT_RANGES_BASE,
	SLOT_DWO_NAME,
	SLOT_DWO_ID,
	SLOT_COUNT
};

/* How a value is laid out. Below OP_VARIABLE: as many bytes as the number says. */
enum dwarf_op {
	OP_FIXED_MAX = 16,
	OP_VARIABLE,
	OP_LEB,
	OP_STRING,
	OP_BLOCK_LEB,
	OP_BLOCK_1,
	OP_BLOCK_2,
	OP_BLOCK_4,
	OP_INDIRECT,
	OP_CONSTANT, /* in the abbreviation */
};

struct dwarf_step {
	uint16_t skip; /* bytes before the value */
	uint16_t form;
	uint8_t op;
	uint8_t slot;
	uint32_t constant; /* of OP_CONSTANT: index */
};

enum { ABBREV_NO_SIBLING = UINT16_MAX, ABBREV_NOT_FIXED = UINT16_MAX };

struct abbrev {
	uint32_t code;
	uint32_t slots; /* 1 << slot of those present */
	uint32_t first; /* step */
	uint16_t steps;
	uint16_t tag;   /* 0: one that is too large for this reader */
	uint16_t fixed; /* bytes of all attributes, or ABBREV_NOT_FIXED */
	uint16_t sibling; /* where DW_AT_sibling is, in four bytes, or ABBREV_NO_SIBLING */
	bool children;
};

/* What the size of a form depends on. */
struct dwarf_sizes {
	uint8_t address;
	uint8_t offset;
	uint8_t version;
};

struct abbrev_table {
	struct abbrev *items; /* by code */
	size_t n;
	size_t cap;
	struct dwarf_step *steps;
	size_t step_count;
	size_t step_cap;
	int64_t *constants;
	size_t constant_count;
	size_t constant_cap;
	bool dense; /* item i has code i + 1 */
};

struct abbrev_set {
	struct str section;
	struct map64 by_offset; /* -> index in tables */
	struct abbrev_table **tables;
	size_t n;
	size_t cap;
	uint64_t bytes_left; /* that may yet be read */
};

void abbrev_set_init(struct abbrev_set *s, struct str section);
void abbrev_set_deinit(struct abbrev_set *s);

/*
 * ERR_BAD_ELF for a damaged table, ERR_UNSUPPORTED for an unknown form, ERR_TOO_LARGE when tables
 * overlap beyond reason, ERR_NOMEM.
 */
int abbrev_set_get(struct abbrev_set *s, uint64_t offset, struct dwarf_sizes sizes,
		   const struct abbrev_table **ret, struct err *e) MUST_CHECK;

const struct abbrev *abbrev_table_search(const struct abbrev_table *t, uint64_t code);

/* NULL: no such code. */
static inline const struct abbrev *abbrev_table_find(const struct abbrev_table *t, uint64_t code)
{
	if (t->dense)
		return code - 1 < t->n ? &t->items[code - 1] : NULL;
	return abbrev_table_search(t, code);
}

/* Namespaces and classes: tags of entries that qualify the names of functions below them. */
bool dwarf_declares_functions(unsigned tag);
/* The op of a form, or -1 for one that nobody has defined. */
int dwarf_form_op(uint64_t form, struct dwarf_sizes sizes);

#endif
