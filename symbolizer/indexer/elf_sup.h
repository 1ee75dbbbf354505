/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .debug_sup (DWARF 5, section 7.3.6): what .gnu_debugaltlink was before. A file that shares entries with
 * others has one with the name of the file that holds them; that file has one, too, with the same ID.
 */
#ifndef SYMBOLIZER_INDEXER_ELF_SUP_H
#define SYMBOLIZER_INDEXER_ELF_SUP_H

#include "symbolizer/indexer/elf_image.h"

struct elf_sup {
	bool is_supplementary; /* the file that others refer to; it has no name for itself */
	struct str path;
	struct build_id id;
};

/* False where absent or damaged. */
bool elf_sup_read(struct elf_image *img, struct elf_sup *ret);

#endif
