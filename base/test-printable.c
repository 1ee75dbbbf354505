/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include "base/testing.h"
#include <stdlib.h>

static void expect(struct str s, const char *want)
{
	struct buf appended = BUF_INIT(1024);
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	printable_put(s, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, want);
	free(text);
	printable_append(s, &appended);
	assert_int_equal(appended.n, strlen(want));
	assert_memory_equal(buf_str(&appended).p, want, appended.n);
	buf_deinit(&appended);
}

/* At each place of a word, and in what is left of it, each byte is shown or escaped as it is alone. */
static void words_are_looked_at_bytewise(void **state)
{
	char text[24], want[64];

	(void)state;
	for (unsigned c = 1; c < 0x80; c++) {
		for (size_t at = 0; at < sizeof(text) - 1; at++) {
			memset(text, 'x', sizeof(text) - 1);
			text[sizeof(text) - 1] = '\0';
			text[at] = (char)c;
			if (c >= ' ' && c != 0x7f)
				snprintf(want, sizeof(want), "%s", text);
			else
				snprintf(want, sizeof(want), "%.*s\\x%02x%s", (int)at, text, c, text + at + 1);
			expect(str_from(text), want);
		}
	}
}

static void a_terminal_is_not_told_to_obey(void **state)
{
	(void)state;
	expect(STR(""), "");
	expect(STR("std::vector<int>::at"), "std::vector<int>::at");
	expect(STR("\xc3\xa9t\xc3\xa9"), "\xc3\xa9t\xc3\xa9");
	expect(STR("a\x1b[2Jb\n\x7f"), "a\\x1b[2Jb\\x0a\\x7f");
	expect(STR("\xc2\x9b" "31m"), "\\xc2\\x9b" "31m"); // CSI as a single character
	expect(STR("\xff\xc3"), "\\xff\\xc3");
}

static void columns_are_cut(void **state)
{
	char out[6];

	(void)state;
	printable_copy(STR("abc"), out, sizeof(out));
	assert_string_equal(out, "abc");
	printable_copy(STR("a\x1b\xc3\xa9zzzz"), out, sizeof(out));
	assert_string_equal(out, "a???z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_is_not_told_to_obey),
		cmocka_unit_test(words_are_looked_at_bytewise),
		cmocka_unit_test(columns_are_cut),
	};

	return cmocka_run_group_tests_name("printable", tests, NULL, NULL);
}
