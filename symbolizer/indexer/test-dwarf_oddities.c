/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compilers and linkers write once in a while, and no compiler at hand on demand: debug information
 * written down in assembly. The code is always the same: "f", 64 bytes of nops, and "g", 16 more behind a gap.
 */
#include "symbolizer/indexer/dwarf_file.h"
#include "tests/unit/indexing.h"

enum { SOURCE_MAX = 32 * 1024, F_SIZE = 64 };

static struct frames frames;
static char source[SOURCE_MAX];

static const char head[] =
	".text\n.globl f, g\n.type f,@function\n.type g,@function\n"
	"f: .fill 64,1,0x90\n.size f,64\n.fill 16,1,0xcc\ng: .fill 16,1,0x90\n.size g,16\n"
	".section .note.GNU-stack,\"\",@progbits\n"
	// the statements of line programs (DWARF 4, 6.2.5)
	".macro at place\n.byte 0,9,2\n.quad \\place\n.endm\n"
	".macro go bytes\n.byte 2\n.uleb128 \\bytes\n.endm\n"
	".macro by lines\n.byte 3\n.sleb128 \\lines\n.endm\n"
	".macro row\n.byte 1\n.endm\n.macro end\n.byte 0,1,1\n.endm\n"
	".section .debug_abbrev,\"\",@progbits\n"
	".byte 1,0x11,1,3,8,0x1b,8,0x13,0xb,0x10,0x17,0x11,1,0x12,6,0,0\n" // unit
	".byte 2,0x2e,1,3,8,0x3b,0xb,0x11,1,0x12,6,0,0\n"		   // function: name, line, place
	".byte 3,0x2e,0,3,8,0x3b,0xb,0,0\n"				   // function without code
	".byte 4,0x1d,1,0x31,0x13,0x11,1,0x12,6,0x58,0xb,0x59,0xb,0,0\n"	   // inlined
	".byte 5,0x1d,1,0x31,0x13,0x11,1,0x12,6,0,0\n"			   // inlined, nobody knows from where
	".byte 6,0x1d,0,0x31,0x13,0x52,1,0,0\n"				   // inlined, with an entry and no end
	".byte 7,0x2e,0,0x31,0x13,0,0\n"					   // function that is like another
	".byte 8,0x2e,1,0x31,0x13,0x11,1,0x12,6,0,0\n"			   // the same, with code
	".byte 9,0x2e,1,3,8,0x3b,0xb,0x55,0x17,0,0\n"			   // function in several pieces
	".byte 10,0xb,1,0,0\n.byte 0\n"					   // block
	".section .debug_info,\"\",@progbits\n"
	"unit: .long unit_end-unit_start\nunit_start: .short 4\n.long .debug_abbrev\n.byte 8\n"
	".byte 1\n.asciz \"a.c\"\n.asciz \"/src\"\n.byte 12\n.long lines\n.quad f\n.long 96\n";

static const char middle[] =
	".byte 0\nunit_end:\n.section .debug_line,\"\",@progbits\n"
	"lines: .long lines_end-lines_start\nlines_start: .short 4\n.long code-tables\n"
	"tables: .byte 1,1,1,-5,14,13, 0,1,1,1,1,0,0,0,1,0,0,1, 0\n"
	".asciz \"a.c\"\n.byte 0,0,0\n.asciz \"b.c\"\n.byte 0,0,0, 0\ncode:\n";

static const char f_alone[] = ".byte 2\n.asciz \"f\"\n.byte 5\n.quad f\n.long 64\n.byte 0\n";
static const char lines_of_f[] = "at f\nby 9\nrow\ngo 64\nend\n";

static void assemble(const char *entries, const char *lines, const char *more, const char *link)
{
	int n = snprintf(source, sizeof(source), "%s%s%s%s%s", head, entries, middle, lines, "lines_end:\n");

	assert_true(n > 0 && n < SOURCE_MAX);
	snprintf(source + n, sizeof(source) - (size_t)n, "%s", more);
	toolbox_write("odd.s", str_from(source));
	assert_int_equal(toolbox_run("gcc -nostdlib %s odd.s -o odd", link), 0);
}

static void index_odd(struct indexing *x, const char *entries, const char *lines)
{
	assemble(entries, lines, "", "-shared");
	indexing_run(x, "odd", NULL, NULL);
	if (!x->index)
		fail_msg("%s", x->error.msg);
}

struct place {
	uint64_t at; // behind f
	uint32_t line;
};

enum { PLACES_MAX = 8, NO_FRAME = 9999 };

