/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of call frame information, instruction by instruction. */
#include "agent-lite/elf/cfi_program.h"

#include "base/testing.h"
#include "tests/unit/cfi_file.h"

static const struct cfi_registers x86_64 = {.sp = 7, .fp = 6, .ra = 16};

enum { START = 0x1000, SIZE = 0x100 };

static struct cfi_program program;
static struct eh_frame frame = {.vaddr = 0x5000, .address_size = 8};
static struct eh_cie cie;

/* With the factors 1 and -8, the return address in column 16, and CFA = sp + 8, RA at CFA - 8. */
static void begin(const uint8_t *code, size_t n)
{
	static uint8_t bytes[512];
	static const uint8_t usual[] = {0x0c, 7, 8, 0x90, 1};
	struct eh_fde fde = {.start = START, .end = START + SIZE};
	struct cfi_state initial;

	assert_true(n <= sizeof(bytes));
	memcpy(bytes, code, n);
	frame.bytes = (struct str){(const char *)bytes, n};
	fde.rest = byte_reader(frame.bytes, false);
	cie = (struct eh_cie){.known = true,
			      .code_factor = 1,
			      .data_factor = -8,
			      .ra_column = 16,
			      .encoding = 0,
			      .program = {(const char *)usual, sizeof(usual)}};
	assert_true(cfi_initial_state(&frame, &cie, x86_64, &initial));
	assert_true(cfi_program_start(&program, &frame, &cie, &fde, x86_64, &initial));
}

/* Runs to its end; *ret_rows (may be NULL) says in how many steps. */
static struct cfi_state run(const uint8_t *code, size_t n, size_t *ret_steps)
{
	uint64_t from, last = 0;
	size_t steps = 0;

	begin(code, n);
	while (cfi_program_step(&program, &from)) {
		assert_true(from >= START && from < START + SIZE && (steps == 0 || from > last));
		last = from;
		steps++;
	}
	if (ret_steps)
		*ret_steps = steps;
	return program.state;
}

static void expect_cfa(struct cfi_state s, enum cfi_cfa cfa, int64_t offset)
{
	assert_int_equal(s.cfa, cfa);
	if (cfa != CFI_CFA_UNKNOWN)
		assert_int_equal(s.cfa_offset, offset);
}

static void expect_fp(struct cfi_state s, enum cfi_rule rule, int64_t offset)
{
	assert_int_equal(s.fp, rule);
	if (rule == CFI_AT_CFA || rule == CFI_AT_FP)
		assert_int_equal(s.fp_offset, offset);
}

static void expect_ra(struct cfi_state s, enum cfi_rule rule, int64_t offset)
{
	assert_int_equal(s.ra, rule);
	if (rule == CFI_AT_CFA)
		assert_int_equal(s.ra_offset, offset);
}

static void expect_broken(const uint8_t *code, size_t n)
{
	struct cfi_state s = run(code, n, NULL);

	expect_cfa(s, CFI_CFA_UNKNOWN, 0);
	assert_int_equal(s.fp, CFI_ELSEWHERE);
}

#define RUN(...) run(CFI_BYTES(__VA_ARGS__), NULL)
#define BROKEN(...) expect_broken(CFI_BYTES(__VA_ARGS__))

static void a_prologue_is_followed(void **state)
{
	uint64_t from;

	(void)state;
	// push rbp; mov rsp, rbp; …; leave
	begin(CFI_BYTES(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x02, 0x40, 0x0c, 7, 8, 0xc6));
	assert_true(cfi_program_step(&program, &from));
	assert_true(from == START && program.pc == START + 1);
	expect_cfa(program.state, CFI_CFA_SP, 8);
	expect_ra(program.state, CFI_AT_CFA, -8);
	expect_fp(program.state, CFI_UNSPECIFIED, 0);
	assert_true(cfi_program_step(&program, &from));
	expect_cfa(program.state, CFI_CFA_SP, 16);
	expect_fp(program.state, CFI_AT_CFA, -16);
	assert_true(cfi_program_step(&program, &from));
	assert_true(from == START + 4 && program.pc == START + 0x44);
	expect_cfa(program.state, CFI_CFA_FP, 16);
	assert_true(cfi_program_step(&program, &from));
	assert_int_equal(from, START + 0x44);
	expect_cfa(program.state, CFI_CFA_SP, 8);
	expect_fp(program.state, CFI_UNSPECIFIED, 0);
	assert_false(cfi_program_step(&program, &from));
}

