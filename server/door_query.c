/* SPDX-License-Identifier: Apache-2.0 */
#include "server/doors.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/app.h"
#include "server/waiting.h"
#include <stdio.h>

enum {
	MATCH_MAX = 8 * 1024,
	PUSHED_WAIT_MS = 10 * 1000, // for what was pushed before; milliseconds, but for a slow disk
};
static const int64_t DEFAULT_SPAN_NS = INT64_C(3600) * 1000000000;
static const size_t ANSWER_MAX = GIB(1);

struct query {
	char match[MATCH_MAX];
	struct profiles_query q;
	struct binaries_view *view;
	uint64_t deadline_ms;
	bool waited; // for what was pushed before
};

static void query_free(void *state)
{
	struct query *q = state;

	binaries_view_free(q->view);
	free(q);
}

static int parse_time(const struct request *rq, const char *name, int64_t fallback, int64_t *ret,
		      struct err *e)
{
	struct str text;
	char copy[64];

	*ret = fallback;
	if (!request_arg(rq, name, &text) || !text.n)
		return 0;
	if (text.n < sizeof(copy)) {
		snprintf(copy, sizeof(copy), STR_FMT, STR_ARG(text));
		if (clock_parse(copy, ret))
			return 0;
	}
	return err_set(e, ERR_BAD_REQUEST, "%s='" STR_FMT "' is neither Unix seconds nor RFC 3339",
		       name, STR_ARG(text));
}

static int parse(const struct request *rq, struct query *q, struct err *e)
{
	int64_t now = clock_unix_ns();
	struct str match = STR_EMPTY;
	uint64_t wait_ms;

	(void)request_arg(rq, "match", &match);
	if (match.n >= MATCH_MAX)
		return err_set(e, ERR_BAD_REQUEST, "match is longer than %d bytes", MATCH_MAX - 1);
	snprintf(q->match, sizeof(q->match), STR_FMT, STR_ARG(match));
	q->q.match = q->match;
	if (parse_time(rq, "to", now, &q->q.to_unix_ns, e) ||
	    parse_time(rq, "from", q->q.to_unix_ns - DEFAULT_SPAN_NS, &q->q.from_unix_ns, e) ||
	    request_wait_ms(rq, 0, &wait_ms, e))
		return -1;
	q->deadline_ms = clock_mono_ms() + wait_ms;
	if (q->q.from_unix_ns > q->q.to_unix_ns)
		return err_set(e, ERR_BAD_REQUEST, "from is later than to");
	return 0;
}

static int begin(struct request *rq, struct err *e)
{
	struct query *q = rq->state;

	if (q) {
		binaries_view_reset(q->view);
		return 0;
	}
	q = mem_zalloc(sizeof(*q));
	if (!q)
		return err_nomem(e);
	if (parse(rq, q, e) || binaries_view_new(app_of(rq)->binaries, &q->view, e)) {
		free(q);
		return -1;
	}
	rq->state = q;
	rq->state_free = query_free;
	return 0;
}

// Once: what comes meanwhile need not be waited for.
static int wait_for_pushed(struct request *rq, struct query *q, struct err *e)
{
	if (q->waited)
		return DOOR_DONE;
	q->waited = true;
	return wait_for_profiles(rq, app_of(rq)->profiles, clock_mono_ms() + PUSHED_WAIT_MS, e);
}

int door_query(struct request *rq, struct err *e)
{
	struct buf out = BUF_INIT(ANSWER_MAX);
	struct query *q;
	int rc;

	if (begin(rq, e))
		return -1;
	q = rq->state;
	rc = wait_for_pushed(rq, q, e);
	if (rc != DOOR_DONE)
		return rc;
	rc = profiles_query(app_of(rq)->profiles, &q->q, q->view, &out, e);
	if (rc == 0)
		rc = wait_for_view(rq, app_of(rq)->binaries, q->view, q->deadline_ms, e);
	if (rc == DOOR_DONE) {
		respond_buf(rq, 200, "application/octet-stream", &out);
		respond_header(rq, "Content-Disposition", "attachment; filename=\"profile.pb.gz\"");
		respond_header(rq, "Unhex-Pending", "%zu", binaries_view_pending(q->view));
	}
	buf_deinit(&out);
	return rc;
}