static void check_lines(const char *entries, const char *lines, const struct place *places)
{
	uint64_t f;
	struct indexing x;

	index_odd(&x, entries, lines);
	f = toolbox_nm("odd", "f");
	for (size_t i = 0; i < PLACES_MAX && (!i || places[i].at); i++) {
		uint32_t line;

		uhx_lookup(x.index, f + places[i].at, &frames);
		line = frames.n ? frames.frame[0].line : NO_FRAME;
		if (line != places[i].line)
			fail_msg("%sat f + %u: line %u instead of %u", lines, (unsigned)places[i].at, line,
				 places[i].line);
	}
	indexing_deinit(&x);
}

static void test_line_programs(void **state)
{
	static const struct {
		const char *program;
		struct place places[PLACES_MAX];
	} cases[] = {
		// two rows at one address: the last counts
		{"at f\nby 9\nrow\nby 10\nrow\ngo 4\nby 10\nrow\ngo 60\nend\n", {{0, 20}, {3, 20}, {4, 30}, {63, 30}}},
		// back in the middle of a sequence
		{"at f\nby 9\nrow\ngo 8\nby 10\nrow\nat f+4\nby 10\nrow\ngo 12\nby 10\nrow\ngo 48\nend\n",
		 {{0, 10}, {4, 10}, {8, 20}, {15, 20}, {16, 40}}},
		// the end before the last row
		{"at f\nby 9\nrow\ngo 32\nby 10\nrow\nat f+16\nend\n", {{0, 10}, {15, 10}, {16, 0}, {32, 0}}},
		// nobody's line
		{"at f\nby 9\nrow\ngo 8\nby -10\nrow\ngo 8\nby 30\nrow\ngo 48\nend\n", {{0, 10}, {8, 0}, {16, 30}}},
		// the second sequence first
		{"at f+32\nby 19\nrow\ngo 32\nend\nat f\nby 9\nrow\ngo 32\nend\n", {{0, 10}, {31, 10}, {32, 20}, {63, 20}}},
		// one over the other: that which starts later
		{"at f\nby 9\nrow\ngo 32\nend\nat f+16\nby 19\nrow\ngo 48\nend\n", {{0, 10}, {15, 10}, {16, 20}, {63, 20}}},
		// one without an end says nothing, the one before does
		{"at f\nby 9\nrow\ngo 16\nend\nat f+16\nby 19\nrow\ngo 16\nby 1\nrow\n", {{0, 10}, {16, 0}, {40, 0}}},
		// further than there is code, and around the end of the address space
		{"at f\nby 9\nrow\ngo 0x7fffffffffff\nend\n", {{0, 10}, {63, 10}, {64, NO_FRAME}}},
		{"at f\nby 9\nrow\ngo 32\nby 10\nrow\ngo 0xfffffffffffffff0\nend\n", {{0, 10}, {15, 10}, {16, 0}}},
		// of functions that were removed: at 0, -1 and -2
		{"at 0\nby 98\nrow\ngo 0x10000\nend\nat f\nby 9\nrow\ngo 64\nend\n", {{0, 10}, {63, 10}}},
		{"at -1\nby 98\nrow\ngo 64\nend\nat f\nby 9\nrow\ngo 64\nend\n", {{0, 10}, {63, 10}}},
		{"at -2\nby 98\nrow\ngo 0x1000\nend\nat f\nby 9\nrow\ngo 64\nend\n", {{0, 10}, {63, 10}}},
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++)
		check_lines(f_alone, cases[i].program, cases[i].places);
}

// "a.c:3 b.c:0 …" of the frames, innermost first, with their functions.
static char *chain_at(struct uhx *u, uint64_t address)
{
	static char text[1024];
	size_t n = 0;

	uhx_lookup(u, address, &frames);
	text[0] = '\0';
	for (size_t i = 0; i < frames.n && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s" STR_FMT " " STR_FMT ":%u", i ? ", " : "",
				      STR_ARG(frames.frame[i].function), STR_ARG(frames.frame[i].file),
				      frames.frame[i].line);
	return text;
}

static void expect_chain(struct indexing *x, uint64_t behind_f, const char *chain)
{
	assert_string_equal(chain_at(x->index, toolbox_nm("odd", "f") + behind_f), chain);
}

static const char origins[] = "in: .byte 3\n.asciz \"in\"\n.byte 1\ndeep: .byte 3\n.asciz \"deep\"\n.byte 2\n";

static void index_inlined(struct indexing *x, const char *inlined)
{
	static char entries[SOURCE_MAX];

	snprintf(entries, sizeof(entries), "%s.byte 2\n.asciz \"f\"\n.byte 5\n.quad f\n.long 64\n%s.byte 0\n", origins,
		 inlined);
	index_odd(x, entries, lines_of_f);
}

