/* SPDX-License-Identifier: Apache-2.0 */
/* The walk for x86-64, over stacks made by hand. */
#define UNWIND_AARCH64 0
#include "agent-lite/sample/unwind_replay.c"

#include "tests/unit/replay.h"

enum {
	LEAF = 0x100,	/* CFA = sp + 8 */
	FRAMED = 0x200, /* push rbp; mov rbp, rsp */
	BIG = 0x300,	/* CFA = sp + 64 KiB + 8 */
	START = 0x400,	/* the root */
	HOLE = 0x500,
	SIGNAL = 0x600,
	PLT = 0x700,
	REALIGNED = 0x900, /* CFA = *(rbp - 8), rbp saved at *rbp */
	BROKEN = 0xa00,	   /* CFA below sp */
	LOST = 0xb00,	   /* rbp is somewhere else */
	PARKED = 0xb80,	   /* CFA = *(rsp + 16) + 8, rbp saved at CFA - 24: OpenSSL's loops */
	BOTTOM = 0xc00,	   /* CFA = rsp + 4 KiB, rbp saved at rsp + 8 */
};

static const struct unwind_row rows[] = {
	{LEAF, 1, RULES(UNWIND_CFA_SP, UNWIND_SAVED_NONE), 0},
	{FRAMED, 2, RULES(UNWIND_CFA_FP, UNWIND_SAVED_CFA), -2},
	{BIG, 8192 + 1, RULES(UNWIND_CFA_SP, UNWIND_SAVED_CFA), -3},
	{START, 1, RULES(UNWIND_CFA_END, UNWIND_SAVED_NONE), 0},
	{HOLE, 0, RULES(UNWIND_CFA_NONE, UNWIND_SAVED_NONE), 0},
	{SIGNAL, 0, RULES(UNWIND_CFA_SIGNAL, UNWIND_SAVED_NONE), 0},
	{PLT, 11, RULES(UNWIND_CFA_PLT, UNWIND_SAVED_NONE), 0},
	{REALIGNED, -1, RULES(UNWIND_CFA_FP_DEREF, UNWIND_SAVED_FP), 0},
	{BROKEN, -4, RULES(UNWIND_CFA_SP, UNWIND_SAVED_NONE), 0},
	{LOST, 1, RULES(UNWIND_CFA_SP, UNWIND_SAVED_LOST), 0},
	{PARKED, 2, RULES(UNWIND_CFA_SP_DEREF_8, UNWIND_SAVED_CFA), -3},
	{BOTTOM, 512, RULES(UNWIND_CFA_SP, UNWIND_SAVED_SP), 1},
};

static int setup(void **state)
{
	(void)state;
	replay_set_rows(rows, countof(rows));
	return 0;
}

static void a_walk_ends_with_the_copy(void **state)
{
	const uint64_t expected[] = {at(LEAF + 1), at(FRAMED + 9), at(BIG + 9)};

	(void)state;
	replay_registers(at(LEAF + 1), STACK, STACK + 16, 0);
	replay_put(STACK, at(FRAMED + 9));
	replay_put(STACK + 16, 0x1234); // the saved frame pointer
	replay_put(STACK + 24, at(BIG + 9));
	replay(REPLAY_WORDS);
	// The frame of 64 KiB is beyond.
	assert_walk(PROFILE_END_FAULT, expected, 3);
}

static void a_big_frame_is_left(void **state)
{
	const uint64_t expected[] = {at(BIG), at(START + 9)};
	static uint64_t words[PROFILE_COPY_HEAD + 8192 + 8];
	struct profile_stack_copy *copy = (struct profile_stack_copy *)words;
	struct unwind_replay in = {.mappings = replay_mappings,
				   .mapping_count = 1,
				   .table = replay_table,
				   .copy = copy,
				   .copy_words = 8192 + 8};

	(void)state;
	copy->ip = at(BIG);
	copy->sp = STACK;
	copy->words[8192] = at(START + 9);
	unwind_replay(&in, &replay_result);
	assert_walk(PROFILE_END_ROOT, expected, 2);
	assert_int_equal(replay_result.table_steps, 1);
}

