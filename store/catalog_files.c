/* SPDX-License-Identifier: Apache-2.0 */
/* Files of binaries: taking one in, with all that follows from its IDs; listing them. */
#include "store/catalog_db.h"

#include "base/clock.h"
#include "base/mem.h"

enum { IDS_MAX = 16, FILES_MAX = 4096, HEADERS_MAX = 256 * 48 };

// Best first: what somebody forced, then trust, then quality (DESIGN "State").
#define BEST_FIRST " ORDER BY type, preference DESC, trust DESC, quality DESC, file.id DESC"
#define FILE_COLUMNS "file.id, type, trust, quality, sha256, size, stored_size, origin, added"

static void read_file(struct query *q, struct catalog_file *f)
{
	f->id = query_col_i64(q);
	f->type = (enum file_type)query_col_i64(q);
	f->trust = (enum trust)query_col_i64(q);
	f->quality = (int)query_col_i64(q);
	query_col_copy(q, f->sha256, sizeof(f->sha256));
	f->size = (uint64_t)query_col_i64(q);
	f->stored_size = (uint64_t)query_col_i64(q);
	query_col_copy(q, f->origin, sizeof(f->origin));
	f->added_unix_s = query_col_i64(q);
}

static int best_file(struct sql *c, int64_t binary, enum file_type type, struct catalog_file *ret,
		     struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT " FILE_COLUMNS " FROM file WHERE binary = ? AND type = ?" BEST_FIRST
			 " LIMIT 1");
	int rc;

	query_i64(&q, binary);
	query_i64(&q, type);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc < 0 ? -1 : CATALOG_NOT_FOUND;
	read_file(&q, ret);
	return 0;
}

// ---- which binary: joining ------------------------------------------------------------------------

struct addition {
	const struct catalog_new_file *f;
	struct binary *ret;
	struct build_id own[IDS_MAX]; // GNU and Go: at most one of each is a binary's
	size_t own_count;
	int64_t found[IDS_MAX]; // binaries that have some of the IDs, in the order of these
	size_t found_count;
	int64_t binary;
};

static bool is_found(const struct addition *a, int64_t binary)
{
	for (size_t i = 0; i < a->found_count; i++) {
		if (a->found[i] == binary)
			return true;
	}
	return false;
}

// The IDs that two different binaries never share; a file hash may be one of many of a binary.
static bool is_exclusive(const struct build_id *id)
{
	return id->kind == BUILD_ID_GNU || id->kind == BUILD_ID_GO;
}

static bool contradict(const struct build_id *a, const struct build_id *b)
{
	return a->kind == b->kind && is_exclusive(a) && !build_id_eq(a, b);
}

// The first candidate is what a text means, and what is kept was no file hash if it could be GNU.
static int parse_kept_id(struct str text, struct build_id *ret, struct err *e)
{
	struct build_id candidates[2];

	if (build_id_parse(text, candidates, e) < 0)
		return err_wrap(e, "catalog");
	*ret = candidates[0];
	return 0;
}

// Has the binary another GNU or Go build-ID than those? 1 with *ret: it has that one.
static int contradicts(struct sql *c, int64_t binary, const struct build_id *own, size_t n,
		       struct build_id *ret, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT id FROM alias WHERE binary = ? AND substr(id, 1, 1) <> 'h'");
	int rc;

	query_i64(&q, binary);
	while ((rc = query_step(&q, e)) > 0) {
		if (parse_kept_id(query_col_str(&q), ret, e))
			return -1;
		for (size_t i = 0; i < n; i++) {
			if (contradict(ret, &own[i]))
				return 1;
		}
	}
	return rc < 0 ? -1 : 0;
}

static int not_the_same(const struct build_id *id, const struct build_id *a, const struct build_id *b,
			struct err *e)
{
	char text[3][BUILD_ID_TEXT];

	build_id_text(id, text[0]);
	build_id_text(a, text[1]);
	build_id_text(b, text[2]);
	return err_set(e, ERR_ID_MISMATCH,
		       "%s belongs to the binary with %s build-ID %s, and this file's is %s: they are not"
		       " the same binary",
		       text[0], a->kind == BUILD_ID_GO ? "Go" : "GNU", text[1], text[2]);
}

static int two_of_a_kind(const struct build_id *a, const struct build_id *b, struct err *e)
{
	char text[2][BUILD_ID_TEXT];

	build_id_text(a, text[0]);
	build_id_text(b, text[1]);
	return err_set(e, ERR_ID_MISMATCH, "%s and %s are the %s build-IDs of two binaries, not of one file",
		       text[0], text[1], a->kind == BUILD_ID_GO ? "Go" : "GNU");
}

