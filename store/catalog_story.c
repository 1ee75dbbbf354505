/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of binaries, as JSON for people and tools. */
#include "store/catalog_db.h"

#include "base/clock.h"
#include "base/mem.h"

enum { LIST_MAX = 1000, IDS_SHOWN = 64 };

// A document kept as text, into the answer as it is (it was parsed when it came).
static void put_raw(struct json_out *j, const char *key, struct str json)
{
	json_key(j, key);
	buf_append_str(j->b, json);
	j->comma = true;
}

static void put_quality(struct json_out *j, int quality)
{
	json_kv_cstr(j, "quality", catalog_quality_name(quality));
	json_kv_i64(j, "quality_rank", quality);
}

static const char *kind_of_text(struct str id)
{
	if (str_has_prefix(id, STR("go-")))
		return build_id_kind_name(BUILD_ID_GO);
	return build_id_kind_name(str_has_prefix(id, STR("htl-")) ? BUILD_ID_HTL : BUILD_ID_GNU);
}

static void put_id(struct json_out *j, struct str id)
{
	json_obj(j);
	json_kv_cstr(j, "kind", kind_of_text(id));
	json_kv_str(j, "text", id);
	json_end_obj(j);
}

static int put_ids(struct sql *c, int64_t binary, struct json_out *j, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT id FROM alias WHERE binary = ? ORDER BY id LIMIT ?");
	int rc;

	query_i64(&q, binary);
	query_i64(&q, IDS_SHOWN);
	json_key(j, "ids");
	json_arr(j);
	while ((rc = query_step(&q, e)) > 0)
		put_id(j, query_col_str(&q));
	json_end_arr(j);
	return rc;
}

static void put_file(struct json_out *j, struct query *q)
{
	json_obj(j);
	json_kv_cstr(j, "type", file_type_name((enum file_type)query_col_i64(q)));
	json_kv_cstr(j, "trust", trust_name((enum trust)query_col_i64(q)));
	json_kv_str(j, "origin", query_col_str(q));
	put_quality(j, (int)query_col_i64(q));
	json_kv_i64(j, "size", query_col_i64(q));
	json_kv_i64(j, "stored_size", query_col_i64(q));
	json_kv_str(j, "sha256", query_col_str(q));
	json_kv_i64(j, "added", query_col_i64(q));
	json_end_obj(j);
}

static int put_files(struct sql *c, int64_t binary, struct json_out *j, size_t *ret_n, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT type, trust, origin, quality, size, stored_size, sha256, added FROM file"
			 " WHERE binary = ? ORDER BY type, preference DESC, trust DESC, quality DESC,"
			 " id DESC");
	int rc;

	query_i64(&q, binary);
	json_key(j, "files");
	json_arr(j);
	while ((rc = query_step(&q, e)) > 0) {
		put_file(j, &q);
		++*ret_n;
	}
	json_end_arr(j);
	return rc;
}

static int put_index(struct sql *c, const struct binary *b, struct json_out *j, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT index_size, coalesce(index_report, '') FROM binary WHERE id = ?");
	struct str report;

	query_i64(&q, b->id);
	if (query_step(&q, e) < 0)
		return -1;
	json_key(j, "index");
	json_obj(j);
	json_kv_i64(j, "size", query_col_i64(&q));
	report = query_col_str(&q);
	if (report.n)
		put_raw(j, "report", report);
	json_end_obj(j);
	return 0;
}

static void put_reason(struct json_out *j, const struct binary *b)
{
	json_key(j, "reason");
	json_obj(j);
	json_kv_cstr(j, "code", b->reason_code);
	json_kv_cstr(j, "detail", b->reason);
	json_end_obj(j);
}

static const char *answer_name(int64_t answer)
{
	static const char *const names[] = {"unknown", "found", "absent", "error"};

	return answer > 0 && answer < (int64_t)countof(names) ? names[answer] : names[0];
}

static void put_answer(struct json_out *j, struct query *q)
{
	json_obj(j);
	json_kv_cstr(j, "type", file_type_name((enum file_type)query_col_i64(q)));
	json_kv_cstr(j, "answer", answer_name(query_col_i64(q)));
	json_kv_i64(j, "until", query_col_i64(q));
	json_kv_str(j, "detail", query_col_str(q));
	json_end_obj(j);
}

