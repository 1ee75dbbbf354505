/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/slot_ranges.h"

#include "base/testing.h"

static struct slot_ranges r;

static uint32_t take(uint32_t n)
{
	uint32_t first;

	assert_true(slot_ranges_take(&r, n, &first));
	return first;
}

static void ranges_do_not_overlap(void **state)
{
	bool used[256] = {false};
	const uint32_t sizes[] = {1, 3, 8, 5, 17, 2};

	(void)state;
	slot_ranges_init(&r, 256);
	for (size_t i = 0; i < countof(sizes); i++) {
		uint32_t first = take(sizes[i]);

		for (uint32_t k = first; k < first + sizes[i]; k++) {
			assert_true(k < 256 && !used[k]);
			used[k] = true;
		}
	}
}

static void what_is_given_back_rests_for_two_ticks(void **state)
{
	uint32_t first;

	(void)state;
	slot_ranges_init(&r, 4);
	assert_int_equal(take(4), 0);
	assert_false(slot_ranges_take(&r, 1, &first));
	slot_ranges_give(&r, 0, 4);
	assert_false(slot_ranges_take(&r, 4, &first));
	slot_ranges_tick(&r);
	assert_false(slot_ranges_take(&r, 4, &first));
	slot_ranges_tick(&r);
	assert_int_equal(take(3), 0); // of the same size class
}

static void nothing_is_lost_over_many_turns(void **state)
{
	uint32_t firsts[8];

	(void)state;
	slot_ranges_init(&r, 64);
	for (int turn = 0; turn < 1000; turn++) {
		for (size_t i = 0; i < countof(firsts); i++)
			firsts[i] = take(i % 2 ? 3 : 1);
		for (size_t i = 0; i < countof(firsts); i++)
			slot_ranges_give(&r, firsts[i], i % 2 ? 3 : 1);
		slot_ranges_tick(&r);
	}
}

static void more_than_there_is_is_refused(void **state)
{
	uint32_t first;

	(void)state;
	slot_ranges_init(&r, 100);
	assert_false(slot_ranges_take(&r, 101, &first));
	assert_false(slot_ranges_take(&r, UINT32_MAX, &first));
	assert_false(slot_ranges_take(&r, 65, &first)); // takes 128
	assert_int_equal(take(64), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_do_not_overlap),
		cmocka_unit_test(what_is_given_back_rests_for_two_ticks),
		cmocka_unit_test(nothing_is_lost_over_many_turns),
		cmocka_unit_test(more_than_there_is_is_refused),
	};

	return cmocka_run_group_tests_name("slot_ranges", tests, NULL, NULL);
}