static const struct build_id *own_of_kind(const struct addition *a, enum build_id_kind kind)
{
	for (size_t i = 0; i < a->own_count; i++) {
		if (a->own[i].kind == kind)
			return &a->own[i];
	}
	return NULL;
}

static int note_own(struct addition *a, struct err *e)
{
	for (size_t i = 0; i < a->f->id_count; i++) {
		const struct build_id *id = &a->f->ids[i];
		const struct build_id *before = own_of_kind(a, id->kind);

		if (before && contradict(before, id))
			return two_of_a_kind(before, id, e);
		if (is_exclusive(id) && !before)
			a->own[a->own_count++] = *id;
	}
	return 0;
}

static int most_trusted(struct sql *c, int64_t binary, int64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT coalesce(max(trust), 0) FROM file WHERE binary = ?");

	query_i64(&q, binary);
	if (query_step(&q, e) < 0)
		return -1;
	*ret = query_col_i64(&q);
	return 0;
}

static int remove_alias(struct sql *c, const struct build_id *id, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "DELETE FROM alias WHERE id = ?");
	char text[BUILD_ID_TEXT];

	build_id_text(id, text);
	query_cstr(&q, text);
	return query_run(&q, e);
}

// An ID that only agents said is that binary's does not keep others from saying whose it is. 1: it is free now.
static int take_from_agents(struct sql *c, const struct addition *a, int64_t binary,
			    const struct build_id *id, struct err *e)
{
	int64_t trust = 0;

	if (a->f->file.trust == TRUST_AGENT)
		return 0;
	if (most_trusted(c, binary, &trust, e))
		return -1;
	if (trust != TRUST_AGENT)
		return 0;
	return remove_alias(c, id, e) ? -1 : 1;
}

/*
 * The binaries that have some of the IDs. One with another GNU or Go build-ID is not this file's: by the
 * first ID, which says whose file it is, that is refused; further IDs stay with whom they belong to.
 */
static int find_binaries(struct sql *c, struct addition *a, struct err *e)
{
	if (note_own(a, e))
		return -1;
	for (size_t i = 0; i < a->f->id_count; i++) {
		struct build_id other;
		int64_t binary = 0;
		int rc = catalog_lookup(c, &a->f->ids[i], 1, &binary, e);

		if (rc < 0)
			return -1;
		if (rc || is_found(a, binary))
			continue;
		rc = contradicts(c, binary, a->own, a->own_count, &other, e);
		if (rc < 0)
			return -1;
		if (!rc) {
			a->found[a->found_count++] = binary;
			continue;
		}
		rc = take_from_agents(c, a, binary, &a->f->ids[i], e);
		if (rc < 0)
			return -1;
		if (!rc && !i)
			return not_the_same(&a->f->ids[0], &other, own_of_kind(a, other.kind), e);
	}
	return 0;
}

// Two that have different build-IDs of a kind stay two, whatever a third file says.
static int are_different(struct sql *c, int64_t one, int64_t other, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT 1 FROM alias AS a, alias AS b WHERE a.binary = ? AND b.binary = ?"
			 " AND a.id <> b.id AND substr(a.id, 1, 1) <> 'h' AND substr(b.id, 1, 1) <> 'h'"
			 " AND (substr(a.id, 1, 1) = 'g') = (substr(b.id, 1, 1) = 'g')");

	query_i64(&q, one);
	query_i64(&q, other);
	return query_step(&q, e);
}

/*
 * Who is less trusted than the files of both binaries cannot make one of them. An agent's word joins only
 * what came from agents.
 */
static int may_join(struct sql *c, const struct addition *a, int64_t one, int64_t other, bool *ret,
		    struct err *e)
{
	int64_t trust_one = 0;
	int64_t trust_other = 0;
	int64_t trust = (int64_t)a->f->file.trust;
	int different = are_different(c, one, other, e);

	if (different < 0)
		return -1;
	if (most_trusted(c, one, &trust_one, e) || most_trusted(c, other, &trust_other, e))
		return -1;
	*ret = !different && trust >= (trust == TRUST_AGENT ? MAX(trust_one, trust_other)
							    : MIN(trust_one, trust_other));
	return 0;
}

