/* SPDX-License-Identifier: Apache-2.0 */
#include "store/profile_dir.h"

#include "base/arena.h"
#include "base/compress.h"
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "store/db.h"
#include "store/folder.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
	READERS = 4,
	LEVEL = 3,
	MODE = 0750,
	SEGMENT_MAX = 512 << 20, // identity bytes
	LABELS_MAX = 256,
	UNRESOLVED_MAX = 1 << 16,
	LABELS_BYTES = 256 << 10,
	FOUND_BYTES = 256 << 20, // of what a query has to remember
	PATH_BYTES = 80,         // "2026-11-21/235959-SERIES-N.pb.zst"
};

static const double size_bounds[] = {1e3, 1e4, 1e5, 1e6, 1e7, 1e8};

static struct metric segments_total = {
	.name = "unhex_segments_written_total",
	.help = "Segments written to the embedded profile store.",
	.type = METRIC_COUNTER,
};
static struct metric segment_bytes = {
	.name = "unhex_segment_bytes",
	.help = "Size of segments written, compressed.",
	.type = METRIC_HISTOGRAM,
	.buckets = size_bounds,
	.bucket_count = countof(size_bounds),
};
static struct metric unreadable_total = {
	.name = "unhex_segments_unreadable_total",
	.help = "Segments left out of a query because their file is lost or damaged.",
	.type = METRIC_COUNTER,
};

// Label sets are kept once: segment rows name their series.
static const char *const migrations[] = {
	"CREATE TABLE series("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  labels BLOB NOT NULL UNIQUE) STRICT;" // name NUL value NUL …, sorted
	"CREATE TABLE label("
	"  series INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE,"
	"  name TEXT NOT NULL,"
	"  value TEXT NOT NULL,"
	"  PRIMARY KEY(series, name)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX label_value ON label(name, value);"
	"CREATE TABLE segment("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  series INTEGER NOT NULL REFERENCES series(id),"
	"  from_ns INTEGER NOT NULL,"
	"  to_ns INTEGER NOT NULL,"
	"  samples INTEGER NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  stored_size INTEGER NOT NULL,"
	"  file INTEGER NOT NULL UNIQUE," // the N of path
	"  path TEXT NOT NULL UNIQUE) STRICT;"
	"CREATE INDEX segment_time ON segment(series, to_ns);"
	"CREATE TABLE segment_unresolved("
	"  segment INTEGER NOT NULL REFERENCES segment(id) ON DELETE CASCADE,"
	"  build_id TEXT NOT NULL,"
	"  PRIMARY KEY(segment, build_id)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX unresolved_id ON segment_unresolved(build_id);",
	"CREATE TABLE taken("
	"  log TEXT PRIMARY KEY,"
	"  position INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
	NULL,
};

struct profile_dir {
	char *path;
	char *tmp;
	int owned; // the locked folder
	struct db *db;
	_Atomic uint64_t next_file; // larger than any in use
	_Atomic uint64_t unreadable;
};

DEFINE_CLEANUP(struct profile_dir *, profile_dir_close)

// ---- opening --------------------------------------------------------------------------------------

struct sweep {
	struct profile_dir *d;
	struct sql *c;
	const char *day;
};

static int is_known(struct sql *c, const char *path, bool *ret, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "SELECT 1 FROM segment WHERE path = ?");
	int rc;

	query_cstr(&q, path);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	*ret = rc > 0;
	return 0;
}

// A file without a row was published, but its transaction never came to be.
static int sweep_file(void *ctx, const char *path, const char *name, struct err *e)
{
	struct sweep *s = ctx;
	char relative[FOLDER_PATH];
	bool known;

	if (!str_has_suffix(str_from(name), STR(".pb.zst")))
		return 0;
	if (folder_path(relative, e, s->day, "%s", name) || is_known(s->c, relative, &known, e))
		return -1;
	if (!known)
		unlink(path);
	return 0;
}

