/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A C++ subject in the ways compilers write DWARF; at every few bytes of every function the inline chain
 * must be the one llvm-symbolizer prints. (tests/diff/compare.py does the same on any file, with
 * eu-addr2line as a second reference.)
 */
#include "tests/unit/damage.h"
#include "tests/unit/llvm_reference.h"
#include "tests/unit/subject.h"
#include <sys/mman.h>

static void compile_and_compare(const char *compiler, const char *flags)
{
	if (!toolbox_has(compiler) || !toolbox_has("llvm-symbolizer")) {
		print_message("%s or llvm-symbolizer is missing\n", compiler);
		skip();
	}
	assert_int_equal(toolbox_run("%s -std=c++17 %s %s -o subject", compiler, flags, subject), 0);
	compare("subject");
}

static void test_gcc_dwarf5(void **state)
{
	(void)state;
	compile_and_compare("g++", "-O2 -gdwarf-5");
	assert_int_equal(toolbox_run("objcopy --compress-debug-sections=zlib subject zlib && "
				     "objcopy --compress-debug-sections=zlib-gnu subject zdebug"), 0);
	compare("zlib");
	compare("zdebug");
}

static void test_gcc_dwarf2(void **state)
{
	(void)state;
	compile_and_compare("g++", "-O2 -gdwarf-2");
}

static void test_gcc_lto_dwarf4(void **state)
{
	(void)state;
	compile_and_compare("g++", "-O2 -gdwarf-4 -flto");
}

static void test_gcc_dwarf64_type_units(void **state)
{
	(void)state;
	compile_and_compare("g++", "-O2 -g -gdwarf64 -fdebug-types-section");
}

static void test_clang_dwarf5(void **state)
{
	(void)state;
	compile_and_compare("clang++", "-O2 -gdwarf-5 -gdwarf-aranges");
}

static void test_clang_gc_sections(void **state)
{
	(void)state;
	compile_and_compare("clang++", "-O2 -gdwarf-4 -ffunction-sections -Wl,--gc-sections");
}

// What the linker threw away leaves lines from address 0 on, longer than the way to the real code.
static void test_lines_of_removed_code(void **state)
{
	static const char *const compilers[] = {"gcc", "clang"};

	(void)state;
	assert_int_equal(toolbox_run("{ echo 'int gone(int a) { volatile int x = a;'; "
				     "for i in $(seq 2000); do echo \"x += $i; x ^= a;\"; done; "
				     "echo 'return x; }'; echo 'int kept(int a) { volatile int y = a;'; "
				     "for i in $(seq 300); do echo \"y += $i;\"; done; echo 'return y; }'; "
				     "echo 'int main(int c, char **v) { (void)v; return kept(c); }'; } >gc.c"), 0);
	for (size_t i = 0; i < countof(compilers); i++) {
		if (!toolbox_has(compilers[i]))
			continue;
		assert_int_equal(toolbox_run("%s -O1 -g -ffunction-sections -Wl,--gc-sections gc.c -o gc",
					     compilers[i]), 0);
		compare("gc");
	}
}

// llvm-symbolizer 14 cannot read these: the same program's plain form is the reference.
static void test_zstd(void **state)
{
	struct indexing plain;
	struct indexing zstd;

	(void)state;
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -g %s -o plain", subject), 0);
	if (toolbox_run("objcopy --compress-debug-sections=zstd plain zstd 2>/dev/null")) {
		print_message("this objcopy cannot compress with zstd\n");
		skip();
	}
	assert_int_equal(toolbox_run("readelf -tW zstd | grep -q ZSTD"), 0);
	indexing_run(&plain, "plain", NULL, NULL);
	indexing_run(&zstd, "zstd", NULL, NULL);
	assert_non_null(zstd.index);
	assert_int_equal(uhx_info(zstd.index)->rows, uhx_info(plain.index)->rows);
	assert_int_equal(uhx_info(zstd.index)->quality, QUALITY_DWARF);
	indexing_deinit(&plain);
	indexing_deinit(&zstd);
}

