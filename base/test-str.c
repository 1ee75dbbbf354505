/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/testing.h"

static void views_compare(void **state)
{
	(void)state;
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("ab"), STR("a")) > 0);
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_int_equal(str_cmp(STR_EMPTY, (struct str){NULL, 0}), 0);
	assert_true(str_has_prefix(STR("abc"), STR("ab")));
	assert_false(str_has_prefix(STR("a"), STR("ab")));
	assert_true(str_has_suffix(STR("abc"), STR("bc")));
	assert_false(str_has_suffix(STR("c"), STR("bc")));
	assert_true(str_eq_nocase(STR("AbC"), STR("aBc")));
	assert_false(str_eq_nocase(STR("[a"), STR("{a")));
}

static void views_are_cut(void **state)
{
	struct str rest = STR("a,,b");
	struct str token;

	(void)state;
	assert_str(str_trim(STR(" \t\n a b \r")), "a b");
	assert_str(str_trim(STR("  ")), "");
	assert_str(str_skip(STR("abc"), 2), "c");
	assert_str(str_skip(STR("abc"), 9), "");
	assert_str(str_basename(STR("/usr/bin/ls")), "ls");
	assert_str(str_basename(STR("ls")), "ls");
	assert_str(str_basename(STR("dir/")), "");
	assert_true(str_next(&rest, ',', &token));
	assert_str(token, "a");
	assert_true(str_next(&rest, ',', &token));
	assert_str(token, "");
	assert_true(str_next(&rest, ',', &token));
	assert_str(token, "b");
	assert_false(str_next(&rest, ',', &token));
	rest = STR("a,");
	assert_true(str_next(&rest, ',', &token));
	assert_true(str_next(&rest, ',', &token));
	assert_str(token, "");
	assert_false(str_next(&rest, ',', &token));
}

static void utf8_is_strict(void **state)
{
	(void)state;
	assert_true(str_is_utf8(STR("plain")));
	assert_true(str_is_utf8(STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")));
	assert_true(str_is_utf8(STR("\xf4\x8f\xbf\xbf")));
	assert_false(str_is_utf8(STR("\xc0\xaf")));         // overlong
	assert_false(str_is_utf8(STR("\xe0\x80\xaf")));     // overlong
	assert_false(str_is_utf8(STR("\xed\xa0\x80")));     // surrogate
	assert_false(str_is_utf8(STR("\xf4\x90\x80\x80"))); // beyond U+10FFFF
	assert_false(str_is_utf8(STR("\xe2\x82")));         // cut off
	assert_false(str_is_utf8(STR("\x80")));
	assert_int_equal(str_utf8_len(STR("\xc3\xa4x")), 2);
	assert_int_equal(str_utf8_len(STR_EMPTY), 0);
}

static void whole_numbers_are_strict(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1x", "18446744073709551616"};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++)
		assert_false(str_to_u64(str_from(bad[i]), UINT64_MAX, &v));
	assert_false(str_to_u64(STR("11"), 10, &v));
	assert_int_equal(v, 77);
	assert_true(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
	assert_true(str_to_u64(STR("10"), 10, &v));
	assert_int_equal(v, 10);
}

static void hexadecimal_with_or_without_prefix(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_true(str_hex_to_u64(STR("0x1139"), &v));
	assert_int_equal(v, 0x1139);
	assert_true(str_hex_to_u64(STR("FFFFffffFFFFffff"), &v));
	assert_true(v == UINT64_MAX);
	assert_true(str_hex_to_u64(STR("00000000000000000001"), &v));
	assert_int_equal(v, 1);
	assert_false(str_hex_to_u64(STR("0x"), &v));
	assert_false(str_hex_to_u64(STR("10000000000000000"), &v));
	assert_false(str_hex_to_u64(STR("12g"), &v));
}

static void check_size(const char *text, uint64_t want)
{
	uint64_t v = 0;

	assert_true(str_to_size(str_from(text), &v));
	assert_true(v == want);
}

static void sizes_have_units(void **state)
{
	uint64_t v;

	(void)state;
	check_size("0", 0);
	check_size("500KB", 500000);
	check_size("64MiB", 64 << 20);
	check_size("4gib", UINT64_C(4) << 30);
	check_size("1TiB", UINT64_C(1) << 40);
	check_size("7B", 7);
	assert_false(str_to_size(STR("MiB"), &v));
	assert_false(str_to_size(STR("1.5GiB"), &v));
	assert_false(str_to_size(STR("1 MiB"), &v));
	assert_false(str_to_size(STR("64M"), &v));
	assert_false(str_to_size(STR("99999999999TiB"), &v));
}

static void check_duration(const char *text, uint64_t want)
{
	uint64_t v = 0;

	assert_true(str_to_duration_ms(str_from(text), &v));
	assert_int_equal(v, want);
}

static void durations_have_units(void **state)
{
	uint64_t v;

	(void)state;
	check_duration("250ms", 250);
	check_duration("30", 30000);
	check_duration("30s", 30000);
	check_duration("0.5s", 500);
	check_duration("1.5", 1500);
	check_duration("10m", 600000);
	check_duration("2h", 7200000);
	check_duration("7d", 604800000);
	check_duration("0.0000000001d", 0);
	check_duration("1.99999999999999999999s", 1999);
	assert_false(str_to_duration_ms(STR("s"), &v));
	assert_false(str_to_duration_ms(STR("1."), &v));
	assert_false(str_to_duration_ms(STR(".5s"), &v));
	assert_false(str_to_duration_ms(STR("-1s"), &v));
	assert_false(str_to_duration_ms(STR("1w"), &v));
	assert_false(str_to_duration_ms(STR("18446744073709551615s"), &v));
}

static void booleans_have_words(void **state)
{
	bool v = false;

	(void)state;
	assert_true(str_to_bool(STR("Yes"), &v) && v);
	assert_true(str_to_bool(STR("off"), &v) && !v);
	assert_true(str_to_bool(STR("1"), &v) && v);
	assert_false(str_to_bool(STR("2"), &v));
	assert_false(str_to_bool(STR(""), &v));
}

static void hex_goes_there_and_back(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x9f, 0xff};
	uint8_t back[3];
	char text[7];
	size_t n;

	(void)state;
	hex_encode(bytes, 3, text);
	assert_string_equal(text, "009fff");
	assert_true(hex_decode(STR("009FfF"), back, 3, &n));
	assert_int_equal(n, 3);
	assert_memory_equal(back, bytes, 3);
	assert_false(hex_decode(STR("009fff"), back, 2, &n));
	assert_false(hex_decode(STR("009"), back, 3, &n));
	assert_false(hex_decode(STR("0x"), back, 3, &n));
}

static void percent_escapes_are_whole(void **state)
{
	uint8_t byte = 0;

	(void)state;
	assert_true(str_percent_byte(STR("%2cx"), &byte));
	assert_int_equal(byte, ',');
	assert_true(str_percent_byte(STR("%C3"), &byte));
	assert_int_equal(byte, 0xc3);
	assert_false(str_percent_byte(STR("%2"), &byte));
	assert_false(str_percent_byte(STR("%2g"), &byte));
	assert_false(str_percent_byte(STR("2cx"), &byte));
	assert_false(str_percent_byte(STR(""), &byte));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_compare),
		cmocka_unit_test(views_are_cut),
		cmocka_unit_test(utf8_is_strict),
		cmocka_unit_test(whole_numbers_are_strict),
		cmocka_unit_test(hexadecimal_with_or_without_prefix),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(booleans_have_words),
		cmocka_unit_test(hex_goes_there_and_back),
		cmocka_unit_test(percent_escapes_are_whole),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
