/* SPDX-License-Identifier: Apache-2.0 */
#include "server/exchange_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/http_metrics.h"
#include "server/transmit.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>

enum {
	FEED_BYTES = 256 * 1024,      // a sink is called once so much has come
	IGNORED_BODY_MAX = 64 * 1024, // sent to routes that take none
	LINGER_MS = 10 * 1000,	      // reading on after an early answer
	SLOW_GRACE_MS = 60 * 1000,    // a body may be slow so long; then
	SLOW_BYTES_PER_S = 256,	      // it must have come at this rate
};
static const uint64_t LINGER_BYTES = MIB(64);

// ---- on an I/O thread: the answer -------------------------------------------------------------

static enum MHD_Result send_answer(struct exchange *x)
{
	x->stage = STAGE_SENT;
	if (atomic_load_explicit(&x->set->draining, memory_order_relaxed))
		x->rq.response.close = true;
	return transmit(&x->rq, x->conn);
}

static bool expects_body(const struct request *rq)
{
	struct str length = request_header(rq, "Content-Length");

	return request_header(rq, "Transfer-Encoding").n || (length.n && !str_is(length, "0"));
}

/*
 * The first handler call is the last moment at which the library takes an answer before the body;
 * but then it closes with the body unread, and the reset that follows may destroy the answer. A
 * client that waits for "100 Continue" has sent nothing yet, so only to such a one.
 */
static enum MHD_Result refuse_first(struct exchange *x, const struct err *e)
{
	respond_err(&x->rq, e);
	x->stage = STAGE_ANSWER;
	if (!expects_body(&x->rq))
		return MHD_YES;
	if (str_eq_nocase(request_header(&x->rq, "Expect"), STR("100-continue")))
		return send_answer(x);
	exchange_answer_early(x);
	x->stage = STAGE_DISCARD;
	return MHD_YES;
}

static enum MHD_Result refuse_in_body(struct exchange *x, const struct err *e)
{
	respond_err(&x->rq, e);
	exchange_release_body_memory(x);
	buf_deinit(&x->piece);
	buf_deinit(&x->rq.body);
	exchange_answer_early(x);
	x->stage = STAGE_DISCARD;
	return MHD_YES;
}

static enum MHD_Result discard(struct exchange *x, size_t *data_size)
{
	bool at_end = *data_size == 0;

	x->discarded += *data_size;
	*data_size = 0;
	if (at_end || x->rq.response.reset || x->discarded > LINGER_BYTES ||
	    clock_mono_ms() - x->discard_from_ms > LINGER_MS)
		return MHD_NO;
	return MHD_YES;
}

// ---- on an I/O thread: the head ---------------------------------------------------------------

struct header_walk {
	struct request *rq;
	struct err *e;
	bool failed;
};

static enum MHD_Result take_header(void *cls, UNUSED enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	struct header_walk *w = cls;

	w->failed = request_add_header(w->rq, str_from(name), str_from(value), w->e) != 0;
	return w->failed ? MHD_NO : MHD_YES;
}

static int take_headers(struct exchange *x, struct err *e)
{
	struct header_walk w = {&x->rq, e, false};

	MHD_get_connection_values(x->conn, MHD_HEADER_KIND, take_header, &w);
	request_set_id(&x->rq);
	return w.failed ? -1 : 0;
}

static int match_route(struct exchange *x, struct err *e)
{
	struct request *rq = &x->rq;
	struct route_match m;
	int rc = router_match(x->set->cfg.routes, rq->method, &rq->target, &m, e);

	rq->style = m.style;
	rq->route = m.route;
	memcpy(rq->param, m.param, sizeof(rq->param));
	if (rc && e->kind == ERR_METHOD) {
		char allowed[METHODS_TEXT];

		methods_text(m.allowed, allowed);
		respond_header(rq, "Allow", "%s", allowed);
	}
	return rc;
}

// What could make two readers see different bodies is refused (RFC 9112 6.1, 6.3).
static int check_framing(const struct request *rq, struct err *e)
{
	struct str coding = request_header(rq, "Transfer-Encoding");
	struct str length = request_header(rq, "Content-Length");
	uint64_t n;

	if (coding.n && !str_eq_nocase(coding, STR("chunked")))
		return err_set(e, ERR_BAD_REQUEST,
			       "Transfer-Encoding '" STR_FMT "' is not supported; use chunked",
			       STR_ARG(coding));
	if (coding.n && length.n)
		return err_set(e, ERR_BAD_REQUEST,
			       "both Transfer-Encoding and Content-Length are given");
	if (length.n && !str_to_u64(length, UINT64_MAX, &n))
		return err_set(e, ERR_BAD_REQUEST, "Content-Length '" STR_FMT "' is not a number",
			       STR_ARG(length));
	return 0;
}