// Of an ID without a binary, or of all IDs of a binary.
#define OF_IDS "(SELECT ?1 UNION SELECT id FROM alias WHERE binary = ?2)"

static int put_upstream(struct sql *c, const char *id, int64_t binary, struct json_out *j,
			size_t *ret_n, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT type, answer, until, detail FROM upstream WHERE id IN " OF_IDS
			 " ORDER BY type, id");
	int rc;

	query_cstr(&q, id);
	query_i64(&q, binary);
	while ((rc = query_step(&q, e)) > 0) {
		if (!(*ret_n)++) {
			json_key(j, "upstream");
			json_arr(j);
		}
		put_answer(j, &q);
	}
	if (*ret_n)
		json_end_arr(j);
	return rc;
}

static int put_seen(struct sql *c, const char *id, int64_t binary, struct json_out *j, size_t *ret_n,
		    struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT total(weight), unit, total(samples), max(last_seen) FROM seen"
			 " WHERE build_id IN " OF_IDS " GROUP BY unit ORDER BY 3 DESC LIMIT 1");
	int rc;

	query_cstr(&q, id);
	query_i64(&q, binary);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc;
	++*ret_n;
	json_key(j, "seen");
	json_obj(j);
	json_kv_i64(j, "weight", query_col_i64(&q));
	json_kv_str(j, "unit", query_col_str(&q));
	json_kv_i64(j, "samples", query_col_i64(&q));
	json_kv_i64(j, "last_seen", query_col_i64(&q));
	json_end_obj(j);
	return 0;
}

static int put_binary(struct sql *c, const struct binary *b, struct json_out *j, struct err *e)
{
	size_t files = 0;

	if (put_ids(c, b->id, j, e) < 0 || put_files(c, b->id, j, &files, e) < 0)
		return -1;
	json_kv_cstr(j, "state", catalog_state_name(b, files > 0));
	json_kv_u64(j, "generation", b->generation);
	if (b->index_current)
		put_quality(j, b->quality);
	if (b->machine[0])
		json_kv_cstr(j, "machine", b->machine);
	if (b->name[0])
		json_kv_cstr(j, "name", b->name);
	if (b->reason_code[0])
		put_reason(j, b);
	return b->index_current ? put_index(c, b, j, e) : 0;
}

// No binary: the ID as it was asked for, which somebody must at least have seen.
static int put_unknown(const char *id, struct json_out *j)
{
	json_key(j, "ids");
	json_arr(j);
	put_id(j, str_from(id));
	json_end_arr(j);
	json_kv_cstr(j, "state", "seen");
	json_kv_u64(j, "generation", 0);
	return 0;
}

static int put_absence(struct sql *c, const char *id, bool asks_upstream, struct json_out *j,
		       struct err *e)
{
	const char *code;
	_cleanup_(buf_deinit) struct buf words = BUF_INIT(8192);

	if (catalog_absence(c, id, asks_upstream, &words, &code, e))
		return -1;
	json_key(j, "reason");
	json_obj(j);
	json_kv_cstr(j, "code", code);
	json_kv_str(j, "detail", buf_str(&words));
	json_end_obj(j);
	return 0;
}

struct story {
	const struct build_id *ids;
	size_t n;
	bool asks_upstream;
};

static int write_story(struct sql *c, const struct story *s, struct binary *b, struct json_out *j,
		       struct err *e)
{
	char id[BUILD_ID_TEXT];
	size_t mentions = 0;
	int known = catalog_lookup(c, s->ids, s->n, &b->id, e);

	if (known < 0 || (known == 0 && catalog_load(c, b->id, b, e)))
		return -1;
	build_id_text(&s->ids[0], id);
	if (known == 0 && catalog_main_id(c, b->id, id, e))
		return -1;
	json_obj(j);
	json_kv_cstr(j, "build_id", id);
	if ((known == 0 ? put_binary(c, b, j, e) : put_unknown(id, j)) ||
	    put_upstream(c, id, b->id, j, &mentions, e) < 0 ||
	    put_seen(c, id, b->id, j, &mentions, e) < 0)
		return -1;
	if (known != 0 && !mentions)
		return CATALOG_NOT_FOUND;
	if (known != 0 && put_absence(c, id, s->asks_upstream, j, e))
		return -1;
	json_end_obj(j);
	return 0;
}

