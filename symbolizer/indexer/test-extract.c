/* SPDX-License-Identifier: Apache-2.0 */
/* The debug-only copy must say what the whole file says: to us, to llvm-symbolizer and to gdb. */
#include "symbolizer/indexer/extract.h"

#include "symbolizer/indexer/probe.h"
#include "tests/unit/indexing.h"
#include <fcntl.h>

static int setup(void **state)
{
	char cwd[256];

	if (toolbox_setup(state) || !getcwd(cwd, sizeof(cwd)))
		return -1;
	return toolbox_run("g++ -std=c++17 -O2 -g -Wl,--build-id %s/tests/subjects/shapes.cc -o whole && "
			   "strip -o bare whole", cwd);
}

static int extract(const char *from, const char *to, struct buf *report, struct err *e)
{
	struct json_out j = JSON_OUT(report);
	struct elf_image img;
	char path[256];
	int fd;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, to);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	if (indexing_image(&img, from, e))
		fail_msg("%s", e->msg);
	rc = extract_run(&img, fd, &j, e);
	indexing_close(&img);
	close(fd);
	return rc;
}

static void extract_ok(const char *from, const char *to)
{
	struct buf report = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;

	if (extract(from, to, &report, &e))
		fail_msg("%s", e.msg);
	assert_non_null(strstr(report.p, "\"format\":\"unhex-extract/1\""));
	assert_non_null(strstr(report.p, "\"quality\":\"dwarf\""));
	buf_deinit(&report);
}

static void test_shape(void **state)
{
	struct elf_image whole;
	struct elf_image copy;
	struct err e = ERR_INIT;

	(void)state;
	extract_ok("whole", "copy");
	assert_int_equal(indexing_image(&whole, "whole", &e), 0);
	assert_int_equal(indexing_image(&copy, "copy", &e), 0);
	assert_true(copy.size < whole.size);
	assert_int_equal(copy.kind, ELF_KIND_DEBUGINFO);
	assert_false(elf_image_other_build(&whole, &copy));
	assert_int_equal(copy.section_count, whole.section_count);
	for (size_t i = 0; i < copy.section_count; i++) {
		assert_string_equal(copy.sections[i].name, whole.sections[i].name);
		assert_int_equal(copy.sections[i].header.sh_addr, whole.sections[i].header.sh_addr);
		assert_int_equal(copy.sections[i].header.sh_size, whole.sections[i].header.sh_size);
	}
	assert_int_equal(copy.header_count, whole.header_count);
	for (size_t i = 0; i < copy.header_count; i++) {
		assert_int_equal(copy.headers[i].vaddr, whole.headers[i].vaddr);
		assert_int_equal(copy.headers[i].memsz, whole.headers[i].memsz);
		assert_int_equal(copy.headers[i].filesz, 0);
	}
	assert_false(elf_image_has(&copy, ".text"));
	assert_true(elf_image_has(&copy, ".note.gnu.build-id"));
	assert_true(elf_image_has(&copy, ".symtab"));
	indexing_close(&whole);
	indexing_close(&copy);
}

static void dump(const char *name, const char *to)
{
	struct err e = ERR_INIT;
	struct indexing x;
	char path[256];
	FILE *f;

	indexing_run(&x, name, NULL, NULL);
	assert_non_null(x.index);
	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, to);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(uhx_dump(x.index, f, &e), 0);
	fclose(f);
	indexing_deinit(&x);
}

static void test_same_index(void **state)
{
	(void)state;
	extract_ok("whole", "copy");
	dump("whole", "whole.txt");
	dump("copy", "copy.txt");
	// rows: all but the header, which shows file hash and program headers
	assert_int_equal(toolbox_run("grep ' main\\|shapes' whole.txt >w && grep ' main\\|shapes' copy.txt >c && "
				     "test -s w && cmp w c"), 0);
}

// A module's debug sections are of use with their relocations only.
static void test_module(void **state)
{
	(void)state;
	toolbox_write("m.c", STR("static int twice(int x) { return x * 2; }\n"
				 "int work(int x) { return twice(x) + twice(x + 1); }\n"
				 "__attribute__((section(\".init.text\"))) int start(int x) { return work(x); }\n"));
	assert_int_equal(toolbox_run("gcc -O2 -g -c m.c -o m.o && ld -r --build-id m.o -o m.ko && strip -g -o m.bare m.ko"),
			 0);
	extract_ok("m.ko", "m.copy");
	dump("m.ko", "whole.txt");
	dump("m.copy", "copy.txt");
	assert_int_equal(toolbox_run("grep -v '^id htl' whole.txt >w && grep -v '^id htl' copy.txt >c && "
				     "grep -q 'work at' w && cmp w c"), 0);
	// the file's own headers, not our addresses
	assert_int_equal(toolbox_run("readelf -SW m.copy | awk '$2 == \".init.text\" || $3 == \".init.text\"' | "
				     "grep -q 'NOBITS *0000000000000000 '"), 0);
}