static void holes_are_left_by_frame_pointer(void **state)
{
	const uint64_t expected[] = {at(HOLE), LIBRARY + 0x10, at(START + 1)};

	(void)state;
	replay_registers(at(HOLE), STACK, STACK + 8, 0);
	replay_put(STACK + 8, STACK + 32);
	replay_put(STACK + 16, LIBRARY + 0x10); // no table there
	replay_put(STACK + 32, 0x77);
	replay_put(STACK + 40, at(START + 1));
	replay(64);
	assert_walk(PROFILE_END_ROOT, expected, 3); // 0x77 is no frame, but the caller may not need one
	replay_put(STACK + 32, 0);
	replay(64);
	assert_walk(PROFILE_END_ROOT, expected, 3);
	assert_int_equal(replay_result.frame_pointer_steps, 2);
	replay_put(STACK + 32, 0x77);
	replay_put(STACK + 40, 0x5678); // in no mapping
	replay(64);
	assert_walk(PROFILE_END_FRAME_POINTER, expected, 2);
}

/* Go's system stacks: the frame pointer leads to another stack, which may lie below. */
static void a_switched_stack_is_followed(void **state)
{
	const uint64_t expected[] = {LIBRARY + 0x20, LIBRARY + 0x10, at(START + 1)};

	(void)state;
	replay_registers(LIBRARY + 0x20, STACK, STACK + 128, 0);
	replay_put(STACK + 128, STACK + 16);
	replay_put(STACK + 136, LIBRARY + 0x10);
	replay_put(STACK + 24, at(START + 1));
	replay(64);
	assert_walk(PROFILE_END_ROOT, expected, 3);
}

static void a_chain_that_ends_in_0_is_complete(void **state)
{
	const uint64_t expected[] = {LIBRARY + 0x20, LIBRARY + 0x10};

	(void)state;
	replay_registers(LIBRARY + 0x20, STACK, STACK + 8, 0);
	replay_put(STACK + 16, LIBRARY + 0x10);
	replay(64);
	assert_walk(PROFILE_END_FRAME_POINTER_ROOT, expected, 2);
}

static void garbage_in_the_frame_pointer_ends_the_walk(void **state)
{
	const uint64_t expected[] = {LIBRARY};
	const uint64_t garbage[] = {STACK - 64, STACK + 3, UINT64_MAX, STACK + 64 * 8};

	(void)state;
	for (size_t i = 0; i < countof(garbage); i++) {
		replay_registers(LIBRARY, STACK, garbage[i], 0);
		replay(64);
		assert_walk(PROFILE_END_FRAME_POINTER, expected, 1);
	}
}

/* The handler's caller is the code that returns to the kernel; then where the signal struck. */
static void a_signal_frame_leads_to_what_it_interrupted(void **state)
{
	const uint64_t expected[] = {at(LEAF), at(SIGNAL + 2), at(LEAF) + 1, at(START + 1)};

	(void)state;
	replay_registers(at(LEAF), STACK, 0x99, 0);
	replay_put(STACK, at(SIGNAL + 1));
	replay_put(STACK + 8 + SIGNAL_IP, at(LEAF)); // the first instruction of a function
	replay_put(STACK + 8 + SIGNAL_SP, STACK + 1024);
	replay_put(STACK + 8 + SIGNAL_FP, 0x99);
	replay_put(STACK + 1024, at(START + 1));
	replay(256);
	assert_walk(PROFILE_END_ROOT, expected, 4);
}

static void a_plt_stub_has_pushed_or_not(void **state)
{
	const uint64_t early[] = {at(PLT + 6), at(START + 1)}, late[] = {at(PLT + 11), at(START + 1)};

	(void)state;
	replay_registers(early[0], STACK, 0, 0);
	replay_put(STACK, at(START + 1));
	replay(8);
	assert_walk(PROFILE_END_ROOT, early, 2);
	replay_registers(late[0], STACK, 0, 0);
	replay_put(STACK + 8, at(START + 1));
	replay(8);
	assert_walk(PROFILE_END_ROOT, late, 2);
}

static void a_realigned_stack_is_left(void **state)
{
	const uint64_t expected[] = {at(REALIGNED), at(FRAMED + 1), at(START + 1)};

	(void)state;
	replay_registers(at(REALIGNED), STACK, STACK + 64, 0);
	replay_put(STACK + 56, STACK + 128); // the CFA
	replay_put(STACK + 120, at(FRAMED + 1));
	replay_put(STACK + 64, STACK + 160); // the caller's frame pointer
	replay_put(STACK + 168, at(START + 1));
	replay(64);
	assert_walk(PROFILE_END_ROOT, expected, 3);
}

