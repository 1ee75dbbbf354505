/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a mapped .uhx and how to follow them: private to the reader and the dump. Sections
 * have been checked to lie inside the file; what they contain is checked here, at each step.
 * Immutable.
 */
#ifndef SYMBOLIZER_UHX_VIEW_H
#define SYMBOLIZER_UHX_VIEW_H

#include "symbolizer/frame.h"
#include "symbolizer/program_header.h"
#include "symbolizer/uhx_format.h"
#include "symbolizer/uhx_reader.h"

struct uhx_part {
	const uint8_t *p;
	uint64_t count;
};

struct uhx_view {
	const uint8_t *bytes;
	uint64_t size;
	const struct uhx_header *header;
	const struct uhx_section *sections;
	struct uhx_part part[UHX_SECTION_KINDS];
};

const struct uhx_view *uhx_view(const struct uhx *u);

/* Fills the rest from bytes and size, aligned to 8. ERR_BAD_INDEX, ERR_UNSUPPORTED (version). */
int uhx_view_open(struct uhx_view *v, struct err *e) MUST_CHECK;
int uhx_view_verify(const struct uhx_view *v, struct err *e) MUST_CHECK;
int uhx_view_bad(struct err *e, const char *why); /* ERR_BAD_INDEX; -1 */

/* One row's columns; scope is not 0. */
struct uhx_position {
	uint32_t scope;
	uint32_t file;
	uint32_t line;
	uint32_t column;
};

/* False: no row there, a hole, or damage. */
bool uhx_view_find(const struct uhx_view *v, uint64_t va, struct uhx_position *ret);
/* n = 0 where an id on the way does not exist. */
void uhx_view_chain(const struct uhx_view *v, const struct uhx_position *row, struct frames *ret);

/* Block by number, checked: false where it does not lie inside its section. */
struct uhx_block_view {
	const struct uhx_block *head;
	const uint8_t *column[UHX_COLUMNS];
};
bool uhx_view_block(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret);
/* The value of a row's column; i < count. */
uint32_t uhx_block_value(const struct uhx_block_view *b, enum uhx_column column, unsigned i);

#endif
