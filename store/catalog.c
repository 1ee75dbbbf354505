/* SPDX-License-Identifier: Apache-2.0 */
#include "store/catalog_db.h"

#include "base/clock.h"
#include "base/mem.h"

enum { READERS = 8, REPORT_MAX = 4 << 20, UNINDEXED_MAX = 1 << 20 };

// AUTOINCREMENT: the number of a deleted binary must not come back, for results.db goes by it.
static const char *const migrations[] = {
	"CREATE TABLE binary("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  generation INTEGER NOT NULL DEFAULT 0,"
	"  quality INTEGER NOT NULL DEFAULT 0,"
	"  index_current INTEGER NOT NULL DEFAULT 0,"
	"  index_size INTEGER NOT NULL DEFAULT 0,"
	"  index_report TEXT,"
	"  files_version INTEGER NOT NULL DEFAULT 0,"
	"  tried_version INTEGER NOT NULL DEFAULT 0,"
	"  name TEXT NOT NULL DEFAULT '',"
	"  machine TEXT NOT NULL DEFAULT '',"
	"  reason_code TEXT NOT NULL DEFAULT '',"
	"  reason TEXT NOT NULL DEFAULT '',"
	"  headers BLOB,"
	"  headers_trusted INTEGER NOT NULL DEFAULT 0,"
	"  added INTEGER NOT NULL) STRICT;"
	"CREATE TABLE alias("
	"  id TEXT PRIMARY KEY,"
	"  binary INTEGER NOT NULL REFERENCES binary(id) ON DELETE CASCADE) STRICT, WITHOUT ROWID;"
	"CREATE INDEX alias_binary ON alias(binary);"
	"CREATE TABLE file("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  binary INTEGER NOT NULL REFERENCES binary(id) ON DELETE CASCADE,"
	"  type INTEGER NOT NULL,"
	"  preference INTEGER NOT NULL DEFAULT 0," // raised by force: beats trust and quality
	"  trust INTEGER NOT NULL,"
	"  quality INTEGER NOT NULL,"
	"  sha256 TEXT NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  stored_size INTEGER NOT NULL,"
	"  origin TEXT NOT NULL,"
	"  probe TEXT,"
	"  added INTEGER NOT NULL,"
	"  UNIQUE(binary, type, sha256)) STRICT;"
	"CREATE INDEX file_sha256 ON file(sha256);"
	"CREATE TABLE upstream("
	"  id TEXT NOT NULL,"
	"  type INTEGER NOT NULL,"
	"  answer INTEGER NOT NULL,"
	"  until INTEGER NOT NULL,"
	"  detail TEXT NOT NULL,"
	"  PRIMARY KEY(id, type)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX upstream_until ON upstream(until);"
	"CREATE TABLE seen("
	"  build_id TEXT NOT NULL,"
	"  filename TEXT NOT NULL,"
	"  unit TEXT NOT NULL,"
	"  weight INTEGER NOT NULL,"
	"  samples INTEGER NOT NULL,"
	"  last_seen INTEGER NOT NULL,"
	"  PRIMARY KEY(build_id, filename, unit)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX seen_last ON seen(last_seen);"
	"CREATE TABLE push("
	"  id BLOB PRIMARY KEY,"
	"  position INTEGER NOT NULL,"
	"  at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX push_at ON push(at);"
	"CREATE TABLE token("
	"  name TEXT PRIMARY KEY,"
	"  hash BLOB NOT NULL UNIQUE,"
	"  scopes INTEGER NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  revoked INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;",
	NULL,
};

int catalog_open(const char *path, struct catalog **ret, struct err *e)
{
	_cleanup_free_ struct catalog *c = mem_zalloc(sizeof(*c));
	struct db_config cfg = {
		.path = path,
		.name = DB_CATALOG,
		.migrations = migrations,
		.durable = true,
		.readers = READERS,
	};

	if (!c)
		return err_nomem(e);
	if (db_open(&cfg, &c->db, e))
		return err_wrap(e, "opening the catalog");
	*ret = steal_ptr(c);
	return 0;
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	db_close(c->db);
	free(c);
}

