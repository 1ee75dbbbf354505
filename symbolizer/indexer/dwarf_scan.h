/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything .debug_info and .debug_line know about addresses: functions, what was
 * inlined into them, lines; DWARF 2 to 5, entries shared by dwz included. Rows are of rank SOURCE_DWARF.
 *
 *   functions      each once, though several units may describe the same range: the first wins
 *   inline chains  at each address the innermost scope whose ranges hold it; a later sibling before an
 *                  earlier one where they overlap, as llvm-symbolizer decides
 *   lines          of the function's own unit; where a unit has lines but no function (assembly, units
 *                  whose functions are in a .dwo file that is missing), the symbol at the address lends its name
 *
 * What no function and no symbol covers stays a hole, lines or not: it is padding.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_SCAN_H
#define SYMBOLIZER_INDEXER_DWARF_SCAN_H

#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/symtab_scan.h"
#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/indexer/warnings.h"

struct dwarf_scan_input {
	struct elf_image *image;
	struct elf_image *alternate;   /* what dwz shared, or NULL */
	const struct symbols *symbols; /* finished */
	struct elf_image *const *split; /* .dwp and .dwo files */
	size_t split_count;
};

struct dwarf_counts {
	uint64_t units;
	uint64_t split_units; /* functions are in a .dwo file that was not given */
	uint64_t functions;
	uint64_t inlined;
};

/*
 * A unit that cannot be read is passed over with a warning. ERR_BAD_ELF where a section cannot be had,
 * ERR_NOMEM.
 */
int dwarf_scan(const struct dwarf_scan_input *in, struct uhx_builder *b, struct warnings *w,
	       struct dwarf_counts *ret, struct err *e) MUST_CHECK;

#endif
