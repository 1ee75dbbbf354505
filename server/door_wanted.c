/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/debuginfo/wanted: a host says which binaries it runs, and hears which of them it should send.
 * What it hears is leased to it, a few at a time, so that others are not asked for the same.
 */
#include "server/doors.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "server/app.h"
#include <inttypes.h>

enum {
	IDS_MAX = 1000,
	GIVEN_MAX = 16, /* leased at once: one host sends them one after the other */
	ANSWER_MAX = 64 * 1024,
};

struct answer {
	struct json_out j;
	size_t given;
};

static int check_one(struct request *rq, struct str text, bool list, struct answer *a, struct err *e)
{
	struct build_id ids[2];
	int n = build_id_parse(text, ids, e);
	const struct binaries_wants what = {.ids = ids, .n = (size_t)MAX(n, 0), .list = list};
	bool wanted = false;
	int rc;

	if (n < 0)
		return err_wrap(e, "build_ids");
	if (a->given == GIVEN_MAX)
		return 0;
	if (binaries_wanted(app_of(rq)->binaries, &what, &wanted, e))
		return -1;
	rc = wanted ? leases_take(app_of(rq)->leases, &ids[0], e) : LEASE_HELD;
	if (rc)
		return rc < 0 ? -1 : 0;
	a->given++;
	json_obj(&a->j);
	json_kv_str(&a->j, "build_id", text);
	json_kv_cstr(&a->j, "type", file_type_name(list ? FILE_KALLSYMS : FILE_DEBUGINFO));
	json_kv_u64(&a->j, "lease_seconds", leases_duration_ms(app_of(rq)->leases) / 1000);
	json_end_obj(&a->j);
	return 0;
}

static int check_list(struct request *rq, const json_t *body, const char *member, bool list, struct answer *a,
		      struct err *e)
{
	const json_t *ids = json_object_get(body, member);

	if (ids && !json_is_array(ids))
		return err_set(e, ERR_BAD_REQUEST, "%s is not an array", member);
	if (json_array_size(ids) > IDS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: more than %d build-IDs", member, IDS_MAX);
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const json_t *id = json_array_get(ids, i);

		if (!json_is_string(id))
			return err_set(e, ERR_BAD_REQUEST, "%s[%zu] is not a string", member, i);
		if (check_one(rq, (struct str){json_string_value(id), json_string_length(id)}, list, a, e))
			return -1;
	}
	return 0;
}

static int check_all(struct request *rq, const json_t *body, struct answer *a, struct err *e)
{
	if (!json_object_get(body, "build_ids") && !json_object_get(body, "kallsyms"))
		return err_set(e, ERR_BAD_REQUEST, "neither build_ids nor kallsyms is given");
	// Few and of much weight: kernels first.
	return check_list(rq, body, "kallsyms", true, a, e) || check_list(rq, body, "build_ids", false, a, e)
		       ? -1
		       : 0;
}

int door_wanted(struct request *rq, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(WANTED_BODY_MAX);
	_cleanup_(json_decrefp) json_t *body = NULL;
	struct buf out = BUF_INIT(ANSWER_MAX);
	struct answer a = {.j = JSON_OUT(&out)};

	if (request_identity_body(rq, &text, e) || json_parse(buf_str(&text), &body, e))
		return -1;
	json_obj(&a.j);
	json_key(&a.j, "wanted");
	json_arr(&a.j);
	if (check_all(rq, body, &a, e)) {
		buf_deinit(&out);
		return -1;
	}
	json_end_arr(&a.j);
	json_end_obj(&a.j);
	return respond_json(rq, &out, e) ? -1 : DOOR_DONE;
}
