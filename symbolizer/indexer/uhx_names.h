/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions and strings of a .uhx under construction: given ids and written out when something
 * first needs them, so that what is looked up together lies together. What a query may do without
 * (names to show, aliases) goes to strings of its own. Failure latches. Owned by one thread; the
 * tables are borrowed, and gain the demangled names.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_NAMES_H
#define SYMBOLIZER_INDEXER_UHX_NAMES_H

#include "symbolizer/frame.h"
#include "symbolizer/indexer/uhx_tables.h"

/* Strings of the tables, each written once. */
struct string_pool {
	struct buf bytes;
	uint32_t *at; /* by the tables' string id: place in bytes; 0: not written yet */
	size_t n;
	size_t cap;
};

struct uhx_names {
	struct uhx_tables *tables;
	struct string_pool strings;
	struct string_pool cold_strings;
	struct record_set set; /* what has an id: function, file and source in the tables' ids */
	uint32_t *recent;      /* by function of the tables: an id of it, the likely one; 0: none */
	struct buf functions;  /* struct uhx_function_entry */
	struct buf displays;   /* u32 per function */
	struct buf aliases;    /* struct uhx_alias */
	struct buf demangled;  /* scratch */
	bool displays_needed;
	bool nomem;
};

/* Call uhx_names_deinit() also after -1 (out of memory). */
int uhx_names_init(struct uhx_names *n, struct uhx_tables *tables) MUST_CHECK;
void uhx_names_deinit(struct uhx_names *n);

/* The id in the file of a function of the tables in a file of the tables (0: unknown). */
uint32_t uhx_names_function(struct uhx_names *n, uint32_t function, uint32_t file,
			    enum frame_source source);
/* When all functions have their ids: fills aliases; leaves displays empty where all would be 0. */
void uhx_names_finish(struct uhx_names *n);

#endif
