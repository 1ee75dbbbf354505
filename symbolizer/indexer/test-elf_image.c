/* SPDX-License-Identifier: Apache-2.0 */
/* Files as gcc, strip, objcopy and eu-strip make them, and damaged ones. */
#include "symbolizer/indexer/elf_image.h"

#include "base/compress.h"
#include "symbolizer/indexer/probe.h"
#include "tests/unit/indexing.h"

static const char program[] =
	"int helper(int x) { return x * 3; }\n"
	"int main(int argc, char **argv) { (void)argv; return helper(argc); }\n";

// A note of the build ID's type, but of another owner, in front of it.
static const char xen_note[] = ".section .note.Xen,\"a\",@note\n"
			       ".long 4, 8, 3\n.asciz \"Xen\"\n.quad 0xffffffff80000000\n"
			       ".section .note.GNU-stack,\"\",@progbits\n";

static const char id_text[] = "0123456789abcdef0123456789abcdef01234567";

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("p.c", str_from(program));
	toolbox_write("xen.s", str_from(xen_note));
	return toolbox_run("gcc -g -O1 -Wl,--build-id=0x%s xen.s p.c -o full && strip -o stripped full && "
			   "objcopy --only-keep-debug full debug && strip -g -o symbols full", id_text);
}

static void open_image(struct elf_image *img, const char *name)
{
	struct err e = ERR_INIT;

	if (indexing_image(img, name, &e))
		fail_msg("%s", e.msg);
}

static void test_kinds(void **state)
{
	static const struct {
		const char *name;
		enum elf_kind kind;
		bool trusted;
		enum quality quality;
	} cases[] = {
		{"full", ELF_KIND_BOTH, true, QUALITY_DWARF},
		{"stripped", ELF_KIND_EXECUTABLE, true, QUALITY_DYNSYM},
		{"symbols", ELF_KIND_EXECUTABLE, true, QUALITY_SYMTAB},
		{"debug", ELF_KIND_DEBUGINFO, false, QUALITY_DWARF},
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct elf_image img;

		open_image(&img, cases[i].name);
		assert_int_equal(img.kind, cases[i].kind);
		assert_int_equal(img.headers_trusted, cases[i].trusted);
		assert_true(img.header_count >= 2);
		assert_int_equal(probe_facts(&img).quality, cases[i].quality);
		indexing_close(&img);
	}
}

// eu-strip keeps offsets and sizes in the debug file's program headers: only the sections tell.
static void test_elfutils_debug_file(void **state)
{
	struct elf_image img;

	(void)state;
	if (!toolbox_has("eu-strip"))
		skip();
	assert_int_equal(toolbox_run("eu-strip -f eu.debug -o eu.stripped full"), 0);
	open_image(&img, "eu.debug");
	assert_int_equal(img.kind, ELF_KIND_DEBUGINFO);
	assert_false(img.headers_trusted);
	indexing_close(&img);
}

static void test_identity(void **state)
{
	struct elf_image full;
	struct elf_image debug;
	char text[BUILD_ID_TEXT];

	(void)state;
	open_image(&full, "full");
	open_image(&debug, "debug");
	assert_int_equal(full.id_count, 2);
	assert_int_equal(full.ids[0].kind, BUILD_ID_GNU);
	build_id_text(&full.ids[0], text);
	assert_string_equal(text, id_text);
	assert_int_equal(full.ids[1].kind, BUILD_ID_HTL);
	assert_false(elf_image_other_build(&full, &debug));
	indexing_close(&full);
	indexing_close(&debug);
}

