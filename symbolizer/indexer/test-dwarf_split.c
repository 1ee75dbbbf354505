/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split DWARF of both compilers, loose and packaged. What is compared with is the same program, not split:
 * its code is the same byte by byte.
 */
#include "symbolizer/indexer/dwarf_ranges.h"
#include "tests/unit/damage.h"
#include "tests/unit/llvm_reference.h"
#include "tests/unit/subject.h"
#include <dwarf.h>

static const char second_cc[] =
	"namespace second { struct S { int n; int half() const { return n / 2; } };\n"
	"static inline int clamp(int x) { return x < 0 ? 0 : x; }\n"
	"__attribute__((noinline)) int run(int x) { S s{clamp(x)}; return s.half() + clamp(x - 7); } }\n"
	"int second_entry(int x) { return second::run(x) * 3; }\n";

// Into "split", with its .dwo files, and "plain".
static void compile_split(const char *compiler, const char *flags)
{
	print_message("%s %s\n", compiler, flags);
	toolbox_write("second.cc", str_from(second_cc));
	assert_int_equal(toolbox_run("rm -f ./*.dwo ./*.dwp; cp %s first.cc && for f in first second; do "
				     "%s -std=c++17 -O2 %s -c $f.cc -o $f.o && "
				     "%s -std=c++17 -O2 %s -gsplit-dwarf -c $f.cc -o $f-split.o || exit 1; done; "
				     "%s first.o second.o -o plain && %s first-split.o second-split.o -o split && "
				     "objcopy -O binary -j .text plain a.text && objcopy -O binary -j .text split b.text && "
				     "cmp a.text b.text", subject, compiler, flags, compiler, flags, compiler, compiler), 0);
}

static void split_variants(const char *compiler, const char *flags, bool binutils)
{
	struct indexing_files dwo = {.elf = "split", .split = {"second-split.dwo", "first-split.dwo"}};
	struct indexing_files dwp = {.elf = "split", .split = {"llvm.dwp"}};

	if (!toolbox_has(compiler) || !toolbox_has("llvm-dwp")) {
		print_message("%s or llvm-dwp is missing\n", compiler);
		skip();
	}
	compile_split(compiler, flags);
	compare_files("plain", &dwo);
	assert_int_equal(toolbox_run("llvm-dwp -e split -o llvm.dwp"), 0);
	compare_files("plain", &dwp);
	assert_int_equal(toolbox_run("objcopy --compress-debug-sections=zlib llvm.dwp zlib.dwp"), 0);
	dwp.split[0] = "zlib.dwp";
	compare_files("plain", &dwp);
	if (!binutils)
		return;
	assert_int_equal(toolbox_run("dwp -e split -o binutils.dwp"), 0);
	dwp.split[0] = "binutils.dwp";
	compare_files("plain", &dwp);
}

static void test_split_gcc(void **state)
{
	(void)state;
	split_variants("g++", "-gdwarf-4", true);
	split_variants("g++", "-gdwarf-5", false); // binutils 2.40 packages version 4 alone
}

static void test_split_clang(void **state)
{
	(void)state;
	split_variants("clang++", "-gdwarf-4 -fdebug-types-section", true);
	split_variants("clang++", "-gdwarf-5", false);
}

static void test_split_missing(void **state)
{
	struct indexing_files one = {.elf = "split", .split = {"first-split.dwo", "other.dwo"}};
	struct indexing x;

	(void)state;
	compile_split("g++", "-g");
	assert_int_equal(toolbox_run("echo 'int other(void) { return 1; }' >other.c && "
				     "gcc -g -gsplit-dwarf -c other.c -o other.o"), 0);
	indexing_run(&x, "split", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("split", "main"), &frames);
	assert_true(frames.n == 1 && frames.frame[0].line > 0);
	assert_non_null(strstr(x.report.p, "the functions of 2 units are in .dwo files that were not given (the first: "
					   "first-split.dwo)"));
	indexing_deinit(&x);
	indexing_run_files(&x, &one);
	uhx_lookup(x.index, toolbox_nm("split", "main"), &frames);
	assert_true(frames.n >= 1 && frames.frame[0].start_line > 0);
	assert_non_null(strstr(x.report.p, "the functions of 1 units are in .dwo files that were not given (the first: "
					   "second-split.dwo)"));
	assert_non_null(strstr(x.report.p, "other.dwo: no unit of split is in it"));
	indexing_deinit(&x);
}

// Before DWARF 5 the lists are the binary's, and so is the count of what may be read of them: a .dwo file has none.
static void test_old_ranges_count_for_the_binary(void **state)
{
	static const uint64_t list[] = {0x1000, 0x1010, 0x2000, 0x2020, 0, 0};
	struct dwarf_file binary = {.ranges = {(const char *)list, sizeof(list)}, .ranges_left = 4};
	struct dwarf_file dwo = {.ranges_left = 0};
	struct dwarf_unit unit = {.file = &dwo, .addresses = &binary, .version = 4, .sizes = {8, 4, 4}};
	struct dwarf_attributes a = {.has = 1U << SLOT_RANGES};
	struct dwarf_ranges ranges;
	uint64_t start, end;

	(void)state;
	a.value[SLOT_RANGES] = (struct dwarf_value){0, DW_FORM_sec_offset};
	dwarf_ranges_begin(&ranges, &unit, &a);
	assert_true(dwarf_ranges_next(&ranges, &start, &end));
	assert_true(start == 0x1000 && end == 0x1010);
	assert_true(dwarf_ranges_next(&ranges, &start, &end));
	assert_true(start == 0x2000 && end == 0x2020);
	assert_false(dwarf_ranges_next(&ranges, &start, &end));
	assert_int_equal(binary.ranges_left, 1);
	dwarf_ranges_begin(&ranges, &unit, &a);
	assert_true(dwarf_ranges_next(&ranges, &start, &end));
	assert_false(dwarf_ranges_next(&ranges, &start, &end));
}

// A package whose index says anything at all.
static void test_split_damaged(void **state)
{
	struct indexing_files dwp = {.elf = "split", .split = {"damaged.dwp"}};
	uint32_t random = 88172645U;
	size_t place, size, n;
	char *bytes;

	(void)state;
	if (!toolbox_has("llvm-dwp"))
		skip();
	compile_split("g++", "-gdwarf-5");
	assert_int_equal(toolbox_run("llvm-dwp -e split -o llvm.dwp"), 0);
	place = section_place("llvm.dwp", ".debug_cu_index", &size);
	assert_true(size > 0);
	bytes = toolbox_read("llvm.dwp", &n);
	for (unsigned i = 0; i < 100; i++) {
		size_t at = place + next_random(&random) % size;
		char was = bytes[at];
		struct indexing x;

		bytes[at] = (char)next_random(&random);
		toolbox_write("damaged.dwp", (struct str){bytes, n});
		bytes[at] = was;
		indexing_run_files(&x, &dwp);
		assert_non_null(x.index);
		indexing_deinit(&x);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_gcc),
		cmocka_unit_test(test_split_clang),
		cmocka_unit_test(test_split_missing),
		cmocka_unit_test(test_old_ranges_count_for_the_binary),
		cmocka_unit_test(test_split_damaged),
	};

	return cmocka_run_group_tests(tests, subject_setup, toolbox_teardown);
}