static uint64_t body_cap(const struct exchange *x)
{
	const struct route *r = x->rq.route;

	if (!r->takes_body)
		return IGNORED_BODY_MAX;
	return r->max_body ? r->max_body : x->set->cfg.max_body;
}

static int check_body_size(const struct exchange *x, uint64_t n, struct err *e)
{
	if (n <= body_cap(x))
		return 0;
	return err_set(e, ERR_TOO_LARGE, "the request body is larger than %" PRIu64 " bytes",
		       body_cap(x));
}

static int check_length(const struct exchange *x, struct err *e)
{
	struct str length = request_header(&x->rq, "Content-Length");
	uint64_t n = 0;

	return str_to_u64(length, UINT64_MAX, &n) ? check_body_size(x, n, e) : 0;
}

static int authorize(struct exchange *x, struct err *e)
{
	const struct exchange_config *cfg = &x->set->cfg;

	if (!cfg->authorize)
		return 0;
	return cfg->authorize(cfg->app, &x->rq, &x->rq.principal, e);
}

static void note_peer(struct exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;
	const void *address = NULL;

	if (sa && sa->sa_family == AF_INET)
		address = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	if (sa && sa->sa_family == AF_INET6)
		address = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (!address || !inet_ntop(sa->sa_family, address, x->rq.peer, sizeof(x->rq.peer)))
		x->rq.peer[0] = '\0';
}

static int precheck(struct exchange *x, struct err *e)
{
	const struct route *r = x->rq.route;

	return r->precheck ? r->precheck(&x->rq, e) : 0;
}

static enum MHD_Result begin(struct exchange *x, const char *method)
{
	struct request *rq = &x->rq;
	struct err e = ERR_INIT;

	rq->method = method_parse(str_from(method));
	x->body_from_ms = clock_mono_ms();
	note_peer(x);
	if (take_headers(x, &e))
		return refuse_first(x, &e);
	if (x->bad_target.kind)
		return refuse_first(x, &x->bad_target);
	if (match_route(x, &e) || check_framing(rq, &e) || authorize(x, &e) ||
	    check_length(x, &e) || precheck(x, &e))
		return refuse_first(x, &e);
	x->stage = STAGE_BODY;
	return MHD_YES;
}

// ---- on an I/O thread: the body ---------------------------------------------------------------

static int charge(struct exchange *x, uint64_t n, struct err *e)
{
	struct exchanges *set = x->set;
	uint64_t before = atomic_fetch_add(&set->body_memory, n);

	x->charged += n;
	if (before + n <= set->cfg.max_body_memory)
		return 0;
	return err_set(e, ERR_OVERLOADED, "request bodies fill the memory set aside for them");
}

static int check_pace(const struct exchange *x, struct err *e)
{
	uint64_t ms = clock_mono_ms() - x->body_from_ms;

	if (ms < SLOW_GRACE_MS || x->rq.body_bytes >= ms / 1000 * SLOW_BYTES_PER_S)
		return 0;
	return err_set(e, ERR_TIMEOUT,
		       "the body came too slowly: %" PRIu64 " bytes in %" PRIu64 " seconds",
		       x->rq.body_bytes, ms / 1000);
}

static int keep_body(struct exchange *x, struct str data, struct err *e)
{
	const struct route *r = x->rq.route;
	struct buf *into = r->sink ? &x->piece : &x->rq.body;

	x->rq.body_bytes += data.n;
	if (check_body_size(x, x->rq.body_bytes, e) || check_pace(x, e))
		return -1;
	if (!r->takes_body)
		return 0;
	if (charge(x, data.n, e))
		return -1;
	buf_append_str(into, data);
	return buf_check(into, "the request body", e);
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *data_size)
{
	struct err e = ERR_INIT;
	struct str piece = {data, *data_size};

	*data_size = 0;
	if (keep_body(x, piece, &e))
		return refuse_in_body(x, &e);
	if (x->piece.n >= FEED_BYTES)
		exchange_hand_over(x, STAGE_FEEDING);
	return MHD_YES;
}

static enum MHD_Result run(struct exchange *x)
{
	struct err e = ERR_INIT;
	int outcome = DOOR_DEFER;

	if (x->rq.route->lane == LANE_IO) {
		x->rq.on_io_thread = true;
		outcome = x->rq.route->door(&x->rq, &e);
	}
	if (outcome == DOOR_DEFER) {
		exchange_hand_over(x, STAGE_RUNNING);
		return MHD_YES;
	}
	if (outcome < 0)
		respond_err(&x->rq, &e);
	return send_answer(x);
}

// ---- libmicrohttpd's callbacks ----------------------------------------------------------------

