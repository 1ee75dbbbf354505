/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of .gopclntab, for gopclntab.c: header, function records, strings, and the programs
 * that map an offset in a function to a value. Knows the layouts of Go 1.16–1.17, 1.18–1.19 and
 * 1.20 and later (runtime/symtab.go: pcHeader, _func, step). Every access is checked against the
 * table; views borrow from it. Pure functions.
 */
#ifndef SYMBOLIZER_INDEXER_GO_TABLE_H
#define SYMBOLIZER_INDEXER_GO_TABLE_H

#include "base/err.h"
#include "base/str.h"

enum go_layout { GO_1_16, GO_1_18, GO_1_20 };

/* Bytes in the binary's byte order. */
struct go_bytes {
	struct str b;
	bool big_endian;
};

/* False where it does not lie inside. width: 4 or 8. */
bool go_read(const struct go_bytes *b, uint64_t off, unsigned width, uint64_t *ret);
bool go_read_u32(const struct go_bytes *b, uint64_t off, uint32_t *ret);

struct go_table {
	struct go_bytes bytes;
	enum go_layout layout;
	unsigned quantum; /* instructions lie at multiples of it */
	unsigned word;    /* pointer size: 4 or 8 */
	uint64_t function_count;
	uint64_t text_start; /* 0: not said (since 1.26; before 1.18; where a relocation is due) */
	/* Places in the table. */
	uint64_t names;
	uint64_t units;
	uint64_t files;
	uint64_t programs;
	uint64_t functions;
};

bool go_table_probe(struct str bytes);
/* ERR_BAD_ELF; ERR_UNSUPPORTED for tables of Go 1.2–1.15. */
int go_table_parse(struct str bytes, struct go_table *ret, struct err *e) MUST_CHECK;

/*
 * Where function i starts: an offset from the text, or an address before 1.18. i <=
 * function_count.
 */
bool go_table_entry(const struct go_table *t, uint64_t i, uint64_t *ret);

struct go_function {
	uint64_t entry; /* as go_table_entry() */
	uint64_t size;
	uint32_t name;
	uint32_t unit;
	uint32_t start_line; /* 0: unknown */
	uint32_t file_program; /* 0: none; also below */
	uint32_t line_program;
	uint32_t inline_program;
	uint64_t inline_tree; /* from go:func.*, or an address before 1.18 */
	bool has_inline_tree;
	uint64_t record_end; /* behind the record, from the start of the table */
};

/* False: a hole in the text (code that is not Go's), or a record that does not fit. */
bool go_table_function(const struct go_table *t, uint64_t i, struct go_function *ret);

/* NUL-terminated text; empty where it does not lie inside. */
struct str go_table_name(const struct go_table *t, uint32_t at);
/* A file number of a function's file program. */
struct str go_table_file(const struct go_table *t, uint32_t unit, int32_t file);

/*
 * A program: its value holds from the end of the step before it up to `end`, both offsets in the
 * function. Behind its last step the value is -1, for ever.
 */
struct go_program {
	const struct go_table *table;
	uint64_t at; /* next step's place in the table; 0: at the end */
	uint64_t end;
	int32_t value;
};

struct go_program go_program_start(const struct go_table *t, uint32_t program);
/* To the next step; `end` grows each time. */
void go_program_step(struct go_program *p);

#endif
