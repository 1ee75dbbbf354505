/* SPDX-License-Identifier: Apache-2.0 */
#include "server/respond.h"

#include "base/json.h"
#include "server/request.h"
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { RETRY_AFTER_S = 2 };

const char *http_reason(int status)
{
	return MHD_get_reason_phrase_for((unsigned)status);
}

void response_deinit(struct response *r)
{
	buf_deinit(&r->body);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

// What an earlier answer held is dropped; headers stay.
static struct response *start(struct request *rq, int status, const char *content_type)
{
	struct response *r = &rq->response;

	response_deinit(r);
	r->status = status;
	r->content_type = content_type;
	r->offset = 0;
	r->size = 0;
	r->reset = false;
	r->kind = ERR_NONE;
	return r;
}

void respond_buf(struct request *rq, int status, const char *content_type, struct buf *take)
{
	struct response *r = start(rq, status, content_type);

	r->body = *take;
	r->size = take->n;
	*take = BUF_INIT(take->max);
}

void respond_bytes(struct request *rq, int status, const char *content_type, struct str bytes)
{
	struct buf copy = BUF_INIT(SIZE_MAX);

	buf_append_str(&copy, bytes);
	respond_buf(rq, copy.failed ? 503 : status, content_type, &copy);
}

int respond_json(struct request *rq, struct buf *take, struct err *e)
{
	buf_append_c(take, '\n');
	if (buf_check(take, "the answer", e)) {
		buf_deinit(take);
		return -1;
	}
	respond_buf(rq, 200, "application/json", take);
	return 0;
}

void respond_empty(struct request *rq, int status)
{
	start(rq, status, NULL);
}

void respond_fd(struct request *rq, int status, const char *content_type, int fd, uint64_t offset,
		uint64_t size)
{
	struct response *r = start(rq, status, content_type);

	r->fd = fd;
	r->offset = offset;
	r->size = size;
}

void respond_header(struct request *rq, const char *name, const char *fmt, ...)
{
	struct response *r = &rq->response;
	char text[2048];
	struct str value;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text) || r->header_count == RESPONSE_HEADERS_MAX)
		return;
	value = arena_str(&rq->arena, (struct str){text, (size_t)n});
	if (value.p)
		r->headers[r->header_count++] = (struct response_header){name, value.p};
}

// What went wrong inside is for the log, under the request's ID; not for everyone.
static const char *public_detail(const struct request *rq, const struct err *e,
				 char out[static 128])
{
	if (err_http_status(e->kind) != 500)
		return e->msg;
	snprintf(out, 128, "the server failed; its log has the reason under request ID %s", rq->id);
	return out;
}

static void put_problem(const struct request *rq, const struct err *e, struct buf *out)
{
	struct json_out j = JSON_OUT(out);
	char detail[128];

	json_obj(&j);
	json_kv_cstr(&j, "title", http_reason(err_http_status(e->kind)));
	json_kv_u64(&j, "status", (uint64_t)err_http_status(e->kind));
	json_kv_cstr(&j, "code", err_code(e->kind));
	json_kv_cstr(&j, "detail", public_detail(rq, e, detail));
	json_kv_cstr(&j, "request_id", rq->id);
	json_end_obj(&j);
	buf_append_c(out, '\n');
}

// connectrpc.com/docs/protocol "Error codes".
static const char *connect_code(int status)
{
	switch (status) {
	case 400:
	case 415:
		return "invalid_argument";
	case 401:
		return "unauthenticated";
	case 403:
		return "permission_denied";
	case 404:
	case 405:
	case 501:
		return "unimplemented";
	case 413:
	case 429:
	case 507:
		return "resource_exhausted";
	case 500:
		return "internal";
	case 504:
		return "deadline_exceeded";
	default:
		return "unavailable";
	}
}

static void put_connect(const struct request *rq, const struct err *e, struct buf *out)
{
	struct json_out j = JSON_OUT(out);
	char detail[128];

	json_obj(&j);
	json_kv_cstr(&j, "code", connect_code(err_http_status(e->kind)));
	json_kv_cstr(&j, "message", public_detail(rq, e, detail));
	json_end_obj(&j);
}

static void put_plain(const struct request *rq, const struct err *e, struct buf *out)
{
	char detail[128];

	buf_printf(out, "%s\n", public_detail(rq, e, detail));
}

static void note_cause(struct response *r, const struct err *e)
{
	r->kind = e->kind;
	snprintf(r->cause, sizeof(r->cause), "%.*s", (int)sizeof(r->cause) - 1, e->msg);
}

void respond_reset(struct request *rq, const struct err *e)
{
	struct response *r = start(rq, err_http_status(e->kind), NULL);

	r->reset = true;
	note_cause(r, e);
}

void respond_err(struct request *rq, const struct err *e)
{
	static const struct {
		const char *content_type;
		void (*put)(const struct request *rq, const struct err *e, struct buf *out);
	} forms[] = {
		[STYLE_PROBLEM] = {"application/problem+json", put_problem},
		[STYLE_CONNECT] = {"application/json", put_connect},
		[STYLE_PLAIN] = {"text/plain; charset=utf-8", put_plain},
	};
	struct buf body = BUF_INIT(RESPONSE_ERROR_MAX);
	int status = err_http_status(e->kind);

	if (rq->style == STYLE_PLAIN && status >= 500) {
		respond_reset(rq, e);
		return;
	}
	forms[rq->style].put(rq, e, &body);
	respond_buf(rq, status, forms[rq->style].content_type, &body);
	note_cause(&rq->response, e);
	if (e->kind == ERR_UNAUTHORIZED)
		respond_header(rq, "WWW-Authenticate", "Bearer realm=\"unhex\"");
	if (err_retryable(e->kind))
		respond_header(rq, "Retry-After", "%d", RETRY_AFTER_S);
	buf_deinit(&body);
}
