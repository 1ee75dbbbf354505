/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a Go binary keeps its function table: in a section of its own, or, where the external linker
 * merged it into another or sections are gone, at its magic number somewhere in a loaded segment.
 */
#ifndef SYMBOLIZER_INDEXER_GO_SCAN_H
#define SYMBOLIZER_INDEXER_GO_SCAN_H

#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/gopclntab.h"

/* Is there a table? Reads at most the loaded segments. */
bool go_scan_has_table(struct elf_image *img);

/* Adds what the table says; *ret is zeroed where there is none. As gopclntab_index(). */
int go_scan(struct elf_image *img, struct uhx_builder *b, struct gopclntab_counts *ret, struct err *e)
	MUST_CHECK;

#endif
