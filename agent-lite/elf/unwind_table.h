/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a file's call frame information (.eh_frame: LSB Core "Exception Frames", DWARF 5 §6.4) to
 * the compact table that the walker in the kernel reads (bpf/unwind.h).
 *
 * The file is hostile. This runs in the sandboxed child of elf_child.h, never in the privileged
 * agent. No state; thread-safe.
 */
#ifndef AGENT_UNWIND_TABLE_H
#define AGENT_UNWIND_TABLE_H

#include "base/base.h"
#include "base/err.h"
#include "bpf/unwind.h"

struct unwind_table {
	uint64_t base;	/* ELF virtual address that pc 0 stands for */
	uint32_t pages; /* slots 0 .. pages-1 */
	uint32_t rows;	/* slots pages .. pages+rows-1; 0: the file has no call frame information */
};

enum { UNWIND_SLOTS_MAX = 2 << 20 }; /* of one table: 16 MiB */

/*
 * Builds the table of an ELF file (x86-64 or aarch64, little-endian) into slots[0 .. slot_max).
 * ERR_NOT_ELF, ERR_BAD_ELF, ERR_UNSUPPORTED as elf_ident_read(); ERR_TOO_LARGE when the slots do not
 * suffice.
 */
int unwind_table_build(int fd, uint64_t *slots, size_t slot_max, struct unwind_table *ret,
		       struct err *e) MUST_CHECK;

#endif
