/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line table of one unit (DWARF 5, section 6.2), decoded by libdw, as sorted spans of addresses that
 * do not overlap. Each row of the table reaches to the next one in address order; of several rows at one
 * address the last counts; is_stmt is ignored; line 0 stays 0 ("no line"). Spans outside the code of the
 * file (sequences of functions that the linker threw away: they start at 0, -1 or -2) are left out.
 *
 * Reused from unit to unit; owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_LINES_H
#define SYMBOLIZER_INDEXER_DWARF_LINES_H

#include "base/buf.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/uhx_builder.h"
#include <elfutils/libdw.h>

struct line_span {
	uint64_t start;
	uint64_t end;
	uhx_id file;
	uint32_t line;
	uint32_t column;
};

struct dwarf_lines {
	struct line_span *spans;
	size_t n;
	size_t cap;
	Dwarf_Files *files;
	size_t file_count;
	struct str comp_dir;
	uhx_id *file_ids; /* by index in the table, made when asked for */
	bool *file_known;
	size_t file_cap;
	size_t known_cap;
	struct buf path;
	struct uhx_builder *builder;
};

enum { LINE_SPANS_MAX = 1 << 27, LINE_FILES_MAX = 1 << 22, PATH_TEXT_MAX = 64 * 1024 };

#define DWARF_LINES_INIT(b) ((struct dwarf_lines){.path = BUF_INIT(PATH_TEXT_MAX), .builder = (b)})
void dwarf_lines_deinit(struct dwarf_lines *l);

/*
 * Loads the table of a unit. Returns 0 also where there is none (n == 0), 1 where there is one that libdw
 * cannot read (n == 0); -1 with ERR_NOMEM.
 */
int dwarf_lines_load(struct dwarf_lines *l, Dwarf_Die *unit, const struct elf_image *img, struct err *e)
	MUST_CHECK;
/* By the numbering of the unit's version; 0 where the table has no such file. */
uhx_id dwarf_lines_file(struct dwarf_lines *l, uint64_t index);
/* The first span that ends behind `address`; its index, n where none is. */
size_t dwarf_lines_from(const struct dwarf_lines *l, uint64_t address);
/* Rows of `scope` for [start, end), without file and line where the table has a gap. */
void dwarf_lines_rows(const struct dwarf_lines *l, uint64_t start, uint64_t end, uhx_id scope);

#endif
