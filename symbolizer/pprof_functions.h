/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of a profile that is being rewritten: frames become lines, and a function is one entry
 * however often it is met: equal are those with equal name, system_name, filename and start_line. At the
 * end, functions that no line refers to any more are dropped.
 *
 * Text is copied into the profile's arena once per distinct string, so frames may be borrowed from
 * anywhere. Owned by one thread.
 */
#ifndef SYMBOLIZER_PPROF_FUNCTIONS_H
#define SYMBOLIZER_PPROF_FUNCTIONS_H

#include "symbolizer/frame.h"
#include "symbolizer/pprof.h"
#include "symbolizer/str_set.h"

enum { PPROF_FUNCTIONS_RECENT = 1024 };

struct pprof_function_key;

struct pprof_functions {
	struct arena *arena;
	struct pprof_function *items; /* positions are what lines refer to */
	size_t n;
	size_t cap;
	struct str_set texts;
	struct pprof_function_key *keys; /* beside items */
	size_t key_cap;
	uint32_t *slots; /* a hash table over the keys: position + 1; 0: free */
	size_t slot_count;
	/* Position + 1, by where the text of what was put lay: most functions are put again and again. */
	uint32_t recent[PPROF_FUNCTIONS_RECENT];
};

/* Starts from the functions that p has. All of these return -1 when out of memory (or arena). */
int pprof_functions_init(struct pprof_functions *fs, const struct pprof *p) MUST_CHECK;
void pprof_functions_deinit(struct pprof_functions *fs);
/* The position of an equal function, added if new. Text is copied. */
int pprof_functions_put(struct pprof_functions *fs, const struct pprof_function *f, uint32_t *ret)
	MUST_CHECK;
/* One line per frame, innermost first, in the arena; the column of the leaf only. */
int pprof_functions_lines(struct pprof_functions *fs, const struct frames *f,
			  struct pprof_line **ret) MUST_CHECK;
/* Gives p the functions that its lines refer to, and renumbers the lines. No line may be shared. */
int pprof_functions_finish(struct pprof_functions *fs, struct pprof *p) MUST_CHECK;

#endif
