/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's .gopclntab: the function, file and line table the Go linker puts into every Go binary,
 * stripped or not, with the inline trees behind it. Read from bytes, without libelf, so that it
 * can be fuzzed alone. Layout: src/runtime/symtab.go and src/cmd/link/internal/ld/pcln.go of the
 * Go release named by each magic number.
 */
#ifndef SYMBOLIZER_INDEXER_GOPCLNTAB_H
#define SYMBOLIZER_INDEXER_GOPCLNTAB_H

#include "base/err.h"
#include "base/str.h"
#include "symbolizer/indexer/uhx_builder.h"

/* One loaded piece of the binary, so that pointers into data can be followed. */
struct gopclntab_segment {
	uint64_t vaddr;
	struct str bytes;
};

struct gopclntab_input {
	struct str table;      /* from the magic to the end of the section or segment */
	uint64_t table_vaddr;
	uint64_t text_vaddr;   /* .text section start; 0 unknown */
	uint64_t text_end;     /* end of the executable segment it lies in; 0 unknown */
	uint64_t gofunc_vaddr; /* go:func.* symbol; 0: find it in moduledata or behind the table */
	const struct gopclntab_segment *segments; /* all PT_LOAD contents, words as found */
	size_t segment_count;
};

/* Is there a table at the start of these bytes? (magic, zero bytes, quantum, pointer size) */
bool gopclntab_probe(struct str bytes);

struct gopclntab_counts {
	uint64_t functions;
	uint64_t inlined;
	bool has_inlines; /* the inline trees were found and read */
};

/* Adds functions, inline chains and rows of rank SOURCE_GOPCLNTAB. ERR_BAD_ELF, ERR_UNSUPPORTED. */
int gopclntab_index(const struct gopclntab_input *in, struct uhx_builder *b,
		    struct gopclntab_counts *ret, struct err *e) MUST_CHECK;

#endif
