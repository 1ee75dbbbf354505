/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function of a GSYM file (FunctionInfo.h), decoded: its line table, the tree of what was
 * inlined into it, and where that leaves each address. Time and memory are bounded by the bytes
 * read. Reused from function to function; owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_GSYM_FUNCTION_H
#define SYMBOLIZER_INDEXER_GSYM_FUNCTION_H

#include "symbolizer/gsym_lines.h"
#include "symbolizer/indexer/gsym_image.h"

enum { GSYM_NONE = UINT32_MAX };

/* Code of `name`, called at file:line. Node 0 is the function itself. */
struct gsym_node {
	uint32_t parent; /* a smaller number; GSYM_NONE of node 0 */
	uint32_t file;
	uint32_t line;
	uint32_t first_range;
	uint32_t range_count;
	uint64_t name;
};

struct gsym_range {
	uint64_t start;
	uint64_t end;
};

/* From here to the next stretch the innermost node is this one; GSYM_NONE: none. */
struct gsym_stretch {
	uint64_t start;
	uint32_t node;
};

struct gsym_function {
	uint64_t start;
	uint64_t size; /* 0: not known */
	uint64_t name;
	struct str merged; /* functions of other names with the same code: see gsym_merged_next() */
	size_t info_size;  /* bytes read */

	struct gsym_line *lines;
	size_t line_count;
	size_t line_cap;
	struct gsym_node *nodes;
	size_t node_count;
	size_t node_cap;
	struct gsym_range *ranges;
	size_t range_count;
	size_t range_cap;
	struct gsym_stretch *stretches;
	size_t stretch_count;
	size_t stretch_cap;
};

#define GSYM_FUNCTION_INIT ((struct gsym_function){0})

void gsym_function_deinit(struct gsym_function *f);
/* The function at `start` whose info starts with the bytes. ERR_BAD_GSYM, ERR_NOMEM. */
int gsym_function_read(struct gsym_function *f, const struct gsym_image *g, struct str info,
		       uint64_t start, struct err *e) MUST_CHECK;
/*
 * Takes the next off *merged (MergedFunctions.h) and gives its name. 0: no more. ERR_BAD_GSYM.
 * *left is UINT32_MAX at first.
 */
int gsym_merged_next(const struct gsym_image *g, struct str *merged, uint32_t *left,
		     uint64_t *ret_name, struct err *e) MUST_CHECK;

#endif
