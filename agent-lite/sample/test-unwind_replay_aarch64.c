/* SPDX-License-Identifier: Apache-2.0 */
/* The walk for aarch64, compiled on whatever this is, over stacks made by hand. */
#define UNWIND_AARCH64 1
#define unwind_replay unwind_replay_aarch64
#include "agent-lite/sample/unwind_replay.c"

#include "tests/unit/replay.h"

enum {
	LEAF = 0x100,	/* no frame: the return address is in the link register */
	FRAMED = 0x200, /* stp x29, x30, [sp, -32]!; mov x29, sp */
	ONLY_LR = 0x300, /* str x30, [sp, -16]! */
	START = 0x400,
	SIGNAL = 0x500,
	BOTTOM = 0x600, /* sub sp, sp, 4096; stp x29, x30, [sp, 16] */
	SIZED = 0x700,	/* the same, and sp goes on: counts from x29 */
	BOTTOM_LR = 0x800, /* sub sp, sp, 4096; str x30, [sp, 16] */
	APART = 0x900,	/* str x29, [sp, -32]!; stp x30, x19, [sp, 16] */
};

static const struct unwind_row rows[] = {
	{LEAF, 0, RULES(UNWIND_CFA_SP, UNWIND_SAVED_NONE), 0},
	{FRAMED, 4, RULES(UNWIND_CFA_FP, UNWIND_SAVED_CFA), -4},
	{ONLY_LR, 2, RULES(UNWIND_CFA_SP, UNWIND_SAVED_RA), -2},
	{START, 0, RULES(UNWIND_CFA_END, UNWIND_SAVED_NONE), 0},
	{SIGNAL, 0, RULES(UNWIND_CFA_SIGNAL, UNWIND_SAVED_NONE), 0},
	{BOTTOM, 512, RULES(UNWIND_CFA_SP, UNWIND_SAVED_SP), 2},
	{SIZED, 512, RULES(UNWIND_CFA_FP, UNWIND_SAVED_FP), 0},
	{BOTTOM_LR, 512, RULES(UNWIND_CFA_SP, UNWIND_SAVED_RA_SP), 2},
	{APART, 4, RULES(UNWIND_CFA_SP, UNWIND_SAVED_CFA_16), -4},
};

static int setup(void **state)
{
	(void)state;
	replay_set_rows(rows, countof(rows));
	return 0;
}

static void the_link_register_serves_the_leaf(void **state)
{
	const uint64_t expected[] = {at(LEAF + 4), at(FRAMED + 8), at(ONLY_LR + 8), at(START + 8)};

	(void)state;
	replay_registers(at(LEAF + 4), STACK, STACK, at(FRAMED + 8));
	replay_put(STACK, 0x1000); // FRAMED's caller's x29, x30: signed, as pointer authentication does
	replay_put(STACK + 8, at(ONLY_LR + 8) | 0x00a5000000000000);
	replay_put(STACK + 32, at(START + 8));
	replay(64);
	assert_walk(PROFILE_END_ROOT, expected, 4);
}

static void the_link_register_serves_nobody_else(void **state)
{
	const uint64_t expected[] = {at(FRAMED + 4), at(LEAF + 8)};

	(void)state;
	replay_registers(at(FRAMED + 4), STACK, STACK, at(START));
	replay_put(STACK + 8, at(LEAF + 8));
	replay(64);
	assert_walk(PROFILE_END_BAD_TABLE, expected, 2);
}

static void a_signal_may_strike_a_leaf(void **state)
{
	const uint64_t expected[] = {at(SIGNAL), at(LEAF) + 1, at(START + 8)};

	(void)state;
	replay_registers(at(SIGNAL), STACK, 0, 0);
	replay_put(STACK + SIGNAL_IP, at(LEAF));
	replay_put(STACK + SIGNAL_SP, STACK + 2048);
	replay_put(STACK + SIGNAL_LR, at(START + 8));
	replay(512);
	assert_walk(PROFILE_END_ROOT, expected, 3);
}

static void frame_records_lie_at_the_bottom_of_large_frames(void **state)
{
	const uint64_t expected[] = {at(BOTTOM), at(SIZED + 4), at(START + 8)};

	(void)state;
	replay_registers(at(BOTTOM), STACK, 0x99, 0);
	replay_put(STACK + 16, STACK + 4096 + 256);
	replay_put(STACK + 24, at(SIZED + 4));
	replay_put(STACK + 4096 + 256, 0x99);
	replay_put(STACK + 4096 + 264, at(START + 8));
	replay(1024);
	assert_walk(PROFILE_END_ROOT, expected, 3);
}

static void frames_may_have_no_record(void **state)
{
	const uint64_t expected[] = {at(BOTTOM_LR), at(APART + 4), at(FRAMED + 8), at(START + 8)};

	(void)state;
	replay_registers(at(BOTTOM_LR), STACK, 0x99, 0);
	replay_put(STACK + 16, at(APART + 4));
	replay_put(STACK + 4096, STACK + 4096 + 32);
	replay_put(STACK + 4096 + 8, at(BOTTOM));
	replay_put(STACK + 4096 + 16, at(FRAMED + 8));
	replay_put(STACK + 4096 + 40, at(START + 8));
	replay(1024);
	assert_walk(PROFILE_END_ROOT, expected, 4);
}

/* In the kernel the memory of one walk is that of the next. */
static void nothing_is_left_of_the_walk_before(void **state)
{
	struct unwind_walk w;

	(void)state;
	memset(&w, 0xff, sizeof(w));
	unwind_begin(&w, 5, 6);
	assert_int_equal(w.first_mapping, 5);
	assert_int_equal(w.mapping_count, 6);
	assert_int_equal(w.count + w.table_steps + w.frame_pointer_steps, 0);
	assert_int_equal(w.end, PROFILE_END_DEPTH);
	assert_int_equal(w.doubtful, 0);
	assert_true(w.at.start == w.at.end); // holds nothing
}

static void frame_records_are_followed(void **state)
{
	const uint64_t expected[] = {LIBRARY, LIBRARY + 16, LIBRARY + 32};

	(void)state;
	replay_registers(LIBRARY, STACK, STACK, 0);
	replay_put(STACK, STACK + 32);
	replay_put(STACK + 8, LIBRARY + 16);
	replay_put(STACK + 32, 0);
	replay_put(STACK + 40, LIBRARY + 32);
	replay(64);
	assert_walk(PROFILE_END_FRAME_POINTER_ROOT, expected, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_link_register_serves_the_leaf),
		cmocka_unit_test(the_link_register_serves_nobody_else),
		cmocka_unit_test(a_signal_may_strike_a_leaf),
		cmocka_unit_test(frame_records_lie_at_the_bottom_of_large_frames),
		cmocka_unit_test(frames_may_have_no_record),
		cmocka_unit_test(nothing_is_left_of_the_walk_before),
		cmocka_unit_test(frame_records_are_followed),
	};

	return cmocka_run_group_tests_name("unwind_replay_aarch64", tests, setup, NULL);
}
