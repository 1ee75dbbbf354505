/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known at each distinct (module, address) that was asked about, so that nothing is asked twice.
 * A hash table, since addresses come from outside seeded. On the heap; owned by one thread.
 */
#ifndef SYMBOLIZER_PPROF_ANSWERS_H
#define SYMBOLIZER_PPROF_ANSWERS_H

#include "symbolizer/frame.h"
#include "symbolizer/pprof.h"

struct pprof_answer {
	uint64_t va;
	uint32_t module; /* the asker's number for it */
	struct pprof_line *lines; /* innermost first; none: nothing is known there */
	size_t line_count;
	const char *reason;       /* then, why */
	uint64_t place;           /* no name, but where the function starts; 0: unknown */
	enum frame_source source;
	bool taken; /* the asker's: the lines have gone to a location */
};

struct pprof_answers {
	struct pprof_answer *items; /* in the order of first sight */
	size_t n;
	size_t cap;
	uint32_t *slots; /* number + 1; 0: free */
	size_t slot_count;
};

#define PPROF_ANSWERS_INIT ((struct pprof_answers){NULL, 0, 0, NULL, 0})

void pprof_answers_deinit(struct pprof_answers *a);
/* The number of the answer for (module, va), still to be filled where it is new. -1: out of memory. */
int pprof_answers_put(struct pprof_answers *a, uint32_t module, uint64_t va, uint32_t *ret) MUST_CHECK;
/*
 * The numbers of all answers by module and address, to be released with free(): who looks them up in this
 * order goes through an index once, and finds neighbours' names still warm. NULL: out of memory.
 */
uint32_t *pprof_answers_in_order(const struct pprof_answers *a) MUST_CHECK;

#endif
