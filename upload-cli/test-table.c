/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/table.h"

#include "base/testing.h"

static void expect(size_t size, const char *prefix, const char *segment, const char *want)
{
	char out[64];

	memset(out, '#', sizeof(out));
	table_url_path(out, size, prefix, segment);
	assert_string_equal(out, want);
	for (size_t i = size; i < sizeof(out); i++)
		assert_int_equal(out[i], '#');
}

static void what_is_unreserved_stays(void **state)
{
	(void)state;
	expect(64, "/v1/", "aZ09-._~", "/v1/aZ09-._~");
	expect(64, "/v1/", "", "/v1/");
}

static void anything_else_is_escaped(void **state)
{
	(void)state;
	expect(64, "/", "../a b", "/..%2Fa%20b");
	expect(64, "/", "a?b#c&d=e%", "/a%3Fb%23c%26d%3De%25");
	expect(64, "/", "\xc3\xa9\n\x7f", "/%C3%A9%0A%7F");
}

static void too_long_is_cut_at_a_whole_character(void **state)
{
	(void)state;
	expect(8, "/", "abcdefghijkl", "/abcd");
	expect(8, "/", "a/////", "/a%2F");
	expect(4, "/prefix", "x", "/pr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_unreserved_stays),
		cmocka_unit_test(anything_else_is_escaped),
		cmocka_unit_test(too_long_is_cut_at_a_whole_character),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
