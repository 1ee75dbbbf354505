/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/unwind_rows.h"

#include "base/testing.h"

#include <elf.h>

static void expect(uint16_t machine, struct cfi_state s, unsigned cfa, int cfa_offset8, unsigned saved,
		   int saved_offset8)
{
	struct unwind_row row = unwind_row_of(machine, &s);

	assert_int_equal(row.rules & 15, cfa);
	assert_int_equal(row.rules >> 4, saved);
	assert_int_equal(row.cfa_offset8, cfa_offset8);
	assert_int_equal(row.saved_offset8, saved_offset8);
}

/* As after `call` on x86-64. */
static struct cfi_state called(enum cfi_cfa cfa, int64_t offset)
{
	return (struct cfi_state){
		.cfa = cfa, .cfa_offset = offset, .ra = CFI_AT_CFA, .ra_offset = -8};
}

static struct cfi_state with_fp(struct cfi_state s, enum cfi_rule rule, int64_t offset)
{
	s.fp = rule;
	s.fp_offset = offset;
	return s;
}

static struct cfi_state with_ra(struct cfi_state s, enum cfi_rule rule, int64_t offset)
{
	s.ra = rule;
	s.ra_offset = offset;
	return s;
}

#define X86(s, ...) expect(EM_X86_64, s, __VA_ARGS__)
#define A64(s, ...) expect(EM_AARCH64, s, __VA_ARGS__)

