/* SPDX-License-Identifier: Apache-2.0 */
/* What of a file leaves the host: real programs, beside nm and readelf, and damaged ones. */
#include "agent-lite/elf/elf_symbols.h"

#include "agent-lite/give/symbols_copy.h"
#include "agent-lite/elf/testing.h"
#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"

#include <sys/mman.h>

enum { COPY_MAX = 64 << 20, DAMAGES = 4000 };

#define SECRET "a literal that stays at home"

static char dir[64];
static char program_path[128];

static const char source[] = "#include <stdio.h>\n"
			     "int global_data = 0x5ec2e7;\n"
			     "__attribute__((noinline)) int work(int x) { return x * 3 + global_data; }\n"
			     "int main(int c, char **v) { (void)v; puts(\"" SECRET "\"); return work(c); }\n";

static int setup(void **state)
{
	char path[128];

	(void)state;
	test_dir_make(dir);
	snprintf(path, sizeof(path), "%s/p.c", dir);
	snprintf(program_path, sizeof(program_path), "%s/p", dir);
	if (!have_tool("gcc") || !have_tool("nm") || !have_tool("readelf"))
		return 0;
	write_text(path, source);
	compile("gcc", "-g -O1", path, program_path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static bool have_program(void)
{
	if (access(program_path, R_OK) == 0)
		return true;
	print_message("skip: gcc, nm or readelf is missing\n");
	return false;
}

static int plan_of(const char *path, struct symbols_plan *ret, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	*e = ERR_INIT;
	return elf_symbols_plan(fd, ret, e);
}

static void copy_to(const char *path, const char *to, struct buf *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = memfd_create("copy", MFD_CLOEXEC);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(COPY_MAX);
	struct symbols_plan plan;
	struct zstd_out *z;
	struct err e = ERR_INIT;
	uint64_t size;

	assert_ok(elf_symbols_plan(fd, &plan, &e));
	assert_ok(zstd_out_new(out, COPY_MAX, &z, &e));
	assert_ok(symbols_copy(fd, &plan, z, &e));
	assert_ok(zstd_out_finish(z, &size, &e));
	zstd_out_free(z);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_ok(io_read_fd(out, &packed, &e));
	assert_int_equal(packed.n, size);
	assert_ok(zstd_decompress(buf_str(&packed), ret, &e));
	assert_int_equal(ret->n, plan.size);
	assert_ok(io_write_file(to, ret->p, ret->n, 0600, &e));
}

/* filter: of what `how` prints of both, the part that has to be the same. */
static void run_same(const char *how, const char *filter, const char *a, const char *b)
{
	char command[1024];

	snprintf(command, sizeof(command), "bash -c 'cmp <(%s %s | %s) <(%s %s | %s)'", how, a, filter,
		 how, b, filter);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void names_go_and_content_stays(void **state)
{
	_cleanup_(buf_deinit) struct buf copy = BUF_INIT(COPY_MAX);
	char path[128], command[512];
	static const uint8_t data[] = {0xe7, 0xc2, 0x5e, 0x00};

	(void)state;
	if (!have_program())
		skip();
	snprintf(path, sizeof(path), "%s/copy", dir);
	copy_to(program_path, path, &copy);
	assert_null(memmem(copy.p, copy.n, SECRET, strlen(SECRET)));
	assert_null(memmem(copy.p, copy.n, data, sizeof(data)));
	// The letters tell of sections, of which some have no content now; .gnu.version is such a one.
	run_same("nm", "sed \"s/ . / /\"", program_path, path);
	run_same("readelf -W -n", "grep Build", program_path, path);
	run_same("readelf -W --debug-dump=decodedline", "tail -n +3", program_path, path);
	run_same("nm -D", "sed -e \"s/ . / /\" -e s/@.*//", program_path, path);
	snprintf(command, sizeof(command), "readelf -SW %s | grep -q ' \\.text  *NOBITS'", path);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "readelf -SW %s | grep -E ' \\.(text|rodata|data|eh_frame|interp|dynamic|got) ' |"
		 " grep -qv NOBITS", path);
	assert_int_not_equal(system(command), 0);
}

/* Byte by byte: the copy is the file, or zero, but for the types of sections. */
static void nothing_is_made_up(void **state)
{
	_cleanup_(buf_deinit) struct buf copy = BUF_INIT(COPY_MAX);
	_cleanup_(buf_deinit) struct buf file = BUF_INIT(COPY_MAX);
	struct symbols_plan plan;
	char path[128];
	struct err e = ERR_INIT;
	size_t differs = 0;

	(void)state;
	if (!have_program())
		skip();
	snprintf(path, sizeof(path), "%s/copy", dir);
	copy_to(program_path, path, &copy);
	assert_ok(io_read_file(program_path, &file, &e));
	assert_ok(plan_of(program_path, &plan, &e));
	for (size_t i = 0; i < copy.n; i++) {
		if (copy.p[i] && copy.p[i] != file.p[i]) {
			assert_true(i >= plan.sections && copy.p[i] == SHT_NOBITS);
			differs++;
		}
	}
	assert_true(differs > 5 && differs < 64);
}

static void stripped_files_have_nothing_to_give(void **state)
{
	struct symbols_plan plan;
	char path[128], command[300];
	struct err e;

	(void)state;
	if (!have_program())
		skip();
	snprintf(path, sizeof(path), "%s/stripped", dir);
	snprintf(command, sizeof(command), "strip -o %s %s", path, program_path);
	assert_int_equal(system(command), 0);
	assert_int_equal(plan_of(path, &plan, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "stripped");
}

/* As kernel modules are: the sections of debug information need those that fill them in. */
static void objects_are_given_too(void **state)
{
	_cleanup_(buf_deinit) struct buf copy = BUF_INIT(COPY_MAX);
	char path[128], object[128], command[400];

	(void)state;
	if (!have_program())
		skip();
	snprintf(path, sizeof(path), "%s/copy.o", dir);
	snprintf(object, sizeof(object), "%s/p.o", dir);
	snprintf(command, sizeof(command), "gcc -g -O1 -c -o %s %s/p.c", object, dir);
	assert_int_equal(system(command), 0);
	copy_to(object, path, &copy);
	assert_null(memmem(copy.p, copy.n, SECRET, strlen(SECRET)));
	run_same("nm", "sed \"s/ . / /\"", object, path);
	run_same("readelf -W --debug-dump=decodedline", "tail -n +3", object, path);
}

static Elf64_Shdr *section_of(struct buf *file, uint32_t type, uint64_t flags)
{
	Elf64_Ehdr *h = (void *)file->p;
	Elf64_Shdr *s = (void *)(file->p + h->e_shoff);

	for (size_t i = 1; i < h->e_shnum; i++) {
		if (s[i].sh_type == type && (s[i].sh_flags & flags) == flags)
			return &s[i];
	}
	fail_msg("no such section");
	return NULL;
}

static int plan_of_bytes(const struct buf *file, struct symbols_plan *ret, struct err *e)
{
	_cleanup_close_ int fd = memfd_create("file", MFD_CLOEXEC);

	*e = ERR_INIT;
	assert_int_equal(io_write_all(fd, file->p, file->n, e), 0);
	return elf_symbols_plan(fd, ret, e);
}

/* A section that says it is symbols but lies where the code is. */
static void code_cannot_pass_for_symbols(void **state)
{
	_cleanup_(buf_deinit) struct buf file = BUF_INIT(COPY_MAX);
	struct symbols_plan plan;
	Elf64_Shdr *symtab, *text;
	struct err e = ERR_INIT;

	(void)state;
	if (!have_program())
		skip();
	assert_ok(io_read_file(program_path, &file, &e));
	text = section_of(&file, SHT_PROGBITS, SHF_EXECINSTR);
	symtab = section_of(&file, SHT_SYMTAB, 0);
	symtab->sh_offset = text->sh_offset + text->sh_size - 1;
	assert_int_equal(plan_of_bytes(&file, &plan, &e), -1);
	assert_err(&e, ERR_BAD_ELF, "overlap");
	text->sh_type = SHT_NOBITS; // and of the code only the segments tell
	assert_int_equal(plan_of_bytes(&file, &plan, &e), -1);
	assert_err(&e, ERR_BAD_ELF, "overlap");
	symtab->sh_offset = file.n - 1;
	assert_int_equal(plan_of_bytes(&file, &plan, &e), -1);
	assert_err(&e, ERR_BAD_ELF, "outside the file");
}

static void damaged_files_are_refused_or_planned_well(void **state)
{
	_cleanup_(buf_deinit) struct buf file = BUF_INIT(COPY_MAX);
	struct symbols_plan plan;
	unsigned seed = 1, planned = 0;
	struct err e = ERR_INIT;

	(void)state;
	if (!have_program())
		skip();
	assert_ok(io_read_file(program_path, &file, &e));
	for (unsigned i = 0; i < DAMAGES; i++) {
		uint64_t headers = ((const Elf64_Ehdr *)(const void *)file.p)->e_shoff;
		size_t at = rand_r(&seed) % 3 ? headers + (size_t)rand_r(&seed) % (file.n - headers)
					      : (size_t)rand_r(&seed) % 1024;
		char before = file.p[at];

		file.p[at] = (char)rand_r(&seed);
		if (plan_of_bytes(&file, &plan, &e) == 0) {
			assert_true(symbols_plan_is_sane(&plan, file.n));
			planned++;
		}
		file.p[at] = before;
	}
	assert_true(planned > DAMAGES / 10 && planned < DAMAGES);
}

static void lies_about_plans_are_found(void **state)
{
	const struct symbols_plan good = {
		.size = 100, .sections = 50, .range_count = 2, .ranges = {{0, 64}, {70, 100}}};
	struct symbols_plan p = good;

	(void)state;
	assert_true(symbols_plan_is_sane(&p, 100));
	assert_false(symbols_plan_is_sane(&p, 99));
	p.ranges[1].start = 63;
	assert_false(symbols_plan_is_sane(&p, 100));
	p = good;
	p.ranges[1].end = 101;
	assert_false(symbols_plan_is_sane(&p, 200));
	p = good;
	p.ranges[0].end = 0;
	assert_false(symbols_plan_is_sane(&p, 100));
	p = good;
	p.range_count = SYMBOLS_RANGES_MAX + 1;
	assert_false(symbols_plan_is_sane(&p, 100));
	p = good;
	p.sections = UINT64_MAX - 10;
	assert_false(symbols_plan_is_sane(&p, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_and_content_stays),
		cmocka_unit_test(nothing_is_made_up),
		cmocka_unit_test(stripped_files_have_nothing_to_give),
		cmocka_unit_test(objects_are_given_too),
		cmocka_unit_test(code_cannot_pass_for_symbols),
		cmocka_unit_test(damaged_files_are_refused_or_planned_well),
		cmocka_unit_test(lies_about_plans_are_found),
	};

	return cmocka_run_group_tests_name("elf_symbols", tests, setup, teardown);
}
