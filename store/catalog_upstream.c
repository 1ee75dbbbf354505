/* SPDX-License-Identifier: Apache-2.0 */
/* What upstream servers answered, so that they are not asked the same thing again and again. */
#include "store/catalog_db.h"

#include "base/clock.h"

void catalog_upstream_longest(struct catalog *c, uint64_t seconds)
{
	c->longest_answer_s = (int64_t)MIN(seconds, (uint64_t)INT32_MAX);
}

// Until when an answer may hold that was put with the clock as it is now.
static int64_t latest_until(const struct catalog *c, int64_t now)
{
	return c->longest_answer_s ? now + c->longest_answer_s : INT64_MAX;
}

int catalog_upstream_get(struct catalog *c, const struct build_id *id, enum file_type type,
			 enum upstream_answer *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT answer FROM upstream WHERE id = ? AND type = ? AND until > ?"
			     " AND (until <= ? OR answer = ?)");
	int64_t now = clock_unix_s();
	char text[BUILD_ID_TEXT];
	int rc;

	build_id_text(id, text);
	query_cstr(&q, text);
	query_i64(&q, type);
	query_i64(&q, now);
	query_i64(&q, latest_until(c, now));
	query_i64(&q, UPSTREAM_FOUND);
	rc = query_step(&q, e);
	if (rc > 0)
		*ret = (enum upstream_answer)query_col_i64(&q);
	return rc < 0 ? -1 : rc ? 0 : CATALOG_NOT_FOUND;
}

struct answer {
	char id[BUILD_ID_TEXT];
	enum file_type type;
	enum upstream_answer answer;
	int64_t until;
	const char *detail;
};

// Answers about IDs nobody asks for any more would pile up; a few at a time is enough.
static int forget_expired(struct sql *c, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "DELETE FROM upstream WHERE (id, type) IN"
			 " (SELECT id, type FROM upstream WHERE until < ? ORDER BY until LIMIT 16)");
	enum { KEPT_S = 24 * 3600 }; // expired ones still explain why something is missing

	query_i64(&q, clock_unix_s() - KEPT_S);
	return query_run(&q, e);
}

static int put_answer(struct sql *c, void *ctx, struct err *e)
{
	const struct answer *a = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "INSERT OR REPLACE INTO upstream(id, type, answer, until, detail)"
			 " VALUES(?, ?, ?, ?, ?)");

	query_cstr(&q, a->id);
	query_i64(&q, a->type);
	query_i64(&q, a->answer);
	query_i64(&q, a->until);
	query_cstr(&q, a->detail);
	return query_run(&q, e) ? -1 : forget_expired(c, e);
}

int catalog_upstream_put(struct catalog *c, const struct build_id *id, enum file_type type,
			 enum upstream_answer answer, int64_t until_unix_s, const char *detail,
			 struct err *e)
{
	struct answer a = {.type = type, .answer = answer, .until = until_unix_s, .detail = detail};

	build_id_text(id, a.id);
	return db_write(c->db, put_answer, &a, e);
}

struct forgetting {
	const struct build_id *ids;
	size_t n;
};

static int forget(struct sql *c, void *ctx, struct err *e)
{
	const struct forgetting *f = ctx;
	_cleanup_(query_end) struct query q = query(c, "DELETE FROM upstream WHERE id = ?");
	char text[BUILD_ID_TEXT];

	for (size_t i = 0; i < f->n; i++) {
		build_id_text(&f->ids[i], text);
		query_cstr(&q, text);
		if (query_run(&q, e))
			return -1;
	}
	return 0;
}

int catalog_upstream_forget(struct catalog *c, const struct build_id *ids, size_t n, struct err *e)
{
	struct forgetting f = {ids, n};

	return db_write(c->db, forget, &f, e);
}

const char *catalog_why_absent(bool asks_upstream, bool can_be_asked_for)
{
	if (!asks_upstream)
		return "not uploaded, and no upstream server is configured";
	if (!can_be_asked_for)
		return "not uploaded, and only GNU build-IDs can be asked of upstream servers";
	return "not uploaded, and no upstream server has it";
}

void catalog_asks_upstream(struct catalog *c, bool yes)
{
	c->asks_upstream = yes;
}

static void tell_answer(enum upstream_answer answer, struct str detail, struct buf *out)
{
	switch (answer) {
	case UPSTREAM_ABSENT:
		buf_puts(out, catalog_why_absent(true, true));
		break;
	case UPSTREAM_FOUND:
		buf_puts(out, "not uploaded, and an upstream server has it, but it is not here");
		break;
	case UPSTREAM_ERROR:
		buf_puts(out, "not uploaded, and the upstream servers could not be asked");
		if (detail.n)
			buf_printf(out, ": " STR_FMT, STR_ARG(detail));
		break;
	}
}

int catalog_absence(struct sql *c, const char *id, bool asks_upstream, struct buf *out,
		    const char **ret_code, struct err *e)
{
	_cleanup_(query_end) struct query q =
		query(c, "SELECT answer, detail FROM upstream WHERE id = ? ORDER BY answer DESC, type");
	bool is_gnu = id[0] != 'g' && id[0] != 'h';
	enum upstream_answer answer;
	int rc;

	query_cstr(&q, id);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	*ret_code = err_code(ERR_NOT_FOUND);
	if (!rc) {
		buf_puts(out, asks_upstream && is_gnu ? "not uploaded, and no upstream server was asked yet"
						      : catalog_why_absent(asks_upstream, is_gnu));
		return 0;
	}
	answer = (enum upstream_answer)query_col_i64(&q);
	if (answer == UPSTREAM_ERROR)
		*ret_code = err_code(ERR_UPSTREAM);
	tell_answer(answer, query_col_str(&q), out);
	return 0;
}
