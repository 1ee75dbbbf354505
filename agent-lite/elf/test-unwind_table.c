/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of real files, row by row beside libdw's reader of call frames, of compiled oddities, and of
 * files written record by record. UNHEX_CFI_BELOW=/usr compares every ELF file in that folder as well, of any machine.
 */
#include "agent-lite/elf/unwind_table.h"

#include "agent-lite/elf/cfi_section.h"
#include "agent-lite/elf/testing.h"
#include "base/io.h"
#include "base/mem.h"
#include "tests/unit/cfi_file.h"
#include "tests/unit/cfi_oracle.h"

#include <inttypes.h>
#include <link.h>
#include <sys/auxv.h>

static uint64_t *slots;
static struct unwind_table table;
static struct err e;
static char dir[64];

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	slots = mem_calloc(UNWIND_SLOTS_MAX, sizeof(*slots));
	return !slots;
}

static int teardown(void **state)
{
	(void)state;
	free(slots);
	test_dir_remove(dir);
	return 0;
}

static struct unwind_row row_at(size_t i)
{
	struct unwind_row row;

	memcpy(&row, &slots[table.pages + i], sizeof(row));
	return row;
}

/* As the kernel side looks it up, by way of the page. */
static struct unwind_row look_up(uint64_t address)
{
	struct unwind_row none = {.rules = UNWIND_CFA_NONE};
	uint64_t pc = address - table.base;
	struct unwind_page page;
	size_t i;

	if (address < table.base || pc >> UNWIND_PAGE_SHIFT >= table.pages)
		return none;
	memcpy(&page, &slots[pc >> UNWIND_PAGE_SHIFT], sizeof(page));
	for (i = page.end; i > page.first && row_at(i - 1).pc > pc;)
		i--;
	return i > 0 ? row_at(i - 1) : none;
}

/* ---- beside libdw ---------------------------------------------------------------------------- */

struct comparison {
	const char *path;
	struct cfi_oracle oracle;
	size_t looked_at;
	size_t differ;
};

static void compare_at(struct comparison *c, uint64_t address)
{
	struct unwind_row ours = look_up(address);
	struct unwind_row theirs = {.rules = UNWIND_CFA_NONE};
	uint64_t start, end;

	cfi_oracle_row(&c->oracle, address, &theirs, &start, &end);
	c->looked_at++;
	if (ours.rules == theirs.rules && ours.cfa_offset8 == theirs.cfa_offset8 &&
	    ours.saved_offset8 == theirs.saved_offset8)
		return;
	if (c->differ++ < 5)
		print_message("%s: at 0x%" PRIx64 " %#x %d %d; libdw: %#x %d %d\n", c->path, address,
			      ours.rules, ours.cfa_offset8, ours.saved_offset8, theirs.rules,
			      theirs.cfa_offset8, theirs.saved_offset8);
}

/* First and last address of each row that libdw makes of a function. */
static int compare_function(void *ctx, uint64_t start, uint64_t end)
{
	struct comparison *c = ctx;
	struct unwind_row row;
	uint64_t row_start, row_end;

	while (start < end && cfi_oracle_row(&c->oracle, start, &row, &row_start, &row_end) &&
	       row_end > start) {
		compare_at(c, start);
		compare_at(c, row_end - 1);
		start = row_end;
	}
	return 0;
}

static void compare_file(struct comparison *c, int fd)
{
	struct elf_headers headers;
	struct cfi_section section;

	for (size_t i = 0; i < table.rows; i++) {
		compare_at(c, table.base + row_at(i).pc);
		compare_at(c, table.base + row_at(i).pc - 1);
	}
	for (uint64_t pc = 0; pc >> UNWIND_PAGE_SHIFT < table.pages; pc += UNWIND_PAGE_SIZE / 4)
		compare_at(c, table.base + pc);
	assert_ok(elf_headers_read(fd, &headers, &e));
	assert_ok(cfi_section_load(fd, &headers, &section, &e));
	assert_ok(eh_frame_read(&section.frame, compare_function, c, &e));
	cfi_section_deinit(&section);
	elf_headers_deinit(&headers);
}