static int sweep_day(void *ctx, const char *path, const char *name, struct err *e)
{
	struct sweep *s = ctx;

	if (strlen(name) != 10 || strspn(name, "0123456789-") != 10)
		return 0;
	s->day = name;
	return folder_each(path, sweep_file, s, e);
}

static int find_next_file(struct profile_dir *d, struct sql *c, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT coalesce(max(file), 0) + 1 FROM segment");

	if (query_step(&q, e) < 0)
		return -1;
	atomic_store(&d->next_file, (uint64_t)query_col_i64(&q));
	return 0;
}

static int sweep(struct profile_dir *d, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(d->db);
	struct sweep s = {.d = d, .c = r.sql};

	return find_next_file(d, r.sql, e) ? -1 : folder_each(d->path, sweep_day, &s, e);
}

static int open_folders(struct profile_dir *d, const char *path, struct err *e)
{
	char tmp[FOLDER_PATH];

	d->owned = folder_own(path, e);
	if (d->owned < 0 || folder_path(tmp, e, path, "tmp") || io_mkdirs(tmp, MODE, e) ||
	    folder_empty(tmp, e))
		return -1;
	d->path = mem_strdup(path);
	d->tmp = mem_strdup(tmp);
	return d->path && d->tmp ? 0 : err_nomem(e);
}

static int open_database(struct profile_dir *d, struct err *e)
{
	char path[FOLDER_PATH];
	struct db_config cfg = {
		.path = path,
		.name = DB_SEGMENTS,
		.migrations = migrations,
		.durable = true,
		.readers = READERS,
	};

	return folder_path(path, e, d->path, "segments.db") ? -1 : db_open(&cfg, &d->db, e);
}

int profile_dir_open(const char *path, struct profile_dir **ret, struct err *e)
{
	_cleanup_(profile_dir_closep) struct profile_dir *d = mem_zalloc(sizeof(*d));

	if (!d)
		return err_nomem(e);
	d->owned = -1;
	metric_register(&segments_total);
	metric_register(&segment_bytes);
	metric_register(&unreadable_total);
	if (open_folders(d, path, e) || open_database(d, e) || sweep(d, e))
		return err_wrap(e, "opening the profile store");
	*ret = steal_ptr(d);
	return 0;
}

void profile_dir_close(struct profile_dir *d)
{
	if (!d)
		return;
	db_close(d->db);
	if (d->owned >= 0)
		close(d->owned);
	free(d->tmp);
	free(d->path);
	free(d);
}

uint64_t profile_dir_unreadable(const struct profile_dir *d)
{
	return atomic_load(&d->unreadable);
}

// ---- labels as bytes --------------------------------------------------------------------------------

static int encode_labels(const struct profile_series *s, struct buf *out, struct err *e)
{
	if (s->n > LABELS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "a series has %zu labels; %d are possible", s->n,
			       LABELS_MAX);
	for (size_t i = 0; i < s->n; i++) {
		const struct profile_label *l = &s->labels[i];

		if (memchr(l->name.p, 0, l->name.n) || memchr(l->value.p, 0, l->value.n))
			return err_set(e, ERR_BAD_REQUEST, "a label has a NUL byte");
		buf_append_str(out, l->name);
		buf_append_c(out, '\0');
		buf_append_str(out, l->value);
		buf_append_c(out, '\0');
	}
	return buf_check(out, "the labels of a series", e);
}

// The labels point into bytes.
static int decode_labels(struct str bytes, struct profile_label labels[static LABELS_MAX], size_t *ret_n,
			 struct err *e)
{
	size_t n = 0;

	while (bytes.n && n < LABELS_MAX && str_next(&bytes, '\0', &labels[n].name)) {
		if (!str_next(&bytes, '\0', &labels[n].value))
			return err_set(e, ERR_CORRUPT, "profile store: the labels of a series are damaged");
		n++;
	}
	*ret_n = n;
	return 0;
}

