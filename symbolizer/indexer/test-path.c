/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_join(void **state)
{
	static const struct {
		const char *dir;
		const char *path;
		const char *expected;
	} cases[] = {
		{"/src", "a.c", "/src/a.c"},
		{"/src", "/abs/a.c", "/abs/a.c"},
		{"/build/x", "../lib/./a.c", "/build/lib/a.c"},
		{"/build//x/", "y//a.c", "/build/x/y/a.c"},
		{"/", "../../a.c", "/a.c"},
		{"", "./a.c", "a.c"},
		{"./debug", "../libio/a.c", "libio/a.c"},
		{".", "../../a.c", "../../a.c"},
		{"x", "../../../a.c", "../../a.c"},
		{"/src", "..", "/"},
		{"/src", "C:\\w\\a.c", "C:\\w\\a.c"},
		{"C:\\w", "a.c", "C:\\w\\a.c"},
		{"D:/w", "x/a.c", "D:/w/x/a.c"},
		{"/src", "", "/src"},
		{"", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct buf b = BUF_INIT(4096);

		path_join(str_from(cases[i].dir), str_from(cases[i].path), &b);
		assert_string_equal(buf_str(&b).p, cases[i].expected);
		buf_deinit(&b);
	}
}

static void test_cap(void **state)
{
	struct buf b = BUF_INIT(8);

	(void)state;
	path_join(STR("/much"), STR("too/long"), &b);
	assert_true(b.failed);
	path_join(STR("/a"), STR("b"), &b); // usable again
	assert_string_equal(buf_str(&b).p, "/a/b");
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
