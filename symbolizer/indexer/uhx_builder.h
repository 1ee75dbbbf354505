/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a .uhx. The indexer's readers (DWARF, gopclntab, symbol tables, …) each add rows for
 * what they know; the builder merges them by rank per address and writes the file.
 *
 *   row       [start, end) × scope × file × line × column, from one source
 *   scope     a function, and for inlined code the scope it was inlined into and the call site
 *   function  names and where it starts; shared by all its scopes
 *
 * Rows of one source may come in any order and may overlap (the later addition loses where it
 * does); a lower-ranked source (enum frame_source) only fills what the higher ones leave open.
 * Same input, same bytes out. Ids are dense u32s given by the builder; strings are copied and
 * interned. Owned by one thread. Out of memory or a limit latches: the adders return 0-ids and
 * uhx_builder_write() reports it.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_BUILDER_H
#define SYMBOLIZER_INDEXER_UHX_BUILDER_H

#include "base/build_id.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "symbolizer/frame.h"
#include "symbolizer/program_header.h"
#include "symbolizer/quality.h"

struct uhx_builder;

/* Ids: 0 means none (empty string, unknown file, no function, no scope). */
typedef uint32_t uhx_id;

int uhx_builder_new(struct uhx_builder **ret, struct err *e) MUST_CHECK;
void uhx_builder_free(struct uhx_builder *b);
DEFINE_CLEANUP(struct uhx_builder *, uhx_builder_free)

uhx_id uhx_builder_string(struct uhx_builder *b, struct str s);
/* A file's path as it will be reported, already joined and normalised. */
uhx_id uhx_builder_file(struct uhx_builder *b, struct str path);
/*
 * The linkage name is demangled by the builder (symbolizer/indexer/demangle.h) unless `display` is
 * not empty (DWARF names qualified by namespaces where there is no linkage name). A function
 * without any name is called "??". start_line 0: unknown.
 */
struct uhx_function {
	struct str linkage;
	struct str display;
	uint32_t start_line;
};
uhx_id uhx_builder_function(struct uhx_builder *b, const struct uhx_function *f);
/*
 * Another linkage name of the code that `function` names: a symbol alias, or a function that the
 * linker folded into it (ICF). Told once for each; the function's own name is ignored.
 */
void uhx_builder_alias(struct uhx_builder *b, uhx_id function, struct str name);

/*
 * parent 0: a physical function; otherwise `function` was inlined into parent at call
 * file:line:column. Beyond FRAMES_MAX levels the id of the deepest scope allowed comes back.
 */
struct uhx_scope {
	uhx_id function;
	uhx_id parent;
	uhx_id call_file;
	uint32_t call_line;
	uint32_t call_column;
	enum frame_source source;
};
uhx_id uhx_builder_scope(struct uhx_builder *b, const struct uhx_scope *s);

#define UHX_ROW_BYTES_MAX GIB(1)

/*
 * A row without a scope (0), an empty one, or one longer than UHX_ROW_BYTES_MAX (no function is;
 * damaged debug info says so) is ignored. File, line and column may be 0: unknown.
 */
struct uhx_row {
	uint64_t start;
	uint64_t end; /* exclusive */
	uhx_id scope;
	uhx_id file;
	uint32_t line;
	uint32_t column;
};
void uhx_builder_row(struct uhx_builder *b, const struct uhx_row *row);

struct uhx_meta {
	const struct build_id *ids;
	size_t id_count;
	struct program_headers headers;
	enum quality quality;
	struct str machine;
};

struct uhx_counts {
	uint64_t rows;
	uint64_t functions;
	uint64_t bytes;
	uint64_t cold_bytes; /* of them, what only columns, demangled names and aliases need */
	bool sources[SOURCE_COUNT]; /* which sources own at least one row */
};

/* Merges and writes to fd at its position (a regular file). ERR_TOO_LARGE, ERR_NOMEM, ERR_IO. */
int uhx_builder_write(struct uhx_builder *b, const struct uhx_meta *meta, int fd,
		      struct uhx_counts *ret, struct err *e) MUST_CHECK;

#endif