// ---- writing --------------------------------------------------------------------------------------

struct written {
	char path[PATH_BYTES]; // "": not published
	uint64_t file;
	uint64_t stored_size;
	struct buf labels;
};

struct writing {
	struct profile_dir *d;
	const struct profile_segment *segments;
	struct written *w;
	size_t n;
	const struct profile_taken *taken;
};

static void name_file(struct written *w, const struct profile_segment *s)
{
	time_t from = (time_t)(s->from_unix_ns / 1000000000);
	char time[32] = "1970-01-01/000000";
	struct tm tm;

	if (s->from_unix_ns >= 0 && gmtime_r(&from, &tm))
		strftime(time, sizeof(time), "%Y-%m-%d/%H%M%S", &tm);
	snprintf(w->path, sizeof(w->path), "%s-%016" PRIx64 "-%" PRIu64 ".pb.zst", time,
		 xxh3(buf_str(&w->labels).p, w->labels.n), w->file);
}

static int make_day(const struct profile_dir *d, const char *path, struct err *e)
{
	char day[FOLDER_PATH];

	if (folder_path(day, e, d->path, "%.10s", path))
		return -1;
	if (access(day, F_OK) == 0)
		return 0;
	if (io_mkdirs(day, MODE, e))
		return -1;
	if (folder_sync(d->path, e) == 0)
		return 0;
	rmdir(day); // who tries again has to sync again
	return -1;
}

static int publish_bytes(const struct profile_dir *d, struct written *w, struct str bytes,
			 struct err *e)
{
	_cleanup_(io_pending_deinit) struct io_pending f = IO_PENDING_INIT;
	char path[FOLDER_PATH];

	if (folder_path(path, e, d->path, "%s", w->path) || make_day(d, w->path, e) ||
	    io_pending_open(&f, d->tmp, e) || io_write_all(f.fd, bytes.p, bytes.n, e))
		return -1;
	if (io_publish(&f, path, e) == 0)
		return 0;
	unlink(path);
	return -1;
}

static int check_segment(const struct profile_segment *s, struct buf *labels, struct err *e)
{
	if (s->pprof.n > SEGMENT_MAX)
		return err_set(e, ERR_TOO_LARGE, "a segment of %zu bytes is larger than %d", s->pprof.n,
			       SEGMENT_MAX);
	if (s->unresolved_count > UNRESOLVED_MAX)
		return err_set(e, ERR_TOO_LARGE, "a segment with %zu unresolved IDs has more than %d",
			       s->unresolved_count, UNRESOLVED_MAX);
	if (s->to_unix_ns < s->from_unix_ns)
		return err_set(e, ERR_BAD_REQUEST, "a segment ends before it begins");
	return encode_labels(&s->series, labels, e);
}

int profile_dir_check(const struct profile_segment *s, struct err *e)
{
	_cleanup_(buf_deinit) struct buf labels = BUF_INIT(LABELS_BYTES);

	return check_segment(s, &labels, e);
}

static int publish_segment(struct profile_dir *d, struct written *w, const struct profile_segment *s,
			   struct buf *zstd, struct err *e)
{
	w->labels = BUF_INIT(LABELS_BYTES);
	w->file = atomic_fetch_add(&d->next_file, 1);
	buf_clear(zstd);
	if (check_segment(s, &w->labels, e) || zstd_compress(s->pprof, LEVEL, zstd, e))
		return -1;
	name_file(w, s);
	w->stored_size = zstd->n;
	if (publish_bytes(d, w, buf_str(zstd), e)) {
		w->path[0] = '\0';
		return -1;
	}
	return 0;
}

static int find_series(struct sql *c, struct str labels, int64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "SELECT id FROM series WHERE labels = ?");
	int rc;

	query_blob(&q, labels.p, labels.n);
	rc = query_step(&q, e);
	if (rc > 0)
		*ret = query_col_i64(&q);
	return rc;
}

