/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of an ELF file names its functions, and may leave the host: headers, notes, symbol tables,
 * debug sections, Go's function table. Nothing that is loaded otherwise: not .text, .rodata, .data, nor
 * any section that is not known here. The answer is a plan, which symbols_copy.h carries out: the
 * copy has all at its place and zeros between, loaded sections without their content are NOBITS, and
 * PT_LOAD segments have nothing in the file, as `objcopy --only-keep-debug` leaves them.
 *
 * The file is hostile: for the sandboxed child of elf_child.h. No state; thread-safe.
 */
#ifndef AGENT_ELF_SYMBOLS_H
#define AGENT_ELF_SYMBOLS_H

#include "agent-lite/elf/elf_headers.h"

enum { SYMBOLS_RANGES_MAX = 128 };

struct symbols_plan {
	uint64_t size;	   /* of the copy */
	uint64_t sections; /* where the section headers are */
	uint64_t range_count;
	struct symbols_range {
		uint64_t start, end;
	} ranges[SYMBOLS_RANGES_MAX];	     /* what is kept: sorted, apart, below size */
	uint64_t nobits[ELF_SHDRS_MAX / 64]; /* bits: sections to be marked so */
};

/*
 * Errors of elf_headers_read(); ERR_UNSUPPORTED: nothing in it names functions, or there are too
 * many sections; ERR_BAD_ELF: sections lie outside the file, or what is kept overlaps what is not.
 */
int elf_symbols_plan(int fd, struct symbols_plan *ret, struct err *e) MUST_CHECK;
/* Does a plan that somebody else made fit itself and a file of that size? */
bool symbols_plan_is_sane(const struct symbols_plan *p, uint64_t file_size);

#endif