/* How many rows differ; *ret_looked_at (may be NULL) gets how many addresses were compared. */
static size_t compare_open_file(const char *path, int fd, size_t *ret_looked_at)
{
	struct comparison c = {.path = path};

	if (cfi_oracle_open(&c.oracle, fd)) {
		compare_file(&c, fd);
		cfi_oracle_close(&c.oracle);
	}
	if (ret_looked_at)
		*ret_looked_at += c.looked_at;
	return c.differ;
}

static void compare_fd(const char *path, int fd)
{
	size_t looked_at = 0;

	assert_true(fd >= 0);
	assert_ok(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e));
	assert_int_equal(compare_open_file(path, fd, &looked_at), 0);
	assert_true(looked_at > table.rows && table.rows > 0);
	close(fd);
}

static void compare_path(const char *path)
{
	compare_fd(path, open(path, O_RDONLY | O_CLOEXEC));
}

static int compare_loaded(struct dl_phdr_info *info, size_t size, void *ctx)
{
	size_t *n = ctx;

	(void)size;
	if (info->dlpi_name[0] == '/') {
		compare_path(info->dlpi_name);
		++*n;
	}
	return 0;
}

/* libc, ld.so, libm, libcrypto, libdw and what else this program has loaded. */
static void loaded_libraries_give_what_libdw_finds(void **state)
{
	size_t n = 0;

	(void)state;
	dl_iterate_phdr(compare_loaded, &n);
	if (n < 2) // a static build
		fail_msg("%zu libraries are loaded", n);
}

static void programs_give_what_libdw_finds(void **state)
{
	static const char *const paths[] = {"/proc/self/exe", "/bin/bash", "/usr/bin/python3",
					    "/usr/bin/perl"};
	char found[512] = "";
	FILE *f = popen("gcc -print-file-name=libstdc++.so.6", "r");

	(void)state;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%511s", found), 1);
	assert_int_equal(pclose(f), 0);
	compare_path(found);
	for (size_t i = 0; i < countof(paths); i++) {
		if (access(paths[i], R_OK) == 0)
			compare_path(paths[i]);
		else
			print_message("no %s here\n", paths[i]);
	}
}

/* The vdso is no file: its image, copied from memory, is read like one. */
static void the_vdso_has_a_table(void **state)
{
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	uintptr_t start = (uintptr_t)image, end = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int fd = memfd_create("vdso", MFD_CLOEXEC);

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t from, to;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2 && from == start)
			end = to;
	}
	fclose(maps);
	if (!image || end <= start) {
		print_message("skip: no vdso here\n");
		skip();
	}
	assert_int_equal(write(fd, image, end - start), (ssize_t)(end - start));
	compare_fd("[vdso]", fd);
}

/* ---- compiled -------------------------------------------------------------------------------- */

static size_t count_rules(unsigned cfa, unsigned saved)
{
	size_t n = 0;

	for (size_t i = 0; i < table.rows; i++)
		n += row_at(i).rules == (cfa | saved << 4);
	return n;
}

/* Compiles, builds and compares; false where the compiler cannot. */
static bool compile_and_compare(const char *command, const char *text)
{
	char source[128], line[512], out[128];

	snprintf(source, sizeof(source), "%s/p.c", dir);
	snprintf(out, sizeof(out), "%s/p.so", dir);
	write_text(source, text);
	snprintf(line, sizeof(line), "cd %s && %s", dir, command);
	if (system(line) != 0)
		return false;
	compare_path(out);
	return true;
}

static void realigned_stacks_have_rows(void **state)
{
	(void)state;
#ifndef __x86_64__
	print_message("skip: stacks are realigned like this on x86-64\n");
	skip();
#endif
	assert_true(compile_and_compare(
		"gcc -O2 -mavx -shared -fPIC -o p.so p.c",
		"void use(void *, void *);\n"
		"void realigned(int n) { _Alignas(64) char a[256]; use(a, __builtin_alloca(n)); }\n"
		"void far(void) { char a[70000]; use(a, a); }\n"
		"void farther(void) { char a[700000]; use(a, a); }\n"));
	assert_true(count_rules(UNWIND_CFA_FP_DEREF, UNWIND_SAVED_FP) > 0);
	assert_true(count_rules(UNWIND_CFA_PLT, UNWIND_SAVED_NONE) > 0);
}

