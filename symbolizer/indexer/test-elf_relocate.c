/* SPDX-License-Identifier: Apache-2.0 */
/* Relocatable objects of many machines: section addresses and contents are those libdwfl comes to. */
#include "symbolizer/indexer/elf_relocate.h"

#include "tests/unit/indexing.h"
#include <elfutils/libdwfl.h>

static const char subject[] =
	"static int twice(int x) { return x + x; }\n"
	"int data[] = {1, 2};\n"
	"int (*pointer)(int) = twice;\n"
	"__attribute__((section(\".text.cold\"), noinline, aligned(64))) int cold(int x) { return x * 3; }\n"
	"int warm(int x) { if (x > 3) return cold(x) + data[x & 1]; return twice(x); }\n"
	"int last(int x) { for (int i = 0; i < x; i++) x += warm(i); return x; }\n";

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("s.c", str_from(subject));
	return 0;
}

// ---- libdwfl as the oracle ---------------------------------------------------------------------

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static Dwfl *open_dwfl(Dwfl_Module **ret)
{
	char path[256];
	GElf_Addr bias;
	Dwfl *dwfl = dwfl_begin(&callbacks);

	snprintf(path, sizeof(path), "%s/x.o", toolbox_dir);
	assert_non_null(dwfl);
	*ret = dwfl_report_elf(dwfl, "x.o", path, -1, 0, false);
	assert_non_null(*ret);
	dwfl_report_end(dwfl, NULL, NULL);
	if (!dwfl_module_getdwarf(*ret, &bias)) // this relocates
		fail_msg("libdwfl: %s", dwfl_errmsg(-1));
	assert_int_equal(bias, 0);
	return dwfl;
}

static void compare_section(struct elf_image *img, const struct elf_section *s, Elf_Scn *theirs)
{
	Elf_Data *want = elf_getdata(theirs, NULL);
	struct err e = ERR_INIT;
	struct str have;

	assert_int_equal(elf_image_data(img, s, &have, &e), 0);
	assert_int_equal(have.n, want->d_size);
	for (size_t i = 0; i < have.n; i++)
		if (have.p[i] != ((const char *)want->d_buf)[i])
			fail_msg("%s: %s differs at 0x%zx: %02x instead of %02x", img->name, s->name, i,
				 (uint8_t)have.p[i], ((const uint8_t *)want->d_buf)[i]);
}

// 0.188 has no R_RISCV_SET6 and _SUB6, with which call frames advance where the linker may relax.
static bool is_beyond_libdwfl(const struct elf_image *img, size_t i)
{
	return img->header.e_machine == EM_RISCV && strcmp(img->sections[i].name, ".debug_frame") == 0;
}

// The number of sections that differ from what is in the file: those with relocations.
static size_t compare_with_libdwfl(void)
{
	struct err e = ERR_INIT;
	Dwfl_Module *module;
	Dwfl *dwfl = open_dwfl(&module);
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(module, &bias);
	struct elf_image img;
	size_t relocated = 0;

	if (indexing_image(&img, "x.o", &e))
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < img.section_count; i++) {
		Elf_Scn *theirs = elf_getscn(elf, i + 1);
		GElf_Shdr header;

		assert_non_null(gelf_getshdr(theirs, &header));
		if (header.sh_flags & SHF_ALLOC)
			assert_int_equal(img.sections[i].header.sh_addr, header.sh_addr);
		// libdwfl relocates what DWARF needs and nothing else
		if (strncmp(img.sections[i].name, ".debug_", 7) != 0 || is_beyond_libdwfl(&img, i))
			continue;
		compare_section(&img, &img.sections[i], theirs);
		relocated += img.sections[i].relocated;
	}
	indexing_close(&img);
	dwfl_end(dwfl);
	return relocated;
}