// Clang leaves functions without inlined code out of .debug_info at -g1; their lines are there.
static void test_g1(void **state)
{
	struct indexing x;

	(void)state;
	if (!toolbox_has("clang++"))
		skip();
	assert_int_equal(toolbox_run("clang++ -std=c++17 -O2 -g1 %s -o g1", subject), 0);
	indexing_run(&x, "g1", NULL, NULL);
	assert_int_equal(uhx_info(x.index)->quality, QUALITY_G1);
	uhx_lookup(x.index, toolbox_nm("g1", "plain_c_function"), &frames);
	assert_int_equal(frames.n, 1);
	assert_int_equal(frames.source, SOURCE_DWARF);
	assert_true(str_is(frames.frame[0].function, "plain_c_function"));
	assert_true(frames.frame[0].line > 0);
	assert_true(str_has_suffix(frames.frame[0].file, STR("/tests/subjects/shapes.cc")));
	indexing_deinit(&x);
}

// Names where debug info has no linkage name: qualified, or lent by the symbol.
static const char local_names[] =
	"namespace outer { namespace {\n"
	"struct Hidden { int n; __attribute__((noinline)) int get(int x) { return n * x; } };\n"
	"__attribute__((always_inline)) static inline int inlined(int x) { return x * 7 + 1; }\n"
	"} }\n"
	"static __attribute__((noinline)) int only_here(int x) { return outer::inlined(x) + 2; }\n"
	"extern \"C\" int entry(int x) { outer::Hidden h{x}; return h.get(x) + only_here(x); }\n"
	"int main(int argc, char **) { return entry(argc); }\n";

static void test_names(void **state)
{
	struct indexing x;

	(void)state;
	toolbox_write("names.cc", str_from(local_names));
	assert_int_equal(toolbox_run("g++ -O1 -g names.cc -o names"), 0);
	indexing_run(&x, "names", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("names", "_ZL9only_herei"), &frames);
	assert_int_equal(frames.n, 2);
	assert_true(str_is(frames.frame[0].function, "outer::(anonymous namespace)::inlined"));
	assert_true(frames.frame[0].inlined);
	assert_int_equal(frames.frame[0].start_line, 3);
	assert_true(str_is(frames.frame[1].system_name, "_ZL9only_herei"));
	assert_true(str_is(frames.frame[1].function, "only_here(int)"));
	assert_int_equal(frames.frame[1].line, 5);
	assert_int_equal(frames.frame[1].start_line, 5);
	assert_false(frames.frame[1].inlined);
	uhx_lookup(x.index, toolbox_nm("names", "entry"), &frames);
	assert_true(str_is(frames.frame[frames.n - 1].function, "entry"));
	indexing_deinit(&x);
}

// A clone keeps its suffix, which debug info does not know.
static void test_clones(void **state)
{
	struct indexing x;

	(void)state;
	toolbox_write("clone.c", STR("static __attribute__((noinline)) int f(int a, int b)\n"
				     "{ __asm__ volatile(\"\"); return a + b; }\n"
				     "int main(int c, char **v) { (void)v; return f(c, 5) + f(c + 1, 5); }\n"));
	assert_int_equal(toolbox_run("gcc -O3 -g -fipa-cp clone.c -o clone"), 0);
	if (!toolbox_nm("clone", "f.constprop.0")) {
		print_message("this gcc makes no clone of it\n");
		skip();
	}
	indexing_run(&x, "clone", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("clone", "f.constprop.0"), &frames);
	assert_int_equal(frames.n, 1);
	assert_true(str_is(frames.frame[0].system_name, "f.constprop.0"));
	assert_int_equal(frames.frame[0].start_line, 1);
	indexing_deinit(&x);
}

