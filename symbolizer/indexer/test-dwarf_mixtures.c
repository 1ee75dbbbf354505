/* SPDX-License-Identifier: Apache-2.0 */
/* Programs whose parts differ: units of several formats, what dwz and linkers make of them, far places, folders. */
#include "tests/unit/llvm_reference.h"
#include "tests/unit/subject.h"

static bool has_all(void)
{
	static const char *const tools[] = {"g++", "clang++", "ld.lld", "dwz", "llvm-symbolizer"};

	for (size_t i = 0; i < countof(tools); i++) {
		if (toolbox_has(tools[i]))
			continue;
		print_message("%s is missing\n", tools[i]);
		return false;
	}
	return true;
}

#define UNIT "static inline int twice_N(int x) { volatile int y = x; return y * 2; }\n" \
	     "__attribute__((noinline)) int f_N(int x) { return twice_N(x) + twice_N(x + N); }\n"

// Every version, each in a unit of its own, some with 64-bit offsets.
static void test_all_versions_in_one_file(void **state)
{
	static const char *const units[] = {"clang -gdwarf-2", "gcc -gdwarf-3 -gdwarf64", "clang -gdwarf-4",
					    "gcc -gdwarf-5 -gdwarf64", "clang -gdwarf-5", "gcc -gdwarf-5"};

	(void)state;
	if (!has_all())
		skip();
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -gdwarf-4 -gdwarf64 -c %s -o mix.o", subject), 0);
	toolbox_write("unit.in", STR(UNIT));
	for (size_t i = 0; i < countof(units); i++)
		assert_int_equal(toolbox_run("sed s/N/%zu/g unit.in >unit%zu.c && %s -O2 -c unit%zu.c -o unit%zu.o", i, i,
					     units[i], i, i), 0);
	assert_int_equal(toolbox_run("g++ mix.o unit?.o -o mixed"), 0);
	assert_int_equal(toolbox_run("test $(readelf --debug-dump=info mixed | awk '/^ *Version:/ { print $2 }' | "
				     "sort -u | wc -l) = 4"), 0);
	compare("mixed");
}

// Partial units: in the same file, and in one that several share.
static void test_dwz(void **state)
{
	struct indexing_files alone = {.elf = "alone"};
	struct indexing_files shared = {.elf = "one", .alt = "shared"};

	(void)state;
	if (!has_all())
		skip();
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -gdwarf-4 -Wl,--build-id %s -o one && "
				     "g++ -std=c++17 -O1 -gdwarf-4 -Wl,--build-id %s -o two && cp one before && "
				     "cp one alone && dwz alone && dwz -m shared -M shared one two", subject, subject), 0);
	compare_files("before", &alone);
	compare_files("before", &shared);
}

// Linkers mark what refers to removed functions in their own ways: lld by 0 and, in lists of ranges, 1; or as told.
static void test_tombstones(void **state)
{
	static const char *const marks[] = {"", "-Wl,-z,dead-reloc-in-nonalloc=.debug_*=0",
					    "-Wl,-z,dead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff",
					    "-Wl,-z,dead-reloc-in-nonalloc=.debug_*=0xfffffffffffffffe"};

	(void)state;
	if (!has_all())
		skip();
	for (int version = 4; version <= 5; version++) {
		assert_int_equal(toolbox_run("clang++ -std=c++17 -O2 -gdwarf-%d -ffunction-sections -c %s -o t.o", version,
					     subject), 0);
		for (size_t i = 0; i < countof(marks); i++) {
			print_message("DWARF %d %s\n", version, marks[i]);
			assert_int_equal(toolbox_run("clang++ -fuse-ld=lld -Wl,--gc-sections %s t.o -o t", marks[i]), 0);
			compare("t");
		}
	}
}

