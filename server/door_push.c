/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.v1 as Pyroscope takes it: Connect's unary protocol over HTTP/1.1
 * (connectrpc.com/docs/protocol). The 200 is sent when the push log says that the request is on
 * disk.
 */
#include "server/doors.h"

#include "base/mem.h"
#include "server/app.h"
#include "server/exchange.h"
#include "symbolizer/push_request.h"

static const size_t ARENA_BASE = MIB(16); // decoded JSON bytes come on top

enum form { FORM_PROTO, FORM_JSON, FORM_UNKNOWN };

static enum form form_of(const struct request *rq)
{
	if (request_content_type_is(rq, "application/proto") ||
	    request_content_type_is(rq, "application/x-protobuf"))
		return FORM_PROTO;
	return request_content_type_is(rq, "application/json") ? FORM_JSON : FORM_UNKNOWN;
}

static int answer(struct request *rq)
{
	bool json = form_of(rq) == FORM_JSON;

	respond_bytes(rq, 200, json ? "application/json" : "application/proto",
		      json ? STR("{}") : STR_EMPTY);
	return DOOR_DONE;
}

// Second call: the log has spoken, or the server stops before it has.
static int finish(struct request *rq, struct err *e)
{
	if (request_cancelled(rq))
		return err_set(e, ERR_SHUTTING_DOWN,
			       "the server stops; whether the push was kept is "
			       "not known, so push it again with the same ID");
	if (rq->woken_with.kind != ERR_NONE) {
		*e = rq->woken_with;
		return -1;
	}
	return answer(rq);
}

// Protobuf is what the log keeps; a JSON request is turned into it.
static int push(struct request *rq, struct str body, struct arena *arena, struct err *e)
{
	struct buf encoded = BUF_INIT(app_of(rq)->config->max_decompressed);
	struct push_request pr;
	void *waker;
	int rc;

	if (form_of(rq) == FORM_JSON) {
		if (push_request_decode_json(body, arena, &pr, e))
			return -1;
		push_request_encode(&pr, &encoded);
		rc = buf_check(&encoded, "the push request", e);
		body = buf_str(&encoded);
	} else {
		rc = push_request_decode(body, arena, &pr, e);
	}
	if (rc == 0 && !request_may_park_briefly(rq))
		rc = err_set(e, ERR_OVERLOADED, "too many pushes wait for the disk; try again");
	if (rc == 0) {
		waker = request_waker(rq);
		rc = profiles_push(app_of(rq)->profiles, body, &pr, request_wake_with, waker, e);
		if (rc)
			request_waker_drop(waker);
	}
	buf_deinit(&encoded);
	return rc ? -1 : DOOR_PARKED;
}

int door_push_precheck(struct request *rq, struct err *e)
{
	if (form_of(rq) != FORM_UNKNOWN)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
		       "Content-Type must be application/proto or "
		       "application/json");
}

int door_push(struct request *rq, struct err *e)
{
	struct buf body = BUF_INIT(app_of(rq)->config->max_decompressed);
	struct arena arena = ARENA_INIT(ARENA_BASE);
	int rc;

	if (rq->state)
		return finish(rq, e);
	rc = request_identity_body(rq, &body, e);
	if (rc == 0) {
		buf_deinit(&rq->body);
		arena.cap += 2 * body.n;
		rc = push(rq, buf_str(&body), &arena, e);
	}
	if (rc == DOOR_PARKED)
		rq->state = rq; // marks that the push is on its way
	arena_deinit(&arena);
	buf_deinit(&body);
	return rc;
}
