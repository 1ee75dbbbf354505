/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/unwind_rows.h"

#include <elf.h>

enum { UNIT = 8 }; // bytes that offsets in rows count

static const struct unwind_row nothing_known = {.rules = UNWIND_CFA_NONE};

static bool has_form(int64_t offset, int64_t min, int64_t max)
{
	return offset % UNIT == 0 && offset / UNIT >= min && offset / UNIT <= max;
}

// ---- the canonical frame address ---------------------------------------------------------------

static enum unwind_cfa cfa_of(const struct cfi_state *s, int16_t *ret_offset8)
{
	static const uint8_t forms[] = {
		[CFI_CFA_UNKNOWN] = UNWIND_CFA_NONE,
		[CFI_CFA_SP] = UNWIND_CFA_SP,
		[CFI_CFA_FP] = UNWIND_CFA_FP,
		[CFI_CFA_SP_DEREF] = UNWIND_CFA_SP_DEREF,
		[CFI_CFA_FP_DEREF] = UNWIND_CFA_FP_DEREF,
		[CFI_CFA_SP_DEREF_8] = UNWIND_CFA_SP_DEREF_8,
		[CFI_CFA_PLT] = UNWIND_CFA_PLT,
	};

	if (s->cfa == CFI_CFA_PLT) { // of at most five bits, and no address
		*ret_offset8 = (int16_t)s->cfa_offset;
		return UNWIND_CFA_PLT;
	}
	if (!has_form(s->cfa_offset, INT16_MIN, INT16_MAX))
		return UNWIND_CFA_NONE;
	*ret_offset8 = (int16_t)(s->cfa_offset / UNIT);
	return (enum unwind_cfa)forms[s->cfa];
}

// ---- what was saved ----------------------------------------------------------------------------

struct saved {
	enum unwind_saved rule;
	int64_t offset;
};

static const struct saved lost = {UNWIND_SAVED_LOST, 0};
static const struct saved in_register = {UNWIND_SAVED_NONE, 0};

static bool fits(int64_t offset)
{
	return has_form(offset, INT8_MIN, INT8_MAX);
}

/*
 * What is too far from the CFA may be near to what that counts from: on aarch64 GCC saves the frame
 * record at the bottom of the frame.
 */
static struct saved saved_at_cfa(const struct cfi_state *s)
{
	int64_t from_base;

	if (fits(s->fp_offset))
		return (struct saved){UNWIND_SAVED_CFA, s->fp_offset};
	if (add_overflows(s->cfa_offset, s->fp_offset, &from_base) || !fits(from_base))
		return lost;
	if (s->cfa == CFI_CFA_SP)
		return (struct saved){UNWIND_SAVED_SP, from_base};
	if (s->cfa == CFI_CFA_FP)
		return (struct saved){UNWIND_SAVED_FP, from_base};
	return lost;
}

static struct saved saved_fp(const struct cfi_state *s)
{
	switch (s->fp) {
	case CFI_UNSPECIFIED:
	case CFI_SAME:
		return in_register;
	case CFI_AT_CFA:
		return saved_at_cfa(s);
	case CFI_AT_FP:
		return fits(s->fp_offset) ? (struct saved){UNWIND_SAVED_FP, s->fp_offset} : lost;
	default:
		return lost;
	}
}

static struct unwind_row make_row(enum unwind_cfa cfa, int16_t cfa_offset8, struct saved saved)
{
	return (struct unwind_row){
		.cfa_offset8 = cfa_offset8,
		.rules = (uint8_t)(cfa | saved.rule << 4),
		.saved_offset8 = (int8_t)(saved.offset / UNIT),
	};
}

static struct unwind_row x86_64_row(const struct cfi_state *s)
{
	int16_t offset8 = 0;
	enum unwind_cfa cfa = cfa_of(s, &offset8);

