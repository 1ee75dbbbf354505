/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * Unwind tables as the walker in the kernel reads them. A table is one array of 64-bit slots, made
 * of one file's .eh_frame by the agent's sandboxed child (agent-lite/elf/unwind_table.h):
 *
 *   slot 0 .. pages-1            one struct unwind_page for each UNWIND_PAGE_SIZE bytes of code
 *   slot pages .. pages+rows-1   struct unwind_row, ascending by pc
 *
 * A row holds from its pc to the next row's. pc counts from the table's base, an ELF virtual
 * address. A page says which rows begin in it, so that a search takes a few steps; the row that
 * holds at the page's begin is the one before its first. Where nothing is known (between functions,
 * or a rule that has no form here) a row with UNWIND_CFA_NONE says so.
 *
 * Both ends treat a table as hostile: indices are checked where they are followed.
 */
#ifndef BPF_UNWIND_H
#define BPF_UNWIND_H

#include <linux/types.h>

enum {
	UNWIND_PAGE_SHIFT = 11,
	UNWIND_PAGE_SIZE = 1 << UNWIND_PAGE_SHIFT,
};

/* How the canonical frame address (CFA: the stack pointer before the call) is found. */
enum unwind_cfa {
	UNWIND_CFA_NONE = 0,	 /* unknown: try the frame pointer */
	UNWIND_CFA_SP = 1,	 /* sp + offset */
	UNWIND_CFA_FP = 2,	 /* fp + offset */
	UNWIND_CFA_SP_DEREF = 3, /* *(sp + offset) */
	UNWIND_CFA_FP_DEREF = 4, /* *(fp + offset): realigned stacks */
	/* x86-64 PLT stub: sp + 8, and 8 more once it has pushed, i.e. (pc & 15) >= offset8 */
	UNWIND_CFA_PLT = 5,
	UNWIND_CFA_SIGNAL = 6, /* sp points at the kernel's signal frame: registers are in it */
	UNWIND_CFA_END = 7,    /* the outermost frame */
	/* *(sp + offset) + 8: OpenSSL's hand-written loops, which park their caller's sp there */
	UNWIND_CFA_SP_DEREF_8 = 8,
	UNWIND_CFA_COUNT,
};

/*
 * Where the caller's frame pointer is. The return address is at CFA - 8 on x86-64; on aarch64 it is
 * in the link register with UNWIND_SAVED_NONE, and 8 above the saved frame pointer if nothing else
 * is said.
 */
enum unwind_saved {
	UNWIND_SAVED_NONE = 0,	/* still in the register */
	UNWIND_SAVED_CFA = 1,	/* *(CFA + offset) */
	UNWIND_SAVED_FP = 2,	/* *(fp + offset): realigned stacks, large frames */
	UNWIND_SAVED_RA = 3,	/* aarch64: fp untouched, return address at CFA + offset */
	UNWIND_SAVED_LOST = 4,	/* not to be had; return address as with NONE */
	UNWIND_SAVED_SP = 5,	/* *(sp + offset): GCC's large frames on aarch64 */
	UNWIND_SAVED_RA_SP = 6, /* aarch64: fp untouched, return address at sp + offset */
	UNWIND_SAVED_CFA_16 = 7, /* aarch64: *(CFA + offset), return address 16 above: clang's */
	UNWIND_SAVED_COUNT,
};

struct unwind_row {
	__u32 pc;
	__s16 cfa_offset8;  /* in units of 8 bytes */
	__u8 rules;	    /* enum unwind_cfa | enum unwind_saved << 4 */
	__s8 saved_offset8; /* in units of 8 bytes */
};

struct unwind_page {
	__u32 first; /* index among the rows of the first whose pc lies in the page */
	__u32 end;   /* one past the last */
};

enum {
	UNWIND_TABLES_MAX = 8192,
	UNWIND_MAPPINGS_MAX = 1 << 16, /* slots, shared by all processes */
	UNWIND_PROCESSES_MAX = 8192,
};

#define UNWIND_NO_TABLE 0xffffffffu

/* One executable mapping; a process's lie side by side, ascending. */
struct unwind_mapping {
	__u64 start, end;
	__u64 bias;  /* run-time address of the table's base */
	__u32 table; /* UNWIND_NO_TABLE: by frame pointer */
	__u32 pages; /* of the table */
};

/* Where a process's mappings are, by its thread group's ID. */
struct unwind_process {
	__u64 start_ns; /* as in struct profile_record; 0: not known, whoever has the ID is it */
	__u64 exec_id;
	__u32 first_mapping;
	__u32 mapping_count;
};

_Static_assert(sizeof(struct unwind_row) == 8, "a row is one slot");
_Static_assert(sizeof(struct unwind_page) == 8, "a page is one slot");

#endif