// Terabytes apart, as no reader may take for granted that it is not.
static void test_far_places(void **state)
{
	struct indexing x;
	uint64_t near;
	uint64_t away;

	(void)state;
	assert_int_equal(toolbox_run("sed 's/f_N/__attribute__((section(\".far\"))) f_N/; s/N/7/g' >far.c <<'.'\n" UNIT ".\n"
				     "sed s/N/8/g >near.c <<'.'\n" UNIT "int _start(int x) { return f_8(x); }\n.\n"
				     "gcc -O2 -g -mcmodel=large -fno-pie -fno-asynchronous-unwind-tables -c far.c near.c && "
				     "ld -no-pie --section-start=.far=0x123400000000 far.o near.o -o far"), 0);
	near = toolbox_nm("far", "f_8");
	away = toolbox_nm("far", "f_7");
	assert_true(away - near > GIB(1024));
	indexing_run(&x, "far", NULL, NULL);
	uhx_lookup(x.index, near, &frames);
	assert_true(frames.n && str_is(frames.frame[frames.n - 1].function, "f_8"));
	uhx_lookup(x.index, away, &frames);
	assert_true(frames.n && str_is(frames.frame[frames.n - 1].function, "f_7"));
	assert_true(str_has_suffix(frames.frame[0].file, STR("/far.c")) && frames.frame[0].line > 0);
	uhx_lookup(x.index, away - 1, &frames);
	assert_int_equal(frames.n, 0);
	indexing_deinit(&x);
}

// The part of a function that is seldom run has its own symbol, and debug info that says whose it is.
static void test_cold_parts(void **state)
{
	struct indexing x;
	uint64_t cold;

	(void)state;
	toolbox_write("cold.cc", STR("__attribute__((noinline)) int f(int x)\n{ if (x > 1000) throw x; return x * 2; }\n"
				     "int main(int c, char **) { return f(c); }\n"));
	assert_int_equal(toolbox_run("g++ -O2 -g cold.cc -o cold && strip -g -o bare cold"), 0);
	cold = toolbox_nm("cold", "_Z1fi.cold");
	if (!cold) {
		print_message("this g++ does not split functions\n");
		skip();
	}
	indexing_run(&x, "cold", NULL, NULL);
	uhx_lookup(x.index, cold, &frames);
	assert_int_equal(frames.n, 1);
	assert_true(str_is(frames.frame[0].function, "f(int)"));
	assert_int_equal(frames.frame[0].line, 2);
	indexing_deinit(&x);
	indexing_run(&x, "bare", NULL, NULL);
	uhx_lookup(x.index, cold, &frames);
	assert_int_equal(frames.n, 1);
	assert_true(str_is(frames.frame[0].system_name, "_Z1fi.cold"));
	assert_true(str_is(frames.frame[0].function, "f(int) (.cold)"));
	indexing_deinit(&x);
}

static void expect_file(const char *flags, const char *end)
{
	struct indexing x;

	assert_int_equal(toolbox_run("mkdir -p build src && echo 'int f(int x) { return x * 3; }' >src/p.c && "
				     "cd build && gcc %s -shared -fPIC .././src//p.c -o ../p", flags), 0);
	indexing_run(&x, "p", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("p", "f"), &frames);
	assert_int_equal(frames.n, 1);
	if (!str_has_suffix(frames.frame[0].file, str_from(end)))
		fail_msg("%s: " STR_FMT " instead of …%s", flags, STR_ARG(frames.frame[0].file), end);
	assert_true(end[0] != '/' || str_has_prefix(frames.frame[0].file, str_from(toolbox_dir)) ||
		    str_is(frames.frame[0].file, end));
	indexing_deinit(&x);
}

// Where it was compiled, plus how the compiler was told the file; both may have been rewritten.
static void test_folders(void **state)
{
	(void)state;
	expect_file("-gdwarf-4", "/src/p.c");
	expect_file("-gdwarf-5", "/src/p.c");
	expect_file("-gdwarf-4 -fdebug-prefix-map=$(dirname $PWD)=/usr/src", "/usr/src/src/p.c");
	expect_file("-gdwarf-5 -fdebug-prefix-map=$(dirname $PWD)=/usr/src", "/usr/src/src/p.c");
	expect_file("-gdwarf-4 -ffile-prefix-map=$PWD=.", "../src/p.c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_versions_in_one_file),
		cmocka_unit_test(test_dwz),
		cmocka_unit_test(test_tombstones),
		cmocka_unit_test(test_far_places),
		cmocka_unit_test(test_cold_parts),
		cmocka_unit_test(test_folders),
	};

	return cmocka_run_group_tests(tests, subject_setup, toolbox_teardown);
}
