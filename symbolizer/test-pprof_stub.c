/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_stub.h"

#include "tests/unit/toolbox.h"
#include "tests/unit/pprof_wire.h"

static struct arena arena = ARENA_INIT(1 << 20);

static void assert_stub(const char *filename, uint64_t va, const char *want)
{
	const struct pprof_mapping m = {.filename = str_from(filename)};
	struct str s = pprof_stub_name(&arena, filename ? &m : NULL, va);

	if (!str_is(s, want))
		fail_msg("'" STR_FMT "', not '%s'", STR_ARG(s), want);
	assert_true(pprof_stub_is_of_mapping(s, filename ? &m : NULL));
}

static void stubs_are_named_by_the_file(void **state)
{
	static char longest[1000];
	const struct pprof_mapping m = {.filename = {longest, sizeof(longest)}};

	(void)state;
	assert_stub("/usr/lib/libc.so.6", 0x12AB, "libc.so.6+0x12ab");
	assert_stub("a", 0, "a+0x0");
	assert_stub("", UINT64_MAX, "unknown+0xffffffffffffffff");
	assert_stub("/dir/", 1, "unknown+0x1");
	assert_stub(NULL, 1, "unknown+0x1");
	assert_stub("a+0x12!0x2", 1, "a+0x12!0x2+0x1");
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(pprof_stub_name(&arena, &m, 1).n, 255 + strlen("+0x1"));
	arena_deinit(&arena);
}

static void stubs_are_recognised(void **state)
{
	static const char *const stubs[] = {"a+0x1", "libc.so.6!0xdeadBEEF", "a b+0x0", "x+y+0x1"};
	static const char *const names[] = {"", "a", "a+0x", "a+1", "+0x1", "!0x1", "f+0x12/0x34",
					    "a+0x12g", "a-0x12", "operator+", "0x12"};
	struct str prefix;

	(void)state;
	for (size_t i = 0; i < countof(stubs); i++)
		assert_true(pprof_parse_stub(str_from(stubs[i]), &prefix));
	assert_true(str_is(prefix, "x+y"));
	for (size_t i = 0; i < countof(names); i++) {
		if (pprof_parse_stub(str_from(names[i]), &prefix))
			fail_msg("'%s' is no stub", names[i]);
	}
}

static void others_may_know_more(void **state)
{
	const struct pprof_mapping m = {.filename = STR("/lib/libc.so.6")};

	(void)state;
	assert_true(pprof_stub_is_of_mapping(STR("libc.so.6!0x1"), &m));
	assert_true(pprof_stub_is_of_mapping(STR("/lib/libc.so.6+0x1"), &m));
	assert_true(pprof_stub_is_of_mapping(STR("unknown!0x1"), &m));
	assert_false(pprof_stub_is_of_mapping(STR("memcpy+0x1"), &m));
	assert_false(pprof_stub_is_of_mapping(STR("memcpy"), &m));
}

static void a_line_or_a_file_makes_it_a_name(void **state)
{
	struct wire w = wire_new();
	struct pprof p;

	(void)state;
	wire_function(&w, 1, "a+0x1", "");
	wire_function(&w, 2, "a+0x1", "f.c");
	wire_function(&w, 3, "f", "");
	wire_location(&w, 1, 0, 1, (const uint64_t[]){1, 0, 0});
	wire_location(&w, 2, 0, 1, (const uint64_t[]){1, 7, 0});
	wire_location(&w, 3, 0, 1, (const uint64_t[]){2, 0, 0});
	wire_location(&w, 4, 0, 1, (const uint64_t[]){3, 0, 0});
	wire_location(&w, 5, 0, 1, (const uint64_t[]){1, 0, 3, 0, 0});
	wire_location(&w, 6, 0, 1, NULL);
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	for (size_t i = 0; i < p.location_count; i++)
		assert_int_equal(pprof_is_stub(&p, &p.locations[i]), i == 0);
	buf_deinit(&w.b);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stubs_are_named_by_the_file),
		cmocka_unit_test(stubs_are_recognised),
		cmocka_unit_test(others_may_know_more),
		cmocka_unit_test(a_line_or_a_file_makes_it_a_name),
	};

	return cmocka_run_group_tests_name("pprof_stub", tests, NULL, NULL);
}
