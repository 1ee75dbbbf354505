/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols written down in assembly, so that every odd case is there. */
#include "symbolizer/indexer/symtab_scan.h"

#include "tests/unit/indexing.h"

static const char assembly[] =
	".text\n"
	".globl _start\n.type _start,@function\n_start:\n nop\n ret\n.size _start,.-_start\n"
	// one address, four names
	".p2align 4\n.globl __alias, alias, _weak\n.weak _weak\n"
	".type __alias,@function\n.type alias,@function\n.type _weak,@function\n.type local,@function\n"
	"__alias:\nalias:\n_weak:\nlocal:\n nop\n nop\n nop\n nop\n"
	".size __alias,4\n.size alias,4\n.size _weak,4\n.size local,8\n"
	// a function with another inside
	".p2align 4\n.type outer,@function\nouter:\n nop\n nop\n"
	".type inner,@function\ninner:\n nop\n nop\n.size inner,2\n nop\n nop\n.size outer,6\n"
	// a label with a size counts, one without does not; data in code neither
	".p2align 4\nsized_label:\n nop\n nop\n.size sized_label,2\nbare_label:\n nop\n"
	"$x:\n nop\n.size $x,1\n"
	// mapping symbols of RISC-V and Thumb, and functions that are called alike
	".p2align 4\n\"$xrv64i2p0_m2p0\": nop\n.size \"$xrv64i2p0_m2p0\",1\n$t.7: nop\n.size $t.7,1\n"
	".Lkept: nop\n.size .Lkept,1\n"
	".type \"$dispatch\",@function\n\"$dispatch\": nop\n.size \"$dispatch\",1\n"
	// no size: up to the next symbol
	".p2align 4\n.type open_end,@function\nopen_end:\n nop\n nop\n nop\n"
	".type last,@function\n last:\n nop\n.size last,1\n"
	".symver versioned,exported@@V1\n.globl versioned\n.type versioned,@function\n"
	"versioned:\n ret\n.size versioned,1\n"
	".type chooser,@gnu_indirect_function\n.globl chooser\nchooser:\n ret\n.size chooser,1\n"
	".data\n.globl datum\n.type datum,@function\ndatum:\n .quad 1\n.size datum,8\n"
	".section .note.GNU-stack,\"\",@progbits\n";

static struct indexing plain;
static struct frames frames;

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("s.s", str_from(assembly));
	toolbox_write("v.map", STR("V1 { global: *; };\n"));
	if (toolbox_run("gcc -nostdlib -shared -Wl,--version-script=v.map,--build-id s.s -o s.so && "
			"strip -o dyn.so s.so"))
		return -1;
	indexing_run(&plain, "s.so", NULL, NULL);
	return plain.index ? 0 : -1;
}

static int teardown(void **state)
{
	indexing_deinit(&plain);
	return toolbox_teardown(state);
}

static void expect(struct uhx *u, uint64_t address, const char *name)
{
	uhx_lookup(u, address, &frames);
	if (!name) {
		assert_int_equal(frames.n, 0);
		return;
	}
	assert_int_equal(frames.n, 1);
	if (!str_is(frames.frame[0].function, name))
		fail_msg("at 0x%llx: " STR_FMT " instead of %s", (unsigned long long)address,
			 STR_ARG(frames.frame[0].function), name);
	assert_int_equal(frames.frame[0].line, 0);
}

static void test_choice_among_aliases(void **state)
{
	uint64_t at = toolbox_nm("s.so", "alias");

	(void)state;
	expect(plain.index, at, "alias"); // global before weak before local, fewest underscores
	expect(plain.index, at + 3, "alias");
	expect(plain.index, at + 4, "local"); // only it reaches here
	expect(plain.index, at + 8, NULL);
	assert_int_equal(frames.source, SOURCE_NONE);
}

static void test_nesting(void **state)
{
	uint64_t at = toolbox_nm("s.so", "outer");

	(void)state;
	expect(plain.index, at, "outer");
	expect(plain.index, at + 2, "inner");
	expect(plain.index, at + 3, "inner");
	expect(plain.index, at + 4, "outer");
	assert_int_equal(frames.source, SOURCE_SYMTAB);
	expect(plain.index, at + 6, NULL);
}

static void test_labels(void **state)
{
	uint64_t at = toolbox_nm("s.so", "sized_label");

	(void)state;
	expect(plain.index, at + 1, "sized_label");
	expect(plain.index, at + 2, NULL); // bare_label
	expect(plain.index, at + 3, NULL); // $x
	at = toolbox_nm("s.so", "$dispatch");
	expect(plain.index, at, "$dispatch");
	for (uint64_t i = 1; i <= 3; i++)
		expect(plain.index, at - i, NULL);
}

static void test_no_size(void **state)
{
	uint64_t at = toolbox_nm("s.so", "open_end");

	(void)state;
	expect(plain.index, at, "open_end");
	expect(plain.index, at + 2, "open_end");
	expect(plain.index, at + 3, "last");
}