static void test_inlined_siblings_that_overlap(void **state)
{
	struct indexing x;

	(void)state;
	index_inlined(&x, ".byte 4\n.long in-unit\n.quad f\n.long 32\n.byte 1,7, 0\n"
			  ".byte 4\n.long deep-unit\n.quad f+16\n.long 32\n.byte 2,8, 0\n");
	expect_chain(&x, 0, "in /src/a.c:10, f /src/a.c:7");
	expect_chain(&x, 16, "deep /src/a.c:10, f /src/b.c:8");
	expect_chain(&x, 48, "f /src/a.c:10");
	indexing_deinit(&x);
}

// Inside a block, and reaching out of what it is inlined into.
static void test_inlined_beyond_its_caller(void **state)
{
	struct indexing x;

	(void)state;
	index_inlined(&x, ".byte 4\n.long in-unit\n.quad f\n.long 16\n.byte 1,7\n.byte 10\n"
			  ".byte 4\n.long deep-unit\n.quad f+8\n.long 16\n.byte 2,8, 0\n.byte 0\n.byte 0\n");
	expect_chain(&x, 4, "in /src/a.c:10, f /src/a.c:7");
	expect_chain(&x, 8, "deep /src/a.c:10, in /src/b.c:8, f /src/a.c:7");
	expect_chain(&x, 20, "deep /src/a.c:10, in /src/b.c:8, f /src/a.c:7");
	expect_chain(&x, 24, "f /src/a.c:10");
	indexing_deinit(&x);
}

static void test_inlined_from_nowhere(void **state)
{
	struct indexing x;

	(void)state;
	index_inlined(&x, ".byte 5\n.long in-unit\n.quad f\n.long 16\n.byte 0\n"
			  ".byte 4\n.long in-unit\n.quad f+16\n.long 16\n.byte 200,0, 0\n"
			  ".byte 6\n.long deep-unit\n.quad f+40\n"); // nobody knows how far
	expect_chain(&x, 0, "in /src/a.c:10, f :0");
	expect_chain(&x, 16, "in /src/a.c:10, f :0");
	expect_chain(&x, 40, "f /src/a.c:10");
	indexing_deinit(&x);
}

// Six hundred levels: the innermost of them are kept, and a warning.
static void test_inlined_without_end(void **state)
{
	struct indexing x;

	(void)state;
	index_inlined(&x, ".rept 600\n.byte 4\n.long in-unit\n.quad f\n.long 16\n.byte 1,7\n.endr\n.fill 600,1,0\n");
	uhx_lookup(x.index, toolbox_nm("odd", "f"), &frames);
	assert_true(frames.n > 100 && frames.n <= FRAMES_MAX);
	assert_true(str_is(frames.frame[0].function, "in"));
	assert_int_equal(x.warnings.n, 1);
	assert_non_null(strstr(x.warnings.text[0], "scopes nested more than 512 deep were cut"));
	expect_chain(&x, 16, "f /src/a.c:10");
	indexing_deinit(&x);
}

// Each like the other, and one like itself: the symbol has a name.
static void test_origins_in_a_circle(void **state)
{
	struct indexing x;

	(void)state;
	index_odd(&x, "one: .byte 7\n.long two-unit\ntwo: .byte 7\n.long one-unit\nself: .byte 7\n.long self-unit\n"
		      ".byte 8\n.long one-unit\n.quad f\n.long 64\n"
		      ".byte 5\n.long self-unit\n.quad f+16\n.long 16\n.byte 0\n.byte 0\n"
		      ".byte 8\n.long unit_end-unit+64\n.quad g\n.long 16\n.byte 0\n",
		  lines_of_f);
	expect_chain(&x, 0, "f /src/a.c:10");
	uhx_lookup(x.index, toolbox_nm("odd", "f") + 16, &frames);
	assert_int_equal(frames.n, 2);
	assert_true(str_is(frames.frame[1].function, "f"));
	expect_chain(&x, F_SIZE + 16, "g :0"); // its origin is not there at all
	indexing_deinit(&x);
}

// Functions that were removed, by what linkers put for their address; what was inlined there goes with them.
static void test_removed_functions(void **state)
{
	static const char *const tombstones[] = {"0", "-1", "-2"};
	char entries[1024];

	(void)state;
	for (size_t i = 0; i < countof(tombstones); i++) {
		struct indexing x;

		snprintf(entries, sizeof(entries),
			 "%s.byte 2\n.asciz \"gone\"\n.byte 5\n.quad %s\n.long 0x10000\n"
			 ".byte 5\n.long in-unit\n.quad f\n.long 16\n.byte 0\n.byte 0\n%s",
			 origins, tombstones[i], f_alone);
		index_odd(&x, entries, lines_of_f);
		expect_chain(&x, 0, "f /src/a.c:10");
		expect_chain(&x, F_SIZE, "");
		uhx_lookup(x.index, 0, &frames);
		assert_int_equal(frames.n, 0);
		indexing_deinit(&x);
	}
}

