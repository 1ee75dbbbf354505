/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request.h"

#include "base/clock.h"
#include "base/compress.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>

void request_init(struct request *rq, void *app)
{
	*rq = (struct request){
		.app = app,
		.style = STYLE_PROBLEM,
		.body = BUF_INIT(SIZE_MAX),
		.started_ns = clock_mono_ns(),
		.response = RESPONSE_INIT,
		.arena = ARENA_INIT(REQUEST_ARENA_MAX),
	};
}

void request_deinit(struct request *rq)
{
	if (rq->state_free)
		rq->state_free(rq->state);
	rq->state = NULL;
	rq->state_free = NULL;
	buf_deinit(&rq->body);
	response_deinit(&rq->response);
	arena_deinit(&rq->arena);
}

int request_add_header(struct request *rq, struct str name, struct str value, struct err *e)
{
	struct request_header h;

	if (!rq->headers)
		rq->headers = arena_array(&rq->arena, REQUEST_HEADERS_MAX, struct request_header);
	if (!rq->headers)
		return err_nomem(e);
	if (rq->header_count == REQUEST_HEADERS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "more than %d request headers",
			       REQUEST_HEADERS_MAX);
	h.name = arena_str(&rq->arena, name);
	h.value = arena_str(&rq->arena, str_trim(value));
	if (!h.name.p || !h.value.p)
		return err_nomem(e);
	rq->headers[rq->header_count++] = h;
	return 0;
}

static bool is_plain_id(struct str id)
{
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];
		bool alnum =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!alnum && c != '-' && c != '_' && c != '.')
			return false;
	}
	return id.n > 0 && id.n <= REQUEST_ID_MAX;
}

// Unique in this process by the count, and most likely everywhere by the random start.
static void make_id(char out[static REQUEST_ID_MAX + 1])
{
	static _Atomic uint64_t next;
	uint64_t n = atomic_load(&next);
	uint64_t start;

	if (!n && getrandom(&start, sizeof(start), 0) == (ssize_t)sizeof(start))
		atomic_compare_exchange_strong(&next, &n, start | 1);
	snprintf(out, REQUEST_ID_MAX + 1, "%016" PRIx64, atomic_fetch_add(&next, 1));
}

void request_set_id(struct request *rq)
{
	struct str given = request_header(rq, "X-Request-Id");

	if (is_plain_id(given)) {
		memcpy(rq->id, given.p, given.n);
		rq->id[given.n] = '\0';
	} else {
		make_id(rq->id);
	}
}

struct str request_header(const struct request *rq, const char *name)
{
	for (size_t i = 0; i < rq->header_count; i++) {
		if (str_eq_nocase(rq->headers[i].name, str_from(name)))
			return rq->headers[i].value;
	}
	return STR_EMPTY;
}

bool request_arg(const struct request *rq, const char *name, struct str *ret)
{
	return target_arg(&rq->target, name, ret);
}

bool request_flag(const struct request *rq, const char *name)
{
	struct str text;
	bool on;

	if (!request_arg(rq, name, &text))
		return false;
	return !text.n || (str_to_bool(text, &on) && on);
}

int request_wait_ms(const struct request *rq, uint64_t fallback_ms, uint64_t *ret, struct err *e)
{
	struct str text;
	uint64_t ms = fallback_ms;

	if (request_arg(rq, "wait", &text) && !str_to_duration_ms(text, &ms))
		return err_set(e, ERR_BAD_REQUEST,
			       "wait='" STR_FMT "' is not a number of seconds (0 to %d)",
			       STR_ARG(text), REQUEST_WAIT_MAX_S);
	*ret = MIN(ms, (uint64_t)REQUEST_WAIT_MAX_S * 1000);
	return 0;
}

int request_u64(const struct request *rq, const char *name, uint64_t fallback, uint64_t max,
		uint64_t *ret, struct err *e)
{
	struct str text;
	uint64_t n = fallback;

	if (request_arg(rq, name, &text) && !str_to_u64(text, max, &n))
		return err_set(e, ERR_BAD_REQUEST,
			       "%s='" STR_FMT "' is not a number from 0 to %" PRIu64, name,
			       STR_ARG(text), max);
	*ret = n;
	return 0;
}

bool request_content_type_is(const struct request *rq, const char *type)
{
	struct str rest = request_header(rq, "Content-Type");
	struct str media;

	return str_next(&rest, ';', &media) && str_eq_nocase(str_trim(media), str_from(type));
}

int request_identity_body(const struct request *rq, struct buf *out, struct err *e)
{
	struct str coding = request_header(rq, "Content-Encoding");
	struct str body = buf_str(&rq->body);

	if (!coding.n || str_eq_nocase(coding, STR("identity"))) {
		buf_append_str(out, body);
		return buf_check(out, "the request body", e);
	}
	if (str_eq_nocase(coding, STR("gzip")) || str_eq_nocase(coding, STR("x-gzip")))
		return gzip_decompress(body, out, e);
	if (str_eq_nocase(coding, STR("zstd")))
		return zstd_decompress(body, out, e);
	return err_set(e, ERR_UNSUPPORTED,
		       "Content-Encoding '" STR_FMT "' is not supported; use gzip, zstd or none",
		       STR_ARG(coding));
}

int request_build_ids(struct request *rq, struct str text, struct build_id ret[static 2],
		      struct err *e)
{
	int n = build_id_parse(text, ret, e);

	if (n > 0)
		build_id_text(&ret[0], rq->build_id);
	return n;
}
