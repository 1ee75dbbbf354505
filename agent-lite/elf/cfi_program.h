/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of call frame information (DWARF 5 §6.4.2, §6.4.3), run for the three things that a
 * walk over a stack must know at each place of the code: the canonical frame address, where the
 * frame pointer was saved, where the return address is. Rules of other registers are passed over.
 *
 * The bytes are hostile: a program takes time by its length, and no memory. No state; thread-safe.
 */
#ifndef AGENT_CFI_PROGRAM_H
#define AGENT_CFI_PROGRAM_H

#include "base/eh_frame.h"

enum { CFI_REMEMBERED_MAX = 16 }; /* of DW_CFA_remember_state; compilers nest two */

/* Numbers of the registers: the psABI's of the machine, "DWARF Register Number Mapping". */
struct cfi_registers {
	unsigned sp;
	unsigned fp;
	unsigned ra; /* which has the return address, or stands for it, where nothing is said */
};

enum cfi_cfa {
	CFI_CFA_UNKNOWN = 0, /* another register, or an expression that none of these is */
	CFI_CFA_SP,	     /* sp + offset */
	CFI_CFA_FP,	     /* fp + offset */
	CFI_CFA_SP_DEREF,    /* *(sp + offset) */
	CFI_CFA_FP_DEREF,    /* *(fp + offset) */
	CFI_CFA_SP_DEREF_8,  /* *(sp + offset) + 8 */
	CFI_CFA_PLT,	     /* x86-64: sp + 8, and 8 more where (pc & 15) >= offset */
};

enum cfi_rule {
	CFI_UNSPECIFIED = 0,
	CFI_SAME,      /* still in the register */
	CFI_UNDEFINED, /* not to be had */
	CFI_AT_CFA,    /* *(CFA + offset) */
	CFI_AT_FP,     /* *(fp + offset) */
	CFI_ELSEWHERE, /* somehow else */
};

struct cfi_state {
	int64_t cfa_offset;
	int64_t fp_offset;
	int64_t ra_offset;
	uint8_t cfa; /* enum cfi_cfa */
	bool is_expression;
	uint8_t fp; /* enum cfi_rule */
	uint8_t ra; /* enum cfi_rule */
};

struct cfi_program {
	const struct eh_frame *frame;
	const struct eh_cie *cie;
	struct cfi_registers registers;
	struct cfi_state initial; /* what DW_CFA_restore goes back to */
	struct byte_reader code;
	uint64_t pc;
	uint64_t end; /* of the FDE */
	bool done;
	struct cfi_state state;
	unsigned depth;
	struct cfi_state remembered[CFI_REMEMBERED_MAX];
};

/* The state that a CIE's own program leaves. False where that cannot be run. */
bool cfi_initial_state(const struct eh_frame *f, const struct eh_cie *cie,
		       struct cfi_registers registers, struct cfi_state *ret);
/*
 * Makes ready to run an FDE's program; `p` may be one that was run before. f and cie are borrowed.
 * False where the program cannot be found.
 */
bool cfi_program_start(struct cfi_program *p, const struct eh_frame *f, const struct eh_cie *cie,
		       const struct eh_fde *fde, struct cfi_registers registers,
		       const struct cfi_state *initial);
/*
 * Runs on to where the place changes next: p->state holds from *ret_from to p->pc. False when
 * there is no more. After an instruction that makes no sense everything is unknown.
 */
bool cfi_program_step(struct cfi_program *p, uint64_t *ret_from);

#endif