static int insert_labels(struct sql *c, int64_t series, const struct profile_series *s, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "INSERT OR IGNORE INTO label(series, name, value) VALUES(?, ?, ?)");

	for (size_t i = 0; i < s->n; i++) {
		query_i64(&q, series);
		query_str(&q, s->labels[i].name);
		query_str(&q, s->labels[i].value);
		if (query_run(&q, e))
			return -1;
	}
	return 0;
}

static int settle_series(struct sql *c, const struct profile_series *s, struct str labels, int64_t *ret,
			 struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "INSERT INTO series(labels) VALUES(?)");
	int rc = find_series(c, labels, ret, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	query_blob(&q, labels.p, labels.n);
	if (query_run(&q, e))
		return -1;
	*ret = sql_last_id(c);
	return insert_labels(c, *ret, s, e);
}

static int insert_unresolved(struct sql *c, int64_t segment, const struct profile_segment *s,
			     struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "INSERT OR IGNORE INTO segment_unresolved(segment, build_id) VALUES(?, ?)");

	for (size_t i = 0; i < s->unresolved_count; i++) {
		query_i64(&q, segment);
		query_str(&q, s->unresolved[i]);
		if (query_run(&q, e))
			return -1;
	}
	return 0;
}

static int insert_segment(struct sql *c, const struct profile_segment *s, const struct written *w,
			  struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "INSERT INTO segment(series, from_ns, to_ns, samples, size, stored_size, file,"
			 " path) VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
	int64_t series = 0;

	if (settle_series(c, &s->series, buf_str(&w->labels), &series, e))
		return -1;
	query_i64(&q, series);
	query_i64(&q, s->from_unix_ns);
	query_i64(&q, s->to_unix_ns);
	query_i64(&q, (int64_t)MIN(s->samples, (uint64_t)INT64_MAX));
	query_i64(&q, (int64_t)s->pprof.n);
	query_i64(&q, (int64_t)w->stored_size);
	query_i64(&q, (int64_t)w->file);
	query_cstr(&q, w->path);
	return query_run(&q, e) ? -1 : insert_unresolved(c, sql_last_id(c), s, e);
}

static int insert_taken(struct sql *c, const struct profile_taken *t, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "INSERT INTO taken(log, position) VALUES(?, ?) ON CONFLICT DO UPDATE SET"
			 " position = max(position, excluded.position)");

	query_cstr(&q, t->log);
	query_i64(&q, (int64_t)t->position);
	return query_run(&q, e);
}

static int insert_rows(struct sql *c, void *ctx, struct err *e)
{
	const struct writing *x = ctx;

	for (size_t i = 0; i < x->n; i++) {
		if (insert_segment(c, &x->segments[i], &x->w[i], e))
			return -1;
	}
	return x->taken ? insert_taken(c, x->taken, e) : 0;
}

static int write_all(struct writing *x, struct err *e)
{
	_cleanup_(buf_deinit) struct buf zstd = BUF_INIT((size_t)SEGMENT_MAX + SEGMENT_MAX / 64);

	for (size_t i = 0; i < x->n; i++) {
		if (publish_segment(x->d, &x->w[i], &x->segments[i], &zstd, e))
			return -1;
	}
	return db_write(x->d->db, insert_rows, x, e);
}

static void take_back(const struct writing *x)
{
	char path[FOLDER_PATH];

	for (size_t i = 0; i < x->n; i++) {
		if (x->w[i].path[0] && folder_path(path, NULL, x->d->path, "%s", x->w[i].path) == 0)
			unlink(path);
	}
}