static const char arm_text[] =
	"int use(void *, ...);\n"
	"int leaf(int x) { return x * 3; }\n"
	"int record(int n) { int a[40]; return use(a, n) + n; }\n"
	"int big(int n) { char a[70000]; return use(a, n) + n; }\n"
	"int sized(int n) { char a[n]; return use(a, n) + 1; }\n"
	"int many(int a, int b, int c, int d, int e, int f)\n"
	"{ int g = use(&a), h = use(&b), i = use(&c); return use(&d, &e, &f) + g * h - i; }\n"
	"int early(int n) { if (n < 3) return n; return use(&n) + record(n); }\n";

static void aarch64_files_have_rows(void **state)
{
	static const char *const flags[] = {
		"", "-fomit-frame-pointer", "-fno-omit-frame-pointer -mbranch-protection=standard",
		"-O0", "-mbranch-protection=pac-ret+b-key+leaf -mllvm -enable-shrink-wrap=1"};
	char command[512];

	(void)state;
	if (!have_tool("clang") || !have_tool("ld.lld")) {
		print_message("skip: clang and ld.lld are needed to make files of aarch64\n");
		skip();
	}
	for (size_t i = 0; i < countof(flags); i++) {
		snprintf(command, sizeof(command),
			 "clang -target aarch64-linux-gnu -O2 %s -fPIC -c p.c && "
			 "ld.lld -shared --eh-frame-hdr -o p.so p.o", flags[i]);
		assert_true(compile_and_compare(command, arm_text));
		assert_true(count_rules(UNWIND_CFA_SP, UNWIND_SAVED_NONE) > 0);
		assert_true(count_rules(UNWIND_CFA_SP, UNWIND_SAVED_CFA) +
				    count_rules(UNWIND_CFA_FP, UNWIND_SAVED_CFA) +
				    count_rules(UNWIND_CFA_SP, UNWIND_SAVED_RA) > 0);
	}
}

/* GCC's frames, of which the tests for aarch64 above have none: linked once, and kept. */
static void recorded_files_have_rows(void **state)
{
	(void)state;
	compare_path("tests/subjects/aarch64/recorded/chains");
	assert_true(count_rules(UNWIND_CFA_SP, UNWIND_SAVED_RA) > 0);
	assert_true(count_rules(UNWIND_CFA_SP, UNWIND_SAVED_RA_SP) > 0);
	assert_true(count_rules(UNWIND_CFA_SP, UNWIND_SAVED_SP) > 0);
	assert_true(count_rules(UNWIND_CFA_SP, UNWIND_SAVED_CFA_16) > 0);
	assert_true(count_rules(UNWIND_CFA_FP, UNWIND_SAVED_CFA) > 0);
	assert_true(count_rules(UNWIND_CFA_SIGNAL, UNWIND_SAVED_NONE) > 0);
	assert_true(count_rules(UNWIND_CFA_END, UNWIND_SAVED_NONE) > 0);
}

/* Without section headers the program header leads to the same. */
static void sections_are_not_needed(void **state)
{
	struct unwind_table with;
	uint64_t *copy;
	char path[128];
	struct buf b = BUF_INIT(16 << 20);
	Elf64_Ehdr eh;
	int fd;

	(void)state;
	assert_true(compile_and_compare("gcc -shared -fPIC -o p.so p.c", "int f(int x) { return x; }\n"));
	with = table;
	copy = mem_dup(slots, (table.pages + table.rows) * sizeof(*slots));
	assert_non_null(copy);
	snprintf(path, sizeof(path), "%s/p.so", dir);
	assert_ok(io_read_file(path, &b, &e));
	memcpy(&eh, b.p, sizeof(eh));
	eh.e_shoff = 0;
	eh.e_shnum = eh.e_shstrndx = 0;
	memcpy(b.p, &eh, sizeof(eh));
	fd = memfd_create("bare", MFD_CLOEXEC);
	assert_int_equal(write(fd, b.p, b.n), (ssize_t)b.n);
	compare_fd("bare", fd);
	assert_memory_equal(&with, &table, sizeof(with));
	assert_memory_equal(copy, slots, (table.pages + table.rows) * sizeof(*slots));
	free(copy);
	buf_deinit(&b);
}

/* ---- record by record ------------------------------------------------------------------------ */

static struct cfi_file file;

static int begin_file(void **state)
{
	(void)state;
	file = (struct cfi_file){.machine = EM_X86_64};
	e = ERR_INIT;
	return 0;
}

