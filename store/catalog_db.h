/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the catalog share; nobody else includes this. An ID is kept as its text form, which
 * is as good a key as (kind, bytes) and readable with the sqlite3 shell.
 */
#ifndef STORE_CATALOG_DB_H
#define STORE_CATALOG_DB_H

#include "base/json.h"
#include "store/catalog.h"
#include "store/db.h"

struct catalog {
	struct db *db;
	unsigned seen_batches; /* the writer thread's */
	bool asks_upstream;
	int64_t longest_answer_s; /* 0: not known */
};

/* From symbolizer/quality.h, which this layer cannot see: the names of what struct binary.quality and
 * struct catalog_file.quality hold. */
const char *catalog_quality_name(int quality);

/* 0 or CATALOG_NOT_FOUND. */
int catalog_load(struct sql *c, int64_t binary, struct binary *ret, struct err *e) MUST_CHECK;
/* The binary that has one of the IDs, tried in order; CATALOG_NOT_FOUND. */
int catalog_lookup(struct sql *c, const struct build_id *ids, size_t n, int64_t *ret,
		   struct err *e) MUST_CHECK;
/* The ID text a binary is best known by: GNU before Go before file hash. */
int catalog_main_id(struct sql *c, int64_t binary, char ret[static BUILD_ID_TEXT],
		    struct err *e) MUST_CHECK;
/* "indexed", "indexing", "failed" or "stored"; "seen" where there are no files. */
const char *catalog_state_name(const struct binary *b, bool has_files);
/*
 * Why IDs without any file have none, in words; from what upstream servers answered, if they are asked.
 * *ret_code is stable: "not_found", or "upstream_failed" where it is not known whether they have it.
 */
int catalog_absence(struct sql *c, const char *id, bool asks_upstream, struct buf *out,
		    const char **ret_code, struct err *e) MUST_CHECK;

#endif