static void every_way_to_say_the_cfa(void **state)
{
	(void)state;
	expect_cfa(RUN(0x0c, 6, 0x80, 1), CFI_CFA_FP, 128);
	expect_cfa(RUN(0x0c, 10, 16), CFI_CFA_UNKNOWN, 0); // another register
	expect_cfa(RUN(0x0d, 6), CFI_CFA_FP, 8);
	expect_cfa(RUN(0x0d, 10, 0x0e, 32, 0x0d, 7), CFI_CFA_SP, 32);
	expect_cfa(RUN(0x0e, 64), CFI_CFA_SP, 64);
	expect_cfa(RUN(0x12, 7, 0x7d), CFI_CFA_SP, 24); // def_cfa_sf -3
	expect_cfa(RUN(0x13, 0x7c), CFI_CFA_SP, 32);
	expect_cfa(RUN(0x0f, 3, 0x76, 0x78, 0x06), CFI_CFA_FP_DEREF, -8);
	expect_cfa(RUN(0x0f, 3, 0x77, 0x08, 0x06), CFI_CFA_SP_DEREF, 8);
	expect_cfa(RUN(0x0f, 2, 0x77, 0x08), CFI_CFA_SP, 8);
	expect_cfa(RUN(0x0f, 2, 0x76, 0x10), CFI_CFA_FP, 16);
	expect_cfa(RUN(0x0f, 6, 0x77, 0x98, 0x01, 0x06, 0x23, 0x08), CFI_CFA_SP_DEREF_8, 152);
	expect_cfa(RUN(0x0f, 5, 0x77, 0x08, 0x06, 0x23, 0x10), CFI_CFA_UNKNOWN, 0);
	expect_cfa(RUN(0x0f, 5, 0x76, 0x08, 0x06, 0x23, 0x08), CFI_CFA_UNKNOWN, 0);
	expect_cfa(RUN(0x0f, 3, 0x79, 0x08, 0x06), CFI_CFA_UNKNOWN, 0);
	expect_cfa(RUN(0x0f, 0), CFI_CFA_UNKNOWN, 0);
	expect_cfa(RUN(0x0f, 3, 0x77, 0x80, 0x80), CFI_CFA_UNKNOWN, 0); // cut number
	// an expression can be replaced, but has no offset to change
	expect_cfa(RUN(0x0f, 3, 0x76, 0x78, 0x06, 0x0c, 7, 8), CFI_CFA_SP, 8);
	BROKEN(0x0f, 3, 0x76, 0x78, 0x06, 0x0e, 8);
	BROKEN(0x0f, 3, 0x76, 0x78, 0x06, 0x0d, 7);
}

static void plt_stubs_of_every_shape(void **state)
{
	(void)state;
	for (uint8_t literal = 0; literal < 32; literal++) {
		struct cfi_state s = RUN(0x0f, 11, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a,
					 (uint8_t)(0x30 + literal), 0x2a, 0x33, 0x24, 0x22);

		expect_cfa(s, CFI_CFA_PLT, literal);
	}
	expect_cfa(RUN(0x0f, 11, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x50, 0x2a, 0x33, 0x24, 0x22),
		   CFI_CFA_UNKNOWN, 0);
	expect_cfa(RUN(0x0f, 11, 0x77, 0x10, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22),
		   CFI_CFA_UNKNOWN, 0);
	expect_cfa(RUN(0x0f, 10, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24),
		   CFI_CFA_UNKNOWN, 0);
}