// Lists with a base of their own, pieces that are empty, and bases of what was removed.
static void test_range_lists(void **state)
{
	struct indexing x;

	(void)state;
	assemble(".byte 9\n.asciz \"f\"\n.byte 5\n.long ranges\n.byte 0\n", lines_of_f,
		 ".section .debug_ranges,\"\",@progbits\nranges: .quad 0,8, 4,4, -1,0, 0,0x40, -1,-2, 16,32\n"
		 ".quad -1,f, 32,48, -1,-1, 48,56, -1,f, 80,96, 0,0\n", "-shared");
	indexing_run(&x, "odd", NULL, NULL);
	assert_non_null(x.index);
	expect_chain(&x, 0, "f /src/a.c:10");
	expect_chain(&x, 32, "f /src/a.c:10");
	expect_chain(&x, 80, "f :0");
	assert_int_equal(frames.source, SOURCE_DWARF);
	uhx_lookup(x.index, toolbox_nm("odd", "f") + 50, &frames);
	assert_int_equal(frames.frame[0].start_line, 0); // by the symbol
	indexing_deinit(&x);
}

// Where code may well be: in firmware, and in objects.
static void test_address_zero(void **state)
{
	struct indexing x;

	(void)state;
	assemble(f_alone, lines_of_f, "", "-static -Wl,-Ttext=0,-e,0,--build-id=none");
	indexing_run(&x, "odd", NULL, NULL);
	assert_non_null(x.index);
	assert_string_equal(chain_at(x.index, 0), "f /src/a.c:10");
	assert_string_equal(chain_at(x.index, F_SIZE - 1), "f /src/a.c:10");
	indexing_deinit(&x);
}

// What .debug_aranges says, or leaves out, makes no difference.
static void test_aranges_that_lie(void **state)
{
	struct indexing x;

	(void)state;
	assemble(f_alone, lines_of_f, ".section .debug_aranges,\"\",@progbits\n.long 44\n.short 2\n.long unit_end-unit\n"
		 ".byte 8,0, 0,0,0,0\n.quad g,16, 0,0\n", "-shared");
	indexing_run(&x, "odd", NULL, NULL);
	assert_non_null(x.index);
	expect_chain(&x, 0, "f /src/a.c:10");
	expect_chain(&x, F_SIZE + 16, "g :0");
	assert_int_equal(frames.source, SOURCE_SYMTAB);
	indexing_deinit(&x);
}

enum { SHARING = 500 };

// Units that share a table of abbreviations: it is read once.
static void test_shared_abbreviations(void **state)
{
	struct elf_image img;
	struct dwarf_file file;
	struct err e = ERR_INIT;
	bool cut;

	(void)state;
	assemble(f_alone, lines_of_f, ".section .debug_info,\"\",@progbits\n.rept 499\n.long 61\n.short 4\n"
		 ".long .debug_abbrev\n.byte 8\n.byte 1\n.asciz \"a.c\"\n.asciz \"/src\"\n.byte 12\n.long lines\n"
		 ".quad f\n.long 96\n.fill 27,1,0\n.endr\n", "-shared");
	assert_int_equal(indexing_image(&img, "odd", &e), 0);
	assert_int_equal(dwarf_file_open(&file, &img, DWARF_SECTIONS, &cut, &e), 0);
	assert_false(cut);
	assert_int_equal(file.unit_count, SHARING);
	for (size_t i = 0; i < file.unit_count; i++)
		assert_true(dwarf_unit_ready(&file.units[i]));
	assert_int_equal(file.abbrevs.n, 1);
	dwarf_file_close(&file);
	indexing_close(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_programs),
		cmocka_unit_test(test_inlined_siblings_that_overlap),
		cmocka_unit_test(test_inlined_beyond_its_caller),
		cmocka_unit_test(test_inlined_from_nowhere),
		cmocka_unit_test(test_inlined_without_end),
		cmocka_unit_test(test_origins_in_a_circle),
		cmocka_unit_test(test_removed_functions),
		cmocka_unit_test(test_range_lists),
		cmocka_unit_test(test_address_zero),
		cmocka_unit_test(test_aranges_that_lie),
		cmocka_unit_test(test_shared_abbreviations),
	};

	return cmocka_run_group_tests(tests, toolbox_setup, toolbox_teardown);
}