// Sections that adjoin are one stretch of code, but nobody's function goes on in the next.
static void test_no_size_at_the_end_of_a_section(void **state)
{
	struct indexing x;
	uint64_t at;

	(void)state;
	toolbox_write("e.s", STR(".section .one,\"ax\"\n.type at_end,@function\nat_end: nop\n nop\n nop\n"
				 ".section .two,\"ax\"\n nop\n nop\n nop\n"
				 ".section .wide,\"ax\"\n.type wide,@function\nwide: .fill 8192,1,0x90\n"));
	assert_int_equal(toolbox_run("gcc -nostdlib -shared e.s -o e.so"), 0);
	at = toolbox_nm("e.so", "at_end");
	indexing_run(&x, "e.so", NULL, NULL);
	expect(x.index, at + 2, "at_end");
	expect(x.index, at + 3, NULL);
	at = toolbox_nm("e.so", "wide");
	expect(x.index, at + SYMBOL_GUESS_MAX - 1, "wide");
	expect(x.index, at + SYMBOL_GUESS_MAX, NULL); // who knows what the rest is
	indexing_deinit(&x);
}

// More sections than 16 bits can number: symbols say theirs in another table.
static void test_many_sections(void **state)
{
	enum { MANY = 66000 };
	struct indexing x;

	(void)state;
	assert_int_equal(toolbox_run("awk 'BEGIN { for (i = 1; i <= %d; i++) printf \".section .text.f%%d,\\\"ax\\\"\\n"
				     ".type f%%d,@function\\nf%%d: ret\\n.size f%%d,1\\n\", i, i, i, i }' >many.s && "
				     "as many.s -o many.o", MANY), 0);
	indexing_run(&x, "many.o", NULL, NULL);
	if (!x.index)
		fail_msg("%s", x.error.msg);
	assert_int_equal(uhx_info(x.index)->rows, MANY);
	expect(x.index, 0, "f1");
	expect(x.index, MANY - 1, "f66000");
	indexing_deinit(&x);
}

// As a debug file has it, without its bytes: 5 GiB of code.
static void test_large_section(void **state)
{
	struct indexing x;
	uint64_t at;

	(void)state;
	toolbox_write("l.s", STR(".section .huge,\"ax\",@nobits\n.type wide,@function\nwide: .skip 0x1000000\n"
				 ".size wide,.-wide\n.skip 0x140000000\n.type behind,@function\nbehind: .skip 64\n"
				 ".size behind,64\n"));
	assert_int_equal(toolbox_run("as l.s -o l.o && ld -shared l.o -o l.so"), 0);
	indexing_run(&x, "l.so", NULL, NULL);
	assert_non_null(x.index);
	at = toolbox_nm("l.so", "wide");
	expect(x.index, at, "wide");
	expect(x.index, at + 0xffffff, "wide");
	expect(x.index, at + 0x1000000, NULL);
	at = toolbox_nm("l.so", "behind");
	expect(x.index, at + 63, "behind");
	expect(x.index, at + 64, NULL);
	indexing_deinit(&x);
}