static void every_way_to_save_a_register(void **state)
{
	(void)state;
	expect_fp(RUN(0x86, 2), CFI_AT_CFA, -16);
	expect_fp(RUN(0x05, 6, 3), CFI_AT_CFA, -24);
	expect_fp(RUN(0x11, 6, 0x7e), CFI_AT_CFA, 16);
	expect_fp(RUN(0x2f, 6, 2), CFI_AT_CFA, 16);
	expect_fp(RUN(0x07, 6), CFI_UNDEFINED, 0);
	expect_fp(RUN(0x86, 2, 0x08, 6), CFI_SAME, 0);
	expect_fp(RUN(0x09, 6, 9), CFI_ELSEWHERE, 0);
	expect_fp(RUN(0x14, 6, 2), CFI_ELSEWHERE, 0);
	expect_fp(RUN(0x15, 6, 0x7e), CFI_ELSEWHERE, 0);
	expect_fp(RUN(0x16, 6, 2, 0x76, 0), CFI_ELSEWHERE, 0);
	expect_fp(RUN(0x10, 6, 2, 0x76, 0x70), CFI_AT_FP, -16);
	expect_fp(RUN(0x10, 6, 2, 0x77, 0x70), CFI_ELSEWHERE, 0);
	expect_fp(RUN(0x10, 6, 3, 0x76, 0x70, 0x06), CFI_ELSEWHERE, 0);
	expect_fp(RUN(0x86, 2, 0x06, 6), CFI_UNSPECIFIED, 0); // restore
	expect_ra(RUN(0x07, 16), CFI_UNDEFINED, 0);
	expect_ra(RUN(0x90, 3), CFI_AT_CFA, -24);
	expect_ra(RUN(0x90, 3, 0xd0), CFI_AT_CFA, -8);
	expect_ra(RUN(0x09, 16, 1), CFI_ELSEWHERE, 0);
	// other registers change nothing
	expect_fp(RUN(0x83, 2, 0x05, 99, 2, 0x07, 3, 0xc3, 0x10, 3, 2, 0x76, 0), CFI_UNSPECIFIED, 0);
	expect_ra(RUN(0x83, 2, 0x05, 99, 2, 0x07, 3, 0xc3, 0x10, 3, 2, 0x76, 0), CFI_AT_CFA, -8);
}

static void the_rest_is_passed_over(void **state)
{
	struct cfi_state s = RUN(0x00, 0x2e, 0x80, 1, 0x2d, 0x2c, 0x0e, 24);

	(void)state;
	expect_cfa(s, CFI_CFA_SP, 24);
}

static void places_advance_in_every_width(void **state)
{
	size_t steps;

	(void)state;
	run(CFI_BYTES(0x42, 0x0e, 16, 0x02, 0x10, 0x0e, 24, 0x03, 0x10, 0, 0x0e, 32, 0x04, 0x10, 0, 0,
		      0, 0x0e, 40, 0x1d, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0e, 48),
	    &steps);
	assert_int_equal(steps, 6);
	assert_int_equal(program.pc, START + 2 + 4 * 0x10);
	expect_cfa(program.state, CFI_CFA_SP, 48);
	run(CFI_BYTES(0x01, 0x20, 0x10, 0, 0, 0, 0, 0, 0, 0x0e, 16), &steps); // set_loc 0x1020
	assert_int_equal(steps, 2);
	assert_int_equal(program.pc, 0x1020);
	run(CFI_BYTES(0x40, 0x40, 0x02, 0, 0x0e, 16), &steps); // nowhere
	assert_int_equal(steps, 1);
	expect_cfa(program.state, CFI_CFA_SP, 16);
	// beyond the function's end nothing is of interest
	run(CFI_BYTES(0x04, 0, 1, 0, 0, 0x0e, 16), &steps);
	assert_int_equal(steps, 1);
	expect_cfa(program.state, CFI_CFA_SP, 8);
	BROKEN(0x42, 0x01, 0x01, 0x10, 0, 0, 0, 0, 0, 0); // set_loc, backwards
	BROKEN(0x1d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff); // beyond the end of everything
}

