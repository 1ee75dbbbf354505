/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function symbols out of .symtab and .dynsym (gABI "Symbol Table"): FUNC, GNU IFUNC, and NOTYPE with a
 * size (hand-written assembly), in executable sections, each with an explicit end. Of several names at
 * one address one is shown: global before weak before local, then the fewest leading underscores, then
 * the longest range, then by text, so that the choice is stable.
 *
 * A symbol without size reaches to the next symbol of its section, at most SYMBOL_GUESS_MAX bytes; out of
 * .dynsym, whose neighbours are mostly missing, it names its first byte alone.
 *
 * On ppc64's first ABI a function's symbol is its descriptor in .opd, which leads to the code.
 *
 * Names are borrowed from the images, which must outlive the table. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_SYMTAB_SCAN_H
#define SYMBOLIZER_INDEXER_SYMTAB_SCAN_H

#include "symbolizer/frame.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/uhx_builder.h"

enum {
	SYMBOL_GUESS_MAX = 4096,
	SYMBOLS_MAX = 1 << 25,
	SYMBOL_ALIASES_MAX = 32, /* told of one function */
	SYMBOL_NAME_MAX = 64 * 1024, /* longer ones are cut: many may end in the same long text */
};

struct symbol {
	uint64_t start;
	uint64_t end;
	struct str name; /* without @VERSION */
	uint8_t binding; /* STB_* */
	bool guessed;    /* the end is: the symbol has no size */
	enum frame_source source;
};

/* A piece of address space and the symbol that names it; sorted, without overlap. */
struct symbol_span {
	uint64_t start;
	uint64_t end;
	uint32_t symbol;
};

struct symbols {
	struct symbol *items; /* by start; the one to show first among equals */
	size_t n;
	size_t cap;
	struct symbol_span *spans;
	size_t span_count;
	size_t span_cap;
};

#define SYMBOLS_INIT ((struct symbols){0})

/* Without "@VERSION" or "@@VERSION". */
struct str symbol_display_name(const char *name);

void symbols_deinit(struct symbols *s);
/* Collects from one image; a damaged table is ERR_BAD_ELF, a core file ERR_UNSUPPORTED. ERR_NOMEM. */
int symbols_read(struct symbols *s, struct elf_image *img, struct err *e) MUST_CHECK;
/* After the last image: sorts, chooses, cuts into spans. ERR_NOMEM. */
int symbols_finish(struct symbols *s, struct err *e) MUST_CHECK;

/* All symbols that start at `address`: their number, and the first in *ret. */
size_t symbols_at(const struct symbols *s, uint64_t address, const struct symbol **ret);
/* The first span that ends behind `address`; its index, span_count where none is. */
size_t symbols_span_from(const struct symbols *s, uint64_t address);
/* One row for each span, of rank SOURCE_SYMTAB or SOURCE_DYNSYM; its function's other names as aliases. */
void symbols_add_rows(const struct symbols *s, struct uhx_builder *b);

#endif