static void a_parked_stack_pointer_is_found(void **state)
{
	const uint64_t expected[] = {at(PARKED), at(FRAMED + 1), at(START + 1)};

	(void)state;
	replay_registers(at(PARKED), STACK, 0x99, 0);
	replay_put(STACK + 16, STACK + 248); // rsp as it was at the start of the function
	replay_put(STACK + 248, at(FRAMED + 1));
	replay_put(STACK + 256 - 24, STACK + 320);
	replay_put(STACK + 328, at(START + 1));
	replay(64);
	assert_walk(PROFILE_END_ROOT, expected, 3);
}

static void a_frame_pointer_may_be_saved_far_from_the_cfa(void **state)
{
	const uint64_t expected[] = {at(BOTTOM), at(FRAMED + 1), at(START + 1)};

	(void)state;
	replay_registers(at(BOTTOM), STACK, 0x99, 0);
	replay_put(STACK + 8, STACK + 4096 + 64);
	replay_put(STACK + 4096 - 8, at(FRAMED + 1));
	replay_put(STACK + 4096 + 72, at(START + 1));
	replay(1024);
	assert_walk(PROFILE_END_ROOT, expected, 3);
}

static void a_walk_never_goes_down(void **state)
{
	const uint64_t expected[] = {at(BROKEN)};

	(void)state;
	replay_registers(at(BROKEN), STACK + 512, 0, 0);
	replay(64);
	assert_walk(PROFILE_END_FAULT, expected, 1); // what lies below is not in the copy
}

static void who_needs_a_lost_frame_pointer_stops(void **state)
{
	const uint64_t expected[] = {at(LOST), at(FRAMED + 4)}, fine[] = {at(LOST), at(START + 4)};

	(void)state;
	replay_registers(at(LOST), STACK, STACK + 64, 0);
	replay_put(STACK, at(FRAMED + 4));
	replay(64);
	assert_walk(PROFILE_END_FAULT, expected, 2);
	replay_put(STACK, at(START + 4));
	replay(64);
	assert_walk(PROFILE_END_ROOT, fine, 2);
}

static void endless_recursion_is_cut(void **state)
{
	(void)state;
	replay_registers(at(LEAF), STACK, 0, 0);
	for (size_t i = 0; i < 1024; i++)
		replay_put(STACK + i * 8, at(LEAF + 1));
	replay(1024);
	assert_int_equal(replay_result.count, PROFILE_DEPTH);
	assert_int_equal(replay_result.why, PROFILE_END_DEPTH);
}

/* Indices out of bounds, tables that are not there, a copy without words: an end, no crash. */
static void hostile_tables_end_the_walk(void **state)
{
	struct unwind_page page = {UINT32_MAX - 2, UINT32_MAX};
	const uint64_t expected[] = {at(LEAF)};

	(void)state;
	memcpy(&replay_slots[0], &page, sizeof(page));
	replay_registers(at(LEAF), STACK, 1, 0);
	replay(0);
	assert_walk(PROFILE_END_FRAME_POINTER, expected, 1);
	page = (struct unwind_page){5, 2};
	memcpy(&replay_slots[0], &page, sizeof(page));
	replay(0);
	assert_int_equal(replay_result.count, 1);
	replay_set_rows(rows, countof(rows));
	replay(0);
	assert_walk(PROFILE_END_FAULT, expected, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_ends_with_the_copy),
		cmocka_unit_test(a_big_frame_is_left),
		cmocka_unit_test(holes_are_left_by_frame_pointer),
		cmocka_unit_test(a_chain_that_ends_in_0_is_complete),
		cmocka_unit_test(garbage_in_the_frame_pointer_ends_the_walk),
		cmocka_unit_test(a_switched_stack_is_followed),
		cmocka_unit_test(a_signal_frame_leads_to_what_it_interrupted),
		cmocka_unit_test(a_plt_stub_has_pushed_or_not),
		cmocka_unit_test(a_realigned_stack_is_left),
		cmocka_unit_test(a_parked_stack_pointer_is_found),
		cmocka_unit_test(a_frame_pointer_may_be_saved_far_from_the_cfa),
		cmocka_unit_test(a_walk_never_goes_down),
		cmocka_unit_test(who_needs_a_lost_frame_pointer_stops),
		cmocka_unit_test(endless_recursion_is_cut),
		cmocka_unit_test(hostile_tables_end_the_walk),
	};

	return cmocka_run_group_tests_name("unwind_replay", tests, setup, NULL);
}
