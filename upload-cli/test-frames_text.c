/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/frames_text.h"

#include "base/testing.h"

#define FRAME(name, mangled, at, n)                                                                \
	{                                                                                          \
		.function = STR_INIT(name), .system_name = STR_INIT(mangled), .file = STR_INIT(at), .line = (n) \
	}
#define STR_INIT(s) {(s), sizeof(s) - 1}

static struct frames two = {
	.source = SOURCE_DWARF,
	.n = 2,
	.frame = {FRAME("ns::inner(int)", "_ZN2ns5innerEi", "/src/a.h", 7), FRAME("main", "main", "/src/a.c", 40)},
};

static void expect(const struct frames *f, struct frames_style style, const char *want)
{
	struct buf out = BUF_INIT(1 << 20);

	frames_text(f, &style, &out);
	assert_string_equal(buf_str(&out).p, want);
	buf_deinit(&out);
}

static void lines_alone(void **state)
{
	(void)state;
	expect(&two, (struct frames_style){0}, "/src/a.h:7\n");
}

static void functions_are_physical_without_inlines(void **state)
{
	(void)state;
	expect(&two, (struct frames_style){.functions = true}, "main\n/src/a.h:7\n");
}

static void inlines_are_innermost_first(void **state)
{
	(void)state;
	expect(&two, (struct frames_style){.functions = true, .inlines = true},
	       "_ZN2ns5innerEi\n/src/a.h:7\nmain\n/src/a.c:40\n");
	expect(&two, (struct frames_style){.functions = true, .inlines = true, .demangle = true},
	       "ns::inner(int)\n/src/a.h:7\nmain\n/src/a.c:40\n");
}

static void numbers_are_whole(void **state)
{
	static const struct frames far = {
		.n = 1, .frame = {{.file = STR_INIT("a"), .line = UINT32_MAX, .column = UINT32_MAX}}};
	static const struct frames near = {.n = 1, .frame = {{.file = STR_INIT("a"), .line = 0, .column = 9}}};

	(void)state;
	expect(&far, (struct frames_style){0}, "a:4294967295:4294967295\n");
	expect(&near, (struct frames_style){0}, "a:0:9\n");
}

static void what_is_unknown_is_two_question_marks(void **state)
{
	static const struct frames none;
	static const struct frames nameless = {.n = 1, .frame = {FRAME("", "", "", 0)}};

	(void)state;
	expect(&none, (struct frames_style){.functions = true, .inlines = true}, "??\n??:0\n");
	expect(&none, (struct frames_style){0}, "??:0\n");
	expect(&nameless, (struct frames_style){.functions = true}, "??\n??:0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_alone),
		cmocka_unit_test(functions_are_physical_without_inlines),
		cmocka_unit_test(inlines_are_innermost_first),
		cmocka_unit_test(numbers_are_whole),
		cmocka_unit_test(what_is_unknown_is_two_question_marks),
	};

	return cmocka_run_group_tests_name("frames_text", tests, NULL, NULL);
}
