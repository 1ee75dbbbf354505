/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of PLT stubs: the slot that a stub jumps through (plt_stub.h) is filled by a relocation, and that
 * names a symbol. `foo@plt`, as objdump and gdb call it, without symbol version. Through the slot of an
 * IRELATIVE relocation the result of a resolver is called; it is named after that, or
 * `*ABS*+0xRESOLVER@plt` as objdump does where that has no name.
 *
 * A debug file has neither code nor relocations: names come from the executable.
 */
#ifndef SYMBOLIZER_INDEXER_PLT_SCAN_H
#define SYMBOLIZER_INDEXER_PLT_SCAN_H

#include "symbolizer/indexer/symtab_scan.h"

/* One row of rank SOURCE_PLT for each stub. ERR_BAD_ELF for damaged relocations; ERR_NOMEM. */
int plt_scan(struct elf_image *img, const struct symbols *symbols, struct uhx_builder *b,
	     struct err *e) MUST_CHECK;

#endif
