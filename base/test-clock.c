/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/testing.h"

static const int64_t second = 1000000000;

static void time_moves_when_shifted(void **state)
{
	uint64_t before = clock_mono_ms();
	int64_t unix_before = clock_unix_s();

	(void)state;
	clock_shift_ms(3600 * 1000);
	assert_in_range(clock_mono_ms() - before, 3600000, 3610000);
	assert_in_range(clock_unix_s() - unix_before, 3600, 3610);
	clock_shift_ms(-3600 * 1000);
	assert_in_range(clock_mono_ms() - before, 0, 10000);
	assert_in_range(clock_unix_ns() / second - unix_before, 0, 10);
}

static void cpu_time_is_not_shifted(void **state)
{
	uint64_t before = clock_thread_cpu_ns(), after;

	(void)state;
	clock_shift_ms(3600 * 1000);
	do
		after = clock_thread_cpu_ns();
	while (after == before);
	clock_shift_ms(-3600 * 1000);
	assert_in_range(after - before, 1, 60 * second);
}

static void check_format(int64_t unix_ns, const char *want)
{
	char text[32];

	clock_rfc3339(unix_ns, text);
	assert_string_equal(text, want);
}

static void formats_rfc3339(void **state)
{
	(void)state;
	check_format(0, "1970-01-01T00:00:00.000Z");
	check_format(1700000000 * second + 123456789, "2023-11-14T22:13:20.123Z");
	check_format(-1, "1969-12-31T23:59:59.999Z");
}

static void check_parse(const char *text, int64_t want)
{
	int64_t v = 0;

	if (!clock_parse(text, &v))
		fail_msg("'%s' was refused", text);
	assert_true(v == want);
}

static void parses_both_forms(void **state)
{
	(void)state;
	check_parse("0", 0);
	check_parse("1700000000", 1700000000 * second);
	check_parse("1700000000.25", 1700000000 * second + 250000000);
	check_parse("1.0000000019", second + 1);
	check_parse("2023-11-14T22:13:20Z", 1700000000 * second);
	check_parse("2023-11-14t22:13:20.5z", 1700000000 * second + 500000000);
	check_parse("2023-11-15 00:13:20+02:00", 1700000000 * second);
	check_parse("2023-11-14T20:43:20-01:30", 1700000000 * second);
	check_parse("2024-02-29T00:00:00Z", 1709164800 * second);
}

static void refuses_anything_else(void **state)
{
	static const char *const bad[] = {
		"", "-1", "1e9", "1.", "now", "99999999999", "2023-11-14", "2023-11-14T22:13:20",
		"2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-11-14T24:00:00Z",
		"2023-11-14T22:13:20Zx", "2023-11-14T22:13:20.Z", "3023-11-14T22:13:20Z",
		"2023-11-14T22:13:20+0200",
	};
	int64_t v = 42;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		if (clock_parse(bad[i], &v))
			fail_msg("'%s' was taken", bad[i]);
	}
	assert_int_equal(v, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_moves_when_shifted),
		cmocka_unit_test(cpu_time_is_not_shifted),
		cmocka_unit_test(formats_rfc3339),
		cmocka_unit_test(parses_both_forms),
		cmocka_unit_test(refuses_anything_else),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