// ---- names ----------------------------------------------------------------------------------------

static const char *const type_names[] = {
	[FILE_DEBUGINFO] = "debuginfo",
	[FILE_EXECUTABLE] = "executable",
	[FILE_SOURCES] = "sources",
	[FILE_KALLSYMS] = "kallsyms",
};

const char *file_type_name(enum file_type t)
{
	return t > 0 && (size_t)t < countof(type_names) ? type_names[t] : "unknown";
}

bool file_type_parse(struct str s, enum file_type *ret)
{
	for (unsigned i = FILE_DEBUGINFO; i < countof(type_names); i++) {
		if (str_is(s, type_names[i])) {
			*ret = (enum file_type)i;
			return true;
		}
	}
	return false;
}

const char *trust_name(enum trust t)
{
	static const char *const names[] = {"unknown", "agent", "upstream", "upload"};

	return (size_t)t < countof(names) ? names[t] : names[0];
}

const char *catalog_quality_name(int quality)
{
	static const char *const names[] = {"none",	 "eh_frame", "dynsym", "symtab",
					    "gopclntab", "g1",	     "dwarf"};

	return quality >= 0 && (size_t)quality < countof(names) ? names[quality] : names[0];
}

const char *catalog_state_name(const struct binary *b, bool has_files)
{
	if (!has_files && !b->index_current)
		return "seen";
	if (b->needs_index)
		return "indexing";
	if (b->index_current)
		return "indexed";
	return b->reason_code[0] ? "failed" : "stored";
}

// ---- finding --------------------------------------------------------------------------------------

static void read_headers(struct query *q, struct binary *b)
{
	struct str headers = query_col_str(q);

	b->headers_size = MIN(headers.n, sizeof(b->headers));
	memcpy(b->headers, headers.p, b->headers_size);
	b->headers_trusted = query_col_i64(q) != 0;
}

#define BINARY_COLUMNS                                                                             \
	"id, generation, quality, index_current, files_version, files_version > tried_version, name," \
	" reason_code, reason, machine, headers, headers_trusted"

static int read_binary(struct query *q, struct binary *ret, struct err *e)
{
	int rc = query_step(q, e);

	if (rc <= 0)
		return rc < 0 ? -1 : CATALOG_NOT_FOUND;
	ret->id = query_col_i64(q);
	ret->generation = (uint32_t)query_col_i64(q);
	ret->quality = (int)query_col_i64(q);
	ret->index_current = query_col_i64(q) != 0;
	ret->files_version = (uint32_t)query_col_i64(q);
	ret->needs_index = query_col_i64(q) != 0;
	query_col_copy(q, ret->name, sizeof(ret->name));
	query_col_copy(q, ret->reason_code, sizeof(ret->reason_code));
	query_col_copy(q, ret->reason, sizeof(ret->reason));
	query_col_copy(q, ret->machine, sizeof(ret->machine));
	read_headers(q, ret);
	return 0;
}

int catalog_load(struct sql *c, int64_t binary, struct binary *ret, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT " BINARY_COLUMNS " FROM binary WHERE id = ?");

	query_i64(&q, binary);
	return read_binary(&q, ret, e);
}

// In one statement: a join between two would take the row away.
static int load_by_id(struct sql *c, const struct build_id *id, struct binary *ret, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT " BINARY_COLUMNS " FROM binary WHERE id ="
			 " (SELECT binary FROM alias WHERE id = ?)");
	char text[BUILD_ID_TEXT];

	build_id_text(id, text);
	query_cstr(&q, text);
	return read_binary(&q, ret, e);
}

