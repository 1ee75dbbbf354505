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

// The class is the same in both units, so that its members' names move to a partial unit.
static const char class_h[] =
	"namespace shop { struct Order { int items; int price; int tax;\nEXTRA\n"
	"int total() const { int t = 0; for (int i = 0; i < items; i++) t += price; return t + tax; }\n"
	"int half() const { return total() / 2 + discount(tax); }\n"
	"__attribute__((noinline)) int discount(int x) const { return x > price ? price : x * items; } }; }\n";

// References from unit to unit of one file.
static void test_dwz_in_one_file(void **state)
{
	struct indexing_files alone = {.elf = "alone"};

	(void)state;
	if (!has_all())
		skip();
	toolbox_write("class.h", str_from(class_h));
	assert_int_equal(toolbox_run("sed -i \"s/EXTRA/$(seq -f 'int more%%g(int a, Order *b);' -s ' ' 40)/\" class.h"), 0);
	toolbox_write("a.cc", STR("#include \"class.h\"\nint first(int x) { return shop::Order{x, 3, 4}.half(); }\n"
				  "int third(int x) { return shop::Order{x, x, 7}.half() - first(x); }\n"
				  "int fourth(int x) { return shop::Order{3, x, x}.half() * shop::Order{x, 2, x}.total(); }\n"));
	toolbox_write("b.cc", STR("#include \"class.h\"\nint first(int);\n"
				  "int second(int x) { return shop::Order{9, x, 3}.total() + shop::Order{x, 1, 2}.half(); }\n"
				  "int main(int c, char **) { return shop::Order{c, 5, c}.half() + first(c); }\n"));
	for (int version = 4; version <= 5; version++) {
		assert_int_equal(toolbox_run("g++ -O2 -gdwarf-%d a.cc b.cc -o before && cp before alone && dwz alone && "
					     "readelf --debug-dump=info alone | grep -q DW_TAG_partial_unit",
					     version), 0);
		compare_files("before", &alone);
	}
}

// Partial units in a file that several share.
static void test_dwz(void **state)
{
	struct indexing_files shared = {.elf = "one", .alt = "shared"};

	(void)state;
	if (!has_all())
		skip();
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -gdwarf-4 -Wl,--build-id %s -o one && "
				     "g++ -std=c++17 -O1 -gdwarf-4 -Wl,--build-id %s -o two && cp one before && "
				     "dwz -m shared -M shared one two", subject, subject), 0);
	compare_files("before", &shared);
}

static void nothing_before_the_code(const char *file)
{
	struct indexing x;

	indexing_run(&x, file, NULL, NULL);
	for (uint64_t at = 0; at < 0x400; at++) {
		uhx_lookup(x.index, at, &frames);
		assert_int_equal(frames.n, 0);
	}
	uhx_lookup(x.index, UINT64_MAX, &frames);
	assert_int_equal(frames.n, 0);
	indexing_deinit(&x);
}

// Linkers mark what refers to removed functions in their own ways: lld by 0 and, in lists of ranges, 1; or as told.
// llvm-symbolizer, which some of them mislead, is asked about lld's own.
static void test_tombstones(void **state)
{
	struct indexing_files marked = {.elf = "marked"};
	static const char *const marks[] = {"", "-Wl,-z,dead-reloc-in-nonalloc=.debug_*=0",
					    "-Wl,-z,dead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff",
					    "-Wl,-z,dead-reloc-in-nonalloc=.debug_*=0xfffffffffffffffe"};

	(void)state;
	if (!has_all())
		skip();
	assert_int_equal(toolbox_run("{ echo '#include \"%s\"'; echo 'static inline int deep(int x) { return x ^ sink; }'; "
				     "echo 'int gone(int x) {'; for i in $(seq 2000); do echo \"x += $i; sink = deep(x);\"; done; "
				     "echo 'return x; }'; } | sed '1a volatile int sink;' >t.cc", subject), 0);
	for (int version = 4; version <= 5; version++) {
		assert_int_equal(toolbox_run("clang++ -std=c++17 -O2 -gdwarf-%d -ffunction-sections -c t.cc -o t.o && "
					     "clang++ -fuse-ld=lld -Wl,--gc-sections t.o -o t", version), 0);
		assert_int_equal(toolbox_nm("t", "_Z4gonei"), 0);
		for (size_t i = 0; i < countof(marks); i++) {
			print_message("DWARF %d %s\n", version, marks[i]);
			assert_int_equal(toolbox_run("clang++ -fuse-ld=lld -Wl,--gc-sections %s t.o -o marked", marks[i]), 0);
			compare_files("t", &marked);
			nothing_before_the_code("marked");
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
		cmocka_unit_test(test_dwz_in_one_file),
		cmocka_unit_test(test_dwz),
		cmocka_unit_test(test_tombstones),
		cmocka_unit_test(test_far_places),
		cmocka_unit_test(test_cold_parts),
		cmocka_unit_test(test_folders),
	};

	return cmocka_run_group_tests(tests, subject_setup, toolbox_teardown);
}