int catalog_story_json(struct catalog *c, const struct build_id *ids, size_t n, struct buf *out,
		       struct err *e)
{
	_cleanup_free_ struct binary *b = mem_zalloc(sizeof(*b));
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(out->max);
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	struct json_out j = JSON_OUT(&text);
	int rc;

	if (!b)
		return err_nomem(e);
	if (!n)
		return CATALOG_NOT_FOUND;
	if (db_reader_snapshot(&r, e))
		return -1;
	rc = write_story(r.sql, &(struct story){ids, n, c->asks_upstream}, b, &j, e);
	if (rc)
		return rc;
	buf_append_str(out, buf_str(&text));
	if (buf_check(&text, "the story of a binary", e))
		return -1;
	return buf_check(out, "the story of a binary", e);
}

// ---- the list -------------------------------------------------------------------------------------

static int put_list_item(struct sql *c, struct query *q, struct binary *b, struct json_out *j,
			 struct err *e)
{
	char id[BUILD_ID_TEXT];
	int64_t files;

	if (catalog_load(c, query_col_i64(q), b, e) || catalog_main_id(c, b->id, id, e))
		return -1;
	files = query_col_i64(q);
	json_obj(j);
	json_kv_cstr(j, "build_id", id);
	json_kv_cstr(j, "name", b->name);
	json_kv_cstr(j, "machine", b->machine);
	json_kv_cstr(j, "state", catalog_state_name(b, files > 0));
	json_kv_u64(j, "generation", b->generation);
	if (b->index_current)
		put_quality(j, b->quality);
	json_kv_i64(j, "files", files);
	json_kv_i64(j, "size", query_col_i64(q));
	json_kv_i64(j, "stored_size", query_col_i64(q));
	json_kv_i64(j, "added", query_col_i64(q));
	json_end_obj(j);
	return 0;
}

// The cursor is the number of the last binary given; newer ones come first.
static int parse_cursor(struct str after, int64_t *ret, struct err *e)
{
	uint64_t n = INT64_MAX;

	if (after.n && !str_to_u64(after, INT64_MAX, &n))
		return err_set(e, ERR_BAD_REQUEST, "'" STR_FMT "' is not a cursor of this list",
			       STR_ARG(((struct str){after.p, MIN(after.n, 64U)})));
	*ret = (int64_t)n;
	return 0;
}

static void put_next(struct json_out *j, int64_t last)
{
	json_key(j, "next");
	if (!last) {
		json_null_(j);
		return;
	}
	buf_printf(j->b, "\"%jd\"", (intmax_t)last);
	j->comma = true;
}

static int write_list(struct sql *c, int64_t after, size_t limit, struct json_out *j, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT binary.id, count(file.id), coalesce(sum(size), 0),"
			 " coalesce(sum(stored_size), 0), binary.added FROM binary LEFT JOIN file"
			 " ON file.binary = binary.id WHERE binary.id < ? GROUP BY binary.id"
			 " ORDER BY binary.id DESC LIMIT ?");
	_cleanup_free_ struct binary *b = mem_zalloc(sizeof(*b));
	size_t n = 0;
	int rc;

	if (!b)
		return err_nomem(e);
	query_i64(&q, after);
	query_i64(&q, (int64_t)limit + 1);
	json_obj(j);
	json_key(j, "binaries");
	json_arr(j);
	while ((rc = query_step(&q, e)) > 0 && n++ < limit) {
		if (put_list_item(c, &q, b, j, e))
			return -1;
	}
	json_end_arr(j);
	put_next(j, rc > 0 ? b->id : 0);
	json_end_obj(j);
	return rc < 0 ? -1 : 0;
}

int catalog_list_json(struct catalog *c, struct str after, size_t limit, struct buf *out,
		      struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	struct json_out j = JSON_OUT(out);
	int64_t cursor = 0;

	if (parse_cursor(after, &cursor, e) || db_reader_snapshot(&r, e) ||
	    write_list(r.sql, cursor, MIN(MAX(limit, 1U), (size_t)LIST_MAX), &j, e))
		return -1;
	return buf_check(out, "the list of binaries", e);
}
