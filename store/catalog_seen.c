/* SPDX-License-Identifier: Apache-2.0 */
/* IDs seen in profiles, the weight lost to them, and what is missing; pushes that count once. */
#include "store/catalog_db.h"

#include "base/clock.h"
#include "base/mem.h"

enum {
	BATCH_MAX = 65536,
	SEEN_MAX = 200000, // rows; beyond it the longest unseen go
	TRIM_EVERY = 64,   // batches
	PUSH_KEPT_S = 24 * 3600,
	PUSH_KEY = 16, // bytes of the SHA-256 of a push ID
};

#define WEIGHT_MAX (INT64_MAX / 2) // two of them can be added

// ---- adding ---------------------------------------------------------------------------------------

struct seen_batch {
	struct catalog *catalog;
	size_t n;
	struct catalog_seen items[];
};

static int add_one(struct query *q, const struct catalog_seen *s, struct err *e)
{
	query_cstr(q, s->build_id);
	query_cstr(q, s->filename);
	query_cstr(q, s->unit);
	query_i64(q, MIN(MAX(s->weight, 0), WEIGHT_MAX));
	query_i64(q, (int64_t)MIN(s->samples, (uint64_t)WEIGHT_MAX));
	query_i64(q, s->last_seen_unix_s);
	return query_run(q, e);
}

// Anybody who may push can make up IDs. Counting walks the table, so it is done for few batches.
static int trim(struct sql *c, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "DELETE FROM seen WHERE (build_id, filename, unit) IN"
			 " (SELECT build_id, filename, unit FROM seen ORDER BY last_seen"
			 "  LIMIT max(0, (SELECT count(*) FROM seen) - ?))");

	query_i64(&q, SEEN_MAX);
	return query_run(&q, e);
}

static int add_batch(struct sql *c, void *ctx, struct err *e)
{
	struct seen_batch *b = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "INSERT INTO seen(build_id, filename, unit, weight, samples, last_seen)"
			 " VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
			 " weight = min(weight, 4611686018427387903) + excluded.weight,"
			 " samples = min(samples, 4611686018427387903) + excluded.samples,"
			 " last_seen = max(last_seen, excluded.last_seen)");

	for (size_t i = 0; i < b->n; i++) {
		if (add_one(&q, &b->items[i], e))
			return -1;
	}
	return ++b->catalog->seen_batches % TRIM_EVERY ? 0 : trim(c, e);
}

int catalog_seen_add(struct catalog *c, const struct catalog_seen *s, size_t n, struct err *e)
{
	struct seen_batch *b;

	if (!n)
		return 0;
	if (n > BATCH_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu IDs seen at once are more than %d", n, BATCH_MAX);
	b = mem_alloc(sizeof(*b) + n * sizeof(*s));
	if (!b)
		return err_nomem(e);
	b->catalog = c;
	b->n = n;
	memcpy(b->items, s, n * sizeof(*s));
	return db_write_later(c->db, add_batch, b, free, e);
}

static int forget_weight(struct sql *c, void *ctx, struct err *e)
{
	const int64_t *binary = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE seen SET weight = 0 WHERE build_id IN"
			 " (SELECT id FROM alias WHERE binary = ?)");

	query_i64(&q, *binary);
	return query_run(&q, e);
}

int catalog_seen_resolved(struct catalog *c, int64_t binary, struct err *e)
{
	return db_write(c->db, forget_weight, &binary, e);
}

// ---- what is missing ------------------------------------------------------------------------------

struct missing {
	struct str build_id;
	struct str filename;
	int64_t weight;
	struct str unit;
	double share;
	int64_t samples;
	int64_t last_seen;
	int64_t binary; // 0: none
	bool has_files;
	bool asks_upstream;
};

static void read_missing(struct query *q, struct missing *m)
{
	m->build_id = query_col_str(q);
	m->filename = query_col_str(q);
	m->weight = query_col_i64(q);
	m->unit = query_col_str(q);
	m->share = query_col_f64(q);
	m->samples = query_col_i64(q);
	m->last_seen = query_col_i64(q);
	m->binary = query_col_i64(q);
	m->has_files = query_col_i64(q) != 0;
}

