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

/* One process with thousands of mappings, or thousands with one, must not be felt for ever. */
static void what_was_taken_in_one_size_serves_in_all(void **state)
{
	uint32_t first;

	(void)state;
	slot_ranges_init(&r, 100);
	for (int turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < 100; i++)
			take(1);
		assert_false(slot_ranges_take(&r, 1, &first));
		for (uint32_t i = 0; i < 100; i++)
			slot_ranges_give(&r, i, 1);
		slot_ranges_tick(&r);
		slot_ranges_tick(&r);
		assert_int_equal(take(64), 0);
		assert_int_equal(take(20), 64);
		assert_int_equal(take(4), 96);
		assert_false(slot_ranges_take(&r, 1, &first));
		slot_ranges_give(&r, 0, 64);
		slot_ranges_give(&r, 64, 20);
		slot_ranges_give(&r, 96, 4);
		slot_ranges_tick(&r);
		slot_ranges_tick(&r);
	}
}

/* Against an array that says who has what. */
static void any_order_will_do(void **state)
{
	static uint8_t owner[1024];
	struct {
		uint32_t first, n;
	} held[64] = {{0}};
	uint32_t seed = 1, taken = 0;

	(void)state;
	slot_ranges_init(&r, 1000);
	memset(owner, 0, sizeof(owner));
	for (int turn = 0; turn < 100000; turn++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t at = seed >> 26, n = 1 + (seed >> 16 & 31);

		if (held[at].n) {
			memset(owner + held[at].first, 0, held[at].n);
			slot_ranges_give(&r, held[at].first, held[at].n);
			held[at].n = 0;
		} else if (slot_ranges_take(&r, n, &held[at].first)) {
			assert_true(held[at].first + n <= 1000);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(owner[held[at].first + i]++, 0);
			held[at].n = n;
			taken++;
		}
		if (turn % 16 == 0)
			slot_ranges_tick(&r);
	}
	assert_true(taken > 20000);
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
		cmocka_unit_test(what_was_taken_in_one_size_serves_in_all),
		cmocka_unit_test(any_order_will_do),
		cmocka_unit_test(more_than_there_is_is_refused),
	};

	return cmocka_run_group_tests_name("slot_ranges", tests, NULL, NULL);
}