static int run_join_step(struct query q, int64_t to, int64_t from, struct err *e)
{
	int rc;

	query_i64(&q, to);
	query_i64(&q, from);
	rc = query_run(&q, e);
	query_end(&q);
	return rc;
}

/*
 * `from` becomes part of `to`. Its index and results are left behind under its number, which is never
 * given again. The survivor keeps its own index until one over all files comes. Files both have stay
 * with `from` and go with it.
 */
static int join(struct sql *c, int64_t to, int64_t from, struct err *e)
{
	struct query q = query(c, "DELETE FROM binary WHERE id = ?");
	int rc;

	if (run_join_step(query(c, "UPDATE binary SET"
				   " files_version = binary.files_version + b.files_version,"
				   " reason_code = iif(b.files_version > 0, '', binary.reason_code),"
				   " generation = CASE WHEN binary.index_current THEN binary.generation"
				   "  ELSE max(binary.generation, b.generation) END,"
				   " name = iif(binary.name = '', b.name, binary.name),"
				   " machine = iif(binary.machine = '', b.machine, binary.machine),"
				   " headers = iif(b.headers_trusted > binary.headers_trusted OR"
				   "  binary.headers IS NULL, b.headers, binary.headers),"
				   " headers_trusted = max(binary.headers_trusted, b.headers_trusted)"
				   " FROM binary AS b WHERE binary.id = ?1 AND b.id = ?2"),
			  to, from, e) ||
	    run_join_step(query(c, "UPDATE alias SET binary = ? WHERE binary = ?"), to, from, e) ||
	    run_join_step(query(c, "UPDATE OR IGNORE file SET binary = ? WHERE binary = ?"), to, from,
			  e))
		rc = -1;
	else {
		query_i64(&q, from);
		rc = query_run(&q, e);
	}
	query_end(&q);
	return rc;
}

static int new_binary(struct sql *c, int64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "INSERT INTO binary(added) VALUES(?)");

	query_i64(&q, clock_unix_s());
	if (query_run(&q, e))
		return -1;
	*ret = sql_last_id(c);
	return 0;
}

// The oldest of those found (numbers grow) takes in the others.
static int settle_binary(struct sql *c, struct addition *a, struct err *e)
{
	if (!a->found_count)
		return new_binary(c, &a->binary, e);
	a->binary = a->found[0];
	for (size_t i = 1; i < a->found_count; i++) {
		int64_t to = MIN(a->binary, a->found[i]);
		int64_t from = MAX(a->binary, a->found[i]);
		bool allowed = false;

		if (may_join(c, a, to, from, &allowed, e))
			return -1;
		if (!allowed)
			continue;
		if (join(c, to, from, e))
			return -1;
		a->binary = to;
	}
	return 0;
}

// To a binary of which others sent files an agent adds no ID: it would be known by it ever after.
static int may_add_ids(struct sql *c, const struct addition *a, bool *ret, struct err *e)
{
	int64_t trust = 0;

	*ret = true;
	if (a->f->file.trust != TRUST_AGENT)
		return 0;
	if (most_trusted(c, a->binary, &trust, e))
		return -1;
	*ret = trust <= TRUST_AGENT;
	return 0;
}

static int add_aliases(struct sql *c, const struct addition *a, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "INSERT OR IGNORE INTO alias(id, binary) VALUES(?, ?)");
	char text[BUILD_ID_TEXT];
	bool may;

	if (may_add_ids(c, a, &may, e))
		return -1;
	for (size_t i = 0; may && i < a->f->id_count; i++) {
		build_id_text(&a->f->ids[i], text);
		query_cstr(&q, text);
		query_i64(&q, a->binary);
		if (query_run(&q, e))
			return -1;
	}
	return 0;
}

// ---- the file -------------------------------------------------------------------------------------

static bool is_better(const struct catalog_file *a, const struct catalog_file *than)
{
	return a->trust != than->trust ? a->trust > than->trust : a->quality > than->quality;
}

static int insert_file(struct sql *c, const struct addition *a, struct err *e)
{
	const struct catalog_file *f = &a->f->file;
	_cleanup_(query_end) struct query q =
		query(c, "INSERT INTO file(binary, type, preference, trust, quality, sha256, size,"
			 " stored_size, origin, probe, added) SELECT ?1, ?2,"
			 " coalesce(max(preference), 0) + ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11"
			 " FROM file WHERE binary = ?1 AND type = ?2");

	query_i64(&q, a->binary);
	query_i64(&q, f->type);
	query_i64(&q, a->f->force);
	query_i64(&q, f->trust);
	query_i64(&q, f->quality);
	query_cstr(&q, f->sha256);
	query_i64(&q, (int64_t)f->size);
	query_i64(&q, (int64_t)f->stored_size);
	query_cstr(&q, f->origin);
	if (a->f->probe_json)
		query_cstr(&q, a->f->probe_json);
	else
		query_null(&q);
	query_i64(&q, clock_unix_s());
	return query_run(&q, e);
}

