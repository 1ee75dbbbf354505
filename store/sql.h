/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sqlite connection with its cache of prepared statements, and a query: a statement being bound and
 * stepped. Parameters are bound and columns read in order, so that no numbers have to agree:
 *
 *	_cleanup_(query_end) struct query q = query(c, "SELECT size FROM file WHERE id = ?");
 *
 *	query_i64(&q, id);
 *	rc = query_step(&q, e);
 *	if (rc > 0)
 *		size = query_col_i64(&q);
 *
 * Failures of preparing and binding are kept in the query and come out of the next step. SQL texts are
 * string constants: the cache goes by their address. A statement cannot be in use twice at once. A
 * connection belongs to one thread at a time.
 *
 * Errors: ERR_NO_SPACE, ERR_NOMEM, ERR_CORRUPT, ERR_OVERLOADED (another process holds the lock longer
 * than the busy timeout), else ERR_DB; messages name the file.
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include <sqlite3.h>

struct sql;

enum sql_mode { SQL_READ, SQL_WRITE };

/* SQL_WRITE creates the file and sets WAL. durable: what is committed survives a power cut, too. */
int sql_open(const char *path, enum sql_mode mode, bool durable, struct sql **ret,
	     struct err *e) MUST_CHECK;
void sql_close(struct sql *c);
DEFINE_CLEANUP(struct sql *, sql_close)

/* Statements without parameters or rows. */
int sql_run(struct sql *c, const char *script, struct err *e) MUST_CHECK;
/* Is a transaction open? Some failures (disk full) end it on the spot. */
bool sql_in_transaction(const struct sql *c);
/* Rows the last statement inserted, updated or deleted; row ID of the last INSERT. */
int64_t sql_changes(const struct sql *c);
int64_t sql_last_id(const struct sql *c);

struct query {
	struct sql *c;
	sqlite3_stmt *st;
	int rc; /* the first failure of preparing or binding */
	int params;
	int cols;
};

struct query query(struct sql *c, const char *text);
void query_end(struct query *q);

void query_i64(struct query *q, int64_t v);
/* The bytes must stay until query_end(). */
void query_str(struct query *q, struct str s);
void query_cstr(struct query *q, const char *s);
void query_blob(struct query *q, const void *p, size_t n);
void query_null(struct query *q);

/* 1: a row; 0: no more. */
int query_step(struct query *q, struct err *e) MUST_CHECK;
/* Runs a statement that gives no rows; it can be bound anew after. */
int query_run(struct query *q, struct err *e) MUST_CHECK;

/* The next column of the row. Strings live until the next step; NULL reads as 0 or empty. */
int64_t query_col_i64(struct query *q);
double query_col_f64(struct query *q);
struct str query_col_str(struct query *q);
/* Cut to size - 1 bytes, NUL-terminated. */
void query_col_copy(struct query *q, char *out, size_t size);

#endif
