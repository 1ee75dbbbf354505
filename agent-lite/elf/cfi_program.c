/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/cfi_program.h"

#include "agent-lite/elf/cfi_expression.h"

enum { // DWARF 5 §7.24; GNU and vendors' ones: LSB Core 5.0, 10.5.1.2, and the machine's DWARF ABI
	CFA_ADVANCE_LOC = 1, // these three in the two highest bits
	CFA_OFFSET = 2,
	CFA_RESTORE = 3,
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_MIPS_ADVANCE_LOC8 = 0x1d,
	CFA_AARCH64_NEGATE_RA_STATE_WITH_PC = 0x2c,
	CFA_AARCH64_NEGATE_RA_STATE = 0x2d, // also SPARC's window save
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
	CFA_OPERAND = 0x3f,
};

/* Modulo 2^64: what is absurd has no form in a row, and so does no harm. */
static int64_t factored(const struct cfi_program *p, int64_t n)
{
	return (int64_t)((uint64_t)n * (uint64_t)p->cie->data_factor);
}

static int64_t read_factored(struct cfi_program *p)
{
	return factored(p, (int64_t)read_uleb(&p->code));
}

static int64_t read_factored_signed(struct cfi_program *p)
{
	return factored(p, read_sleb(&p->code));
}

static struct str read_block(struct cfi_program *p)
{
	return read_bytes(&p->code, read_uleb(&p->code));
}

// ---- registers ---------------------------------------------------------------------------------

static void set_rule(struct cfi_program *p, uint64_t reg, enum cfi_rule rule, int64_t offset)
{
	struct cfi_state *s = &p->state;

	if (reg == p->registers.fp) {
		s->fp = rule;
		s->fp_offset = offset;
	} else if (reg == p->cie->ra_column) {
		s->ra = rule;
		s->ra_offset = offset;
	}
}

static void restore_rule(struct cfi_program *p, uint64_t reg)
{
	if (reg == p->registers.fp)
		set_rule(p, reg, p->initial.fp, p->initial.fp_offset);
	else
		set_rule(p, reg, p->initial.ra, p->initial.ra_offset);
}

static void set_saved_at(struct cfi_program *p, uint64_t reg, struct str expression)
{
	int64_t offset = 0;
	enum cfi_rule rule = cfi_expression_rule(expression, p->registers, &offset);

	set_rule(p, reg, rule, offset);
}

/* False: not one of these. */
static bool run_register_rule(struct cfi_program *p, uint8_t op)
{
	uint64_t reg = read_uleb(&p->code);

	switch (op) {
	case CFA_OFFSET_EXTENDED:
		set_rule(p, reg, CFI_AT_CFA, read_factored(p));
		return true;
	case CFA_OFFSET_EXTENDED_SF:
		set_rule(p, reg, CFI_AT_CFA, read_factored_signed(p));
		return true;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		set_rule(p, reg, CFI_AT_CFA, -(uint64_t)read_factored(p));
		return true;
	case CFA_RESTORE_EXTENDED:
		restore_rule(p, reg);
		return true;
	case CFA_UNDEFINED:
		set_rule(p, reg, CFI_UNDEFINED, 0);
		return true;
	case CFA_SAME_VALUE:
		set_rule(p, reg, CFI_SAME, 0);
		return true;
	case CFA_REGISTER:
	case CFA_VAL_OFFSET:
	case CFA_VAL_OFFSET_SF: // their second operands are of the same length, signed or not
		read_uleb(&p->code);
		set_rule(p, reg, CFI_ELSEWHERE, 0);
		return true;
	case CFA_EXPRESSION:
		set_saved_at(p, reg, read_block(p));
		return true;
	case CFA_VAL_EXPRESSION:
		read_block(p);
		set_rule(p, reg, CFI_ELSEWHERE, 0);
		return true;
	default:
		return false;
	}
}

// ---- the canonical frame address ---------------------------------------------------------------

static void set_cfa_register(struct cfi_program *p, uint64_t reg)
{
	p->state.is_expression = false;
	if (reg == p->registers.sp)
		p->state.cfa = CFI_CFA_SP;
	else if (reg == p->registers.fp)
		p->state.cfa = CFI_CFA_FP;
	else
		p->state.cfa = CFI_CFA_UNKNOWN;
}

static void set_cfa(struct cfi_program *p, uint64_t reg, int64_t offset)
{
	set_cfa_register(p, reg);
	p->state.cfa_offset = offset;
}

static bool set_cfa_offset(struct cfi_program *p, int64_t offset)
{
	p->state.cfa_offset = offset;
	return !p->state.is_expression;
}

/* False: not one of these, or not allowed here. */
static bool run_cfa_rule(struct cfi_program *p, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case CFA_DEF_CFA:
		reg = read_uleb(&p->code);
		set_cfa(p, reg, (int64_t)read_uleb(&p->code));
		return true;
	case CFA_DEF_CFA_SF:
		reg = read_uleb(&p->code);
		set_cfa(p, reg, read_factored_signed(p));
		return true;
	case CFA_DEF_CFA_REGISTER:
		reg = read_uleb(&p->code);
		if (p->state.is_expression)
			return false;
		set_cfa_register(p, reg);
		return true;
	case CFA_DEF_CFA_OFFSET:
		return set_cfa_offset(p, (int64_t)read_uleb(&p->code));
	case CFA_DEF_CFA_OFFSET_SF:
		return set_cfa_offset(p, read_factored_signed(p));
	case CFA_DEF_CFA_EXPRESSION:
		p->state.is_expression = true;
		cfi_expression_cfa(read_block(p), p->registers, &p->state);
		return true;
	default:
		return false;
	}
}

