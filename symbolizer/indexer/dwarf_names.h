/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function is called, from its debugging entries. A name may sit on the entry itself or, by way
 * of DW_AT_abstract_origin and DW_AT_specification, on one in another unit or in the file that dwz shared
 * between binaries; chains are followed DWARF_CHAIN_MAX steps.
 *
 * The linkage name is preferred, for it says everything. Where there is none (C; functions local to a
 * file; -g1) the name is qualified by the namespaces and classes around the entry; and a symbol that
 * starts where the function does, and agrees with its name, lends its own: it knows mangling and
 * suffixes such as ".constprop.0".
 *
 * Owned by one thread; results are cached by entry.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_NAMES_H
#define SYMBOLIZER_INDEXER_DWARF_NAMES_H

#include "base/buf.h"
#include "base/map.h"
#include "symbolizer/indexer/dwarf_scopes.h"
#include "symbolizer/indexer/symtab_scan.h"
#include "symbolizer/indexer/uhx_builder.h"

struct dwarf_names {
	struct uhx_builder *builder;
	const struct symbols *symbols;
	struct map64 by_entry; /* entry of an inlined function -> uhx_id */
	struct dwarf_scopes scopes;
	struct buf text;
};

void dwarf_names_init(struct dwarf_names *n, struct uhx_builder *b, const struct symbols *symbols);
void dwarf_names_deinit(struct dwarf_names *n);

/*
 * A function with code of its own, which begins at `start`; its attributes were read. 0 when out of
 * memory. *ret_line: where it was declared, 0 where that is unknown.
 */
uhx_id dwarf_names_function(struct dwarf_names *n, const struct dwarf_entry *d,
			    const struct dwarf_attributes *a, uint64_t start, uint32_t *ret_line);
/*
 * Tells the builder what else the code at `start`, which is known as `function`, is called: by symbols, and
 * by another entry that claims it, since the linker folded equal functions into one.
 */
void dwarf_names_symbols(struct dwarf_names *n, uhx_id function, uint64_t start);
void dwarf_names_folded(struct dwarf_names *n, uhx_id function, const struct dwarf_entry *other,
			const struct dwarf_attributes *a);
/* A function that was inlined; `origin` is the entry its DW_AT_abstract_origin names. */
uhx_id dwarf_names_inlined(struct dwarf_names *n, const struct dwarf_entry *origin);

#endif