static void explain_binary(const struct binary *b, struct buf *out)
{
	if (b->needs_index)
		buf_puts(out, "its files are being indexed");
	else if (b->index_current)
		buf_printf(out, "what is here (%s) has no name for these addresses",
			   catalog_quality_name(b->quality));
	else if (b->reason_code[0])
		buf_printf(out, "indexing failed: %s: %s", b->reason_code, b->reason);
	else
		buf_puts(out, "what is here has no names");
}

// What compilers at run time make; names are basenames, so "//anon" is "anon".
static bool is_memory(const struct missing *m)
{
	return str_has_prefix(m->filename, STR("memfd:")) || str_has_prefix(m->filename, STR("//anon")) ||
	       (!m->build_id.n && str_is(m->filename, "anon"));
}

static int explain(struct sql *c, const struct missing *m, struct buf *out, struct err *e)
{
	_cleanup_free_ struct binary *b = NULL;
	char id[BUILD_ID_TEXT];
	const char *code;
	int rc = CATALOG_NOT_FOUND;

	if (!m->build_id.n && is_memory(m)) {
		buf_puts(out, "it is code made at run time, not a file");
		return 0;
	}
	if (!m->build_id.n) {
		buf_puts(out, "it was linked without a build-ID");
		return 0;
	}
	if (m->binary && (b = mem_zalloc(sizeof(*b))) == NULL)
		return err_nomem(e);
	if (b)
		rc = catalog_load(c, m->binary, b, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && (m->has_files || b->index_current)) {
		explain_binary(b, out);
		return 0;
	}
	snprintf(id, sizeof(id), STR_FMT, STR_ARG(m->build_id));
	return catalog_absence(c, id, m->asks_upstream, out, &code, e);
}

// The name comes from a profile, and the command is there to be pasted into a shell.
static void put_shell_word(struct buf *out, struct str s)
{
	buf_append_c(out, '\'');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == '\'')
			buf_puts(out, "'\\''");
		else
			buf_append_c(out, ch < ' ' || ch == 0x7f ? '?' : (char)ch);
	}
	buf_append_c(out, '\'');
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char ch = s.p[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		      (ch >= '0' && ch <= '9') || memchr("._+-", ch, 4)))
			return false;
	}
	return true;
}

static void put_path(struct buf *out, struct str filename)
{
	buf_puts(out, "PATH/TO/");
	if (!filename.n)
		buf_puts(out, "BINARY");
	else if (is_plain(filename))
		buf_append_str(out, filename);
	else
		put_shell_word(out, filename);
}

static bool is_go_id(struct str build_id)
{
	return str_has_prefix(build_id, STR("go-"));
}

// A command that would help; what follows the # is for people, and for the shell a comment.
static void put_fix(struct buf *out, const struct missing *m)
{
	if (is_memory(m))
		return; // generated code: there is no file of it
	if (!m->build_id.n) {
		buf_puts(out, "gcc -Wl,--build-id=sha1 -o ");
		put_path(out, m->filename);
		buf_puts(out, " ...");
		return;
	}
	if (str_is(m->filename, "[vdso]"))
		return; // a page of the kernel's: nobody has debug info of it at hand
	buf_puts(out, "unhex upload --server $UNHEX_SERVER ");
	if (str_is(m->filename, "[kernel]")) {
		buf_puts(out, "/usr/lib/debug/boot/vmlinux-$(uname -r)  # of the kernel's -dbg package");
		return;
	}
	put_path(out, m->filename);
	buf_puts(out, is_go_id(m->build_id) ? "  # the executable itself" : "  # not stripped, or its .debug file");
}

static void put_share(struct json_out *j, double share)
{
	json_key(j, "share");
	json_f64(j, share);
}

