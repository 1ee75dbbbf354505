/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of unwind tables as libdw's reader of call frame information has them, for comparison.
 * Header-only; what includes it is linked with libdw and libelf.
 */
#ifndef TESTS_UNIT_CFI_ORACLE_H
#define TESTS_UNIT_CFI_ORACLE_H

#include "base/base.h"
#include "bpf/unwind.h"
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdlib.h>
#include <unistd.h>

struct cfi_oracle {
	Elf *elf;
	Dwarf_CFI *cfi;
	bool is_aarch64;
};

UNUSED static void cfi_oracle_close(struct cfi_oracle *o)
{
	if (o->cfi)
		dwarf_cfi_end(o->cfi);
	elf_end(o->elf);
}

/* False where libdw finds no call frame information in the file. */
UNUSED static bool cfi_oracle_open(struct cfi_oracle *o, int fd)
{
	GElf_Ehdr eh;

	elf_version(EV_CURRENT);
	*o = (struct cfi_oracle){.elf = elf_begin(fd, ELF_C_READ_MMAP, NULL)};
	if (o->elf && gelf_getehdr(o->elf, &eh)) {
		o->is_aarch64 = eh.e_machine == EM_AARCH64;
		o->cfi = dwarf_getcfi_elf(o->elf);
	}
	if (o->cfi)
		return true;
	cfi_oracle_close(o);
	return false;
}

/* *ret_register + *ret_offset, as libdw writes the operations of that. */
static bool oracle_based(const Dwarf_Op *op, uint64_t *ret_register, int64_t *ret_offset)
{
	if (op->atom == DW_OP_bregx) {
		*ret_register = op->number;
		*ret_offset = (int64_t)op->number2;
		return true;
	}
	*ret_register = op->atom - (unsigned)DW_OP_breg0;
	*ret_offset = (int64_t)op->number;
	return op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31;
}

static bool oracle_is_plt(const Dwarf_Op *ops, size_t n, uint8_t *ret_threshold)
{
	static const uint8_t atoms[] = {DW_OP_breg7, DW_OP_breg16, DW_OP_lit15, DW_OP_and, 0,
					DW_OP_ge,    DW_OP_lit3,   DW_OP_shl,	DW_OP_plus};

	if (n != sizeof(atoms) || ops[0].number != 8 || ops[1].number != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (atoms[i] && ops[i].atom != atoms[i])
			return false;
	}
	*ret_threshold = (uint8_t)(ops[4].atom - DW_OP_lit0);
	return ops[4].atom >= DW_OP_lit0 && ops[4].atom <= DW_OP_lit31;
}

static bool oracle_scales(int64_t offset, int64_t min, int64_t max)
{
	return offset % 8 == 0 && offset >= min * 8 && offset <= max * 8;
}

/* UNWIND_CFA_NONE where it has no form. */
static unsigned oracle_cfa(const struct cfi_oracle *o, Dwarf_Frame *frame, int16_t *ret_offset8)
{
	uint64_t sp = o->is_aarch64 ? 31 : 7;
	uint64_t fp = o->is_aarch64 ? 29 : 6;
	bool deref, plus_8;
	uint64_t reg;
	int64_t offset;
	uint8_t threshold;
	Dwarf_Op *ops;
	size_t n;

	if (dwarf_frame_cfa(frame, &ops, &n) != 0 || n == 0)
		return UNWIND_CFA_NONE;
	if (oracle_is_plt(ops, n, &threshold)) {
		*ret_offset8 = threshold;
		return UNWIND_CFA_PLT;
	}
	deref = n >= 2 && ops[1].atom == DW_OP_deref;
	plus_8 = n == 3 && deref && ops[2].atom == DW_OP_plus_uconst && ops[2].number == 8;
	if ((n != 1 && !(n == 2 && deref) && !plus_8) || !oracle_based(&ops[0], &reg, &offset) ||
	    !oracle_scales(offset, INT16_MIN, INT16_MAX))
		return UNWIND_CFA_NONE;
	*ret_offset8 = (int16_t)(offset / 8);
	if (plus_8)
		return reg == sp ? UNWIND_CFA_SP_DEREF_8 : UNWIND_CFA_NONE;
	if (reg == sp)
		return deref ? UNWIND_CFA_SP_DEREF : UNWIND_CFA_SP;
	if (reg == fp)
		return deref ? UNWIND_CFA_FP_DEREF : UNWIND_CFA_FP;
	return UNWIND_CFA_NONE;
}

enum oracle_place {
	ORACLE_SAME,
	ORACLE_UNDEFINED,
	ORACLE_AT_CFA,
	ORACLE_AT_FP,
	ORACLE_ELSEWHERE,
};

static enum oracle_place oracle_place_of(const struct cfi_oracle *o, Dwarf_Frame *frame, int column,
					 int64_t *ret_offset)
{
	Dwarf_Op memory[3];
	Dwarf_Op *ops;
	uint64_t reg;
	size_t n;

	*ret_offset = 0;
	if (dwarf_frame_register(frame, column, memory, &ops, &n) != 0)
		return ORACLE_ELSEWHERE;
	if (n == 0)
		return ops ? ORACLE_UNDEFINED : ORACLE_SAME;
	if (n <= 2 && ops[0].atom == DW_OP_call_frame_cfa &&
	    (n == 1 || ops[1].atom == DW_OP_plus_uconst)) {
		*ret_offset = n == 1 ? 0 : (int64_t)ops[1].number;
		return ORACLE_AT_CFA;
	}
	// the expression of a saved place starts with the CFA on the stack
	if (n == 2 && ops[0].atom == DW_OP_call_frame_cfa && oracle_based(&ops[1], &reg, ret_offset) &&
	    reg == (o->is_aarch64 ? 29 : 6))
		return ORACLE_AT_FP;
	return ORACLE_ELSEWHERE;
}

