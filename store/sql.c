/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sql.h"

#include "base/mem.h"
#include <errno.h>
#include <stdio.h>

enum { STATEMENTS_MAX = 64, BUSY_TIMEOUT_MS = 10000, CACHE_KIB = 8 * 1024, MMAP_MIB = 256 };

struct statement {
	const char *text;
	sqlite3_stmt *st;
};

struct sql {
	sqlite3 *db;
	char *path;
	struct statement statements[STATEMENTS_MAX];
	size_t count;
};

static enum err_kind kind_of(int rc, int sys)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ERR_NO_SPACE;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_BUSY:
		return ERR_OVERLOADED;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return sys == ENOSPC || sys == EDQUOT ? ERR_NO_SPACE : ERR_DB;
	default:
		return ERR_DB;
	}
}

static int fail(const struct sql *c, int rc, struct err *e)
{
	int sys = c->db ? sqlite3_system_errno(c->db) : 0;
	enum err_kind kind = kind_of(rc, sys);
	const char *detail = c->db && sqlite3_errcode(c->db) ? sqlite3_errmsg(c->db)
							     : sqlite3_errstr(rc);

	if (kind == ERR_NOMEM)
		return err_nomem(e);
	if (kind == ERR_NO_SPACE)
		detail = "no space left on the disk";
	err_set(e, kind, "%s: %s", c->path, detail);
	if (e)
		e->sys = sys;
	return -1;
}

static int configure(struct sql *c, enum sql_mode mode, bool durable, struct err *e)
{
	char script[256];

	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
	snprintf(script, sizeof(script),
		 "%sPRAGMA synchronous = %s; PRAGMA foreign_keys = ON; PRAGMA cache_size = -%d;"
		 "PRAGMA mmap_size = %ju; PRAGMA trusted_schema = OFF;",
		 mode == SQL_WRITE ? "PRAGMA journal_mode = WAL;" : "", durable ? "FULL" : "NORMAL",
		 CACHE_KIB, (uintmax_t)MIB(MMAP_MIB));
	return sql_run(c, script, e);
}

int sql_open(const char *path, enum sql_mode mode, bool durable, struct sql **ret, struct err *e)
{
	_cleanup_(sql_closep) struct sql *c = mem_zalloc(sizeof(*c));
	int flags = mode == SQL_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
				      : SQLITE_OPEN_READONLY;
	int rc;

	if (!c)
		return err_nomem(e);
	c->path = mem_strdup(path);
	if (!c->path)
		return err_nomem(e);
	rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc)
		return fail(c, rc, e);
	if (configure(c, mode, durable, e))
		return -1;
	*ret = steal_ptr(c);
	return 0;
}

void sql_close(struct sql *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		sqlite3_finalize(c->statements[i].st);
	sqlite3_close(c->db);
	free(c->path);
	free(c);
}

int sql_run(struct sql *c, const char *script, struct err *e)
{
	int rc = sqlite3_exec(c->db, script, NULL, NULL, NULL);

	return rc ? fail(c, rc, e) : 0;
}

bool sql_in_transaction(const struct sql *c)
{
	return !sqlite3_get_autocommit(c->db);
}

int64_t sql_changes(const struct sql *c)
{
	return sqlite3_changes64(c->db);
}

int64_t sql_last_id(const struct sql *c)
{
	return sqlite3_last_insert_rowid(c->db);
}

static sqlite3_stmt *find_statement(const struct sql *c, const char *text)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->statements[i].text == text)
			return c->statements[i].st;
	}
	return NULL;
}

static int prepare(struct sql *c, const char *text, sqlite3_stmt **ret)
{
	int rc;

	if (c->count == STATEMENTS_MAX)
		return SQLITE_MISUSE; // there are fewer texts than that
	rc = sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
	if (rc == SQLITE_OK)
		c->statements[c->count++] = (struct statement){text, *ret};
	return rc;
}

struct query query(struct sql *c, const char *text)
{
	struct query q = {.c = c, .st = find_statement(c, text)};

	if (!q.st)
		q.rc = prepare(c, text, &q.st);
	else if (sqlite3_stmt_busy(q.st))
		q.rc = SQLITE_MISUSE;
	if (q.rc)
		q.st = NULL;
	return q;
}

void query_end(struct query *q)
{
	if (!q->st)
		return;
	sqlite3_reset(q->st);
	sqlite3_clear_bindings(q->st);
	q->st = NULL;
}

static void bound(struct query *q, int rc)
{
	if (!q->rc)
		q->rc = rc;
}

void query_i64(struct query *q, int64_t v)
{
	if (q->st)
		bound(q, sqlite3_bind_int64(q->st, ++q->params, v));
}

void query_str(struct query *q, struct str s)
{
	if (q->st)
		bound(q, sqlite3_bind_text64(q->st, ++q->params, s.p ? s.p : "", s.n, SQLITE_STATIC,
					     SQLITE_UTF8));
}

void query_cstr(struct query *q, const char *s)
{
	query_str(q, str_from(s));
}

void query_blob(struct query *q, const void *p, size_t n)
{
	if (q->st)
		bound(q, sqlite3_bind_blob64(q->st, ++q->params, n ? p : "", n, SQLITE_STATIC));
}

void query_null(struct query *q)
{
	if (q->st)
		bound(q, sqlite3_bind_null(q->st, ++q->params));
}

int query_step(struct query *q, struct err *e)
{
	int rc = q->rc ? q->rc : sqlite3_step(q->st);

	q->cols = 0;
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return fail(q->c, rc, e);
}

int query_run(struct query *q, struct err *e)
{
	int rc = query_step(q, e);

	if (q->st)
		sqlite3_reset(q->st);
	q->params = 0;
	return rc < 0 ? -1 : 0;
}

int64_t query_col_i64(struct query *q)
{
	return sqlite3_column_int64(q->st, q->cols++);
}

double query_col_f64(struct query *q)
{
	return sqlite3_column_double(q->st, q->cols++);
}

struct str query_col_str(struct query *q)
{
	int col = q->cols++;
	const void *p = sqlite3_column_blob(q->st, col); // of TEXT: its UTF-8, without a NUL

	return (struct str){p ? p : "", (size_t)sqlite3_column_bytes(q->st, col)};
}

void query_col_copy(struct query *q, char *out, size_t size)
{
	struct str s = query_col_str(q);
	size_t n = MIN(s.n, size - 1);

	memcpy(out, s.p, n);
	out[n] = '\0';
}