void *exchange_on_target(void *cls, const char *target, UNUSED struct MHD_Connection *c)
{
	struct exchanges *set = cls;
	struct exchange *x = mem_zalloc(sizeof(*x));

	if (!x)
		return NULL;
	x->set = set;
	x->refs = 1;
	x->piece = BUF_INIT(SIZE_MAX);
	request_init(&x->rq, set->cfg.app);
	pthread_mutex_lock(&set->lock);
	set->refs++;
	set->active++;
	pthread_mutex_unlock(&set->lock);
	(void)!target_parse(&x->rq.arena, str_from(target), &x->rq.target, &x->bad_target);
	return x;
}

enum MHD_Result exchange_on_request(UNUSED void *cls, struct MHD_Connection *c,
				    UNUSED const char *url, const char *method,
				    UNUSED const char *version, const char *data, size_t *data_size,
				    void **con_cls)
{
	struct exchange *x = *con_cls;

	if (!x)
		return MHD_NO;
	x->conn = c;
	switch (x->stage) {
	case STAGE_NEW:
		return begin(x, method);
	case STAGE_BODY:
		return *data_size ? take_body(x, data, data_size) : run(x);
	case STAGE_ANSWER:
		return send_answer(x);
	case STAGE_DISCARD:
		return discard(x, data_size);
	default: // suspended or over: the library does not call then
		return MHD_NO;
	}
}

static unsigned route_index(const struct exchange *x)
{
	const struct route *r = x->set->cfg.routes;

	if (x->rq.route)
		return (unsigned)(x->rq.route - r);
	while (r->name)
		r++;
	return (unsigned)(r - x->set->cfg.routes); // "other"
}

static const char *outcome_name(enum MHD_RequestTerminationCode how)
{
	switch (how) {
	case MHD_REQUEST_TERMINATED_COMPLETED_OK:
		return "ok";
	case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
		return "timeout";
	case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN:
		return "shutdown";
	default:
		return "connection_lost";
	}
}

enum { LOG_FIELDS = 16 };

struct log_line {
	struct log_field fields[LOG_FIELDS + 1]; // one more for the NULL key
	size_t n;
};

static void put(struct log_line *l, const char *key, struct log_value v)
{
	if (l->n < LOG_FIELDS && (v.kind != LOG_KIND_STR || v.s.n))
		l->fields[l->n++] = (struct log_field){key, v};
}

static const char *end_of(const struct exchange *x, enum MHD_RequestTerminationCode how)
{
	if (x->rq.response.reset)
		return "reset";
	return x->stage == STAGE_DISCARD ? "early" : outcome_name(how);
}

static void log_request(const struct exchange *x, enum MHD_RequestTerminationCode how,
			double seconds)
{
	const struct request *rq = &x->rq;
	const struct response *r = &rq->response;
	bool quiet = rq->route && rq->route->quiet && r->status < 400;
	struct log_line l = {.n = 0};

	put(&l, "method", LOG_S(method_name(rq->method)));
	put(&l, "route", LOG_S(rq->route ? rq->route->name : "other"));
	put(&l, "path", LOG_STR(rq->target.path));
	put(&l, "status", LOG_I(r->status));
	put(&l, "bytes_in", LOG_U(rq->body_bytes));
	put(&l, "bytes", LOG_U(r->size));
	put(&l, "dur_s", LOG_F(seconds));
	put(&l, "build_id", LOG_S(rq->build_id));
	put(&l, "by", LOG_S(rq->principal.name));
	put(&l, "peer", LOG_S(rq->peer));
	put(&l, "req", LOG_S(rq->id));
	put(&l, "end", LOG_S(end_of(x, how)));
	if (r->kind != ERR_NONE) {
		put(&l, "code", LOG_S(err_code(r->kind)));
		put(&l, "err", LOG_S(r->cause));
	}
	log_write(quiet ? LOG_DEBUG : LOG_INFO, "request", l.fields);
}

static enum http_class class_of(const struct response *r)
{
	if (r->reset)
		return HTTP_RESET;
	if (r->status < 200)
		return HTTP_ABORTED;
	return (enum http_class)(HTTP_2XX + MIN(r->status / 100 - 2, 3));
}

void exchange_on_completed(void *cls, UNUSED struct MHD_Connection *c, void **con_cls,
			   enum MHD_RequestTerminationCode how)
{
	struct exchanges *set = cls;
	struct exchange *x = *con_cls;
	double seconds;

	if (!x)
		return;
	*con_cls = NULL;
	seconds = (double)(clock_mono_ns() - x->rq.started_ns) / 1e9;
	http_metrics_request(route_index(x), class_of(&x->rq.response), x->rq.response.kind,
			     seconds);
	log_request(x, how, seconds);
	exchange_release_body_memory(x);
	buf_deinit(&x->piece);
	pthread_mutex_lock(&set->lock);
	x->park = PARK_OVER;
	pthread_mutex_unlock(&set->lock);
	request_deinit(&x->rq);
	pthread_mutex_lock(&set->lock);
	set->active--;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
	exchange_unref(x);
}
