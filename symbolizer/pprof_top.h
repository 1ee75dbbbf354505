/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the weight of a profile lies, by function, as `go tool pprof -top` counts: flat is what was
 * sampled in the function itself (the innermost line of the leaf), cum also what it called; a function
 * that recurs in one stack counts once. Pure: reads the profile, writes to the arena.
 */
#ifndef SYMBOLIZER_PPROF_TOP_H
#define SYMBOLIZER_PPROF_TOP_H

#include "symbolizer/pprof.h"

struct pprof_top_row {
	double share; /* flat / total, 0…1 */
	int64_t flat;
	int64_t cum;
	struct str function; /* a stub where the profile has no name */
	struct str file;     /* empty: unknown */
	int64_t line;        /* the line with the most of it; 0: unknown */
};

struct pprof_top {
	struct pprof_top_row *rows; /* flat, then cum descending, then name: the same for the same profile */
	size_t n;
	int64_t total;
	struct pprof_value_type type; /* of flat, cum and total */
};

/*
 * Functions of the same name and file are one row. value: position among the sample types
 * (pprof_default_value()); ERR_BAD_REQUEST where there is none such. ERR_NOMEM. Borrows from p.
 */
int pprof_top(const struct pprof *p, size_t value, struct arena *arena, struct pprof_top *ret,
	      struct err *e) MUST_CHECK;

#endif