static unsigned oracle_saved_fp(enum oracle_place place, int64_t offset, unsigned cfa, int64_t cfa_offset,
				int64_t *ret_offset)
{
	*ret_offset = offset;
	if (place == ORACLE_SAME)
		return UNWIND_SAVED_NONE;
	if (place != ORACLE_AT_CFA && place != ORACLE_AT_FP)
		return UNWIND_SAVED_LOST;
	if (oracle_scales(offset, INT8_MIN, INT8_MAX))
		return place == ORACLE_AT_CFA ? UNWIND_SAVED_CFA : UNWIND_SAVED_FP;
	*ret_offset = offset + cfa_offset;
	if (place == ORACLE_AT_FP || !oracle_scales(*ret_offset, INT8_MIN, INT8_MAX))
		return UNWIND_SAVED_LOST;
	return cfa == UNWIND_CFA_SP ? UNWIND_SAVED_SP : cfa == UNWIND_CFA_FP ? UNWIND_SAVED_FP
									     : UNWIND_SAVED_LOST;
}

/* The frame pointer is in its register, the link register is not. */
static unsigned oracle_saved_ra(int64_t ra_offset, unsigned cfa, int64_t cfa_offset,
				int64_t *ret_offset)
{
	*ret_offset = ra_offset;
	if (oracle_scales(ra_offset, INT8_MIN, INT8_MAX))
		return UNWIND_SAVED_RA;
	*ret_offset = cfa_offset + ra_offset;
	if (cfa == UNWIND_CFA_SP && oracle_scales(*ret_offset, INT8_MIN, INT8_MAX))
		return UNWIND_SAVED_RA_SP;
	return UNWIND_SAVED_LOST;
}

/* Both registers are in memory; saved: what that of the frame pointer alone makes. */
static unsigned oracle_saved_both(int64_t apart, unsigned saved)
{
	if (apart == 8)
		return saved;
	return apart == 16 && saved == UNWIND_SAVED_CFA ? UNWIND_SAVED_CFA_16 : UNWIND_SAVED_LOST;
}

static struct unwind_row oracle_row_of(const struct cfi_oracle *o, Dwarf_Frame *frame, int ra_column)
{
	struct unwind_row row = {.rules = UNWIND_CFA_NONE};
	int64_t fp_offset, ra_offset, offset;
	enum oracle_place fp = oracle_place_of(o, frame, o->is_aarch64 ? 29 : 6, &fp_offset);
	enum oracle_place ra = oracle_place_of(o, frame, ra_column, &ra_offset);
	unsigned cfa = oracle_cfa(o, frame, &row.cfa_offset8);
	unsigned saved = oracle_saved_fp(fp, fp_offset, cfa, row.cfa_offset8 * 8, &offset);

	if (o->is_aarch64 && ra_column != 30 && (ra == ORACLE_UNDEFINED || ra == ORACLE_SAME))
		return (struct unwind_row){.rules = UNWIND_CFA_NONE};
	if (ra == ORACLE_UNDEFINED)
		return (struct unwind_row){.rules = UNWIND_CFA_END};
	if (!o->is_aarch64 && (ra != ORACLE_AT_CFA || ra_offset != -8))
		cfa = UNWIND_CFA_NONE;
	if (!o->is_aarch64 && cfa == UNWIND_CFA_SP && row.cfa_offset8 <= 0)
		return (struct unwind_row){.rules = UNWIND_CFA_END};
	if (o->is_aarch64 && ra == ORACLE_AT_CFA) {
		if (saved == UNWIND_SAVED_NONE)
			saved = oracle_saved_ra(ra_offset, cfa, row.cfa_offset8 * 8, &offset);
		else
			saved = fp == ORACLE_AT_CFA ? oracle_saved_both(ra_offset - fp_offset, saved)
						    : UNWIND_SAVED_LOST;
		if (saved == UNWIND_SAVED_LOST)
			cfa = UNWIND_CFA_NONE;
	} else if (o->is_aarch64 && ra == ORACLE_SAME) {
		saved = saved == UNWIND_SAVED_NONE ? saved : UNWIND_SAVED_LOST;
	} else if (o->is_aarch64) {
		cfa = UNWIND_CFA_NONE;
	}
	if (cfa == UNWIND_CFA_NONE)
		return (struct unwind_row){.rules = UNWIND_CFA_NONE};
	row.rules = (uint8_t)(cfa | saved << 4);
	if (saved != UNWIND_SAVED_NONE && saved != UNWIND_SAVED_LOST)
		row.saved_offset8 = (int8_t)(offset / 8);
	return row;
}

/* What holds at an ELF virtual address, and from where to where. False: libdw knows nothing of it. */
UNUSED static bool cfi_oracle_row(const struct cfi_oracle *o, uint64_t address, struct unwind_row *ret,
				  uint64_t *ret_start, uint64_t *ret_end)
{
	Dwarf_Frame *frame = NULL;
	bool is_signal;
	int ra_column;

	if (dwarf_cfi_addrframe(o->cfi, address, &frame) != 0)
		return false;
	ra_column = dwarf_frame_info(frame, ret_start, ret_end, &is_signal);
	*ret = oracle_row_of(o, frame, ra_column);
	if (is_signal)
		*ret = (struct unwind_row){.rules = UNWIND_CFA_SIGNAL};
	free(frame);
	return true;
}

#endif
