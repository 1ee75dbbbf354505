/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function of a unit: its ranges, the tree of what was inlined into it, and the rows that come of
 * laying both over the unit's lines. State that is reused from function to function lives in
 * struct dwarf_functions; owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_FUNCTION_H
#define SYMBOLIZER_INDEXER_DWARF_FUNCTION_H

#include "symbolizer/indexer/dwarf_lines.h"
#include "symbolizer/indexer/dwarf_names.h"
#include "symbolizer/indexer/dwarf_ranges.h"
#include "symbolizer/indexer/layers.h"

enum {
	DWARF_DEPTH_MAX = 512,        /* nesting of scopes within a function */
	DWARF_NESTED_MAX = 1 << 16,   /* functions inside one function */
	DWARF_OWNERS_MAX = 1 << 28,
	DWARF_NESTED_LEVELS_MAX = 16, /* inside one another: each level is walked once more */
};

/* What lies at an address of a unit. */
enum dwarf_cover { DWARF_UNCOVERED, DWARF_COVERED /* by a function */ };

/* A function inside the one at hand (GNU C, Ada). */
struct dwarf_nested {
	struct dwarf_entry entry;
	unsigned level;
};

/* The function that was met first at some address. */
struct dwarf_owner {
	uint64_t end;
	uhx_id function;
};

struct dwarf_functions {
	const struct elf_image *image;
	struct uhx_builder *builder;
	struct dwarf_lines lines; /* of the unit at hand */
	struct dwarf_names names;
	struct layers layers;  /* of the function at hand */
	struct layers covered; /* of the unit at hand: enum dwarf_cover */
	struct map64 seen; /* first address of a function -> index in owners */
	struct dwarf_owner *owners;
	size_t owner_count;
	size_t owner_cap;
	struct dwarf_nested *nested; /* met so far and not handled */
	size_t nested_count;
	size_t nested_cap;
	unsigned level; /* of the function at hand; 0: in no other */
	uint64_t functions;
	uint64_t inlined;
	bool too_deep;
};

void dwarf_functions_init(struct dwarf_functions *f, struct dwarf_file *file, struct uhx_builder *b,
			  const struct symbols *symbols);
void dwarf_functions_deinit(struct dwarf_functions *f);

/*
 * Adds the function that the walk is at if it has code in this file and was not met before, and takes the
 * walk past it. Functions nested in it are handled with it. ERR_NOMEM.
 */
int dwarf_function_add(struct dwarf_functions *f, struct dwarf_walk *walk, struct err *e) MUST_CHECK;

#endif