static void states_are_remembered(void **state)
{
	uint8_t code[64];
	size_t n = 0;

	(void)state;
	expect_cfa(RUN(0x0a, 0x0e, 16, 0x86, 2, 0x0a, 0x0e, 24, 0x0b), CFI_CFA_SP, 16);
	expect_fp(RUN(0x0a, 0x0e, 16, 0x86, 2, 0x0a, 0x0e, 24, 0x0b, 0x0b), CFI_UNSPECIFIED, 0);
	BROKEN(0x0b);
	for (; n < CFI_REMEMBERED_MAX; n++)
		code[n] = 0x0a;
	expect_cfa(run(code, n, NULL), CFI_CFA_SP, 8);
	code[n++] = 0x0a;
	expect_broken(code, n);
}

static void nonsense_is_known_as_such(void **state)
{
	size_t steps;

	(void)state;
	BROKEN(0x3f);
	BROKEN(0x17);
	BROKEN(0x0e);		  // cut short
	BROKEN(0x0e, 0x80, 0x80); // cut short
	BROKEN(0x0f, 20, 0x77);
	BROKEN(0x10, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1);
	BROKEN(0x03, 1);
	// what came before it holds
	run(CFI_BYTES(0x41, 0x0e, 16, 0x41, 0x3f, 0x0e, 24), &steps);
	assert_int_equal(steps, 3);
}

static void initial_programs_stay_in_place(void **state)
{
	static const uint8_t moves[] = {0x0c, 7, 8, 0x41};
	static const uint8_t broken[] = {0x0c, 7};
	struct cfi_state s;

	(void)state;
	begin(CFI_BYTES(0));
	cie.program = (struct str){(const char *)moves, sizeof(moves)};
	assert_false(cfi_initial_state(&frame, &cie, x86_64, &s));
	cie.program = (struct str){(const char *)broken, sizeof(broken)};
	assert_false(cfi_initial_state(&frame, &cie, x86_64, &s));
	cie.program = STR_EMPTY;
	assert_true(cfi_initial_state(&frame, &cie, x86_64, &s));
	expect_cfa(s, CFI_CFA_UNKNOWN, 0);
	expect_ra(s, CFI_UNSPECIFIED, 0);
}

/* Where another column stands for it, the register that usually has it does not. */
static void return_addresses_may_be_in_other_registers(void **state)
{
	struct cfi_state s;

	(void)state;
	begin(CFI_BYTES(0));
	cie.ra_column = 15;
	cie.program = STR_EMPTY;
	assert_true(cfi_initial_state(&frame, &cie, x86_64, &s));
	expect_ra(s, CFI_ELSEWHERE, 0);
}

/* Absurd factors wrap, and do no harm. */
static void factors_may_be_absurd(void **state)
{
	(void)state;
	begin(CFI_BYTES(0x86, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x41));
	cie.data_factor = INT64_MIN;
	cie.code_factor = UINT64_MAX;
	uint64_t from;

	while (cfi_program_step(&program, &from))
		;
	expect_cfa(program.state, CFI_CFA_UNKNOWN, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prologue_is_followed),
		cmocka_unit_test(every_way_to_say_the_cfa),
		cmocka_unit_test(plt_stubs_of_every_shape),
		cmocka_unit_test(every_way_to_save_a_register),
		cmocka_unit_test(the_rest_is_passed_over),
		cmocka_unit_test(places_advance_in_every_width),
		cmocka_unit_test(states_are_remembered),
		cmocka_unit_test(nonsense_is_known_as_such),
		cmocka_unit_test(initial_programs_stay_in_place),
		cmocka_unit_test(return_addresses_may_be_in_other_registers),
		cmocka_unit_test(factors_may_be_absurd),
	};

	return cmocka_run_group_tests_name("cfi_program", tests, NULL, NULL);
}