static void build_file(void)
{
	int fd = cfi_file_open(&file, true);

	assert_ok(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e));
	close(fd);
	fd = cfi_file_open(&file, false);
	struct unwind_table again;

	assert_ok(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &again, &e));
	assert_memory_equal(&again, &table, sizeof(table));
	close(fd);
}

static void expect_row(uint64_t address, unsigned rules, int cfa_offset8)
{
	struct unwind_row row = look_up(address);

	if (row.rules != rules || row.cfa_offset8 != cfa_offset8)
		fail_msg("at 0x%" PRIx64 ": rules %#x, offset %d instead of %#x, %d", address,
			 row.rules, row.cfa_offset8, rules, cfa_offset8);
}

static void put_function(size_t cie, uint64_t start, uint64_t size, uint8_t offset)
{
	cfi_put_fde(&file, cie, start, size, CFI_BYTES(0x41, 0x0e, offset));
}

static void holes_are_known_as_such(void **state)
{
	size_t cie = cfi_put_usual_cie(&file);

	(void)state;
	put_function(cie, CFI_FILE_CODE, 0x10, 16);
	put_function(cie, CFI_FILE_CODE + 0x20, 0x10, 16);
	put_function(cie, CFI_FILE_CODE + 0x30, 0x10, 24);
	cfi_put(&file, 0, 4);
	build_file();
	assert_int_equal(table.base, CFI_FILE_BASE);
	assert_int_equal(table.rows, 8);
	expect_row(CFI_FILE_CODE - 1, UNWIND_CFA_NONE, 0);
	expect_row(CFI_FILE_CODE, UNWIND_CFA_SP, 1);
	expect_row(CFI_FILE_CODE + 1, UNWIND_CFA_SP, 2);
	expect_row(CFI_FILE_CODE + 0xf, UNWIND_CFA_SP, 2);
	expect_row(CFI_FILE_CODE + 0x10, UNWIND_CFA_NONE, 0);
	expect_row(CFI_FILE_CODE + 0x20, UNWIND_CFA_SP, 1);
	expect_row(CFI_FILE_CODE + 0x30, UNWIND_CFA_SP, 1);
	expect_row(CFI_FILE_CODE + 0x31, UNWIND_CFA_SP, 3);
	expect_row(CFI_FILE_CODE + 0x40, UNWIND_CFA_NONE, 0);
}

static void order_in_the_section_does_not_matter(void **state)
{
	static const uint8_t order[] = {3, 0, 7, 1, 6, 2, 5, 4};
	size_t cie = cfi_put_usual_cie(&file);

	(void)state;
	for (size_t i = 0; i < countof(order); i++)
		put_function(cie, CFI_FILE_CODE + order[i] * 0x1800, 0x20, (uint8_t)(16 + 8 * order[i]));
	build_file();
	assert_int_equal(table.rows, 3 * countof(order));
	for (int i = 0; i < 8; i++)
		expect_row(CFI_FILE_CODE + (uint64_t)i * 0x1800 + 0x10, UNWIND_CFA_SP, 2 + i);
}

static void the_first_of_overlapping_functions_holds(void **state)
{
	size_t cie = cfi_put_usual_cie(&file);

	(void)state;
	put_function(cie, CFI_FILE_CODE + 0x10, 0x20, 24);
	put_function(cie, CFI_FILE_CODE, 0x18, 16);
	put_function(cie, CFI_FILE_CODE, 0x100, 32);	   // the same start, later in the section
	put_function(cie, CFI_FILE_CODE + 0x20, 0x08, 40); // inside of another
	put_function(cie, CFI_FILE_CODE + 0xf8, 0x10, 48);
	build_file();
	expect_row(CFI_FILE_CODE + 0x17, UNWIND_CFA_SP, 2);
	expect_row(CFI_FILE_CODE + 0x18, UNWIND_CFA_SP, 4);
	expect_row(CFI_FILE_CODE + 0x22, UNWIND_CFA_SP, 4);
	expect_row(CFI_FILE_CODE + 0xff, UNWIND_CFA_SP, 4);
	expect_row(CFI_FILE_CODE + 0x100, UNWIND_CFA_SP, 6);
	expect_row(CFI_FILE_CODE + 0x108, UNWIND_CFA_NONE, 0);
}

