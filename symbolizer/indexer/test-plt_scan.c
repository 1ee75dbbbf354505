/* SPDX-License-Identifier: Apache-2.0 */
/* Stubs of each linker and option, named as objdump names them. */
#include "symbolizer/indexer/plt_stub.h"

#include "tests/unit/indexing.h"
#include <elf.h>
#include <inttypes.h>

// taken() is called and its address is taken: GNU ld gives it a stub in .plt.got.
static const char subject[] =
	"int alpha(int), beta(int), taken(int);\n"
	"static int local(int x) { return x + 2; }\n"
	"int (*resolve(void))(int);\n"
	"int (*resolve(void))(int) { return local; }\n"
	"int chosen(int) __attribute__((ifunc(\"resolve\"), visibility(\"hidden\")));\n"
	"int (*pointer(void))(int);\n"
	"int (*pointer(void))(int) { return taken; }\n"
	"int run(int x);\n"
	"int run(int x) { return alpha(x) + beta(x) + taken(x) + chosen(x); }\n";

static struct frames frames;

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("s.c", str_from(subject));
	toolbox_write("v.map", STR("V1 { global: alpha; beta; taken; };\n"));
	toolbox_write("lib.c", STR("int alpha(int x) { return x; }\nint beta(int x) { return x; }\n"
				   "int taken(int x) { return x; }\n"));
	return toolbox_run("gcc -shared -fPIC -nostdlib -Wl,--version-script=v.map lib.c -o libv.so");
}

static void expect(struct uhx *u, uint64_t address, const char *name)
{
	uhx_lookup(u, address, &frames);
	if (frames.n != 1 || !str_is(frames.frame[0].function, name))
		fail_msg("at 0x%" PRIx64 ": '" STR_FMT "' instead of '%s'", address,
			 STR_ARG(frames.n ? frames.frame[0].function : STR_EMPTY), name);
	assert_int_equal(frames.source, SOURCE_PLT);
}

// "0000000000001030 <alpha@plt>:" of the disassembler against the index. Returns how many there were.
static size_t compare_with(const char *objdump, struct uhx *u)
{
	size_t n = 0;
	struct str rest;
	struct str line;
	char *text;

	assert_int_equal(toolbox_run("%s -d x.so | sed -n 's/^\\([0-9a-f]*\\) <\\(.*@plt\\)>:$/\\1 \\2/p' >plt.txt",
				     objdump), 0);
	text = toolbox_read("plt.txt", NULL);
	rest = str_from(text);
	while (str_next(&rest, '\n', &line) && line.n) {
		char name[256];
		uint64_t address = strtoull(line.p, NULL, 16);

		assert_int_equal(sscanf(line.p, "%*s %255s", name), 1);
		if (!strchr(name, '+')) { // objdump has no name for a resolver, we have
			expect(u, address, name);
			expect(u, address + 5, name);
		}
		n++;
	}
	free(text);
	return n;
}

struct variant {
	const char *build;
	const char *objdump;
	size_t stubs; /* that the disassembler knows */
};

#define GCC "gcc -O1 -fPIC -shared -nostdlib s.c libv.so -o x.so "
#define LLD(target, options)                                                                       \
	"clang -target " target " " options " -O1 -fPIC -c s.c -o s.o && clang -target " target             \
	" -O1 -fPIC -c lib.c -o lib.o && ld.lld -shared lib.o -o lib-x.so && ld.lld -shared s.o lib-x.so -o x.so "

static const struct variant variants[] = {
	{GCC "-fcf-protection=none -Wl,-z,lazy", "objdump", 4},
	{GCC "-fcf-protection=none -Wl,-z,now", "objdump", 4},
	{GCC "-fcf-protection=full -Wl,-z,lazy,-z,ibtplt", "objdump", 4},
	{GCC "-fcf-protection=full -Wl,-z,now,-z,ibtplt", "objdump", 4},
	{LLD("x86_64-linux-gnu", ""), "llvm-objdump", 3},
	{LLD("x86_64-linux-gnu", "-fcf-protection") "-z force-ibt", "llvm-objdump", 0},
	{LLD("x86_64-linux-gnu", "") "-z retpolineplt", "llvm-objdump", 0},
	{LLD("x86_64-linux-gnu", "") "-z retpolineplt -z now", "llvm-objdump", 0},
	{LLD("i386-linux-gnu", ""), "llvm-objdump", 0},
	{LLD("aarch64-linux-gnu", ""), "llvm-objdump", 3},
	{LLD("aarch64-linux-gnu", "-mbranch-protection=standard") "-z force-bti", "llvm-objdump", 0},
	{LLD("aarch64-linux-gnu", "-mbranch-protection=standard") "-z pac-plt", "llvm-objdump", 0},
	{LLD("aarch64-linux-gnu", "-mbranch-protection=standard") "-z pac-plt -z force-bti", "llvm-objdump", 0},
};

static size_t named(struct uhx *u, const char *name, uint64_t end)
{
	size_t bytes = 0;

	for (uint64_t at = 0; at < end; at++) {
		uhx_lookup(u, at, &frames);
		bytes += frames.n && str_is(frames.frame[0].function, name);
	}
	return bytes;
}