// Members of local classes, described inside the outer function: one that has code, and one whose code the
// linker threw away.
static const char local_classes[] =
	"volatile int sink;\n"
	"static inline __attribute__((always_inline)) int twice(int x) { sink += x; return x * 2; }\n"
	"template <class F> __attribute__((noinline)) int call(F f, int x) { return f(x) + twice(x); }\n"
	"__attribute__((noinline)) int outer(int x) {\n"
	"struct Local { int v; __attribute__((noinline)) int get(int y) { struct Deep {\n"
	"static __attribute__((noinline)) int d(int q) { return twice(q) * sink; } }; return twice(y) * Deep::d(v); } };\n"
	"Local l{x}; return l.get(3) + call([&](int z) { return twice(z) * x; }, x); }\n"
	"inline int gone(int x) { return call([](int z) { return twice(z) + 5; }, x); }\n"
	"int main(int c, char **) { return outer(c) + gone(c); }\n";

static void test_local_classes(void **state)
{
	static const char *const compilers[] = {"g++ -O0", "g++ -O1", "clang++ -O1",
						"g++ -O2 -ffunction-sections -Wl,--gc-sections"};

	(void)state;
	toolbox_write("local.cc", str_from(local_classes));
	for (size_t i = 0; i < countof(compilers); i++) {
		assert_int_equal(toolbox_run("%s -std=c++17 -g local.cc -o local", compilers[i]), 0);
		compare("local");
	}
}

// ---- line tables that many units name -----------------------------------------------------------------

enum { SHARED_ROWS = 20000, ALTERNATING = 80, SHARING = 3000 };

static void write_rows(const char *name, const char *function)
{
	struct buf text = BUF_INIT(MIB(4));

	buf_printf(&text, ".text\n.globl %s\n.type %s,@function\n.file 1 \"%s.c\"\n%s:\n", function, function, function,
		   function);
	for (unsigned i = 1; i <= SHARED_ROWS; i++)
		buf_printf(&text, ".loc 1 %u\nnop\n", i % 7 * 1000 + 1);
	buf_printf(&text, ".size %s,.-%s\n.section .note.GNU-stack,\"\",@progbits\n", function, function);
	toolbox_write(name, buf_str(&text));
	buf_deinit(&text);
}

// A unit without functions for each of the offsets in turn.
static void write_units(unsigned count, size_t first, size_t second)
{
	struct buf text = BUF_INIT(MIB(4));

	buf_puts(&text, ".section .debug_abbrev,\"\",@progbits\n.byte 1,0x11,0,0x10,0x17,0x11,1,0x12,7,0,0,0\n"
			".section .debug_info,\"\",@progbits\n");
	for (unsigned i = 0; i < count; i++)
		buf_printf(&text, "b%u: .long e%u-v%u\nv%u: .short 4\n.long 0\n.byte 8,1\n.long %zu\n.quad one\n.quad %u\ne%u:\n",
			   i, i, i, i, i % 2 ? second : first, 2 * SHARED_ROWS, i);
	buf_puts(&text, ".section .note.GNU-stack,\"\",@progbits\n");
	toolbox_write("units.s", buf_str(&text));
	buf_deinit(&text);
}

static void index_units(struct indexing *x)
{
	assert_int_equal(toolbox_run("as units.s -o units.o && ld -shared one.o two.o units.o -o shared"), 0);
	indexing_run(x, "shared", NULL, NULL);
	assert_non_null(x->index);
	uhx_lookup(x->index, toolbox_nm("shared", "one") + 3, &frames);
	assert_int_equal(frames.n, 1);
	assert_int_equal(frames.frame[0].line, 4001);
}