// Where build IDs are found: of any length, in any section of notes, behind others, in either alignment.
static void test_notes(void **state)
{
	static const struct {
		const char *assembly;
		const char *id;
	} cases[] = {
		{".section .notes,\"a\",@note\n.p2align 2\n"
		 ".long 6,1,7\n.asciz \"Linux\"\n.zero 2\n.zero 4\n"
		 ".long 4,8,3\n.asciz \"GNU\"\n.quad 0x0807060504030201\n",
		 "0102030405060708"},
		{".section .notes,\"a\",@note\n.p2align 3\n" // what kernels have: aligned to 8, packed to 4
		 ".long 6,4,7\n.asciz \"Linux\"\n.zero 2\n.zero 4\n"
		 ".long 4,8,3\n.asciz \"GNU\"\n.quad 0x0807060504030201\n",
		 "0102030405060708"},
		{".section .notes,\"a\",@note\n.p2align 3\n" // and padded to 8, as the gABI says
		 ".long 4,12,9\n.asciz \"GNU\"\n.zero 12\n.zero 4\n"
		 ".long 4,16,3\n.asciz \"GNU\"\n.quad 0x0807060504030201\n.quad 0x100f0e0d0c0b0a09\n",
		 "0102030405060708090a0b0c0d0e0f10"},
		{".section .note.x,\"a\",@note\n.p2align 2\n" // another's note of the same type
		 ".long 5,8,3\n.asciz \"GNUX\"\n.zero 3\n.quad 0x0807060504030201\n",
		 NULL},
		{".section .notes,\"a\",@note\n.p2align 2\n.long 4,32,3\n.asciz \"GNU\"\n"
		 ".quad 0x0807060504030201,0x100f0e0d0c0b0a09,0x1817161514131211,0x201f1e1d1c1b1a19\n",
		 "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"},
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		char text[BUILD_ID_TEXT] = "";
		struct elf_image img;

		toolbox_write("n.s", str_from(cases[i].assembly));
		assert_int_equal(toolbox_run("gcc -nostdlib -shared -Wl,--build-id=none n.s -o n.so"), 0);
		open_image(&img, "n.so");
		assert_int_equal(img.id_count, cases[i].id ? 2 : 1);
		build_id_text(&img.ids[0], text);
		if (cases[i].id)
			assert_string_equal(text, cases[i].id);
		indexing_close(&img);
	}
}

static void test_links(void **state)
{
	struct elf_image img;
	struct str name;
	uint32_t crc;
	size_t n;
	char *debug;

	(void)state;
	assert_int_equal(toolbox_run("cp stripped linked && objcopy --add-gnu-debuglink=debug linked"), 0);
	open_image(&img, "linked");
	assert_true(elf_image_debuglink(&img, &name, &crc));
	assert_true(str_is(name, "debug"));
	debug = toolbox_read("debug", &n);
	assert_int_equal(crc, crc32_update(0, (struct str){debug, n}));
	free(debug);
	indexing_close(&img);
	open_image(&img, "full");
	assert_false(elf_image_debuglink(&img, &name, &crc));
	indexing_close(&img);
}

static void test_code(void **state)
{
	struct elf_image img;
	uint64_t main_address;

	(void)state;
	main_address = toolbox_nm("full", "main");
	open_image(&img, "full");
	assert_true(elf_image_code_end(&img, main_address) > main_address);
	assert_int_equal(elf_image_code_end(&img, 0), 0);
	assert_int_equal(elf_image_code_end(&img, UINT64_MAX), 0);
	indexing_close(&img);
}

static void refuse(const char *name, enum err_kind kind, const char *text)
{
	struct err e = ERR_INIT;
	struct elf_image img;

	assert_int_equal(indexing_image(&img, name, &e), -1);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, text))
		fail_msg("'%s' does not say '%s'", e.msg, text);
}

static void test_refusals(void **state)
{
	(void)state;
	toolbox_write("empty", STR(""));
	toolbox_write("text", STR("#!/bin/sh\n"));
	toolbox_write("magic", STR("\177ELF"));
	assert_int_equal(toolbox_run("head -c 4096 full >cut && head -c 52 full >head && "
				     "cp full lies && printf '\\377\\377\\377' | "
				     "dd of=lies bs=1 seek=40 conv=notrunc 2>/dev/null"), 0);
	refuse("empty", ERR_NOT_ELF, "empty: not an ELF file");
	refuse("text", ERR_NOT_ELF, "not an ELF file");
	refuse("magic", ERR_BAD_ELF, "magic:");
	refuse("head", ERR_BAD_ELF, "head:");
	refuse("cut", ERR_BAD_ELF, "cut: truncated: the section header table");
	refuse("lies", ERR_BAD_ELF, "section header table");
}

// Every section must lie inside the file, also where the tables do.
static void test_section_outside(void **state)
{
	size_t n;
	char *bytes = toolbox_read("full", &n);
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(bytes + header->e_shoff);

	(void)state;
	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_type == SHT_SYMTAB)
			sections[i].sh_size = n;
	toolbox_write("outside", (struct str){bytes, n});
	free(bytes);
	refuse("outside", ERR_BAD_ELF, "truncated: section .symtab");
}

