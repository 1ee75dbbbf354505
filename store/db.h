/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sqlite file and the threads around it: a writer thread that owns the only writing connection and
 * commits what is queued together (group commit), and a pool of read-only connections.
 *
 * A write is a function run by the writer thread inside the group's transaction; one that fails is rolled
 * back alone. Readers see what was committed when their statement (or snapshot) began. Thread-safe.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/cleanup.h"
#include "base/err.h"
#include "store/sql.h"

struct db;

enum db_name { DB_CATALOG, DB_RESULTS, DB_SEGMENTS }; /* for metrics */

struct db_config {
	const char *path;
	enum db_name name;
	/* Scripts, NULL-terminated: the nth takes user_version from n to n + 1. Never edit one that was
	 * released. */
	const char *const *migrations;
	bool durable;     /* committed = on disk (synchronous FULL) */
	unsigned readers; /* connections */
};

/* ERR_CONFIG when the file is of a newer version. */
int db_open(const struct db_config *cfg, struct db **ret, struct err *e) MUST_CHECK;
/* Commits what is queued; nobody may be reading or writing any more. Accepts NULL. */
void db_close(struct db *d);
DEFINE_CLEANUP(struct db *, db_close)

/* 0 or a positive outcome commits; -1 rolls back what this one wrote. Runs on the writer thread. */
typedef int db_write_fn(struct sql *c, void *ctx, struct err *e);

/*
 * Queues fn and waits for its commit. Returns what fn returned, or -1 with fn's error or that of the
 * commit. ERR_OVERLOADED: too many writes are waiting.
 */
int db_write(struct db *d, db_write_fn *fn, void *ctx, struct err *e) MUST_CHECK;
/* Queues fn without waiting; its failure is only counted. release(ctx) is called in the end, even when
 * the write is refused. */
int db_write_later(struct db *d, db_write_fn *fn, void *ctx, void (*release)(void *ctx),
		   struct err *e) MUST_CHECK;

/*
 * A borrowed read-only connection; waits while all are out, so keep it short and do no other I/O
 * meanwhile. Never fails.
 *
 *	_cleanup_(db_reader_end) struct db_reader r = db_reader(d);
 */
struct db_reader {
	struct db *db;
	struct sql *sql;
};
struct db_reader db_reader(struct db *d);
/* From here on all statements of this reader see one state. */
int db_reader_snapshot(struct db_reader *r, struct err *e) MUST_CHECK;
void db_reader_end(struct db_reader *r);

#endif