static void test_shared_line_tables(void **state)
{
	struct indexing x;
	size_t size;

	(void)state;
	write_rows("one.s", "one");
	write_rows("two.s", "two");
	assert_int_equal(toolbox_run("for f in one two; do as -gdwarf-4 $f.s -o $f.o && "
				     "objcopy -R .debug_info -R .debug_abbrev -R .debug_aranges -R .debug_str $f.o || exit 1; "
				     "done"), 0);
	section_place("one.o", ".debug_line", &size);
	assert_true(size > SHARED_ROWS);
	write_units(SHARING, 0, 0); // one after the other: decoded once
	index_units(&x);
	assert_null(strstr(x.report.p, "line table at"));
	indexing_deinit(&x);
	write_units(ALTERNATING, 0, size); // in turns: again and again, up to a limit
	index_units(&x);
	assert_non_null(strstr(x.report.p, "too many units share theirs"));
	indexing_deinit(&x);
}

// Two functions that are one by the linker's doing, and one that has two names by its author's.
static const char folded_cc[] =
	"extern \"C\" { __attribute__((noinline)) int real(int x) { return x * 5; }\n"
	"int also(int) __attribute__((alias(\"real\"))); }\n"
	"__attribute__((noinline)) int first(int x)\n"
	"{ int s = 0; for (int i = 0; i < x; i++) s += i * x; return s; }\n"
	"__attribute__((noinline)) int second(int y)\n"
	"{ int t = 0; for (int k = 0; k < y; k++) t += k * y; return t; }\n"
	"int main(int c, char **) { return first(c) + second(c + 1) + real(c) + also(c); }\n";

static char *dump_of(const char *file)
{
	struct indexing x;
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	indexing_run(&x, file, NULL, NULL);
	assert_non_null(x.index);
	assert_int_equal(uhx_dump(x.index, out, &e), 0);
	fclose(out);
	indexing_deinit(&x);
	return text;
}

static bool has_alias(const char *text, const char *a, const char *b)
{
	char one[128];
	char other[128];

	snprintf(one, sizeof(one), "alias %s = %s\n", a, b);
	snprintf(other, sizeof(other), "alias %s = %s\n", b, a);
	return strstr(text, one) || strstr(text, other);
}

static void test_aliases(void **state)
{
	char *text;

	(void)state;
	if (!toolbox_has("ld.gold")) {
		print_message("ld.gold is missing\n");
		skip();
	}
	toolbox_write("folded.cc", str_from(folded_cc));
	assert_int_equal(toolbox_run("g++ -g -O1 -ffunction-sections -fuse-ld=gold -Wl,--icf=all folded.cc -o folded && "
				     "objcopy --strip-symbol=_Z5firsti --strip-symbol=_Z6secondi folded bare"), 0);
	assert_true(toolbox_nm("folded", "_Z5firsti") == toolbox_nm("folded", "_Z6secondi"));
	text = dump_of("folded");
	assert_true(has_alias(text, "real", "also"));
	assert_true(has_alias(text, "_Z5firsti", "_Z6secondi"));
	free(text);
	text = dump_of("bare"); // debug info alone knows both
	assert_true(has_alias(text, "_Z5firsti", "_Z6secondi"));
	free(text);
}

// Whichever of the two the code is named after, its lines are that one's, never of both.
static void same_function_s_lines(const char *file)
{
	uint64_t start = toolbox_nm(file, "_Z5firsti");
	struct indexing x;
	unsigned lines = 0;

	indexing_run(&x, file, NULL, NULL);
	assert_non_null(x.index);
	for (uint64_t at = start; at < start + 16; at++) {
		const struct frame *f = &frames.frame[0];

		uhx_lookup(x.index, at, &frames);
		assert_int_equal(frames.n, 1);
		assert_true(f->start_line == 3 || f->start_line == 5);
		if (f->line && f->line != f->start_line && f->line != f->start_line + 1)
			fail_msg("at 0x%llx line %u of a function that starts at %u", (unsigned long long)at, f->line,
				 f->start_line);
		lines += f->line > 0;
	}
	assert_true(lines > 4);
	indexing_deinit(&x);
}

