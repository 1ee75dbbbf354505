/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/perf_map.h"

#include "base/mem.h"
#include "base/testing.h"

static void add(struct perf_map *m, const char *text)
{
	struct err e = ERR_INIT;

	assert_ok(perf_map_add(m, str_from(text), &e));
}

static void assert_name(const struct perf_map *m, uint64_t address, const char *name)
{
	const char *got = perf_map_find(m, address);

	if (!name)
		assert_null(got);
	else
		assert_string_equal(got ? got : "(none)", name);
}

static void names_are_found_at_both_ends(void **state)
{
	struct perf_map m = PERF_MAP_INIT;

	(void)state;
	add(&m, "2000 10 later\n1000 100 LazyCompile:*f /x y.js:1:2\n0x3000 0x8 prefixed\n");
	assert_int_equal(m.n, 3);
	assert_name(&m, 0xfff, NULL);
	assert_name(&m, 0x1000, "LazyCompile:*f /x y.js:1:2");
	assert_name(&m, 0x10ff, "LazyCompile:*f /x y.js:1:2");
	assert_name(&m, 0x1100, NULL);
	assert_name(&m, 0x200f, "later");
	assert_name(&m, 0x3007, "prefixed");
	assert_int_equal(m.dropped, 0);
	perf_map_deinit(&m);
}

static void the_newer_hides_the_older(void **state)
{
	struct perf_map m = PERF_MAP_INIT;

	(void)state;
	add(&m, "1000 100 old\n1040 20 inside\n1050 100 across\n");
	assert_name(&m, 0x1000, "old");
	assert_name(&m, 0x1040, "inside");
	assert_name(&m, 0x1050, "across");
	assert_name(&m, 0x114f, "across");
	assert_name(&m, 0x1150, NULL);
	add(&m, "1010 8 newest\n");
	assert_name(&m, 0x100f, "old");
	assert_name(&m, 0x1010, "newest");
	assert_name(&m, 0x1018, "old");
	add(&m, "0 ffffffff all\n");
	assert_name(&m, 0x1010, "all");
	assert_int_equal(m.n, 1);
	perf_map_deinit(&m);
}

/* Every address has the name of the last entry that holds it. */
static void any_overlap_comes_out_right(void **state)
{
	enum { SPACE = 256, ROUNDS = 400 };
	struct perf_map m = PERF_MAP_INIT;
	int newest[SPACE];
	unsigned seed = 7;

	(void)state;
	for (int i = 0; i < SPACE; i++)
		newest[i] = -1;
	for (int round = 0; round < ROUNDS; round++) {
		unsigned start = (seed = seed * 1103515245 + 12345) >> 16 & 255;
		unsigned size = 1 + ((seed = seed * 1103515245 + 12345) >> 16 & 31);
		char line[64];

		snprintf(line, sizeof(line), "%x %x n%d\n", start, size, round);
		add(&m, line);
		for (unsigned i = start; i < start + size && i < SPACE; i++)
			newest[i] = round;
	}
	for (unsigned i = 0; i < SPACE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", newest[i]);
		assert_name(&m, i, newest[i] < 0 ? NULL : name);
	}
	perf_map_deinit(&m);
}

static void nonsense_is_dropped(void **state)
{
	static const char text[] = "\n"
				   "1000\n"
				   "1000 10\n"
				   "1000 0 empty\n"
				   "-5 10 negative\n"
				   "zz 10 word\n"
				   "1000 100000000 huge\n"
				   "ffffffffffffffff 10 wraps\n"
				   "11111111111111111 10 wide\n"
				   "2000 10 fine\n";
	struct perf_map m = PERF_MAP_INIT;

	(void)state;
	add(&m, text);
	assert_int_equal(m.n, 1);
	assert_int_equal(m.dropped, 8);
	assert_name(&m, 0x2000, "fine");
	perf_map_deinit(&m);
}

static void names_become_clean(void **state)
{
	struct perf_map m = PERF_MAP_INIT;
	char line[600] = "3000 10 ";
	const char *name;

	(void)state;
	add(&m, "1000 10 a\tb\x1b[31m\n2000 10 \xff\xc3\xa4\n");
	assert_name(&m, 0x1000, "a?b?[31m");
	assert_name(&m, 0x2000, "???");
	memset(line + 8, 'x', 500);
	line[508] = '\n';
	add(&m, line);
	name = perf_map_find(&m, 0x3000);
	assert_non_null(name);
	assert_int_equal(strlen(name), PERF_MAP_NAME_MAX);
	perf_map_deinit(&m);
}

static void much_is_bounded(void **state)
{
	struct perf_map m = PERF_MAP_INIT;
	struct buf text = BUF_INIT(MIB(64));
	struct err e = ERR_INIT;

	(void)state;
	for (uint64_t i = 0; i < PERF_MAP_ENTRIES_MAX + 1000; i++)
		buf_printf(&text, "%llx 10 f%llu\n", (unsigned long long)(i * 32),
			   (unsigned long long)i);
	assert_ok(perf_map_add(&m, buf_str(&text), &e));
	assert_int_equal(m.n, PERF_MAP_ENTRIES_MAX);
	assert_int_equal(m.dropped, 1000);
	assert_ok(perf_map_add(&m, buf_str(&text), &e));
	assert_int_equal(m.n, PERF_MAP_ENTRIES_MAX);
	assert_name(&m, 0x20 * 1000, "f1000");
	buf_deinit(&text);
	perf_map_deinit(&m);
}

static void without_memory_the_map_stays(void **state)
{
	struct perf_map m = PERF_MAP_INIT;
	struct err e = ERR_INIT;
	unsigned long n = 1;
	int failed = -1;

	(void)state;
	add(&m, "1000 10 first\n");
	for (; failed < 0; n++) {
		mem_fault_at(n, 1);
		failed = perf_map_add(&m, STR("1008 10 second\n"), &e);
		mem_fault_off();
		assert_name(&m, 0x1000, "first");
		assert_name(&m, 0x1008, failed < 0 ? "first" : "second");
		if (failed < 0)
			assert_int_equal(e.kind, ERR_NOMEM);
	}
	assert_true(n > 2);
	perf_map_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_at_both_ends),
		cmocka_unit_test(the_newer_hides_the_older),
		cmocka_unit_test(any_overlap_comes_out_right),
		cmocka_unit_test(nonsense_is_dropped),
		cmocka_unit_test(names_become_clean),
		cmocka_unit_test(much_is_bounded),
		cmocka_unit_test(without_memory_the_map_stays),
	};

	return cmocka_run_group_tests_name("perf_map", tests, NULL, NULL);
}
