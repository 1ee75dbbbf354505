/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The symbols that the dynamic linker uses, of files whose section headers are gone: found by the program header
 * PT_DYNAMIC. Their number is nowhere said; it follows from the hash table. Formats: gABI "Dynamic Section"
 * and "Hash Table"; DT_GNU_HASH as in glibc's elf/dl-lookup.c.
 *
 * Borrows from the image.
 */
#ifndef SYMBOLIZER_INDEXER_DYNAMIC_SYMBOLS_H
#define SYMBOLIZER_INDEXER_DYNAMIC_SYMBOLS_H

#include "symbolizer/indexer/elf_image.h"

struct dynamic_symbols {
	struct str table;
	struct str strings;
	bool wide; /* 64 bits */
	bool big_endian;
	size_t at; /* the next one */
	size_t count;
};

/* False where there are none. */
bool dynamic_symbols_open(struct dynamic_symbols *d, const struct elf_image *img);
/* False at the end. *ret_name is NUL-terminated, empty where it has none. */
bool dynamic_symbols_next(struct dynamic_symbols *d, GElf_Sym *ret, const char **ret_name);

#endif