static void test_aliases(void **state)
{
	static const char *const lines[] = {"alias alias = __alias\n", "alias alias = _weak\n",
					    "alias alias = local\n"};
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(uhx_dump(plain.index, out, &e), 0);
	fclose(out);
	for (size_t i = 0; i < countof(lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no '%s' in: %s", lines[i], text);
	free(text);
}

// ppc64, first ABI: "f" is a descriptor in .opd, here one that relocations fill.
static void test_descriptors(void **state)
{
	struct indexing x;
	struct elf_image img;
	struct err e = ERR_INIT;
	const struct elf_section *text;

	(void)state;
	toolbox_write("d.c", STR("int f(int x) { return x * 3; }\nint g(int x) { return x * f(x) + 1; }\n"));
	assert_int_equal(toolbox_run("clang -target powerpc64-linux-gnu -mabi=elfv1 -O1 -fno-inline "
				     "-ffunction-sections -c d.c -o d.o"), 0);
	assert_int_equal(indexing_image(&img, "d.o", &e), 0);
	assert_non_null(elf_image_section(&img, ".opd"));
	text = elf_image_section(&img, ".text.g");
	assert_non_null(text);
	indexing_run(&x, "d.o", NULL, NULL);
	expect(x.index, text->header.sh_addr, "g");
	expect(x.index, text->header.sh_addr + 8, "g");
	expect(x.index, elf_image_section(&img, ".text.f")->header.sh_addr, "f");
	expect(x.index, elf_image_section(&img, ".opd")->header.sh_addr, NULL);
	indexing_deinit(&x);
	indexing_close(&img);
}

// ARM: the lowest bit of a function's address says "Thumb", and is no part of it.
static void test_thumb(void **state)
{
	struct indexing x;

	(void)state;
	toolbox_write("t.c", STR("int f(int x) { return x * 3; }\nint g(int x) { return x + 1; }\n"));
	assert_int_equal(toolbox_run("clang -target thumbv7-linux-gnueabihf -O1 -c t.c -o t.o && "
				     "ld.lld -shared t.o -o t.so"), 0);
	indexing_run(&x, "t.so", NULL, NULL);
	expect(x.index, toolbox_nm("t.so", "g") & ~UINT64_C(1), "g");
	expect(x.index, (toolbox_nm("t.so", "f") & ~UINT64_C(1)) + 2, "f");
	indexing_deinit(&x);
}

static void test_versions_ifunc_data(void **state)
{
	(void)state;
	expect(plain.index, toolbox_nm("s.so", "chooser"), "chooser");
	expect(plain.index, toolbox_nm("s.so", "versioned"), "exported");
	expect(plain.index, toolbox_nm("s.so", "datum"), NULL); // not code
}

static void test_dynsym_alone(void **state)
{
	struct indexing x;

	(void)state;
	indexing_run(&x, "dyn.so", NULL, NULL);
	assert_non_null(x.index);
	expect(x.index, toolbox_nm("s.so", "alias"), "alias");
	assert_int_equal(frames.source, SOURCE_DYNSYM);
	expect(x.index, toolbox_nm("s.so", "outer"), NULL);
	assert_int_equal(uhx_info(x.index)->quality, QUALITY_DYNSYM);
	assert_non_null(strstr(x.report.p, "\"sources\":[\"dynsym\"]"));
	indexing_deinit(&x);
}

// The section headers wiped out, as packers do; `wide` is where they are counted.
static void wipe_headers(const char *from, const char *to, bool wide)
{
	size_t n;
	char *bytes = toolbox_read(from, &n);

	memset(bytes + (wide ? 40 : 32), 0, wide ? 8 : 4); // e_shoff
	memset(bytes + (wide ? 60 : 48), 0, 4);		   // e_shnum, e_shstrndx
	toolbox_write(to, (struct str){bytes, n});
	free(bytes);
}

static void test_no_section_headers(void **state)
{
	static const struct {
		const char *build;
		bool wide;
	} cases[] = {
		{"gcc -nostdlib -shared -Wl,--hash-style=gnu t.c -o t.so", true},
		{"gcc -nostdlib -shared -Wl,--hash-style=sysv t.c -o t.so", true},
		{"clang -target mips-linux-gnu -fPIC -c t.c -o t.o && ld.lld -shared t.o -o t.so", false},
		{"clang -target i386-linux-gnu -fPIC -c t.c -o t.o && ld.lld -shared --hash-style=gnu t.o -o t.so",
		 false},
	};

	(void)state;
	toolbox_write("t.c", STR("int f(int x) { return x * 3; }\nint g(int x) { return x + 1; }\n"
				 "static int h(int x) { return x; }\nint (*p)(int) = h;\n"));
	for (size_t i = 0; i < countof(cases); i++) {
		struct indexing x;

		assert_int_equal(toolbox_run("%s", cases[i].build), 0);
		wipe_headers("t.so", "w.so", cases[i].wide);
		indexing_run(&x, "w.so", NULL, NULL);
		if (!x.index)
			fail_msg("%s", x.error.msg);
		expect(x.index, toolbox_nm("t.so", "f"), "f");
		expect(x.index, toolbox_nm("t.so", "g"), "g");
		assert_int_equal(frames.source, SOURCE_DYNSYM);
		uhx_lookup(x.index, toolbox_nm("t.so", "h"), &frames);
		assert_int_not_equal(frames.source, SOURCE_DYNSYM);
		assert_int_equal(uhx_info(x.index)->quality, QUALITY_DYNSYM);
		indexing_deinit(&x);
	}
}

static void test_table(void **state)
{
	struct symbols s = SYMBOLS_INIT;
	const struct symbol *first;
	struct elf_image img;
	struct err e = ERR_INIT;
	uint64_t at = toolbox_nm("s.so", "alias");

	(void)state;
	assert_int_equal(indexing_image(&img, "s.so", &e), 0);
	assert_int_equal(symbols_read(&s, &img, &e), 0);
	assert_int_equal(symbols_finish(&s, &e), 0);
	assert_true(symbols_at(&s, at, &first) >= 4);
	assert_true(str_is(first->name, "alias"));
	assert_int_equal(symbols_at(&s, at + 1, &first), 0);
	for (size_t i = 1; i < s.span_count; i++)
		assert_true(s.spans[i - 1].end <= s.spans[i].start);
	assert_true(s.spans[symbols_span_from(&s, at)].start == at);
	assert_int_equal(symbols_span_from(&s, UINT64_MAX), s.span_count);
	symbols_deinit(&s);
	indexing_close(&img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice_among_aliases), cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_labels),		     cmocka_unit_test(test_no_size),
		cmocka_unit_test(test_versions_ifunc_data),  cmocka_unit_test(test_dynsym_alone),
		cmocka_unit_test(test_table),		     cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_descriptors),	     cmocka_unit_test(test_thumb),
		cmocka_unit_test(test_no_size_at_the_end_of_a_section),
		cmocka_unit_test(test_large_section),	     cmocka_unit_test(test_many_sections),
		cmocka_unit_test(test_no_section_headers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