static void what_is_about_no_code_is_left_out(void **state)
{
	size_t cie = cfi_put_usual_cie(&file);

	(void)state;
	put_function(cie, 0, 0x100, 16); // what a linker dropped
	put_function(cie, CFI_FILE_BASE - 8, 0x10, 16);
	put_function(cie, CFI_FILE_END, 0x10, 16);
	put_function(cie, CFI_FILE_BASE + UINT32_MAX, 0x10, 16);
	put_function(cie, UINT64_MAX - 0x20, 0x10, 16);
	build_file();
	assert_int_equal(table.rows, 0);
	assert_int_equal(table.pages, 0);
	put_function(cie, CFI_FILE_END - 8, UINT64_MAX / 2, 16); // cut at the end of the code
	build_file();
	assert_int_equal(table.rows, 3);
	expect_row(CFI_FILE_END - 1, UNWIND_CFA_SP, 2);
	expect_row(CFI_FILE_END, UNWIND_CFA_NONE, 0);
}

static void signals_ends_and_nonsense(void **state)
{
	size_t signal_cie = cfi_put_cie(&file, "zRS", CFI_BYTES(0x0c, 7, 8, 0x90, 1));
	size_t cie = cfi_put_usual_cie(&file);
	size_t bad_cie = cfi_put_cie(&file, "zR", CFI_BYTES(0x0c, 7, 8, 0x90, 1, 0x3f));

	(void)state;
	put_function(signal_cie, CFI_FILE_CODE, 0x10, 16);
	cfi_put_fde(&file, cie, CFI_FILE_CODE + 0x10, 0x10, CFI_BYTES(0x07, 16));
	cfi_put_fde(&file, cie, CFI_FILE_CODE + 0x20, 0x10, CFI_BYTES(0x44, 0x3f, 0x44, 0x0e, 16));
	put_function(bad_cie, CFI_FILE_CODE + 0x30, 0x10, 16);
	cfi_put_fde(&file, cie, CFI_FILE_CODE + 0x40, 0x10, CFI_BYTES(0x44, 0x0e, 0, 0x44, 0x0e, 8));
	build_file();
	expect_row(CFI_FILE_CODE, UNWIND_CFA_SIGNAL, 0);
	expect_row(CFI_FILE_CODE + 0xf, UNWIND_CFA_SIGNAL, 0);
	expect_row(CFI_FILE_CODE + 0x10, UNWIND_CFA_END, 0);
	expect_row(CFI_FILE_CODE + 0x20, UNWIND_CFA_SP, 1);
	expect_row(CFI_FILE_CODE + 0x24, UNWIND_CFA_NONE, 0);
	expect_row(CFI_FILE_CODE + 0x2f, UNWIND_CFA_NONE, 0);
	expect_row(CFI_FILE_CODE + 0x30, UNWIND_CFA_NONE, 0);
	expect_row(CFI_FILE_CODE + 0x43, UNWIND_CFA_SP, 1);
	expect_row(CFI_FILE_CODE + 0x44, UNWIND_CFA_END, 0); // musl's clone()
	expect_row(CFI_FILE_CODE + 0x48, UNWIND_CFA_SP, 1);
}

/* More CIEs than are kept, in turn. */
static void many_cies_are_told_apart(void **state)
{
	enum { N = 80 };

	(void)state;
	for (uint8_t i = 0; i < N; i++) {
		size_t cie = cfi_put_cie(&file, "zR", CFI_BYTES(0x0c, 7, i, 0x90, 1));

		cfi_put_fde(&file, cie, CFI_FILE_CODE + i * 0x10u, 0x10, CFI_BYTES(0));
	}
	build_file();
	for (int i = 8; i < N; i += 8)
		expect_row(CFI_FILE_CODE + (uint64_t)i * 0x10, UNWIND_CFA_SP, i / 8);
	expect_row(CFI_FILE_CODE + 0x90, UNWIND_CFA_NONE, 0);
}

/* ---- limits and damage ----------------------------------------------------------------------- */

static void usual_file(void)
{
	size_t cie = cfi_put_usual_cie(&file);

	for (uint8_t i = 0; i < 6; i++)
		cfi_put_fde(&file, cie, CFI_FILE_CODE + 0x40 * (5u - i), 0x30,
			    CFI_BYTES(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0a, 0x50, 0x0c, 7, 8, 0xc6,
				      0x44, 0x0b));
	cfi_put(&file, 0, 4);
}