static void test_folded_lines(void **state)
{
	static const char *const compilers[] = {"g++ -fuse-ld=gold", "clang++ -fuse-ld=gold", "clang++ -fuse-ld=lld",
						"g++ -fuse-ld=lld"};

	(void)state;
	if (!toolbox_has("ld.gold") || !toolbox_has("ld.lld") || !toolbox_has("clang++")) {
		print_message("ld.gold, ld.lld or clang++ is missing\n");
		skip();
	}
	toolbox_write("folded.cc", str_from(folded_cc));
	for (size_t i = 0; i < countof(compilers); i++) {
		assert_int_equal(toolbox_run("%s -g -O1 -ffunction-sections -Wl,--icf=all folded.cc -o folded",
					     compilers[i]), 0);
		assert_true(toolbox_nm("folded", "_Z5firsti") == toolbox_nm("folded", "_Z6secondi"));
		same_function_s_lines("folded");
	}
}

static void test_assembly_and_padding(void **state)
{
	struct indexing x;
	uint64_t at;

	(void)state;
	toolbox_write("hand.s", STR(".text\n.globl by_hand\n.type by_hand,@function\nby_hand:\n"
				    " nop\n ret\n.size by_hand,.-by_hand\n.p2align 6\nhidden:\n nop\n"
				    ".section .note.GNU-stack,\"\",@progbits\n"));
	assert_int_equal(toolbox_run("gcc -g -nostdlib -shared hand.s -o hand"), 0);
	indexing_run(&x, "hand", NULL, NULL);
	at = toolbox_nm("hand", "by_hand");
	uhx_lookup(x.index, at + 1, &frames);
	assert_int_equal(frames.n, 1);
	assert_int_equal(frames.frame[0].line, 6);
	uhx_lookup(x.index, at + 8, &frames); // padding has a line, but belongs to nobody
	assert_int_equal(frames.n, 0);
	indexing_deinit(&x);
}

// Sixty namespaces, each in the one before, each with its own first child as its sibling: whoever follows
// both walks 2^60 entries. The function behind them is found all the same.
static void test_siblings_that_are_children(void **state)
{
	struct indexing x;

	(void)state;
	assert_int_equal(toolbox_run(
		"{ echo '.text\n.globl f\n.type f,@function\nf: nop\nret\n.size f,.-f\n"
		".section .debug_abbrev,\"\",@progbits\n.byte 1,0x11,1,0,0\n.byte 2,0x39,1,1,0x13,0,0\n"
		".byte 3,0x2e,0,3,8,0x11,1,0x12,6,0,0\n.byte 0\n"
		".section .debug_info,\"\",@progbits\ncu: .long end-version\nversion: .short 4\n"
		".long 0\n.byte 8,1'; "
		"for i in $(seq 60); do echo \"n$i: .byte 2\n.long n$((i + 1))-cu\"; done; echo 'n61:'; "
		"for i in $(seq 60); do echo '.byte 3\n.asciz \"f\"\n.quad f\n.long 2\n.byte 0'; done; "
		"echo '.byte 0\nend:\n.section .note.GNU-stack,\"\",@progbits'; } >nest.s && "
		"gcc -nostdlib -shared nest.s -o nest"), 0);
	indexing_run(&x, "nest", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("nest", "f"), &frames);
	assert_int_equal(frames.n, 1);
	assert_true(str_is(frames.frame[0].system_name, "f"));
	indexing_deinit(&x);
}

