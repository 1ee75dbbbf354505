/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions without a name, of stripped files: where eh_frame.h finds that one starts, it is called
 * `fun_0xSTART` (as samply and disassemblers do), so that the frames inside it at least aggregate. Out of
 * .eh_frame and .debug_frame; where section headers are gone, by the program header PT_GNU_EH_FRAME.
 */
#ifndef SYMBOLIZER_INDEXER_EH_FRAME_SCAN_H
#define SYMBOLIZER_INDEXER_EH_FRAME_SCAN_H

#include "symbolizer/indexer/symtab_scan.h"

bool eh_frame_scan_has(const struct elf_image *img);

/*
 * One row of rank SOURCE_EH_FRAME for each function that no symbol covers. ERR_NOMEM, and ERR_BAD_ELF for a
 * damaged section; what came before the damage is in the builder.
 */
int eh_frame_scan(struct elf_image *img, const struct symbols *symbols, struct uhx_builder *b,
		  struct err *e) MUST_CHECK;

#endif
