/* SPDX-License-Identifier: Apache-2.0 */
#include "server/doors.h"

#include "base/json.h"
#include "server/app.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, STORY_MAX = 4 << 20, LISTING_MAX = 16 << 20 };

static int not_known(const struct request *rq, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "no binary is known under %s", rq->build_id);
}

// The catalog writes a whole object; what only this process knows goes in before its closing brace.
static void add_flight(struct request *rq, const struct build_id *ids, size_t n, struct buf *out)
{
	struct json_out j = {out, true};

	if (out->failed || !out->n || out->p[out->n - 1] != '}')
		return;
	out->n--;
	binaries_flight_json(app_of(rq)->binaries, ids, n, &j);
	json_end_obj(&j);
}

int door_binary(struct request *rq, struct err *e)
{
	struct buf out = BUF_INIT(STORY_MAX);
	struct build_id ids[2];
	int n = request_build_ids(rq, rq->param[0], ids, e);
	int rc;

	if (n < 0)
		return -1;
	rc = catalog_story_json(app_of(rq)->catalog, ids, (size_t)n, &out, e);
	if (rc == 0) {
		add_flight(rq, ids, (size_t)n, &out);
		return respond_json(rq, &out, e);
	}
	buf_deinit(&out);
	return rc < 0 ? -1 : not_known(rq, e);
}

int door_binary_delete(struct request *rq, struct err *e)
{
	struct build_id ids[2];
	int n = request_build_ids(rq, rq->param[0], ids, e);
	int rc;

	if (n < 0)
		return -1;
	rc = binaries_delete(app_of(rq)->binaries, ids, (size_t)n, e);
	if (rc)
		return rc < 0 ? -1 : not_known(rq, e);
	respond_empty(rq, 204);
	return DOOR_DONE;
}

int door_binaries(struct request *rq, struct err *e)
{
	struct buf out = BUF_INIT(LISTING_MAX);
	struct str after = STR_EMPTY;
	uint64_t limit;

	// The answer calls it "next"; who hands that back under the same name means this.
	if (!request_arg(rq, "after", &after))
		(void)request_arg(rq, "next", &after);
	if (request_u64(rq, "limit", LIST_DEFAULT, LIST_MAX, &limit, e))
		return -1;
	if (catalog_list_json(app_of(rq)->catalog, after, (size_t)MAX(limit, 1), &out, e)) {
		buf_deinit(&out);
		return -1;
	}
	return respond_json(rq, &out, e);
}

int door_missing(struct request *rq, struct err *e)
{
	struct buf out = BUF_INIT(LISTING_MAX);
	uint64_t limit;

	if (request_u64(rq, "limit", LIST_DEFAULT, LIST_MAX, &limit, e))
		return -1;
	if (catalog_missing_json(app_of(rq)->catalog, (size_t)MAX(limit, 1), &out, e)) {
		buf_deinit(&out);
		return -1;
	}
	return respond_json(rq, &out, e);
}