static void x86_64_states(void **state)
{
	const struct cfi_state at_start = called(CFI_CFA_SP, 8);

	(void)state;
	X86(at_start, UNWIND_CFA_SP, 1, UNWIND_SAVED_NONE, 0);
	X86(called(CFI_CFA_FP, 16), UNWIND_CFA_FP, 2, UNWIND_SAVED_NONE, 0);
	X86(called(CFI_CFA_FP_DEREF, -8), UNWIND_CFA_FP_DEREF, -1, UNWIND_SAVED_NONE, 0);
	X86(called(CFI_CFA_SP_DEREF, 80), UNWIND_CFA_SP_DEREF, 10, UNWIND_SAVED_NONE, 0);
	X86(called(CFI_CFA_SP_DEREF_8, 152), UNWIND_CFA_SP_DEREF_8, 19, UNWIND_SAVED_NONE, 0);
	X86(called(CFI_CFA_PLT, 11), UNWIND_CFA_PLT, 11, UNWIND_SAVED_NONE, 0);
	X86(called(CFI_CFA_UNKNOWN, 8), UNWIND_CFA_NONE, 0, 0, 0);
	X86(with_fp(at_start, CFI_SAME, 0), UNWIND_CFA_SP, 1, UNWIND_SAVED_NONE, 0);
	X86(with_fp(at_start, CFI_AT_CFA, -16), UNWIND_CFA_SP, 1, UNWIND_SAVED_CFA, -2);
	X86(with_fp(at_start, CFI_AT_FP, 0), UNWIND_CFA_SP, 1, UNWIND_SAVED_FP, 0);
	X86(with_fp(at_start, CFI_ELSEWHERE, 0), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
	X86(with_fp(at_start, CFI_UNDEFINED, 0), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
}

static void x86_64_return_addresses(void **state)
{
	const struct cfi_state at_start = called(CFI_CFA_SP, 8);

	(void)state;
	X86(with_ra(at_start, CFI_UNDEFINED, 0), UNWIND_CFA_END, 0, 0, 0);
	X86(with_ra(called(CFI_CFA_UNKNOWN, 0), CFI_UNDEFINED, 0), UNWIND_CFA_END, 0, 0, 0);
	X86(with_ra(at_start, CFI_AT_CFA, -16), UNWIND_CFA_NONE, 0, 0, 0);
	X86(with_ra(at_start, CFI_ELSEWHERE, 0), UNWIND_CFA_NONE, 0, 0, 0);
	X86(with_ra(at_start, CFI_UNSPECIFIED, 0), UNWIND_CFA_NONE, 0, 0, 0);
	X86(with_ra(at_start, CFI_AT_FP, -8), UNWIND_CFA_NONE, 0, 0, 0);
	// below the stack pointer: musl's clone()
	X86(called(CFI_CFA_SP, 0), UNWIND_CFA_END, 0, 0, 0);
	X86(called(CFI_CFA_SP, -8), UNWIND_CFA_END, 0, 0, 0);
}

static void offsets_that_do_not_fit(void **state)
{
	const struct cfi_state at_start = called(CFI_CFA_SP, 8);

	(void)state;
	X86(called(CFI_CFA_SP, 12), UNWIND_CFA_NONE, 0, 0, 0);
	X86(called(CFI_CFA_SP, 8 * INT16_MAX), UNWIND_CFA_SP, INT16_MAX, 0, 0);
	X86(called(CFI_CFA_SP, 8 * INT16_MAX + 8), UNWIND_CFA_NONE, 0, 0, 0);
	X86(called(CFI_CFA_FP, 8 * INT16_MIN), UNWIND_CFA_FP, INT16_MIN, 0, 0);
	X86(called(CFI_CFA_FP, 8 * INT16_MIN - 8), UNWIND_CFA_NONE, 0, 0, 0);
	X86(called(CFI_CFA_SP, INT64_MIN), UNWIND_CFA_NONE, 0, 0, 0);
	X86(with_fp(at_start, CFI_AT_CFA, -1024), UNWIND_CFA_SP, 1, UNWIND_SAVED_CFA, -128);
	X86(with_fp(at_start, CFI_AT_CFA, -1032), UNWIND_CFA_SP, 1, UNWIND_SAVED_SP, -128);
	X86(with_fp(at_start, CFI_AT_CFA, -1040), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
	X86(with_fp(at_start, CFI_AT_CFA, INT64_MIN), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
	X86(with_fp(called(CFI_CFA_FP, 4096), CFI_AT_CFA, -4096), UNWIND_CFA_FP, 512,
	    UNWIND_SAVED_FP, 0);
	X86(with_fp(called(CFI_CFA_FP_DEREF, 4096), CFI_AT_CFA, -4096), UNWIND_CFA_FP_DEREF, 512,
	    UNWIND_SAVED_LOST, 0);
	X86(with_fp(at_start, CFI_AT_CFA, 1016), UNWIND_CFA_SP, 1, UNWIND_SAVED_CFA, 127);
	X86(with_fp(at_start, CFI_AT_CFA, 1024), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
	X86(with_fp(at_start, CFI_AT_CFA, -4), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
	X86(with_fp(at_start, CFI_AT_FP, 1024), UNWIND_CFA_SP, 1, UNWIND_SAVED_LOST, 0);
}

static void aarch64_states(void **state)
{
	const struct cfi_state leaf = {.cfa = CFI_CFA_SP, .cfa_offset = 32};
	const struct cfi_state record = with_ra(with_fp(leaf, CFI_AT_CFA, -32), CFI_AT_CFA, -24);
	struct cfi_state large = with_ra(with_fp(leaf, CFI_AT_CFA, -8000), CFI_AT_CFA, -7992);

	(void)state;
	A64(leaf, UNWIND_CFA_SP, 4, UNWIND_SAVED_NONE, 0);
	A64(with_ra(leaf, CFI_SAME, 0), UNWIND_CFA_SP, 4, UNWIND_SAVED_NONE, 0);
	A64(record, UNWIND_CFA_SP, 4, UNWIND_SAVED_CFA, -4);
	A64(with_ra(leaf, CFI_AT_CFA, -16), UNWIND_CFA_SP, 4, UNWIND_SAVED_RA, -2);
	A64(with_ra(leaf, CFI_UNDEFINED, 0), UNWIND_CFA_END, 0, 0, 0);
	A64(with_fp(leaf, CFI_AT_CFA, -32), UNWIND_CFA_SP, 4, UNWIND_SAVED_LOST, 0);
	A64(with_fp(leaf, CFI_ELSEWHERE, 0), UNWIND_CFA_SP, 4, UNWIND_SAVED_LOST, 0);
	// a frame record at the bottom of a large frame
	large.cfa_offset = 8016;
	A64(large, UNWIND_CFA_SP, 1002, UNWIND_SAVED_SP, 2);
	large.cfa = CFI_CFA_FP;
	A64(large, UNWIND_CFA_FP, 1002, UNWIND_SAVED_FP, 2);
	A64(with_ra(large, CFI_AT_CFA, -16), UNWIND_CFA_NONE, 0, 0, 0);
	A64(with_ra(large, CFI_AT_CFA, INT64_MIN), UNWIND_CFA_NONE, 0, 0, 0);
	// not a frame record
	A64(with_ra(record, CFI_AT_CFA, -16), UNWIND_CFA_SP, 4, UNWIND_SAVED_CFA_16, -4);
	A64(with_ra(record, CFI_AT_CFA, -8), UNWIND_CFA_NONE, 0, 0, 0);
	A64(with_ra(record, CFI_AT_CFA, INT64_MIN), UNWIND_CFA_NONE, 0, 0, 0);
	A64(with_ra(leaf, CFI_ELSEWHERE, 0), UNWIND_CFA_NONE, 0, 0, 0);
	A64(with_fp(record, CFI_AT_FP, -32), UNWIND_CFA_NONE, 0, 0, 0);
	A64(called(CFI_CFA_PLT, 11), UNWIND_CFA_NONE, 0, 0, 0);
	// the link register alone, in a large frame
	large = with_ra(leaf, CFI_AT_CFA, -8000);
	A64(large, UNWIND_CFA_NONE, 0, 0, 0);
	large.cfa_offset = 8016;
	A64(large, UNWIND_CFA_SP, 1002, UNWIND_SAVED_RA_SP, 2);
	large.cfa = CFI_CFA_FP;
	A64(large, UNWIND_CFA_NONE, 0, 0, 0);
	// below the stack pointer means nothing here: the address comes in a register
	A64(((struct cfi_state){.cfa = CFI_CFA_SP}), UNWIND_CFA_SP, 0, UNWIND_SAVED_NONE, 0);
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct unwind_row row(uint8_t rules, int16_t offset8)
{
	return (struct unwind_row){.rules = rules, .cfa_offset8 = offset8};
}

static void neighbours_that_say_the_same_are_one(void **state)
{
	struct unwind_row space[8];
	struct unwind_rows rows = {.row = space, .max = countof(space)};

	(void)state;
	unwind_rows_add(&rows, 0, row(UNWIND_CFA_NONE, 0)); // as before the first
	assert_int_equal(rows.n, 0);
	unwind_rows_add(&rows, 10, row(UNWIND_CFA_SP, 1));
	unwind_rows_add(&rows, 12, row(UNWIND_CFA_SP, 1));
	assert_int_equal(rows.n, 1);
	unwind_rows_add(&rows, 14, row(UNWIND_CFA_SP, 2));
	unwind_rows_add(&rows, 20, row(UNWIND_CFA_NONE, 0));
	unwind_rows_add(&rows, 20, row(UNWIND_CFA_SP, 1)); // the next function begins there
	assert_int_equal(rows.n, 3);
	assert_int_equal(space[2].pc, 20);
	assert_int_equal(space[2].cfa_offset8, 1);
	unwind_rows_add(&rows, 20, row(UNWIND_CFA_SP, 2)); // said anew, it is as before
	assert_int_equal(rows.n, 2);
	assert_int_equal(space[1].pc, 14);
	assert_false(rows.full);
}

static void a_full_table_is_known(void **state)
{
	struct unwind_row space[2];
	struct unwind_rows rows = {.row = space, .max = countof(space)};

	(void)state;
	unwind_rows_add(&rows, 1, row(UNWIND_CFA_SP, 1));
	unwind_rows_add(&rows, 2, row(UNWIND_CFA_SP, 2));
	unwind_rows_add(&rows, 3, row(UNWIND_CFA_SP, 2));
	unwind_rows_add(&rows, 2, row(UNWIND_CFA_SP, 3));
	assert_false(rows.full);
	unwind_rows_add(&rows, 4, row(UNWIND_CFA_SP, 4));
	assert_true(rows.full);
	assert_int_equal(rows.n, 2);
}

static void pages_lead_to_their_rows(void **state)
{
	struct unwind_row space[8];
	struct unwind_rows rows = {.row = space, .max = countof(space)};
	static const uint32_t pcs[] = {0, UNWIND_PAGE_SIZE - 1, UNWIND_PAGE_SIZE,
				       4 * UNWIND_PAGE_SIZE + 5, 4 * UNWIND_PAGE_SIZE + 6};
	static const uint32_t ends[] = {2, 3, 3, 3, 5};
	struct unwind_page pages[countof(ends)];
	uint32_t first = 0;

	(void)state;
	for (size_t i = 0; i < countof(pcs); i++)
		unwind_rows_add(&rows, pcs[i], row(UNWIND_CFA_SP, (int16_t)(i + 1)));
	unwind_rows_pages(&rows, pages, countof(pages));
	for (size_t i = 0; i < countof(pages); i++) {
		assert_int_equal(pages[i].first, first);
		assert_int_equal(pages[i].end, ends[i]);
		first = ends[i];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x86_64_states),
		cmocka_unit_test(x86_64_return_addresses),
		cmocka_unit_test(offsets_that_do_not_fit),
		cmocka_unit_test(aarch64_states),
		cmocka_unit_test(neighbours_that_say_the_same_are_one),
		cmocka_unit_test(a_full_table_is_known),
		cmocka_unit_test(pages_lead_to_their_rows),
	};

	return cmocka_run_group_tests_name("unwind_rows", tests, NULL, NULL);
}
