/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of an unwind table as they are made: the state of call frame information at a place becomes
 * one row of bpf/unwind.h, or, where it has no form there, one that says so; neighbours that say
 * the same are one; pages come last. No I/O; one owner.
 */
#ifndef AGENT_UNWIND_ROWS_H
#define AGENT_UNWIND_ROWS_H

#include "agent-lite/elf/cfi_program.h"
#include "bpf/unwind.h"

struct unwind_rows {
	struct unwind_row *row; /* borrowed, room for max */
	size_t n;
	size_t max;
	bool full; /* latched: a row had no room */
};

/* The row, without its pc, for a state of this ELF machine (EM_X86_64, EM_AARCH64). */
struct unwind_row unwind_row_of(uint16_t machine, const struct cfi_state *s);
/* From pc on, this holds. In ascending order; what is said of the same pc later holds. */
void unwind_rows_add(struct unwind_rows *rows, uint32_t pc, struct unwind_row row);
/* Fills `count` pages, of which the last must hold the last row. */
void unwind_rows_pages(const struct unwind_rows *rows, struct unwind_page *pages, size_t count);

#endif
