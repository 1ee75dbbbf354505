/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a mapped .uhx and how to follow them: private to the reader, the dump and the
 * exporters. Sections have been checked to lie inside the file; what they contain is checked here,
 * at each step. Immutable.
 */
#ifndef SYMBOLIZER_UHX_VIEW_H
#define SYMBOLIZER_UHX_VIEW_H

#include "symbolizer/frame.h"
#include "symbolizer/program_header.h"
#include "symbolizer/uhx_bits.h"
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

static inline const uint32_t *uhx_view_u32(const struct uhx_view *v, enum uhx_section_kind kind)
{
	return (const uint32_t *)(const void *)v->part[kind].p;
}

/* A block, checked to lie inside its section with UHX_SLACK bytes behind it. */
struct uhx_block_view {
	uint64_t number;
	struct uhx_block head;
	const uint8_t *groups; /* their starts */
	const uint8_t *rows;
	const uint8_t *entries;
	unsigned stride; /* bytes of a group */
	unsigned starts_bytes; /* of them, starts */
	unsigned index_bits;
	unsigned row_bits;   /* of one row's record */
	unsigned entry_bits; /* of one entry's record */
};

/* Where an address or a row leads: entry 0 is a hole. */
struct uhx_hit {
	struct uhx_block_view block;
	unsigned row;
	uint32_t entry;
	uint32_t line;
};

/* What an entry of a block says. */
struct uhx_entry {
	uint32_t function;
	uint32_t parent; /* 0: not inlined */
	uint32_t call_line;
	uint32_t base_line;
};

/* uhx_find.c. False: no such block, or damage. */
bool uhx_view_block(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret);
/* False: no row there, a hole, or damage. */
bool uhx_view_find(const struct uhx_view *v, uint64_t va, struct uhx_hit *ret);
/*
 * The same in steps, each of which asks for the memory that the next one reads: a batch takes each for
 * several addresses. A prefetch never faults, wherever a damaged offset points.
 */
struct uhx_search {
	uint64_t number; /* of the block */
	uint32_t at;     /* how far behind its key */
	unsigned group;
	bool found; /* so far */
	struct uhx_hit hit;
};
void uhx_search_block(const struct uhx_view *v, uint64_t va, struct uhx_search *s);
void uhx_search_head(const struct uhx_view *v, const struct uhx_search *s);
void uhx_search_group(const struct uhx_view *v, struct uhx_search *s);
void uhx_search_row(struct uhx_search *s);
void uhx_search_line(const struct uhx_view *v, struct uhx_search *s);
/* Sets the rest of a hit whose block is set; row <= head.rows. */
void uhx_hit_row(struct uhx_hit *h, unsigned row);
uint32_t uhx_block_start(const struct uhx_block_view *b, unsigned row);

/* 1 <= entry <= head.entries. */
static inline struct uhx_entry uhx_block_entry(const struct uhx_block_view *b, uint32_t entry)
{
	const struct uhx_block *h = &b->head;
	uint64_t bit = (uint64_t)(entry - 1) * b->entry_bits;
	struct uhx_entry e;

	e.function = uhx_bits(b->entries, bit, h->function_bits);
	bit += h->function_bits;
	e.parent = uhx_bits(b->entries, bit, b->index_bits);
	bit += b->index_bits;
	e.call_line = uhx_bits(b->entries, bit, h->call_bits);
	bit += h->call_bits;
	e.base_line = uhx_bits(b->entries, bit, h->base_bits);
	return e;
}

/* uhx_chain.c: n = 0 where an id on the way does not exist. */
void uhx_view_places(const struct uhx_view *v, const struct uhx_hit *hit, bool columns,
		     struct uhx_chain *ret);
void uhx_view_chain(const struct uhx_view *v, const struct uhx_hit *hit, struct frames *ret);
/* id below the number of functions; line, column and inlined are left alone. */
bool uhx_view_names(const struct uhx_view *v, uint32_t id, struct frame *ret);
bool uhx_view_string(const struct uhx_view *v, enum uhx_section_kind kind, uint32_t at,
		     struct str *ret);

#endif