// A module out of a running kernel: its sections have addresses, and keep them in the copy.
static void test_module_in_its_place(void **state)
{
	size_t n;
	char *bytes = toolbox_read("m.ko", &n);
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(void *)(bytes + header->e_shoff);

	(void)state;
	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_flags & SHF_ALLOC)
			sections[i].sh_addr = 0x100000 * i;
	toolbox_write("placed.ko", (struct str){bytes, n});
	free(bytes);
	extract_ok("placed.ko", "placed.copy");
	dump("placed.ko", "whole.txt");
	dump("placed.copy", "copy.txt");
	assert_int_equal(toolbox_run("grep -v '^id htl' whole.txt >w && grep -v '^id htl' copy.txt >c && "
				     "grep -q 'work at' w && cmp w c"), 0);
}

static void test_compressed_sections(void **state)
{
	(void)state;
	assert_int_equal(toolbox_run("objcopy --compress-debug-sections=zlib whole zipped"), 0);
	extract_ok("zipped", "zipped.debug");
	assert_int_equal(toolbox_run("readelf -tW zipped.debug | grep -q ZLIB"), 0);
	dump("zipped.debug", "zipped.txt");
	dump("whole", "whole.txt");
	assert_int_equal(toolbox_run("grep ' main' whole.txt >w; grep ' main' zipped.txt >c; test -s w && cmp w c"), 0);
}

static void test_other_readers(void **state)
{
	(void)state;
	extract_ok("whole", "copy");
	if (toolbox_has("llvm-symbolizer"))
		assert_int_equal(toolbox_run("nm -S whole | awk 'NF == 4 && $3 ~ /[tTW]/ { print \"0x\" $1 }' >asked && "
					     "llvm-symbolizer -i --obj=whole <asked >w && "
					     "llvm-symbolizer -i --obj=copy <asked >c && cmp w c"), 0);
	if (toolbox_has("eu-addr2line"))
		assert_int_equal(toolbox_run("eu-addr2line -i -f -e copy main | grep -q shapes.cc"), 0);
	if (toolbox_has("gdb"))
		assert_int_equal(toolbox_run("gdb -nx -q -batch -ex 'symbol-file copy' -ex 'info line main' bare "
					     "2>&1 | grep -q 'shapes.cc.* starts at address'"), 0);
}

static void test_refusals(void **state)
{
	struct buf report = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(extract("bare", "none", &report, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "bare: stripped: neither debug information nor symbols to extract");
	assert_int_equal(toolbox_run("echo 'int f(void) { return 1; }' >o.c && gcc -g -c o.c"), 0);
	assert_int_equal(extract("o.o", "none", &report, &e), -1);
	assert_int_equal(e.kind, ERR_UNSUPPORTED);
	buf_deinit(&report);
}

static void test_go_table_is_kept(void **state)
{
	struct buf report = BUF_INIT(MIB(1));
	struct elf_image copy;
	struct err e = ERR_INIT;

	(void)state;
	if (!toolbox_go()) {
		print_message("go is missing\n");
		skip();
	}
	toolbox_write("main.go", STR("package main\nfunc main() { println(\"x\") }\n"));
	assert_true(toolbox_go_build("-ldflags='-s -w'", "gobin"));
	assert_int_equal(extract("gobin", "gobin.debug", &report, &e), 0);
	assert_int_equal(indexing_image(&copy, "gobin.debug", &e), 0);
	assert_int_equal(probe_facts(&copy).quality, QUALITY_GOPCLNTAB);
	assert_int_equal(copy.ids[0].kind == BUILD_ID_GO || copy.ids[1].kind == BUILD_ID_GO, 1);
	indexing_close(&copy);
	buf_deinit(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),	       cmocka_unit_test(test_same_index),
		cmocka_unit_test(test_module), cmocka_unit_test(test_module_in_its_place),
		cmocka_unit_test(test_compressed_sections), cmocka_unit_test(test_other_readers),
		cmocka_unit_test(test_refusals),       cmocka_unit_test(test_go_table_is_kept),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