int profile_dir_write(struct profile_dir *d, const struct profile_segment *segments, size_t n,
		      const struct profile_taken *taken, struct err *e)
{
	_cleanup_free_ struct written *w = mem_calloc(MAX(n, (size_t)1), sizeof(*w));
	struct writing x = {d, segments, w, n, taken};
	int rc;

	if (!w)
		return err_nomem(e);
	rc = write_all(&x, e);
	if (rc)
		take_back(&x);
	for (size_t i = 0; i < n; i++) {
		if (!rc)
			metric_observe(&segment_bytes, 0, (double)w[i].stored_size);
		buf_deinit(&w[i].labels);
	}
	if (rc)
		return err_wrap(e, "writing %zu segments", n);
	metric_add(&segments_total, 0, n);
	return 0;
}

// ---- querying -------------------------------------------------------------------------------------

struct found {
	struct profile_segment segment; // without pprof
	int64_t id;
	uint64_t size;
	char *path;
	struct found *next;
};

struct search {
	struct profile_dir *d;
	const struct profile_search *what;
	struct arena arena;
	struct found *first;
	struct found **last;
};

// The arena gave nothing: at its cap, or because memory has run out.
static int too_much(const struct search *s, struct err *e)
{
	if (s->arena.used < FOUND_BYTES / 2)
		return err_nomem(e);
	return err_set(e, ERR_TOO_LARGE,
		       "the query matches more segments than memory allows; ask for less time or fewer "
		       "series");
}

static int find_unresolved(struct sql *c, struct search *s, struct found *f, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT build_id, count(*) OVER () FROM segment_unresolved WHERE segment = ?");
	struct str *ids = NULL;
	size_t n = 0;
	int rc;

	query_i64(&q, f->id);
	while ((rc = query_step(&q, e)) > 0) {
		struct str id = query_col_str(&q);

		if (!ids)
			ids = arena_array(&s->arena, (size_t)query_col_i64(&q), struct str);
		if (!ids || !(ids[n] = arena_str(&s->arena, id)).p)
			return too_much(s, e);
		n++;
	}
	f->segment.unresolved = ids;
	f->segment.unresolved_count = n;
	return rc;
}

static int add_found(struct sql *c, struct query *q, struct search *s, struct profile_series series,
		     struct err *e)
{
	struct found *f = arena_new(&s->arena, struct found);

	if (!f)
		return too_much(s, e);
	f->id = query_col_i64(q);
	f->segment.series = series;
	f->segment.from_unix_ns = query_col_i64(q);
	f->segment.to_unix_ns = query_col_i64(q);
	f->segment.samples = (uint64_t)query_col_i64(q);
	f->size = (uint64_t)query_col_i64(q);
	f->path = (char *)arena_str(&s->arena, query_col_str(q)).p;
	if (!f->path)
		return too_much(s, e);
	if (find_unresolved(c, s, f, e))
		return -1;
	*s->last = f;
	s->last = &f->next;
	return 0;
}

static int find_segments(struct sql *c, struct search *s, int64_t id, struct profile_series series,
			 struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT id, from_ns, to_ns, samples, size, path FROM segment"
			 " WHERE series = ? AND to_ns >= ? AND from_ns <= ? ORDER BY to_ns, id");
	int rc;

	query_i64(&q, id);
	query_i64(&q, s->what->from_unix_ns);
	query_i64(&q, s->what->to_unix_ns);
	while ((rc = query_step(&q, e)) > 0) {
		if (add_found(c, &q, s, series, e))
			return -1;
	}
	return rc;
}

static int keep_series(struct search *s, const struct profile_series *series, struct profile_series *ret,
		       struct err *e)
{
	struct profile_label *labels = arena_array(&s->arena, series->n, struct profile_label);

	if (!labels)
		return too_much(s, e);
	for (size_t i = 0; i < series->n; i++) {
		labels[i].name = arena_str(&s->arena, series->labels[i].name);
		labels[i].value = arena_str(&s->arena, series->labels[i].value);
		if (!labels[i].name.p || !labels[i].value.p)
			return too_much(s, e);
	}
	*ret = (struct profile_series){labels, series->n};
	return 0;
}

