/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/jitter.h"

#include "base/testing.h"

enum { DRAWS = 2000 };


/* All draws lie in the range, and they reach into its outer tenths. */
static void assert_spread(uint64_t (*draw)(uint64_t), uint64_t low, uint64_t high)
{
	uint64_t least = UINT64_MAX, most = 0, tenth = (high - low) / 10;

	for (int i = 0; i < DRAWS; i++) {
		uint64_t ms = draw(10000);

		least = MIN(least, ms);
		most = MAX(most, ms);
	}
	assert_in_range(least, low, low + tenth);
	assert_in_range(most, high - tenth, high);
}

static void intervals_spread_around_what_was_asked(void **state)
{
	(void)state;
	assert_spread(jitter_interval, 9000, 11000);
}

static void the_first_spreads_over_nearly_all_of_it(void **state)
{
	(void)state;
	assert_spread(jitter_first_interval, 2000, 10000);
}

static void a_range_may_be_one_number(void **state)
{
	(void)state;
	assert_int_equal(jitter_between(7, 7), 7);
	assert_int_equal(jitter_between(0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals_spread_around_what_was_asked),
		cmocka_unit_test(the_first_spreads_over_nearly_all_of_it),
		cmocka_unit_test(a_range_may_be_one_number),
	};

	return cmocka_run_group_tests_name("jitter", tests, NULL, NULL);
}
