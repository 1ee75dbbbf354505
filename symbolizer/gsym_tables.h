/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strings and files that a GSYM file refers to: each once, in order of first use. Texts are
 * borrowed and must outlive the tables. Owned by one thread; out of memory, or more text than
 * 32-bit offsets reach, latches in `strings`.
 */
#ifndef SYMBOLIZER_GSYM_TABLES_H
#define SYMBOLIZER_GSYM_TABLES_H

#include "base/buf.h"
#include "symbolizer/str_set.h"

struct gsym_file {
	uint32_t folder; /* strings */
	uint32_t name;
};

struct gsym_tables {
	struct buf strings; /* NUL-terminated; 0 is the empty one */
	struct str_set string_set;
	uint32_t *offsets; /* by number of the set */
	size_t offset_cap;
	struct str_set path_set; /* number + 1 is the file's */
	struct gsym_file *files; /* 0 is none */
	size_t file_count;
	size_t file_cap;
};

int gsym_tables_init(struct gsym_tables *t, struct err *e) MUST_CHECK;
void gsym_tables_deinit(struct gsym_tables *t);
/* What cannot be stored, from a NUL on, is cut off. */
uint32_t gsym_tables_string(struct gsym_tables *t, struct str s);
/* 0 for the empty path. */
uint32_t gsym_tables_file(struct gsym_tables *t, struct str path);
/* A file without name, to say "not known" in a line table: readers take 0 there for damage. */
uint32_t gsym_tables_nameless(struct gsym_tables *t);

#endif