	if (cfa == UNWIND_CFA_NONE || s->ra != CFI_AT_CFA || s->ra_offset != -UNIT)
		return nothing_known;
	// The return address would lie below the stack pointer. musl's clone() says that where a
	// thread begins: after the last pop of its stack (src/thread/x86_64/clone.s).
	if (cfa == UNWIND_CFA_SP && offset8 <= 0)
		return (struct unwind_row){.rules = UNWIND_CFA_END};
	return make_row(cfa, offset8, saved_fp(s));
}

/* The link register's place where the frame pointer was left alone. */
static struct saved aarch64_ra_alone(const struct cfi_state *s)
{
	int64_t from_sp;

	if (fits(s->ra_offset))
		return (struct saved){UNWIND_SAVED_RA, s->ra_offset};
	if (s->cfa != CFI_CFA_SP || add_overflows(s->cfa_offset, s->ra_offset, &from_sp) ||
	    !fits(from_sp))
		return lost;
	return (struct saved){UNWIND_SAVED_RA_SP, from_sp};
}

/*
 * The place of both, lost if that has no form. Where clang makes no frame records it may leave 8
 * bytes between them.
 */
static struct saved aarch64_both(const struct cfi_state *s, struct saved fp)
{
	uint64_t apart = (uint64_t)s->ra_offset - (uint64_t)s->fp_offset;

	if (s->fp != CFI_AT_CFA)
		return lost;
	if (apart == UNIT)
		return fp;
	if (apart == 2 * UNIT && fp.rule == UNWIND_SAVED_CFA)
		return (struct saved){UNWIND_SAVED_CFA_16, fp.offset};
	return lost;
}

/* The frame record has both registers; functions without one may have saved the link register. */
static struct unwind_row aarch64_row(const struct cfi_state *s)
{
	int16_t offset8 = 0;
	enum unwind_cfa cfa = cfa_of(s, &offset8);
	struct saved saved = saved_fp(s);

	if (cfa == UNWIND_CFA_NONE || cfa == UNWIND_CFA_PLT)
		return nothing_known;
	if (s->ra == CFI_UNSPECIFIED || s->ra == CFI_SAME)
		return make_row(cfa, offset8,
				saved.rule == UNWIND_SAVED_NONE ? in_register : lost);
	if (s->ra != CFI_AT_CFA)
		return nothing_known;
	saved = saved.rule == UNWIND_SAVED_NONE ? aarch64_ra_alone(s) : aarch64_both(s, saved);
	return saved.rule == UNWIND_SAVED_LOST ? nothing_known : make_row(cfa, offset8, saved);
}

struct unwind_row unwind_row_of(uint16_t machine, const struct cfi_state *s)
{
	if (s->ra == CFI_UNDEFINED)
		return (struct unwind_row){.rules = UNWIND_CFA_END};
	return machine == EM_AARCH64 ? aarch64_row(s) : x86_64_row(s);
}

// ---- the table ---------------------------------------------------------------------------------

static bool says_the_same(struct unwind_row a, struct unwind_row b)
{
	return a.cfa_offset8 == b.cfa_offset8 && a.rules == b.rules &&
	       a.saved_offset8 == b.saved_offset8;
}

void unwind_rows_add(struct unwind_rows *rows, uint32_t pc, struct unwind_row row)
{
	size_t n = rows->n;

	if (n > 0 && rows->row[n - 1].pc == pc)
		n--;
	rows->n = n;
	if (says_the_same(n > 0 ? rows->row[n - 1] : nothing_known, row))
		return;
	if (n == rows->max) {
		rows->full = true;
		return;
	}
	row.pc = pc;
	rows->row[n] = row;
	rows->n = n + 1;
}

void unwind_rows_pages(const struct unwind_rows *rows, struct unwind_page *pages, size_t count)
{
	size_t row = 0;

	for (size_t page = 0; page < count; page++) {
		size_t first = row;

		while (row < rows->n && rows->row[row].pc >> UNWIND_PAGE_SHIFT == page)
			row++;
		pages[page] = (struct unwind_page){.first = (uint32_t)first, .end = (uint32_t)row};
	}
}
