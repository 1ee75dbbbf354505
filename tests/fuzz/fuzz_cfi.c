/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind tables of any bytes: as .eh_frame of a file that is otherwise right, of both machines, with
 * and without section headers, and as a whole ELF file. The first byte says which. What comes out
 * leads nowhere else, or there is an error of ours.
 */
#include "agent-lite/elf/unwind_table.h"

#include "tests/unit/cfi_file.h"

enum {
	IS_AARCH64 = 1,
	IS_BARE = 2, /* no section headers */
	IS_FILE = 4,
	SLOTS = 1 << 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t *slots; /* and a guard behind them */

static int open_input(uint8_t how, const uint8_t *data, size_t size)
{
	static struct cfi_file file;
	int fd;

	if (how & IS_FILE) {
		fd = memfd_create("elf", MFD_CLOEXEC);
		cfi_file_must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
		return fd;
	}
	file.n = MIN(size, sizeof(file.frame));
	file.machine = how & IS_AARCH64 ? EM_AARCH64 : EM_X86_64;
	memcpy(file.frame, data, file.n);
	return cfi_file_open(&file, !(how & IS_BARE));
}

static void check_page(const struct unwind_table *t, size_t i, uint32_t *row)
{
	const struct unwind_row *rows = (const struct unwind_row *)(slots + t->pages);
	const struct unwind_page *page = (const struct unwind_page *)slots + i;

	cfi_file_must(page->first == *row && page->end >= *row && page->end <= t->rows);
	for (; *row < page->end; ++*row) {
		const struct unwind_row *r = &rows[*row];

		cfi_file_must(r->pc >> UNWIND_PAGE_SHIFT == i);
		cfi_file_must(*row == 0 || rows[*row - 1].pc < r->pc);
		cfi_file_must((r->rules & 15) < UNWIND_CFA_COUNT && r->rules >> 4 < UNWIND_SAVED_COUNT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unwind_table t;
	struct err e = ERR_INIT;
	uint32_t row = 0;
	int fd;

	if (!size)
		return 0;
	if (!slots)
		slots = calloc(SLOTS + 1, sizeof(*slots));
	cfi_file_must(slots != NULL);
	fd = open_input(data[0], data + 1, size - 1);
	slots[SLOTS] = size;
	if (unwind_table_build(fd, slots, SLOTS, &t, &e) == 0) {
		cfi_file_must(t.pages <= SLOTS && t.rows <= SLOTS - t.pages);
		for (size_t i = 0; i < t.pages; i++)
			check_page(&t, i, &row);
		cfi_file_must(row == t.rows);
	} else {
		cfi_file_must(e.kind != ERR_NONE && e.kind != ERR_NOMEM && e.msg[0]);
	}
	cfi_file_must(slots[SLOTS] == size);
	close(fd);
	return 0;
}