static void test_machines(void **state)
{
	static const char *const compilers[] = {
		"gcc -gdwarf-5 -O2",
		"gcc -gdwarf-4 -O2 -ffunction-sections -fdata-sections",
		"gcc -gdwarf-5 -O2 -gz=zlib",
		"clang -target x86_64-linux-gnu -gdwarf-4 -O1",
		"clang -target aarch64-linux-gnu -gdwarf-5 -O1 -ffunction-sections",
		"clang -target aarch64_be-linux-gnu -gdwarf-4 -O1",
		"clang -target i386-linux-gnu -gdwarf-4 -O1",
		"clang -target arm-linux-gnueabihf -gdwarf-5 -O1",
		"clang -target s390x-linux-gnu -gdwarf-4 -O1",
		"clang -target powerpc64-linux-gnu -gdwarf-4 -O1",
		"clang -target powerpc64le-linux-gnu -gdwarf-5 -O1",
		"clang -target riscv64-linux-gnu -gdwarf-4 -O1 -mrelax",
		"clang -target riscv32-linux-gnu -gdwarf-4 -O1 -mno-relax",
	};

	(void)state;
	for (size_t i = 0; i < countof(compilers); i++) {
		if (toolbox_run("%s -c s.c -o x.o", compilers[i]))
			fail_msg("cannot compile: %s", compilers[i]);
		if (compare_with_libdwfl() < 3)
			fail_msg("nothing was relocated: %s", compilers[i]);
	}
}

// A linked file may carry what its linker has applied already.
static void test_linked_files(void **state)
{
	struct elf_image img;
	struct err e = ERR_INIT;
	size_t carried = 0;

	(void)state;
	assert_int_equal(toolbox_run("gcc -g -O1 -nostdlib -no-pie -Wl,--emit-relocs -Wl,-e,last s.c -o linked"), 0);
	assert_int_equal(indexing_image(&img, "linked", &e), 0);
	for (size_t i = 0; i < img.section_count; i++) {
		const struct elf_section *s = &img.sections[i];
		Elf_Data *raw = elf_rawdata(s->scn, NULL);
		struct str data;

		carried += strncmp(s->name, ".rela.debug_", 12) == 0;
		if (strncmp(s->name, ".debug_", 7) != 0)
			continue;
		assert_int_equal(elf_image_data(&img, s, &data, &e), 0);
		assert_int_equal(data.n, raw->d_size);
		assert_memory_equal(data.p, raw->d_buf, data.n);
		assert_false(s->relocated);
	}
	assert_true(carried >= 3);
	indexing_close(&img);
}

// Where a function of x.o is: libdwfl lays .text out first, so at 0.
static uint64_t address_in(const char *section, const char *function)
{
	struct err e = ERR_INIT;
	struct elf_image img;
	const struct elf_section *s;
	uint64_t start;

	if (indexing_image(&img, "x.o", &e))
		fail_msg("%s", e.msg);
	s = elf_image_section(&img, section);
	assert_non_null(s);
	start = s->header.sh_addr;
	indexing_close(&img);
	return start + toolbox_nm("x.o", function);
}

static void expect(struct uhx *u, uint64_t address, const char *name, enum frame_source source)
{
	struct frames frames;

	uhx_lookup(u, address, &frames);
	if (!frames.n || !str_is(frames.frame[frames.n - 1].function, name))
		fail_msg("at 0x%llx: '" STR_FMT "' instead of '%s'", (unsigned long long)address,
			 STR_ARG(frames.n ? frames.frame[0].function : STR_EMPTY), name);
	assert_int_equal(frames.source, source);
}

static void test_symbols(void **state)
{
	struct indexing x;
	uint64_t last;
	char name[32];

	(void)state;
	assert_int_equal(toolbox_run("gcc -O1 -c s.c -o x.o && objcopy --strip-symbol=last x.o y.o"), 0);
	last = address_in(".text", "last");
	snprintf(name, sizeof(name), "fun_0x%llx", (unsigned long long)last);
	indexing_run(&x, "x.o", NULL, NULL);
	expect(x.index, 0, "twice", SOURCE_SYMTAB);
	expect(x.index, address_in(".text", "warm") + 1, "warm", SOURCE_SYMTAB);
	expect(x.index, address_in(".text.cold", "cold") + 1, "cold", SOURCE_SYMTAB);
	expect(x.index, last, "last", SOURCE_SYMTAB);
	indexing_deinit(&x);
	// .eh_frame is relocated, too
	indexing_run(&x, "y.o", NULL, NULL);
	expect(x.index, last + 1, name, SOURCE_EH_FRAME);
	indexing_deinit(&x);
}

// A module as distributions ship it: what is loaded in one file, the rest in another.
static void test_split(void **state)
{
	struct indexing x;

	(void)state;
	assert_int_equal(toolbox_run("gcc -O1 -g -c s.c -o x.o && objcopy --only-keep-debug x.o x.debug && "
				     "strip -g x.o -o x.ko"), 0);
	indexing_run(&x, "x.ko", "x.debug", NULL);
	expect(x.index, address_in(".text.cold", "cold") + 1, "cold", SOURCE_DWARF);
	expect(x.index, address_in(".text", "warm") + 1, "warm", SOURCE_DWARF);
	assert_int_equal(uhx_info(x.index)->quality, QUALITY_DWARF);
	indexing_deinit(&x);
}

