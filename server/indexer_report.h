/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unhex-indexer says on its stdout, read as what it is: the output of a process that has just chewed
 * a hostile file. Sizes, counts and spellings are checked; anything else is ERR_INDEXER_CRASHED, for a
 * report that cannot be believed is as good as none.
 *
 * Format: docs/FORMATS.md, "Indexer reports" (unhex-probe/1, unhex-index/1). Pure functions.
 */
#ifndef SERVER_INDEXER_REPORT_H
#define SERVER_INDEXER_REPORT_H

#include "base/build_id.h"
#include "base/err.h"
#include "symbolizer/program_header.h"
#include "symbolizer/quality.h"

enum {
	INDEXER_REPORT_MAX = 2 * 1024 * 1024, /* bytes of stdout */
	PROBE_IDS_MAX = 8,
	PROBE_MACHINE_MAX = 16, /* with NUL */
};

/* What a file is good for. */
enum probe_kind {
	PROBE_EXECUTABLE, /* content, no DWARF */
	PROBE_DEBUGINFO,  /* allocated content left out */
	PROBE_BOTH,       /* content and DWARF */
	PROBE_KALLSYMS,   /* no ELF file: a kernel's symbol list */
};

struct probe_report {
	struct build_id ids[PROBE_IDS_MAX];
	size_t id_count; /* at least 1 */
	enum probe_kind kind;
	char machine[PROBE_MACHINE_MAX];
	bool core;       /* a core dump */
	bool relocatable; /* .o, .ko */
	bool headers_trusted;
	size_t header_count;
	struct program_header headers[PROGRAM_HEADERS_MAX];
	enum quality quality;
};

int probe_report_parse(struct str text, struct probe_report *ret, struct err *e) MUST_CHECK;
/* Is `id` one of the file's? */
bool probe_report_has(const struct probe_report *r, const struct build_id *id);

int index_report_check(struct str text, struct err *e) MUST_CHECK;

/*
 * Fills *e from {"error":{"code","detail"}}; a report without one is a crash. `said` is the first line of
 * stderr, used where there is no detail.
 */
void indexer_error_parse(struct str text, struct str said, struct err *e);

#endif