static void try_variant(const struct variant *v)
{
	static const char *const names[] = {"alpha@plt", "beta@plt", "taken@plt", "resolve@plt"};
	bool as_symbol = strstr(v->build, "i386"); // there lld puts the symbol "chosen" at the stub
	struct indexing x;
	size_t stubs;

	if (toolbox_run("%s", v->build))
		fail_msg("cannot build: %s", v->build);
	indexing_run(&x, "x.so", NULL, NULL);
	if (!x.index)
		fail_msg("%s", x.error.msg);
	stubs = compare_with(v->objdump, x.index);
	if (stubs < v->stubs)
		fail_msg("%s names %zu stubs only in: %s", v->objdump, stubs, v->build);
	for (size_t i = 0; i < countof(names); i++) {
		const char *name = i == 3 && as_symbol ? "chosen" : names[i];
		size_t bytes = named(x.index, name, 0x40000);

		if (bytes < 6 || bytes > 64)
			fail_msg("%zu bytes are %s in: %s", bytes, name, v->build);
	}
	indexing_deinit(&x);
}

static void test_variants(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(variants); i++)
		try_variant(&variants[i]);
}

// The debug file has nothing of it, the executable all.
static void test_two_files(void **state)
{
	struct indexing x;

	(void)state;
	assert_int_equal(toolbox_run(GCC "-g -Wl,--build-id && objcopy --only-keep-debug x.so x.debug && "
					 "strip x.so"), 0);
	indexing_run(&x, "x.debug", NULL, NULL);
	assert_int_equal(named(x.index, "alpha@plt", 0x4000), 0);
	indexing_deinit(&x);
	indexing_run(&x, "x.so", "x.debug", NULL);
	assert_true(named(x.index, "alpha@plt", 0x4000) >= 16);
	assert_true(named(x.index, "resolve@plt", 0x4000) >= 6);
	indexing_deinit(&x);
	// stripped, and alone: the resolver is in .dynsym here; where it is not, its address has to do
	indexing_run(&x, "x.so", NULL, NULL);
	assert_true(named(x.index, "alpha@plt", 0x4000) >= 16);
	indexing_deinit(&x);
}

static void test_nameless_resolver(void **state)
{
	struct indexing x;
	char name[64];
	char *text;

	(void)state;
	assert_int_equal(toolbox_run(GCC "-fvisibility=hidden && nm x.so | sed -n 's/ t resolve$//p' >at.txt"), 0);
	toolbox_run("sed 's/^0*/*ABS*+0x/;s/$/@plt/' at.txt | tr -d '\\n' >name.txt && strip x.so");
	text = toolbox_read("name.txt", NULL);
	snprintf(name, sizeof(name), "%s", text);
	free(text);
	indexing_run(&x, "x.so", NULL, NULL);
	if (named(x.index, name, 0x4000) < 6)
		fail_msg("nothing is called %s", name);
	indexing_deinit(&x);
}

static void test_demangled(void **state)
{
	struct indexing x;

	(void)state;
	toolbox_write("d.cc", STR("namespace ns { int far(int); }\nint near(int x) { return ns::far(x); }\n"));
	assert_int_equal(toolbox_run("g++ -O1 -fPIC -shared -nostdlib d.cc -o d.so"), 0);
	indexing_run(&x, "d.so", NULL, NULL);
	assert_true(named(x.index, "ns::far(int)@plt", 0x4000) >= 6);
	indexing_deinit(&x);
}

// mold's stubs, which no linker here writes: endbr64; mov $7,%r11d; jmp *0x1000(%rip)
static void test_mold(void **state)
{
	static const char bytes[] = "\xf3\x0f\x1e\xfa\x41\xbb\x07\x00\x00\x00\xff\x25\x00\x10\x00\x00";
	struct plt_code code = {.machine = EM_X86_64, .bytes = {bytes, 16}, .vaddr = 0x2000};
	struct plt_stub stub;
	size_t at = 0;

	(void)state;
	assert_true(plt_stub_next(&code, &at, &stub));
	assert_int_equal(stub.start, 0x2000);
	assert_int_equal(stub.end, 0x2010);
	assert_int_equal(stub.slot, 0x3010);
	assert_false(plt_stub_next(&code, &at, &stub));
	// cut off anywhere: no stub, no read beyond
	for (size_t n = 0; n < 16; n++) {
		char *cut = malloc(n + 1);

		memcpy(cut, bytes, n);
		code.bytes = (struct str){cut, n};
		at = 0;
		assert_false(plt_stub_next(&code, &at, &stub));
		free(cut);
	}
	code.machine = EM_S390;
	assert_false(plt_stub_machine(code.machine));
	assert_false(plt_stub_next(&code, &at, &stub));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variants),  cmocka_unit_test(test_two_files),
		cmocka_unit_test(test_nameless_resolver), cmocka_unit_test(test_demangled),
		cmocka_unit_test(test_mold),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