int catalog_find(struct catalog *c, const struct build_id *ids, size_t n, struct binary *ret,
		 struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	int rc = CATALOG_NOT_FOUND;

	for (size_t i = 0; i < n && rc == CATALOG_NOT_FOUND; i++)
		rc = load_by_id(r.sql, &ids[i], ret, e);
	return rc;
}

static int lookup_text(struct sql *c, const char *id, int64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "SELECT binary FROM alias WHERE id = ?");
	int rc;

	query_cstr(&q, id);
	rc = query_step(&q, e);
	if (rc > 0)
		*ret = query_col_i64(&q);
	return rc < 0 ? -1 : rc ? 0 : CATALOG_NOT_FOUND;
}

int catalog_lookup(struct sql *c, const struct build_id *ids, size_t n, int64_t *ret, struct err *e)
{
	char text[BUILD_ID_TEXT];
	int rc = CATALOG_NOT_FOUND;

	for (size_t i = 0; i < n && rc == CATALOG_NOT_FOUND; i++) {
		build_id_text(&ids[i], text);
		rc = lookup_text(c, text, ret, e);
	}
	return rc;
}

int catalog_get(struct catalog *c, int64_t binary, struct binary *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);

	return catalog_load(r.sql, binary, ret, e);
}

// 'g' of "go-…" and 'h' of "htl-…" are no hex digits, so the kinds can be told by their first letter.
int catalog_main_id(struct sql *c, int64_t binary, char ret[static BUILD_ID_TEXT], struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT id FROM alias WHERE binary = ?"
			 " ORDER BY CASE substr(id, 1, 1) WHEN 'h' THEN 2 WHEN 'g' THEN 1 ELSE 0 END, id");
	int rc;

	query_i64(&q, binary);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	ret[0] = '\0';
	if (rc)
		query_col_copy(&q, ret, BUILD_ID_TEXT);
	return 0;
}

// ---- indexes --------------------------------------------------------------------------------------

struct index_write {
	int64_t binary;
	const struct catalog_index *ix;
};

static int check_generation(struct sql *c, const struct index_write *w, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "SELECT generation FROM binary WHERE id = ?");
	int64_t current;
	int rc;

	query_i64(&q, w->binary);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc < 0 ? -1 : CATALOG_NOT_FOUND;
	current = query_col_i64(&q);
	if (w->ix->generation <= current)
		return err_set(e, ERR_CONFLICT,
			       "index generation %u of binary %jd does not follow generation %jd",
			       w->ix->generation, (intmax_t)w->binary, (intmax_t)current);
	return 0;
}

static int write_index(struct sql *c, void *ctx, struct err *e)
{
	const struct index_write *w = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE binary SET generation = ?, quality = ?, index_current = 1, index_size = ?,"
			 " index_report = ?, reason_code = '', reason = '',"
			 " tried_version = coalesce(nullif(?, 0), files_version) WHERE id = ?");
	int rc = check_generation(c, w, e);

	if (rc)
		return rc;
	query_i64(&q, w->ix->generation);
	query_i64(&q, w->ix->quality);
	query_i64(&q, (int64_t)MIN(w->ix->size, (uint64_t)INT64_MAX));
	if (w->ix->report_json)
		query_cstr(&q, w->ix->report_json);
	else
		query_null(&q);
	query_i64(&q, w->ix->files_version);
	query_i64(&q, w->binary);
	return query_run(&q, e);
}

// The report goes into answers as it is, so it has to be JSON.
static int check_report(const char *report, struct err *e)
{
	struct str text = str_from(report);
	json_t *parsed;

	if (text.n > REPORT_MAX)
		return err_set(e, ERR_TOO_LARGE, "an index report of %zu bytes is larger than %d", text.n,
			       REPORT_MAX);
	if (json_parse(text, &parsed, e))
		return err_wrap(e, "index report");
	json_decref(parsed);
	return 0;
}

int catalog_set_index(struct catalog *c, int64_t binary, const struct catalog_index *ix,
		      struct err *e)
{
	struct index_write w = {binary, ix};