// Names and lines from the debug file, headers from the executable, whichever comes first.
static void test_two_files(void **state)
{
	struct indexing x;

	(void)state;
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -g -Wl,--build-id %s -o whole && "
				     "objcopy --only-keep-debug whole whole.debug && strip -o bare whole && "
				     "echo 'int main(void) { return 3; }' >o.c && "
				     "gcc -Wl,--build-id o.c -o other", subject), 0);
	for (int swapped = 0; swapped < 2; swapped++) {
		indexing_run(&x, swapped ? "whole.debug" : "bare", swapped ? "bare" : "whole.debug", NULL);
		assert_non_null(x.index);
		assert_true(uhx_info(x.index)->headers.trusted);
		assert_int_equal(uhx_info(x.index)->quality, QUALITY_DWARF);
		uhx_lookup(x.index, toolbox_nm("whole", "main"), &frames);
		assert_int_equal(frames.source, SOURCE_DWARF);
		indexing_deinit(&x);
	}
	indexing_run(&x, "bare", "other", NULL);
	assert_null(x.index);
	assert_int_equal(x.error.kind, ERR_ID_MISMATCH);
	assert_string_equal(x.error.msg, "bare and other share no build ID: they do not come from the same build");
	indexing_deinit(&x);
}

// Shared entries: names of inlined functions move to another file.
static void test_dwz(void **state)
{
	struct indexing x;
	size_t depth;
	uint64_t at;

	(void)state;
	if (!toolbox_has("dwz")) {
		print_message("dwz is missing\n");
		skip();
	}
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -gdwarf-4 -Wl,--build-id %s -o one && "
				     "g++ -std=c++17 -O1 -gdwarf-4 -Wl,--build-id %s -o two && "
				     "cp one before && dwz -m shared -M shared one two", subject, subject), 0);
	at = toolbox_nm("before", "main") + 40;
	indexing_run(&x, "before", NULL, NULL);
	uhx_lookup(x.index, at, &frames);
	depth = frames.n;
	indexing_deinit(&x);
	indexing_run(&x, "one", NULL, "shared");
	assert_non_null(x.index);
	uhx_lookup(x.index, at, &frames);
	assert_int_equal(frames.n, depth);
	assert_null(strstr(x.report.p, "which was not given"));
	indexing_deinit(&x);
	indexing_run(&x, "one", NULL, NULL);
	assert_non_null(strstr(x.report.p, "some names are in shared (build ID "));
	indexing_deinit(&x);
	indexing_run(&x, "one", NULL, "two");
	assert_int_equal(x.error.kind, ERR_ID_MISMATCH);
	indexing_deinit(&x);
}

enum { FLIPS = 2000 };

