/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of binary life share. Who calls whom: views and doors → flights → index_job, intake →
 * caches, indexer, store.
 *
 * Lock order: flights → waiters; index_cache, binary_cache, upstream and the pools' locks are innermost.
 * None is held while anything is read, written, or spawned.
 */
#ifndef SERVER_BINARIES_INTERNAL_H
#define SERVER_BINARIES_INTERNAL_H

#include "base/map.h"
#include "server/binaries.h"
#include "server/binary_cache.h"
#include "server/flights.h"
#include "server/index_cache.h"
#include "server/indexer.h"
#include "server/waiters.h"
#include <pthread.h>

struct binaries {
	struct binaries_config cfg; /* its strings are not used after binaries_new() */
	struct indexer *indexer;
	struct index_cache *indexes;
	struct binary_cache *rows;
	struct waiters *waiters;
	struct flights *flights;
	bool retry_failed; /* another program version than the one that recorded failures here */
	pthread_mutex_t retried_lock; /* guards the next two; innermost */
	struct map64 retried;         /* rows tried again by this process */
	struct map64 failed_once;     /* rows → files_version, for what may pass */
};

/* True once for each row, where failures of another version are to be tried again. */
bool binaries_first_retry(struct binaries *b, int64_t binary);
/* Indexing these files failed for what may pass: did it before, in this process? */
bool binaries_failed_before(struct binaries *b, int64_t binary, uint32_t files_version);

/* ---- taking in (binaries_put.c) -------------------------------------------------------------------- */

/* binaries_put() without what follows from it: a flight is not started. */
int binaries_intake(struct binaries *b, const struct binaries_upload *u,
		    struct binaries_put_result *ret, struct err *e) MUST_CHECK;

/* ---- indexing (index_job.c) -------------------------------------------------------------------------- */

/*
 * Blocking: builds the index of what is stored of a binary, and publishes it: as the next generation, or,
 * where only the file of the current one was lost, as that one again. A final failure is recorded in the
 * catalog. INDEX_SKIPPED: nothing to index, or what is left would make a worse index than the lost one.
 */
enum { INDEX_SKIPPED = 1 };
int index_job(struct binaries *b, int64_t binary, struct err *e) MUST_CHECK;

/* ---- asking upstream (flight_steps.c) ------------------------------------------------------------------ */

/* The ID to ask upstream for; NULL: none of them can be asked for. */
const struct build_id *binaries_gnu_id(const struct build_id *ids, size_t n);
/* Does asking make sense: there is a server, an ID it may know, and no recent "no" from it? */
int binaries_may_ask(struct binaries *b, const struct build_id *ids, size_t n, enum file_type type,
		     bool *ret, struct err *e) MUST_CHECK;
/* Why nobody gave it, where asking makes none. That a server failed is no news of what it has. */
struct absence {
	enum err_kind kind; /* ERR_NOT_FOUND, ERR_UPSTREAM; ERR_DB and others: it cannot be told */
	const char *detail; /* static */
};
struct absence binaries_why_absent(struct binaries *b, const struct build_id *ids, size_t n);

#endif