static int find_same(struct sql *c, const struct addition *a, int64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT id FROM file WHERE binary = ? AND type = ? AND sha256 = ?");
	int rc;

	query_i64(&q, a->binary);
	query_i64(&q, a->f->file.type);
	query_cstr(&q, a->f->file.sha256);
	rc = query_step(&q, e);
	if (rc > 0)
		*ret = query_col_i64(&q);
	return rc < 0 ? -1 : rc ? 0 : CATALOG_NOT_FOUND;
}

// The same bytes from a better source belong to that source from now on.
static int raise_trust(struct sql *c, const struct addition *a, int64_t file, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE file SET trust = ?, origin = ? WHERE id = ? AND trust < ?");

	query_i64(&q, a->f->file.trust);
	query_cstr(&q, a->f->file.origin);
	query_i64(&q, file);
	query_i64(&q, a->f->file.trust);
	return query_run(&q, e);
}

static int prefer(struct sql *c, const struct addition *a, int64_t file, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE file SET preference = 1 + (SELECT max(preference) FROM file"
			 " WHERE binary = ?1 AND type = ?2) WHERE id = ?3");

	query_i64(&q, a->binary);
	query_i64(&q, a->f->file.type);
	query_i64(&q, file);
	return query_run(&q, e);
}

// Other files: whatever was made of the former ones, or why nothing could be made, is out of date.
static int ask_for_index(struct sql *c, const struct addition *a, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE binary SET files_version = files_version + 1, reason_code = '',"
			 " reason = '' WHERE id = ?");

	if (a->f->file.type == FILE_SOURCES)
		return 0;
	query_i64(&q, a->binary);
	return query_run(&q, e);
}

static int touch_same(struct sql *c, const struct addition *a, int64_t file, struct err *e)
{
	if (raise_trust(c, a, file, e))
		return -1;
	if (a->f->force && (prefer(c, a, file, e) || ask_for_index(c, a, e)))
		return -1;
	return CATALOG_EXISTS;
}

static int add_file(struct sql *c, const struct addition *a, struct err *e)
{
	struct catalog_file best;
	int64_t same = 0;
	int rc = find_same(c, a, &same, e);

	if (rc != CATALOG_NOT_FOUND)
		return rc < 0 ? -1 : touch_same(c, a, same, e);
	rc = best_file(c, a->binary, a->f->file.type, &best, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && !a->f->force && !is_better(&a->f->file, &best))
		return CATALOG_WORSE;
	if (insert_file(c, a, e) || ask_for_index(c, a, e))
		return -1;
	return 0;
}

// Program headers: trusted ones replace others; a file that was not taken only fills a gap.
static int describe(struct sql *c, const struct addition *a, int outcome, struct err *e)
{
	const struct catalog_new_file *f = a->f;
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE binary SET name = iif(name = '', ?2, name),"
			 " machine = iif(machine = '', ?3, machine),"
			 " headers = iif(?6, ?4, headers), headers_trusted = iif(?6, ?5, headers_trusted)"
			 " WHERE id = ?1");
	bool none = !a->ret->headers_size;
	bool replace = f->headers_size && (none || (outcome != CATALOG_WORSE && f->headers_trusted));

	query_i64(&q, a->binary);
	query_cstr(&q, f->name);
	query_cstr(&q, f->machine);
	query_blob(&q, f->headers, f->headers_size);
	query_i64(&q, f->headers_trusted);
	query_i64(&q, replace);
	return query_run(&q, e);
}

static int add_in_transaction(struct sql *c, void *ctx, struct err *e)
{
	struct addition *a = ctx;
	int outcome;

	if (find_binaries(c, a, e) || settle_binary(c, a, e) || add_aliases(c, a, e))
		return -1;
	outcome = add_file(c, a, e);
	if (outcome < 0 || catalog_load(c, a->binary, a->ret, e) || describe(c, a, outcome, e) ||
	    catalog_load(c, a->binary, a->ret, e))
		return -1;
	return outcome;
}

