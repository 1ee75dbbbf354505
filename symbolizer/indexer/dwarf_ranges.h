/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the code of an entry lies: DW_AT_low_pc and DW_AT_high_pc, or a list in .debug_ranges (DWARF 4,
 * section 2.17.3) or .debug_rnglists (DWARF 5, section 7.25), one range after the other. What the linker
 * marked as thrown away (a base of -1 or -2) is passed over. One walk, one struct; no ownership.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_RANGES_H
#define SYMBOLIZER_INDEXER_DWARF_RANGES_H

#include "symbolizer/indexer/dwarf_entry.h"

enum { DWARF_RANGES_MAX = 1 << 16 /* entries of one list */ };

enum dwarf_ranges_kind { RANGES_NONE, RANGES_ONE, RANGES_OLD, RANGES_LIST };

struct dwarf_ranges {
	const struct dwarf_unit *unit;
	enum dwarf_ranges_kind kind;
	struct byte_reader r;
	uint64_t base;
	uint64_t start; /* of RANGES_ONE */
	uint64_t end;
	unsigned entries;
};

/* Of an entry of the unit. */
void dwarf_ranges_begin(struct dwarf_ranges *x, const struct dwarf_unit *u, const struct dwarf_attributes *a);
/* False at the end of the list, and where it is damaged. Empty ranges are passed over. */
bool dwarf_ranges_next(struct dwarf_ranges *x, uint64_t *ret_start, uint64_t *ret_end);

#endif
