/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the builder has collected and the writer writes: interned strings, files, functions, scopes,
 * under the builder's ids. Records have no padding, for they are compared as bytes.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_TABLES_H
#define SYMBOLIZER_INDEXER_UHX_TABLES_H

#include "symbolizer/indexer/record_log.h"
#include "symbolizer/indexer/string_table.h"

struct function_record {
	uint32_t linkage; /* string; never 0 */
	uint32_t display; /* string; 0: to be demangled from linkage */
	uint32_t start_line;
};

struct scope_record {
	uint32_t function;
	uint32_t parent; /* always a smaller id */
	uint32_t call_file;
	uint32_t call_line;
	uint16_t call_column;
	uint16_t depth;  /* scopes in the chain, this one included */
	uint32_t source; /* enum frame_source */
};

struct alias_record {
	uint32_t function;
	uint32_t linkage; /* string; never 0, never the function's own */
};

struct uhx_tables {
	struct string_table strings;
	struct record_set files;     /* uint32_t: string */
	struct record_set functions; /* struct function_record */
	struct record_log scopes;    /* struct scope_record */
	struct record_set aliases;   /* struct alias_record */
};

static inline const struct scope_record *uhx_tables_scope(const struct uhx_tables *t, uint32_t id)
{
	return (const struct scope_record *)record_log_at(&t->scopes, id);
}

#endif