static int look_into_series(struct sql *c, struct search *s, int64_t id, struct str bytes,
			    struct err *e)
{
	struct profile_label labels[LABELS_MAX];
	struct profile_series series = {labels, 0};

	if (decode_labels(bytes, labels, &series.n, e))
		return -1;
	if (s->what->matchers && !profile_matchers_match(s->what->matchers, &series))
		return 0;
	return keep_series(s, &series, &series, e) ? -1 : find_segments(c, s, id, series, e);
}

static int find_all(struct sql *c, struct search *s, struct err *e)
{
	const char *name = NULL;
	const char *value = NULL;
	bool indexed = s->what->matchers && profile_matchers_equality(s->what->matchers, &name, &value);
	_cleanup_(query_end) struct query q =
		indexed ? query(c, "SELECT id, labels FROM label JOIN series ON series.id = label.series"
				   " WHERE name = ? AND value = ? ORDER BY id")
			: query(c, "SELECT id, labels FROM series ORDER BY id");
	int rc;

	if (indexed) {
		query_cstr(&q, name);
		query_cstr(&q, value);
	}
	while ((rc = query_step(&q, e)) > 0) {
		int64_t id = query_col_i64(&q);

		if (look_into_series(c, s, id, query_col_str(&q), e))
			return -1;
	}
	return rc;
}

static int read_segment(const struct profile_dir *d, const struct found *f, struct buf *pprof,
			struct err *e)
{
	_cleanup_(buf_deinit) struct buf zstd = BUF_INIT((size_t)SEGMENT_MAX + SEGMENT_MAX / 64);
	char path[FOLDER_PATH];

	if (folder_path(path, e, d->path, "%s", f->path) || io_read_file(path, &zstd, e) ||
	    zstd_decompress(buf_str(&zstd), pprof, e))
		return -1;
	if (pprof->n != f->size)
		return err_set(e, ERR_CORRUPT, "%s has %zu bytes instead of %ju", path, pprof->n,
			       (uintmax_t)f->size);
	return 0;
}

static int give_out(struct search *s, profile_dir_fn *fn, void *ctx, struct err *e)
{
	_cleanup_(buf_deinit) struct buf pprof = BUF_INIT(SEGMENT_MAX);
	struct err why;
	int rc = 0;

	for (struct found *f = s->first; f && !rc; f = f->next) {
		buf_clear(&pprof);
		why = ERR_INIT;
		if (read_segment(s->d, f, &pprof, &why)) {
			if (why.kind == ERR_NOMEM)
				return err_nomem(e);
			atomic_fetch_add(&s->d->unreadable, 1);
			metric_inc(&unreadable_total);
			continue;
		}
		f->segment.pprof = buf_str(&pprof);
		rc = fn(ctx, &f->segment, e);
	}
	return rc;
}

static int find_taken(struct sql *c, const char *log, uint64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "SELECT position FROM taken WHERE log = ?");
	int rc;

	query_cstr(&q, log);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	*ret = rc > 0 ? (uint64_t)query_col_i64(&q) : 0;
	return 0;
}

int profile_dir_taken(struct profile_dir *d, const char *log, uint64_t *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(d->db);

	return find_taken(r.sql, log, ret, e);
}

static int search(struct search *s, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(s->d->db);
	struct profile_taken *taken = s->what->taken;

	if (db_reader_snapshot(&r, e) || (taken && find_taken(r.sql, taken->log, &taken->position, e)))
		return -1;
	return find_all(r.sql, s, e);
}

int profile_dir_query(struct profile_dir *d, const struct profile_search *what, profile_dir_fn *fn,
		      void *ctx, struct err *e)
{
	struct search s = {.d = d, .what = what};
	int rc;

	s.arena = ARENA_INIT(FOUND_BYTES);
	s.last = &s.first;
	rc = search(&s, e);
	if (!rc)
		rc = give_out(&s, fn, ctx, e);
	arena_deinit(&s.arena);
	return rc;
}