static int check_id_count(const struct catalog_new_file *f, struct err *e)
{
	if (!f->id_count || f->id_count > IDS_MAX)
		return err_set(e, ERR_BAD_BUILD_ID, "a file has %zu build-IDs; 1 to %d are possible",
			       f->id_count, IDS_MAX);
	return 0;
}

int catalog_add_file(struct catalog *c, const struct catalog_new_file *f, struct binary *ret,
		     struct err *e)
{
	struct binary found = {0};
	struct addition a = {.f = f, .ret = &found};
	int rc;

	if (check_id_count(f, e))
		return -1;
	if (f->headers_size > HEADERS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu bytes of program headers are more than %d",
			       f->headers_size, HEADERS_MAX);
	rc = db_write(c->db, add_in_transaction, &a, e);
	if (rc >= 0)
		*ret = found;
	return rc;
}

static int register_ids(struct sql *c, void *ctx, struct err *e)
{
	struct addition *a = ctx;

	if (find_binaries(c, a, e))
		return -1;
	if (!a->found_count)
		return CATALOG_NOT_FOUND;
	if (settle_binary(c, a, e) || add_aliases(c, a, e))
		return -1;
	return catalog_load(c, a->binary, a->ret, e);
}

int catalog_add_ids(struct catalog *c, const struct catalog_new_file *f, struct binary *ret,
		    struct err *e)
{
	struct binary found = {0};
	struct addition a = {.f = f, .ret = &found};
	int rc;

	if (check_id_count(f, e))
		return -1;
	rc = db_write(c->db, register_ids, &a, e);
	if (!rc)
		*ret = found;
	return rc;
}

int catalog_home(struct catalog *c, const struct build_id *ids, size_t n, struct binary *ret,
		 struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	const struct catalog_new_file f = {.ids = ids, .id_count = n};
	struct addition a = {.f = &f};

	if (check_id_count(&f, e) || find_binaries(r.sql, &a, e))
		return -1;
	return a.found_count ? catalog_load(r.sql, a.found[0], ret, e) : CATALOG_NOT_FOUND;
}

// ---- reading --------------------------------------------------------------------------------------

int catalog_files(struct catalog *c, int64_t binary, struct catalog_file **ret, size_t *ret_n,
		  struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT " FILE_COLUMNS " FROM file WHERE binary = ?" BEST_FIRST);
	_cleanup_free_ struct catalog_file *files = NULL;
	size_t cap = 0;
	size_t n = 0;
	int rc;

	query_i64(&q, binary);
	while ((rc = query_step(&q, e)) > 0) {
		if (mem_grow(&files, &cap, n + 1, sizeof(*files), FILES_MAX))
			return err_nomem(e);
		read_file(&q, &files[n++]);
	}
	if (rc < 0)
		return -1;
	*ret = steal_ptr(files);
	*ret_n = n;
	return 0;
}

int catalog_best_file(struct catalog *c, int64_t binary, enum file_type type,
		      struct catalog_file *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);

	return best_file(r.sql, binary, type, ret, e);
}

int catalog_blob_used(struct catalog *c, const char *sha256, bool *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT 1 FROM file WHERE sha256 = ? LIMIT 1");
	int rc;

	query_cstr(&q, sha256);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	*ret = rc > 0;
	return 0;
}

int catalog_ids(struct catalog *c, int64_t binary, struct build_id **ret, size_t *ret_n,
		struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT id FROM alias WHERE binary = ? ORDER BY id");
	_cleanup_free_ struct build_id *ids = NULL;
	size_t cap = 0;
	size_t n = 0;
	int rc;

	query_i64(&q, binary);
	while ((rc = query_step(&q, e)) > 0) {
		if (mem_grow(&ids, &cap, n + 1, sizeof(*ids), FILES_MAX))
			return err_nomem(e);
		if (parse_kept_id(query_col_str(&q), &ids[n++], e))
			return -1;
	}
	if (rc < 0)
		return -1;
	*ret = steal_ptr(ids);
	*ret_n = n;
	return 0;
}

static int drop_file(struct sql *c, void *ctx, struct err *e)
{
	const int64_t *file = ctx;
	_cleanup_(query_end) struct query q = query(c, "DELETE FROM file WHERE id = ?");

	query_i64(&q, *file);
	return query_run(&q, e);
}

int catalog_file_lost(struct catalog *c, int64_t file, struct err *e)
{
	return db_write(c->db, drop_file, &file, e);
}