/* Whatever comes out leads nowhere else. */
static void expect_sound(size_t slot_max)
{
	uint32_t row = 0;

	assert_true((uint64_t)table.pages + table.rows <= slot_max);
	for (size_t i = 0; i < table.pages; i++) {
		struct unwind_page page;

		memcpy(&page, &slots[i], sizeof(page));
		assert_true(page.first == row && page.end >= row && page.end <= table.rows);
		for (; row < page.end; row++) {
			assert_true(row_at(row).pc >> UNWIND_PAGE_SHIFT == i);
			assert_true(row == 0 || row_at(row - 1).pc < row_at(row).pc);
			assert_true((row_at(row).rules & 15) < UNWIND_CFA_COUNT);
			assert_true(row_at(row).rules >> 4 < UNWIND_SAVED_COUNT);
		}
	}
	assert_int_equal(row, table.rows);
}

static void try_fd(int fd, size_t slot_max)
{
	e = ERR_INIT;
	if (unwind_table_build(fd, slots, slot_max, &table, &e) == 0)
		expect_sound(slot_max);
	else
		assert_true(e.msg[0] && (e.kind == ERR_NOT_ELF || e.kind == ERR_BAD_ELF ||
					 e.kind == ERR_UNSUPPORTED || e.kind == ERR_TOO_LARGE));
}

static void too_few_slots_are_an_error(void **state)
{
	size_t need;
	int fd;

	(void)state;
	usual_file();
	build_file();
	need = table.pages + table.rows;
	fd = cfi_file_open(&file, true);
	for (size_t n = 0; n <= need + 1; n++) {
		uint64_t guard = slots[n] = 0x6775617264;

		e = ERR_INIT;
		assert_int_equal(unwind_table_build(fd, slots, n, &table, &e), n < need ? -1 : 0);
		assert_int_equal(slots[n], guard);
		if (n < need)
			assert_int_equal(e.kind, ERR_TOO_LARGE);
	}
	close(fd);
}

static void large_sections_are_refused(void **state)
{
	struct elf_headers h = {.file_size = UINT64_MAX / 2};
	int fd;

	(void)state;
	usual_file();
	fd = cfi_file_open(&file, true);
	assert_ok(elf_headers_read(fd, &h, &e));

	Elf64_Shdr section;
	uint64_t at = h.header.e_shoff + sizeof(section);

	assert_int_equal(pread(fd, &section, sizeof(section), (off_t)at), sizeof(section));
	section.sh_size = CFI_SECTION_MAX + 1;
	assert_int_equal(pwrite(fd, &section, sizeof(section), (off_t)at), sizeof(section));
	assert_int_equal(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e), -1);
	assert_err(&e, ERR_BAD_ELF, ".eh_frame reaches beyond the end of the file");
	assert_int_equal(ftruncate(fd, (off_t)CFI_SECTION_MAX * 2), 0); // sparse
	assert_int_equal(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, ".eh_frame of 25165825 bytes; at most 25165824 are read");
	elf_headers_deinit(&h);
	close(fd);
}

static void other_files_are_refused(void **state)
{
	int fd;
	Elf64_Ehdr eh;

	(void)state;
	file.machine = EM_RISCV;
	usual_file();
	fd = cfi_file_open(&file, true);
	assert_int_equal(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "stacks of ELF machine 243 cannot be walked");
	assert_int_equal(pread(fd, &eh, sizeof(eh), 0), sizeof(eh));
	eh.e_type = ET_REL;
	assert_int_equal(pwrite(fd, &eh, sizeof(eh), 0), sizeof(eh));
	assert_int_equal(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "an ELF file of type 1 is not run");
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "3 bytes long");
	close(fd);
}

static void every_truncation_is_survived(void **state)
{
	off_t size;
	int fd;

	(void)state;
	usual_file();
	for (int with_sections = 0; with_sections < 2; with_sections++) {
		fd = cfi_file_open(&file, with_sections);
		size = lseek(fd, 0, SEEK_END);
		while (size > 0) {
			assert_int_equal(ftruncate(fd, --size), 0);
			try_fd(fd, UNWIND_SLOTS_MAX);
		}
		close(fd);
	}
}

