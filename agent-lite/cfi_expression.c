/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/cfi_expression.h"

enum { // DWARF 5 §7.7.1
	OP_DEREF = 0x06,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
};

enum { PLT_LITERAL_AT = 6 };
static const uint8_t plt_stub[] = {0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0, 0x2a, 0x33, 0x24, 0x22};

static bool is_plt_stub(struct str expression, int64_t *ret_threshold)
{
	uint8_t bytes[sizeof(plt_stub)];
	uint8_t literal;

	if (expression.n != sizeof(plt_stub))
		return false;
	memcpy(bytes, expression.p, sizeof(bytes));
	literal = bytes[PLT_LITERAL_AT];
	bytes[PLT_LITERAL_AT] = 0;
	if (memcmp(bytes, plt_stub, sizeof(bytes)) != 0 || literal < OP_LIT0 || literal > OP_LIT31)
		return false;
	*ret_threshold = literal - OP_LIT0;
	return true;
}

/* `breg` alone, or with a `deref` behind it. */
static bool is_based(struct str expression, unsigned *ret_register, int64_t *ret_offset,
		     bool *ret_deref)
{
	struct byte_reader r = byte_reader(expression, false);
	uint8_t op = read_u8(&r);

	*ret_offset = read_sleb(&r);
	*ret_deref = !byte_reader_done(&r);
	if (*ret_deref && read_u8(&r) != OP_DEREF)
		return false;
	*ret_register = op - OP_BREG0;
	return !r.failed && byte_reader_done(&r) && op >= OP_BREG0 && op <= OP_BREG31;
}

void cfi_expression_cfa(struct str expression, struct cfi_registers registers, struct cfi_state *s)
{
	unsigned base;
	bool deref;

	s->cfa = CFI_CFA_UNKNOWN;
	if (is_plt_stub(expression, &s->cfa_offset))
		s->cfa = CFI_CFA_PLT;
	else if (!is_based(expression, &base, &s->cfa_offset, &deref))
		return;
	else if (base == registers.sp)
		s->cfa = deref ? CFI_CFA_SP_DEREF : CFI_CFA_SP;
	else if (base == registers.fp)
		s->cfa = deref ? CFI_CFA_FP_DEREF : CFI_CFA_FP;
}

enum cfi_rule cfi_expression_rule(struct str expression, struct cfi_registers registers,
				  int64_t *ret_offset)
{
	unsigned base;
	bool deref;

	if (is_based(expression, &base, ret_offset, &deref) && !deref && base == registers.fp)
		return CFI_AT_FP;
	return CFI_ELSEWHERE;
}