	if (ix->report_json && check_report(ix->report_json, e))
		return -1;
	return db_write(c->db, write_index, &w, e);
}

struct failure_write {
	int64_t binary;
	uint32_t files_version;
	const char *code;
	const char *detail;
};

static int write_failure(struct sql *c, void *ctx, struct err *e)
{
	const struct failure_write *w = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE binary SET reason_code = ?, reason = ?, tried_version = files_version"
			 " WHERE id = ? AND ? IN (0, files_version)");

	query_cstr(&q, w->code);
	query_cstr(&q, w->detail);
	query_i64(&q, w->binary);
	query_i64(&q, w->files_version);
	if (query_run(&q, e))
		return -1;
	return sql_changes(c) || w->files_version ? 0 : CATALOG_NOT_FOUND;
}

int catalog_set_failure_at(struct catalog *c, int64_t binary, uint32_t files_version,
			   const char *code, const char *detail, struct err *e)
{
	struct failure_write w = {binary, files_version, code, detail};

	return db_write(c->db, write_failure, &w, e);
}

int catalog_set_failure(struct catalog *c, int64_t binary, const char *code, const char *detail,
			struct err *e)
{
	return catalog_set_failure_at(c, binary, 0, code, detail, e);
}

int catalog_unindexed(struct catalog *c, int64_t **ret, size_t *ret_n, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT id FROM binary WHERE files_version > tried_version"
			     " AND reason_code = '' ORDER BY id");
	_cleanup_free_ int64_t *ids = NULL;
	size_t cap = 0;
	size_t n = 0;
	int rc;

	while ((rc = query_step(&q, e)) > 0) {
		if (mem_grow(&ids, &cap, n + 1, sizeof(*ids), UNINDEXED_MAX))
			return err_nomem(e);
		ids[n++] = query_col_i64(&q);
	}
	if (rc < 0)
		return -1;
	*ret = steal_ptr(ids);
	*ret_n = n;
	return 0;
}

int catalog_has_files(struct catalog *c, bool *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q = query(r.sql, "SELECT 1 FROM file LIMIT 1");
	int rc = query_step(&q, e);

	if (rc < 0)
		return -1;
	*ret = rc > 0;
	return 0;
}

// ---- deleting -------------------------------------------------------------------------------------

struct deletion {
	int64_t binary;
	char (*sha)[SHA256_HEX];
	size_t n;
	size_t cap;
};

enum { FILES_MAX = 1 << 20 };

static int collect_orphans(struct sql *c, struct deletion *d, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT DISTINCT sha256 FROM file AS f WHERE binary = ?1 AND NOT EXISTS"
			 " (SELECT 1 FROM file WHERE sha256 = f.sha256 AND binary <> ?1)");
	int rc;

	query_i64(&q, d->binary);
	while ((rc = query_step(&q, e)) > 0) {
		if (mem_grow(&d->sha, &d->cap, d->n + 1, sizeof(*d->sha), FILES_MAX))
			return err_nomem(e);
		query_col_copy(&q, d->sha[d->n++], sizeof(*d->sha));
	}
	return rc;
}

static int delete_binary(struct sql *c, void *ctx, struct err *e)
{
	struct deletion *d = ctx;
	_cleanup_(query_end) struct query q = query(c, "DELETE FROM binary WHERE id = ?");

	if (collect_orphans(c, d, e))
		return -1;
	query_i64(&q, d->binary);
	if (query_run(&q, e))
		return -1;
	return sql_changes(c) ? 0 : CATALOG_NOT_FOUND;
}

int catalog_delete(struct catalog *c, int64_t binary, char (**ret_sha)[SHA256_HEX], size_t *ret_n,
		   struct err *e)
{
	struct deletion d = {.binary = binary};
	int rc = db_write(c->db, delete_binary, &d, e);

	if (rc) {
		free(d.sha);
		return rc;
	}
	*ret_sha = d.sha;
	*ret_n = d.n;
	return 0;
}
