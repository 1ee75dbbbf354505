/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame that arrived with a name, and the frames we would give it: which are better? Pure functions.
 */
#ifndef SYMBOLIZER_PPROF_RENAME_H
#define SYMBOLIZER_PPROF_RENAME_H

#include "symbolizer/pprof.h"

/* The lines of one location; positions refer to `functions`. */
struct pprof_chain {
	const struct pprof_line *lines; /* innermost first */
	size_t n;
};

/*
 * Ours are better when they contain the physical function that theirs name (so it is the same binary), add
 * inlined frames, lines or files, and lose none of these.
 */
bool pprof_is_better(const struct pprof_function *functions, struct pprof_chain theirs,
		     struct pprof_chain ours);

/* One function under two spellings: mangled or not, with parameters or without. */
bool pprof_is_same_function(const struct pprof_function *a, const struct pprof_function *b);

#endif
