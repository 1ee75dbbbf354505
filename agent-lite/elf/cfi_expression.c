/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/cfi_expression.h"

enum { // DWARF 5 §7.7.1
	OP_DEREF = 0x06,
	OP_PLUS_UCONST = 0x23,
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

struct based {
	unsigned base; // register
	int64_t offset;
	bool deref;
	uint64_t addend; // after that
};

/* `breg`, perhaps a `deref`, and perhaps a `plus_uconst` behind that. */
static bool is_based(struct str expression, struct based *ret)
{
	struct byte_reader r = byte_reader(expression, false);
	uint8_t op = read_u8(&r);
	struct based b = {.base = op - OP_BREG0, .offset = read_sleb(&r)};

	if (op < OP_BREG0 || op > OP_BREG31)
		return false;
	if (!byte_reader_done(&r)) {
		b.deref = true;
		if (read_u8(&r) != OP_DEREF)
			return false;
	}
	if (!byte_reader_done(&r)) {
		if (read_u8(&r) != OP_PLUS_UCONST)
			return false;
		b.addend = read_uleb(&r);
	}
	*ret = b;
	return !r.failed && byte_reader_done(&r);
}

static enum cfi_cfa based_cfa(const struct based *b, struct cfi_registers registers)
{
	if (b->addend == 8 && b->base == registers.sp)
		return CFI_CFA_SP_DEREF_8;
	if (b->addend != 0)
		return CFI_CFA_UNKNOWN;
	if (b->base == registers.sp)
		return b->deref ? CFI_CFA_SP_DEREF : CFI_CFA_SP;
	if (b->base == registers.fp)
		return b->deref ? CFI_CFA_FP_DEREF : CFI_CFA_FP;
	return CFI_CFA_UNKNOWN;
}

void cfi_expression_cfa(struct str expression, struct cfi_registers registers, struct cfi_state *s)
{
	struct based based;

	s->cfa = CFI_CFA_UNKNOWN;
	if (is_plt_stub(expression, &s->cfa_offset)) {
		s->cfa = CFI_CFA_PLT;
	} else if (is_based(expression, &based)) {
		s->cfa = based_cfa(&based, registers);
		s->cfa_offset = based.offset;
	}
}

enum cfi_rule cfi_expression_rule(struct str expression, struct cfi_registers registers,
				  int64_t *ret_offset)
{
	struct based based;

	if (!is_based(expression, &based) || based.deref || based.base != registers.fp)
		return CFI_ELSEWHERE;
	*ret_offset = based.offset;
	return CFI_AT_FP;
}
