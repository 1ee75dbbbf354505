/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's list of its own functions, as a host that runs it sends it (docs/FORMATS.md, "Symbol
 * lists of kernels"): link-time addresses and names, sorted, nothing else. Text from outside: every
 * line is checked, and size, number and length are bounded. No state; names borrow the text.
 */
#ifndef SYMBOLIZER_INDEXER_KALLSYMS_LIST_H
#define SYMBOLIZER_INDEXER_KALLSYMS_LIST_H

#include "base/build_id.h"
#include "base/err.h"
#include "symbolizer/indexer/symtab_scan.h"

enum {
	KALLSYMS_BYTES_MAX = 32 << 20,
	KALLSYMS_LINES_MAX = 2000000,
	KALLSYMS_NAME_MAX = 512,	 /* KSYM_NAME_LEN */
	KALLSYMS_FUNCTION_MAX = 1 << 20, /* bytes; what the last one before a gap names at most */
	KALLSYMS_MACHINE_MAX = 16,	 /* with NUL */
};

struct kallsyms_head {
	struct build_id id;
	char machine[KALLSYMS_MACHINE_MAX];
};

/* Does the file start as one? */
bool kallsyms_list_is(int fd);
/* The first line; *text is left behind it. ERR_UNSUPPORTED: another version, or no such line. */
int kallsyms_list_head(struct str *text, struct kallsyms_head *ret, struct err *e) MUST_CHECK;
/*
 * All lines behind the first: adds one symbol for each, with its end. symbols_finish() is the
 * caller's. ERR_UNSUPPORTED with the number of the line that is no such line, ERR_TOO_LARGE,
 * ERR_NOMEM.
 */
int kallsyms_list_read(struct str text, struct symbols *ret, struct err *e) MUST_CHECK;

#endif
