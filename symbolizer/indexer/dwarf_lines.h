/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line table of one unit as sorted spans of addresses that do not overlap. Within a sequence each row
 * reaches to the next one; of several rows at one address the last counts; a row that steps back, which
 * DWARF forbids, is ignored, and so is is_stmt; line 0 stays 0 ("no line"). Sequences that do not start in
 * the code of the file are left out: those of functions that the linker threw away start at 0, -1 or -2.
 *
 * A table that several units name is decoded once where they follow each other; how many bytes are decoded
 * for all units is bounded, since tables may be named in any order and overlap.
 *
 * Reused from unit to unit; owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_LINES_H
#define SYMBOLIZER_INDEXER_DWARF_LINES_H

#include "base/buf.h"
#include "symbolizer/indexer/dwarf_entry.h"
#include "symbolizer/indexer/folded_lines.h"
#include "symbolizer/indexer/line_program.h"

/* The sequence being read. */
struct line_sequence {
	struct line_row last; /* the row whose end is not known yet */
	bool open;
	uint64_t code_end; /* 0: not in the code of the file */
	size_t first;      /* span */
};

struct dwarf_lines {
	struct line_spans spans;
	struct folded_lines folded;
	struct line_spans chosen; /* of a folded function, for the function at hand; n is 0: none */
	const struct elf_image *image;
	struct line_sections sections;
	struct line_program program;
	struct line_sequence sequence;
	struct line_spans spare; /* for sorting */
	size_t sequence_count;
	uint64_t bytes_left; /* that may yet be decoded */
	uint64_t offset;     /* of the table at hand */
	int outcome;         /* of loading it */
	struct err problem;
	bool loaded;
	struct str comp_dir;
	uhx_id *file_ids; /* by index in the table, made when asked for */
	bool *file_known;
	size_t file_cap;
	size_t known_cap;
	struct buf relative; /* folder/name */
	struct buf path;
	struct uhx_builder *builder;
};

enum { PATH_TEXT_MAX = 64 * 1024 };

void dwarf_lines_init(struct dwarf_lines *l, struct dwarf_file *file, struct uhx_builder *b);
void dwarf_lines_deinit(struct dwarf_lines *l);

/*
 * Loads the table of a unit. Returns 0 also where there is none (no spans); 1 with *e saying why where it
 * cannot be read (no spans), ERR_TOO_LARGE where too much was decoded before; -1 with ERR_NOMEM.
 */
int dwarf_lines_load(struct dwarf_lines *l, const struct dwarf_unit *u, const struct dwarf_attributes *a,
		     struct err *e) MUST_CHECK;
/* By the numbering of the unit's version; 0 where the table has no such file. */
uhx_id dwarf_lines_file(struct dwarf_lines *l, uint64_t index);
/*
 * Of the lines of functions folded into one at `start`, those of the one declared at `line` are taken from
 * now on. 0: unknown.
 */
void dwarf_lines_choose(struct dwarf_lines *l, uint64_t start, uint32_t line);
/* The first span that ends behind `address`; its index, their number where none is. */
size_t dwarf_lines_from(const struct dwarf_lines *l, uint64_t address);
/* Rows of `scope` for [start, end), without file and line where the table has a gap. */
void dwarf_lines_rows(const struct dwarf_lines *l, uint64_t start, uint64_t end, uhx_id scope);

#endif
