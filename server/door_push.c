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

enum { LABELS_TEXT_MAX = 300 };
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

static struct push_label *find_label(const struct push_series *s, const char *name)
{
	for (size_t i = 0; i < s->label_count; i++) {
		if (str_is(s->labels[i].name, name))
			return &s->labels[i];
	}
	return NULL;
}

// As Pyroscope has it, a series has the name of its kind of profile; without one, kinds would be mixed.
static int unnamed(const struct push_series *s, size_t index, struct err *e)
{
	struct buf labels = BUF_INIT(LABELS_TEXT_MAX);

	for (size_t i = 0; i < s->label_count; i++)
		buf_printf(&labels, "%s" STR_FMT "=\"" STR_FMT "\"", i ? ", " : "",
			   STR_ARG(s->labels[i].name), STR_ARG(s->labels[i].value));
	err_set(e, ERR_BAD_REQUEST,
		"series[%zu] {" STR_FMT "} has no label __name__; send the kind of its profiles, such as "
		"process_cpu",
		index, STR_ARG(labels.failed ? STR("…") : buf_str(&labels)));
	buf_deinit(&labels);
	return -1;
}

static int add_service(struct push_series *s, struct arena *arena, struct err *e)
{
	struct push_label *l = arena_alloc(arena, (s->label_count + 1) * sizeof(*l));

	if (!l)
		return err_nomem(e);
	if (s->label_count)
		memcpy(l, s->labels, s->label_count * sizeof(*l));
	l[s->label_count] = (struct push_label){STR("service_name"), STR("unknown_service")};
	s->labels = l;
	s->label_count++;
	return 0;
}

// Every series ends with __name__ and service_name. *ret_changed: it is not as it came.
static int name_series(struct push_request *pr, struct arena *arena, bool *ret_changed, struct err *e)
{
	*ret_changed = false;
	for (size_t i = 0; i < pr->series_count; i++) {
		struct push_series *s = &pr->series[i];
		struct push_label *name = find_label(s, "__name__");

		if (!name || !name->value.n)
			return unnamed(s, i, e);
		if (find_label(s, "service_name"))
			continue;
		if (add_service(s, arena, e))
			return -1;
		*ret_changed = true;
	}
	return *ret_changed ? push_request_check(pr, e) : 0;
}

static int decode(const struct request *rq, struct str body, struct arena *arena,
		  struct push_request *ret, struct err *e)
{
	return form_of(rq) == FORM_JSON ? push_request_decode_json(body, arena, ret, e)
					: push_request_decode(body, arena, ret, e);
}

// Protobuf is what the log keeps; what is JSON, or lacked a label, is turned into it anew.
static int push(struct request *rq, struct str body, struct arena *arena, struct err *e)
{
	struct buf encoded = BUF_INIT(app_of(rq)->config->max_decompressed);
	struct push_request pr;
	bool changed;
	void *waker;
	int rc;

	if (decode(rq, body, arena, &pr, e) || name_series(&pr, arena, &changed, e))
		return -1;
	rc = 0;
	if (changed || form_of(rq) == FORM_JSON) {
		push_request_encode(&pr, &encoded);
		rc = buf_check(&encoded, "the push request", e);
		body = buf_str(&encoded);
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
