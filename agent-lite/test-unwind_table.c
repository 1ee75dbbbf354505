/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of real files, row by row beside libdw's reader of call frames. */
#include "agent-lite/unwind_table.h"

#include "agent-lite/cfi_section.h"
#include "agent-lite/testing.h"
#include "base/mem.h"
#include "tests/unit/cfi_oracle.h"

#include <inttypes.h>

static uint64_t *slots;
static struct unwind_table table;
static struct err e;

static int setup(void **state)
{
	(void)state;
	slots = mem_calloc(UNWIND_SLOTS_MAX, sizeof(*slots));
	return !slots;
}

static int teardown(void **state)
{
	(void)state;
	free(slots);
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
	assert_ok(elf_headers_read(fd, &headers, &e));
	assert_ok(cfi_section_load(fd, &headers, &section, &e));
	assert_ok(eh_frame_read(&section.frame, compare_function, c, &e));
	cfi_section_deinit(&section);
	elf_headers_deinit(&headers);
}

/* Returns how many rows differ. */
static size_t compare_open_file(const char *path, int fd)
{
	struct comparison c = {.path = path};

	if (unwind_table_build(fd, slots, UNWIND_SLOTS_MAX, &table, &e) < 0)
		table.rows = 0;
	if (cfi_oracle_open(&c.oracle, fd)) {
		if (e.kind == ERR_NONE)
			compare_file(&c, fd);
		cfi_oracle_close(&c.oracle);
	}
	print_message("%s: %u rows, %u pages, %zu looked at, %zu differ%s\n", path, table.rows,
		      table.pages, c.looked_at, c.differ, e.msg);
	e = ERR_INIT;
	return c.differ;
}

static void compare_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(compare_open_file(path, fd), 0);
	assert_true(table.rows > 1000);
	close(fd);
}

static void libraries_give_what_libdw_finds(void **state)
{
	static const char *const paths[] = {
		"/lib/x86_64-linux-gnu/libc.so.6",
	};

	(void)state;
	for (size_t i = 0; i < countof(paths); i++)
		compare_path(paths[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libraries_give_what_libdw_finds),
	};

	if (argc > 1) { // files named: these alone
		setup(NULL);
		for (int i = 1; i < argc; i++)
			compare_open_file(argv[i], open(argv[i], O_RDONLY));
		return 0;
	}
	return cmocka_run_group_tests_name("unwind_table", tests, setup, teardown);
}
