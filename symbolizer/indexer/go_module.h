/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands beside .gopclntab and is needed to use it: where the text starts, and where
 * go:func.* lies, which holds the inline trees. Both are words of runtime.firstmoduledata
 * (runtime/symtab.go), which is found by its pointers into the table. Where there is none to be
 * read (its words are zero until a position-independent program is relocated; a debug file has no
 * data), the table itself helps since Go 1.26, for go:func.* then follows its function records.
 * Pure functions.
 */
#ifndef SYMBOLIZER_INDEXER_GO_MODULE_H
#define SYMBOLIZER_INDEXER_GO_MODULE_H

#include "symbolizer/indexer/go_table.h"
#include "symbolizer/indexer/gopclntab.h"

struct go_module {
	uint64_t text;
	bool has_trees;
	uint64_t trees; /* address of go:func.*; before 1.18 trees are named by address: 0 */
};

/* ERR_BAD_ELF where no start of the text fits. */
int go_module_find(const struct gopclntab_input *in, const struct go_table *t,
		   struct go_module *ret, struct err *e) MUST_CHECK;

/* One record of an inline tree (runtime/symtabinl.go: inlinedCall). */
struct go_inlined {
	uint32_t name;
	uint32_t start_line; /* 0: unknown */
	uint64_t parent_pc;  /* offset in the function: where the call is */
};

/* Record `index` of f's tree; false where there is none or it cannot be right. */
bool go_module_inlined(const struct gopclntab_input *in, const struct go_table *t,
		       const struct go_module *m, const struct go_function *f, int32_t index,
		       struct go_inlined *ret);

#endif
