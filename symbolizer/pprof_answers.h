/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known at each distinct (module, address) that was asked about, so that nothing is asked twice.
 * A hash table, since addresses come from outside seeded. On the heap; owned by one thread.
 */
#ifndef SYMBOLIZER_PPROF_ANSWERS_H
#define SYMBOLIZER_PPROF_ANSWERS_H

#include "symbolizer/frame.h"
#include "symbolizer/pprof_rename.h"

struct pprof_answer {
	uint64_t va;
	uint64_t module; /* the asker's number for it */
	struct pprof_chain chain; /* no lines: nothing is known there */
	const char *reason;       /* then, why */
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
/*
 * 1: a new one, with va and module set, to be filled; 0: it was there; -1: out of memory. *ret is good
 * until the next call.
 */
int pprof_answers_at(struct pprof_answers *a, uint64_t module, uint64_t va,
		     struct pprof_answer **ret) MUST_CHECK;

#endif