// Some overlap may pass; that each of many sections is the whole file may not.
static void test_sections_that_share_bytes(void **state)
{
	size_t n;
	char *bytes = toolbox_read("full", &n);
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(bytes + header->e_shoff);
	struct elf_image img;

	(void)state;
	for (size_t i = 1; i < header->e_shnum; i++) {
		if (sections[i].sh_type != SHT_PROGBITS)
			continue;
		sections[i].sh_offset = 0;
		sections[i].sh_size = n / header->e_shnum;
	}
	toolbox_write("shared", (struct str){bytes, n});
	open_image(&img, "shared");
	indexing_close(&img);
	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_type == SHT_PROGBITS)
			sections[i].sh_size = n;
	toolbox_write("shared", (struct str){bytes, n});
	free(bytes);
	refuse("shared", ERR_BAD_ELF, "shared: its sections have more bytes than 4 times the file");
}

static Elf64_Chdr *first_compressed(char *bytes)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(bytes + header->e_shoff);

	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_flags & SHF_COMPRESSED)
			return (Elf64_Chdr *)(void *)(bytes + sections[i].sh_offset);
	fail_msg("no section was compressed");
	return NULL;
}

static void refuse_section(struct str file, const char *why)
{
	struct indexing x;

	toolbox_write("damaged", file);
	indexing_run(&x, "damaged", NULL, NULL);
	assert_null(x.index);
	assert_int_equal(x.error.kind, ERR_BAD_ELF);
	assert_non_null(strstr(x.error.msg, "damaged: compressed section .debug_"));
	if (!strstr(x.error.msg, why))
		fail_msg("'%s' does not say '%s'", x.error.msg, why);
	indexing_deinit(&x);
}

static void test_damaged_compression(void **state)
{
	Elf64_Chdr *chdr;
	size_t n;
	char *bytes;

	(void)state;
	assert_int_equal(toolbox_run("objcopy --compress-debug-sections=zlib full zipped"), 0);
	bytes = toolbox_read("zipped", &n);
	chdr = first_compressed(bytes);
	chdr->ch_size++;
	refuse_section((struct str){bytes, n}, "zlib data is shorter than");
	chdr->ch_size -= 2;
	refuse_section((struct str){bytes, n}, "zlib data is longer than");
	chdr->ch_size++;
	chdr->ch_type = 77;
	refuse_section((struct str){bytes, n}, "unknown compression 77");
	chdr->ch_type = ELFCOMPRESS_ZLIB;
	((char *)(chdr + 1))[0] ^= 0x55;
	refuse_section((struct str){bytes, n}, "zlib data is damaged or cut off");
	free(bytes);
}

// What prelink leaves behind: the executable moved, its debug file did not.
static void test_moved(void **state)
{
	struct frames frames;
	struct indexing x;
	size_t n;
	char *bytes = toolbox_read("debug", &n);
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(bytes + header->e_shoff);

	(void)state;
	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_addr)
			sections[i].sh_addr += 0x10000;
	toolbox_write("moved", (struct str){bytes, n});
	free(bytes);
	indexing_run(&x, "moved", "stripped", NULL);
	assert_non_null(x.index);
	assert_string_equal(x.warnings.text[0], "moved is laid out for other addresses than stripped, and not used");
	uhx_lookup(x.index, toolbox_nm("full", "helper"), &frames);
	assert_int_equal(frames.source, SOURCE_EH_FRAME);
	uhx_lookup(x.index, toolbox_nm("full", "helper") + 0x10000, &frames);
	assert_int_equal(frames.n, 0);
	indexing_deinit(&x);
	indexing_run(&x, "stripped", "debug", NULL);
	assert_int_equal(x.warnings.n, 0);
	uhx_lookup(x.index, toolbox_nm("full", "helper"), &frames);
	assert_int_equal(frames.source, SOURCE_DWARF);
	indexing_deinit(&x);
}

static void test_core(void **state)
{
	struct indexing x;
	size_t n;
	char *bytes = toolbox_read("full", &n);

	(void)state;
	((Elf64_Ehdr *)(void *)bytes)->e_type = ET_CORE;
	toolbox_write("core", (struct str){bytes, n});
	free(bytes);
	indexing_run(&x, "core", NULL, NULL);
	assert_null(x.index);
	assert_int_equal(x.error.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(x.error.msg, "core: a core file has no names; index the programs"));
	indexing_deinit(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	    cmocka_unit_test(test_elfutils_debug_file),
		cmocka_unit_test(test_identity),    cmocka_unit_test(test_links),
		cmocka_unit_test(test_code),	    cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_section_outside),
		cmocka_unit_test(test_sections_that_share_bytes),
		cmocka_unit_test(test_core),	    cmocka_unit_test(test_damaged_compression),
		cmocka_unit_test(test_notes),		cmocka_unit_test(test_moved),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