// ---- places, and everything --------------------------------------------------------------------

static bool move_to(struct cfi_program *p, uint64_t pc)
{
	if (pc < p->pc)
		return false;
	p->pc = pc;
	return true;
}

static bool advance(struct cfi_program *p, uint64_t units)
{
	uint64_t bytes, pc;

	return !mul_overflows(units, p->cie->code_factor, &bytes) &&
	       !add_overflows(p->pc, bytes, &pc) && move_to(p, pc);
}

static bool remember(struct cfi_program *p)
{
	if (p->depth == CFI_REMEMBERED_MAX)
		return false;
	p->remembered[p->depth++] = p->state;
	return true;
}

static bool recall(struct cfi_program *p)
{
	if (p->depth == 0)
		return false;
	p->state = p->remembered[--p->depth];
	return true;
}

static bool run_extended(struct cfi_program *p, uint8_t op)
{
	uint64_t pc;

	switch (op) {
	case CFA_NOP:
	case CFA_AARCH64_NEGATE_RA_STATE: // the walker takes signatures off whether they are there or not
	case CFA_AARCH64_NEGATE_RA_STATE_WITH_PC:
		return true;
	case CFA_SET_LOC:
		return eh_frame_address(p->frame, &p->code, p->cie, &pc) && move_to(p, pc);
	case CFA_ADVANCE_LOC1:
		return advance(p, read_u8(&p->code));
	case CFA_ADVANCE_LOC2:
		return advance(p, read_uint(&p->code, 2));
	case CFA_ADVANCE_LOC4:
		return advance(p, read_uint(&p->code, 4));
	case CFA_MIPS_ADVANCE_LOC8:
		return advance(p, read_uint(&p->code, 8));
	case CFA_REMEMBER_STATE:
		return remember(p);
	case CFA_RESTORE_STATE:
		return recall(p);
	case CFA_GNU_ARGS_SIZE:
		read_uleb(&p->code);
		return true;
	case CFA_DEF_CFA:
	case CFA_DEF_CFA_SF:
	case CFA_DEF_CFA_REGISTER:
	case CFA_DEF_CFA_OFFSET:
	case CFA_DEF_CFA_OFFSET_SF:
	case CFA_DEF_CFA_EXPRESSION:
		return run_cfa_rule(p, op);
	default:
		return run_register_rule(p, op);
	}
}

/* One instruction; false when it makes no sense. */
static bool run_one(struct cfi_program *p)
{
	uint8_t op = read_u8(&p->code);
	uint8_t operand = op & CFA_OPERAND;
	bool known = true;

	switch (op >> 6) {
	case CFA_ADVANCE_LOC:
		known = advance(p, operand);
		break;
	case CFA_OFFSET:
		set_rule(p, operand, CFI_AT_CFA, read_factored(p));
		break;
	case CFA_RESTORE:
		restore_rule(p, operand);
		break;
	default:
		known = run_extended(p, op);
	}
	return known && !p->code.failed;
}

bool cfi_program_step(struct cfi_program *p, uint64_t *ret_from)
{
	uint64_t from = p->pc;

	if (p->done)
		return false;
	while (p->pc == from && !p->done) {
		if (byte_reader_done(&p->code)) {
			p->done = true;
		} else if (!run_one(p)) {
			p->state = (struct cfi_state){.cfa = CFI_CFA_UNKNOWN, .fp = CFI_ELSEWHERE};
			p->done = true;
		}
	}
	p->done |= p->pc >= p->end;
	*ret_from = from;
	return true;
}

bool cfi_program_start(struct cfi_program *p, const struct eh_frame *f, const struct eh_cie *cie,
		       const struct eh_fde *fde, struct cfi_registers registers,
		       const struct cfi_state *initial)
{
	p->frame = f;
	p->cie = cie;
	p->registers = registers;
	p->initial = *initial;
	p->state = *initial;
	p->pc = fde->start;
	p->end = fde->end;
	p->done = false;
	p->depth = 0;
	return eh_frame_program(cie, fde, &p->code);
}

bool cfi_initial_state(const struct eh_frame *f, const struct eh_cie *cie,
		       struct cfi_registers registers, struct cfi_state *ret)
{
	struct cfi_program p UNINITIALIZED;

	p.frame = f;
	p.cie = cie;
	p.registers = registers;
	p.initial = (struct cfi_state){0};
	// glibc's rawmemchr() for aarch64 parks it in x15, a CIE's column for that: no rule reads it
	if (cie->ra_column != registers.ra)
		p.initial.ra = CFI_ELSEWHERE;
	p.state = p.initial;
	p.code = byte_reader(cie->program, f->big_endian);
	p.pc = 0;
	p.end = 0;
	p.depth = 0;
	while (!byte_reader_done(&p.code)) {
		if (!run_one(&p) || p.pc != 0)
			return false;
	}
	*ret = p.state;
	return true;
}
