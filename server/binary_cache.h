/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every lookup needs to know of a binary, in memory, so that hot lookups do not go to sqlite: the
 * catalog's rows that were read lately, and verdicts ("asked for, not to be had"), which keep a lookup
 * from starting a flight again and again.
 *
 * Whoever changes a binary in the catalog calls binary_cache_changed() after the change is committed.
 * Thread-safe. Its lock is innermost and never held while the catalog is read.
 */
#ifndef SERVER_BINARY_CACHE_H
#define SERVER_BINARY_CACHE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "store/catalog.h"
#include "symbolizer/program_header.h"
#include <stdatomic.h>

/* A row as it was when read. Immutable but for what is atomic; reference-counted. */
struct binary_row {
	atomic_uint refs;
	int64_t id;
	uint32_t generation;
	int quality;
	bool needs_index;
	char *reason;      /* where indexing failed its stable code, else NULL */
	char *detail;      /* what happened; not NULL where reason is not */
	struct program_headers headers;
	/* Asking upstream for better files has been seen to until then (clock_mono_ms()). */
	_Atomic uint64_t improve_after_ms;
};

void binary_row_unref(struct binary_row *r); /* accepts NULL */
DEFINE_CLEANUP(struct binary_row *, binary_row_unref)

struct binary_cache;

int binary_cache_new(struct catalog *catalog, struct binary_cache **ret, struct err *e) MUST_CHECK;
void binary_cache_free(struct binary_cache *c); /* accepts NULL */

/* 0: *ret is a reference of the caller's; CATALOG_NOT_FOUND. */
int binary_cache_find(struct binary_cache *c, const struct build_id *ids, size_t n,
		      struct binary_row **ret, struct err *e) MUST_CHECK;
/* The row has changed, or is gone. */
void binary_cache_changed(struct binary_cache *c, int64_t binary);

enum { VERDICT_MAX = 512 };
struct verdict {
	unsigned lacking; /* enum flight_want: what is not to be had */
	bool failed;      /* it could not be found out: no news of whether it exists */
	uint64_t until_ms; /* clock_mono_ms() */
	const char *reason; /* a stable code, static */
	char detail[VERDICT_MAX];
};
/* Is there a verdict on these candidates that still holds, and says that `want` is not to be had? */
bool binary_cache_verdict(struct binary_cache *c, const struct build_id *ids, size_t n,
			  unsigned want, struct verdict *ret);
void binary_cache_judge(struct binary_cache *c, const struct build_id *ids, size_t n,
			const struct verdict *v);
/* New files have come: every verdict that may be on one of these IDs is void. */
void binary_cache_pardon(struct binary_cache *c, const struct build_id *ids, size_t n);

#endif