// RISC-V's pairs over a ULEB128, which no assembler here writes: others' numbers, changed afterwards.
static void test_uleb(void **state)
{
	struct elf_image img;
	struct err e = ERR_INIT;
	struct str data;
	size_t n;
	char *bytes;

	(void)state;
	toolbox_write("u.s", STR(".text\nfrom: .zero 300\nto:\n.section .debug_u,\"\",@progbits\n"
				 "u: .byte 0x80,0x80,0,0x55\n.reloc u,R_RISCV_ADD8,to\n.reloc u,R_RISCV_SUB8,from\n"));
	assert_int_equal(toolbox_run("clang -target riscv64-linux-gnu -c u.s -o u.o"), 0);
	bytes = toolbox_read("u.o", &n);
	for (size_t i = 0; i + sizeof(Elf64_Shdr) <= n; i += 8) {
		Elf64_Rela *r = (void *)(bytes + i);
		uint64_t type = ELF64_R_TYPE(r->r_info);

		if (r->r_offset || r->r_addend || ELF64_R_SYM(r->r_info) > 8)
			continue;
		if (type == R_RISCV_ADD8 || type == R_RISCV_SUB8)
			r->r_info += type == R_RISCV_ADD8 ? 60 - R_RISCV_ADD8 : 61 - R_RISCV_SUB8;
	}
	toolbox_write("x.o", (struct str){bytes, n});
	free(bytes);
	assert_int_equal(indexing_image(&img, "x.o", &e), 0);
	assert_int_equal(elf_image_data(&img, elf_image_section(&img, ".debug_u"), &data, &e), 0);
	assert_int_equal(data.n, 4);
	assert_memory_equal(data.p, "\xac\x82\x00\x55", 4); // 300 in three bytes
	indexing_close(&img);
}

// Offsets beyond the section, symbols that are not there: nothing is touched, nothing breaks.
static void test_hostile(void **state)
{
	size_t n;
	char *bytes;

	(void)state;
	assert_int_equal(toolbox_run("gcc -g -O1 -c s.c -o good.o"), 0);
	bytes = toolbox_read("good.o", &n);
	for (unsigned seed = 1; seed < 200; seed++) {
		const Elf64_Ehdr *header = (const void *)bytes;
		const Elf64_Shdr *sections = (const void *)(bytes + header->e_shoff);
		char *copy = malloc(n);
		struct indexing x;
		unsigned dice = seed;

		memcpy(copy, bytes, n);
		for (size_t i = 1; i < header->e_shnum; i++)
			for (unsigned k = 0; sections[i].sh_type == SHT_RELA && k < 8; k++) {
				dice = dice * 1664525 + 1013904223;
				copy[sections[i].sh_offset + dice % sections[i].sh_size] = (char)(dice >> 24);
			}
		toolbox_write("x.o", (struct str){copy, n});
		free(copy);
		indexing_run(&x, "x.o", NULL, NULL);
		indexing_deinit(&x);
	}
	free(bytes);
}

static void test_impossible_layout(void **state)
{
	struct elf_image img;
	struct err e = ERR_INIT;
	size_t n;
	char *bytes;
	Elf64_Ehdr *header;
	Elf64_Shdr *sections;

	(void)state;
	assert_int_equal(toolbox_run("gcc -g -O1 -c s.c -o good.o"), 0);
	bytes = toolbox_read("good.o", &n);
	header = (void *)bytes;
	sections = (void *)(bytes + header->e_shoff);
	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_type == SHT_NOBITS)
			sections[i].sh_size = UINT64_MAX - 16;
	toolbox_write("x.o", (struct str){bytes, n});
	free(bytes);
	assert_int_equal(indexing_image(&img, "x.o", &e), -1);
	assert_int_equal(e.kind, ERR_BAD_ELF);
	assert_non_null(strstr(e.msg, "size or alignment is impossible"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines), cmocka_unit_test(test_linked_files),
		cmocka_unit_test(test_symbols),  cmocka_unit_test(test_split),
		cmocka_unit_test(test_uleb),
		cmocka_unit_test(test_hostile),	 cmocka_unit_test(test_impossible_layout),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