static void every_corruption_is_survived(void **state)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	off_t size;
	int fd;

	(void)state;
	usual_file();
	for (int with_sections = 0; with_sections < 2; with_sections++) {
		fd = cfi_file_open(&file, with_sections);
		size = lseek(fd, 0, SEEK_END);
		for (off_t at = 0; at < size; at++) {
			uint8_t was;

			assert_int_equal(pread(fd, &was, 1, at), 1);
			for (size_t i = 0; i < countof(values); i++) {
				assert_int_equal(pwrite(fd, &values[i], 1, at), 1);
				try_fd(fd, 4096); // pages of 8 MiB of code
			}
			assert_int_equal(pwrite(fd, &was, 1, at), 1);
		}
		close(fd);
	}
}

static void out_of_memory_is_an_error(void **state)
{
	unsigned long nth = 0;
	bool fired;
	int fd, r;

	(void)state;
	usual_file();
	for (int with_sections = 0; with_sections < 2; with_sections++) {
		fd = cfi_file_open(&file, with_sections);
		nth = 0;
		do {
			e = ERR_INIT;
			mem_fault_at(++nth, 1);
			r = unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e);
			fired = mem_fault_off();
			assert_int_equal(r, fired ? -1 : 0);
			if (fired)
				assert_int_equal(e.kind, ERR_NOMEM);
		} while (fired);
		assert_true(nth >= 5);
		close(fd);
	}
}

/* ---- everything on a machine ----------------------------------------------------------------- */

static struct totals {
	size_t files, with_tables, looked_at, differ, unread;
	uint64_t rows;
} totals;

static int compare_found(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int fd;

	(void)st;
	(void)at;
	if (type != FTW_F || strncmp(path, "/usr/lib/debug/", 15) == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	e = ERR_INIT;
	if (fd >= 0 && unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e) == 0) {
		totals.files++;
		totals.with_tables += table.rows > 0;
		totals.rows += table.rows;
		expect_sound(UNWIND_SLOTS_MAX);
		totals.differ += compare_open_file(path, fd, &totals.looked_at);
	} else if (e.kind != ERR_NOT_ELF && e.kind != ERR_UNSUPPORTED) {
		print_message("%s: %s\n", path, e.msg);
		totals.unread++;
	}
	if (fd >= 0)
		close(fd);
	return 0;
}

static void every_file_of_a_folder(void **state)
{
	const char *folder = getenv("UNHEX_CFI_BELOW");

	(void)state;
	if (!folder) {
		print_message("skip: long; UNHEX_CFI_BELOW=/usr compares every file below /usr\n");
		skip();
	}
	assert_int_equal(nftw(folder, compare_found, 32, FTW_PHYS), 0);
	print_message("%zu files, %zu with tables, %" PRIu64 " rows, %zu addresses compared, %zu differ, "
		      "%zu not read\n", totals.files, totals.with_tables, totals.rows,
		      totals.looked_at, totals.differ, totals.unread);
	assert_int_equal(totals.differ, 0);
	assert_true(totals.with_tables > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loaded_libraries_give_what_libdw_finds),
		cmocka_unit_test(programs_give_what_libdw_finds),
		cmocka_unit_test(the_vdso_has_a_table),
		cmocka_unit_test(realigned_stacks_have_rows),
		cmocka_unit_test(aarch64_files_have_rows),
		cmocka_unit_test(recorded_files_have_rows),
		cmocka_unit_test(sections_are_not_needed),
		cmocka_unit_test_setup(holes_are_known_as_such, begin_file),
		cmocka_unit_test_setup(order_in_the_section_does_not_matter, begin_file),
		cmocka_unit_test_setup(the_first_of_overlapping_functions_holds, begin_file),
		cmocka_unit_test_setup(what_is_about_no_code_is_left_out, begin_file),
		cmocka_unit_test_setup(signals_ends_and_nonsense, begin_file),
		cmocka_unit_test_setup(many_cies_are_told_apart, begin_file),
		cmocka_unit_test_setup(too_few_slots_are_an_error, begin_file),
		cmocka_unit_test_setup(large_sections_are_refused, begin_file),
		cmocka_unit_test_setup(other_files_are_refused, begin_file),
		cmocka_unit_test_setup(every_truncation_is_survived, begin_file),
		cmocka_unit_test_setup(every_corruption_is_survived, begin_file),
		cmocka_unit_test_setup(out_of_memory_is_an_error, begin_file),
		cmocka_unit_test(every_file_of_a_folder),
	};

	return cmocka_run_group_tests_name("unwind_table", tests, setup, teardown);
}
