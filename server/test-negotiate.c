/* SPDX-License-Identifier: Apache-2.0 */
#include "server/negotiate.h"

#include "base/testing.h"

static void codings_have_weights(UNUSED void **state)
{
	static const struct {
		const char *header;
		unsigned zstd;
	} cases[] = {
		{"", 0},
		{"gzip", 0},
		{"deflate, gzip, br, zstd", 1000},
		{"ZSTD;q=0.5, gzip", 500},
		{"zstd;q=0", 0},
		{"zstd ; q=0.125 ,x", 125},
		{"zstd;q=1.0", 1000},
		{"zstd;level=3;q=0.2", 200},
		{"zstd;q=x", 1000},
		{"*", 0},
		{"zstdx", 0},
	};

	for (size_t i = 0; i < countof(cases); i++)
		assert_int_equal(accept_weight(str_from(cases[i].header), "zstd"), cases[i].zstd);
}

static void ranges_are_clipped_to_the_size(UNUSED void **state)
{
	static const struct {
		const char *header;
		enum range_outcome outcome;
		uint64_t off, len;
	} cases[] = {
		{"bytes=0-0", RANGE_ONE, 0, 1},
		{"bytes=10-19", RANGE_ONE, 10, 10},
		{"bytes=90-", RANGE_ONE, 90, 10},
		{"bytes=90-1000", RANGE_ONE, 90, 10},
		{"bytes=-10", RANGE_ONE, 90, 10},
		{"bytes=-1000", RANGE_ONE, 0, 100},
		{"bytes=100-", RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-0", RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=18446744073709551615-18446744073709551615", RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-18446744073709551615", RANGE_ONE, 0, 100},
		{"bytes=5-4", RANGE_NONE, 0, 0},
		{"bytes=0-1,3-4", RANGE_NONE, 0, 0},
		{"bytes=", RANGE_NONE, 0, 0},
		{"bytes=a-b", RANGE_NONE, 0, 0},
		{"bytes=99999999999999999999-", RANGE_NONE, 0, 0},
		{"lines=0-1", RANGE_NONE, 0, 0},
		{"", RANGE_NONE, 0, 0},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		uint64_t off = 0;
		uint64_t len = 0;

		assert_int_equal(range_parse(str_from(cases[i].header), 100, &off, &len),
				 cases[i].outcome);
		assert_int_equal(off, cases[i].off);
		assert_int_equal(len, cases[i].len);
	}
}

static void an_empty_file_has_no_range(UNUSED void **state)
{
	uint64_t off;
	uint64_t len;

	assert_int_equal(range_parse(STR("bytes=0-"), 0, &off, &len), RANGE_UNSATISFIABLE);
	assert_int_equal(range_parse(STR("bytes=-5"), 0, &off, &len), RANGE_UNSATISFIABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codings_have_weights),
		cmocka_unit_test(ranges_are_clipped_to_the_size),
		cmocka_unit_test(an_empty_file_has_no_range),
	};

	return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
