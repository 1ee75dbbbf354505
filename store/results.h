/* SPDX-License-Identifier: Apache-2.0 */
/*
 * results.db: (binary, generation, address) → the frames once given, as bytes (symbolizer/frame.h encodes
 * them), so that an answer survives the loss of every index, ELF and blob. Puts are queued and written
 * within a second by the one writer thread, and on close; a full queue drops (counted), for it is a cache.
 * What was put lately is remembered in memory, so that the same address is not written again. Gets use a
 * read-only connection each. Thread-safe.
 */
#ifndef STORE_RESULTS_H
#define STORE_RESULTS_H

#include "base/buf.h"
#include "base/err.h"

struct results;

struct result_key {
	int64_t binary;
	uint32_t generation;
	uint64_t address;
};

int results_open(const char *path, struct results **ret, struct err *e) MUST_CHECK;
/* Writes what is queued. */
void results_close(struct results *r);
void results_put(struct results *r, const struct result_key *key, struct str frames);
enum { RESULTS_NOT_FOUND = 1 };
/* Appends to out. 0 or RESULTS_NOT_FOUND. Sees what is queued, too. */
int results_get(struct results *r, const struct result_key *key, struct buf *out, struct err *e) MUST_CHECK;
/* Everything queued is on disk when this returns. */
int results_flush(struct results *r, struct err *e) MUST_CHECK;
int results_delete_binary(struct results *r, int64_t binary, struct err *e) MUST_CHECK;

#endif