// In memory, for there are thousands: an index or one clear error comes of it. Is it an index?
static bool index_of(struct str bytes)
{
	struct elf_image img = ELF_IMAGE_INIT;
	struct warnings warnings = {0};
	struct buf report = BUF_INIT(MIB(1));
	struct json_out j = JSON_OUT(&report);
	struct index_input in = {.files = {&img}, .out_fd = memfd_create("out", MFD_CLOEXEC), .warnings = &warnings};
	int fd = memfd_create("in", MFD_CLOEXEC);
	struct err e = ERR_INIT;
	bool ok;

	assert_true(fd >= 0 && in.out_fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
	ok = elf_image_open(&img, fd, "flipped", &e) == 0 && index_run(&in, &j, &e) == 0;
	if (!ok)
		assert_true(e.kind == ERR_BAD_ELF || e.kind == ERR_TOO_LARGE || e.kind == ERR_UNSUPPORTED);
	elf_image_close(&img);
	buf_deinit(&report);
	close(fd);
	close(in.out_fd);
	return ok;
}

// How many of the damaged files were indexed.
static unsigned flip_bytes(struct str whole, const char *section, unsigned flips)
{
	uint32_t random = 2463534242U;
	char *bytes = malloc(whole.n);
	unsigned indexed = 0;
	size_t size;
	size_t place = section_place("small", section, &size);

	assert_non_null(bytes);
	assert_true(range_fits(place, size, whole.n));
	for (unsigned i = 0; i < flips && size; i++) {
		memcpy(bytes, whole.p, whole.n);
		for (unsigned k = 0; k <= i % 4; k++) {
			char *at = &bytes[place + next_random(&random) % size];

			*at = (char)(next_random(&random) & 1 ? next_random(&random)
							      : (uint32_t)*at ^ 1U << i % 8);
		}
		indexed += index_of((struct str){bytes, whole.n});
	}
	free(bytes);
	return indexed;
}

static void test_flipped_bytes(void **state)
{
	static const char *const compilers[] = {"gcc -gdwarf-5", "gcc -gdwarf-3 -gdwarf64", "clang -gdwarf-4"};
	static const struct {
		const char *name;
		unsigned flips;
	} sections[] = {
		{".debug_info", FLIPS / 2},  {".debug_abbrev", FLIPS / 4},  {".debug_line", FLIPS / 8},
		{".debug_rnglists", FLIPS / 16}, {".debug_ranges", FLIPS / 16},
	};
	unsigned indexed = 0;
	struct str whole;
	char *bytes;

	(void)state;
	toolbox_write("small.c", STR("static inline int twice(int x) { return x * 2; }\n"
				     "static int cold(int x) { if (x > 3) { int y = twice(x); return y; } return 1; }\n"
				     "int entry(int x) { int s = 0; for (int i = 0; i < x; i++) s += cold(i); return s; }\n"));
	for (size_t c = 0; c < countof(compilers); c++) {
		assert_int_equal(toolbox_run("%s -O2 -fPIC -nostdlib -shared small.c -o small", compilers[c]), 0);
		whole.p = bytes = toolbox_read("small", &whole.n);
		for (size_t i = 0; i < countof(sections); i++)
			indexed += flip_bytes(whole, sections[i].name, sections[i].flips);
		free(bytes);
	}
	print_message("%u damaged files were indexed\n", indexed);
	assert_true(indexed > FLIPS);
}

static void test_rust(void **state)
{
	struct indexing x;
	char *symbol;

	(void)state;
	if (!toolbox_has("rustc")) {
		print_message("rustc is missing\n");
		skip();
	}
	toolbox_write("r.rs", STR("#[inline(never)]\nfn work(n: u64) -> u64 { (0..n).map(|x| x * x).sum() }\n"
				  "fn main() { println!(\"{}\", work(std::env::args().count() as u64)); }\n"));
	assert_int_equal(toolbox_run("rustc -g -O -C symbol-mangling-version=v0 --crate-name r r.rs -o rust 2>rust.log"), 0);
	assert_int_equal(toolbox_run("nm rust | awk '/4work$/ { print $3 }' | head -1 >sym.txt"), 0);
	indexing_run(&x, "rust", NULL, NULL);
	symbol = toolbox_read("sym.txt", NULL);
	symbol[strcspn(symbol, "\n")] = '\0';
	uhx_lookup(x.index, toolbox_nm("rust", symbol) + 8, &frames);
	free(symbol);
	assert_true(frames.n >= 1);
	assert_true(str_is(frames.frame[frames.n - 1].function, "r::work"));
	indexing_deinit(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcc_dwarf5),   cmocka_unit_test(test_gcc_dwarf2),
		cmocka_unit_test(test_gcc_lto_dwarf4), cmocka_unit_test(test_gcc_dwarf64_type_units),
		cmocka_unit_test(test_clang_dwarf5), cmocka_unit_test(test_clang_gc_sections),
		cmocka_unit_test(test_lines_of_removed_code), cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_g1),
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_clones),
		cmocka_unit_test(test_assembly_and_padding), cmocka_unit_test(test_two_files),
		cmocka_unit_test(test_shared_line_tables), cmocka_unit_test(test_local_classes),
		cmocka_unit_test(test_aliases), cmocka_unit_test(test_folded_lines),
		cmocka_unit_test(test_siblings_that_are_children),
		cmocka_unit_test(test_dwz),	     cmocka_unit_test(test_rust),
		cmocka_unit_test(test_flipped_bytes),
	};

	return cmocka_run_group_tests(tests, subject_setup, toolbox_teardown);
}