static int put_missing(struct sql *c, const struct missing *m, struct json_out *j, struct err *e)
{
	_cleanup_(buf_deinit) struct buf reason = BUF_INIT(8192);
	_cleanup_(buf_deinit) struct buf fix = BUF_INIT(8192);

	if (explain(c, m, &reason, e))
		return -1;
	put_fix(&fix, m);
	json_obj(j);
	json_kv_str(j, "build_id", m->build_id);
	json_kv_str(j, "filename", m->filename);
	json_kv_i64(j, "weight", m->weight);
	json_kv_str(j, "unit", m->unit);
	put_share(j, m->share);
	json_kv_i64(j, "samples", m->samples);
	json_kv_i64(j, "last_seen", m->last_seen);
	json_kv_str(j, "reason", buf_str(&reason));
	json_kv_str(j, "fix", buf_str(&fix));
	json_end_obj(j);
	return 0;
}

int catalog_missing_json(struct catalog *c, size_t limit, struct buf *out, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	// Units do not compare, shares of what was lost in a unit do. total() cannot overflow.
	_cleanup_(query_end) struct query q =
		query(r.sql,
		      "SELECT build_id, filename, weight, unit, weight / total(weight) OVER (PARTITION BY"
		      " unit) AS share, samples, last_seen, coalesce(alias.binary, 0), EXISTS(SELECT 1"
		      " FROM file WHERE file.binary = alias.binary) FROM seen LEFT JOIN alias"
		      " ON alias.id = seen.build_id WHERE weight > 0"
		      " ORDER BY share DESC, build_id, filename LIMIT ?");
	struct json_out j = JSON_OUT(out);
	struct missing m = {.asks_upstream = c->asks_upstream};
	int rc;

	if (db_reader_snapshot(&r, e))
		return -1;
	query_i64(&q, (int64_t)MIN(limit, (size_t)SEEN_MAX));
	json_obj(&j);
	json_key(&j, "missing");
	json_arr(&j);
	while ((rc = query_step(&q, e)) > 0) {
		read_missing(&q, &m);
		if (put_missing(r.sql, &m, &j, e))
			return -1;
	}
	json_end_arr(&j);
	json_end_obj(&j);
	return rc < 0 ? -1 : buf_check(out, "the list of what is missing", e);
}

// ---- pushes ---------------------------------------------------------------------------------------

struct claim {
	const struct catalog_push *pushes;
	size_t n;
	int64_t now;
};

static int forget_old_pushes(struct sql *c, const struct claim *k, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "DELETE FROM push WHERE id IN (SELECT id FROM push WHERE at <= ? LIMIT ?)");

	query_i64(&q, k->now - PUSH_KEPT_S);
	query_i64(&q, (int64_t)k->n * 16);
	return query_run(&q, e);
}

static int claim_pushes(struct sql *c, void *ctx, struct err *e)
{
	const struct claim *k = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "INSERT INTO push(id, position, at) VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET"
			 " at = excluded.at WHERE position = excluded.position");
	uint8_t key[SHA256_SIZE];

	if (forget_old_pushes(c, k, e))
		return -1;
	for (size_t i = 0; i < k->n; i++) {
		sha256_of(k->pushes[i].id.p, k->pushes[i].id.n, key);
		query_blob(&q, key, PUSH_KEY);
		query_i64(&q, (int64_t)k->pushes[i].position);
		query_i64(&q, k->now);
		if (query_run(&q, e))
			return -1;
	}
	return 0;
}

int catalog_push_claim(struct catalog *c, const struct catalog_push *p, size_t n, struct err *e)
{
	struct claim k = {p, n, clock_unix_s()};

	return n ? db_write(c->db, claim_pushes, &k, e) : 0;
}

int catalog_push_counts(struct catalog *c, const struct catalog_push *p, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q = query(r.sql, "SELECT position FROM push WHERE id = ?");
	uint8_t key[SHA256_SIZE];
	int rc;

	sha256_of(p->id.p, p->id.n, key);
	query_blob(&q, key, PUSH_KEY);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	return rc == 0 || (uint64_t)query_col_i64(&q) == p->position ? 0 : CATALOG_EXISTS;
}
