/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_client.h"

#include "base/cleanup.h"
#include "base/curl_easy.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	REDIRECTS_MAX = 5,
	CONNECT_TIMEOUT_S = 5,
	LOW_SPEED_S = 60, // at less than a byte a second
	HEADERS_MAX = 64 * 1024,
};

struct http_client {
	CURL *curl;
	char *user_agent;
	char *authorization; // the whole header line, or NULL
	size_t max_body;
};

// One request under way. `failed` is what a callback ran into, which curl only knows as "aborted".
struct transfer {
	CURL *curl;
	const struct http_request *rq;
	struct http_response *response;
	uint64_t sent;
	struct err failed;
	char curl_says[CURL_ERROR_SIZE];
};

DEFINE_CLEANUP(struct http_client *, http_client_free)

int http_client_new(const char *user_agent, size_t max_body, struct http_client **ret,
		    struct err *e)
{
	_cleanup_(http_client_freep) struct http_client *c = NULL;

	if (curl_easy_load(e))
		return -1;
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return err_nomem(e);
	c->max_body = max_body;
	c->user_agent = mem_strdup(user_agent);
	c->curl = curl_easy.init();
	if (!c->user_agent || !c->curl)
		return err_nomem(e);
	*ret = steal_ptr(c);
	return 0;
}

// A control character would end the header line and start another.
static bool fits_header(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

int http_client_token(struct http_client *c, const char *token, struct err *e)
{
	static const char head[] = "Authorization: Bearer ";
	size_t size = sizeof(head) + (token ? strlen(token) : 0);
	char *line = NULL;

	if (token) {
		if (!fits_header(token))
			return err_set(e, ERR_CONFIG,
				       "the token holds a line break or another control character");
		line = mem_alloc(size);
		if (!line)
			return err_nomem(e);
		snprintf(line, size, "%s%s", head, token);
	}
	free(c->authorization);
	c->authorization = line;
	return 0;
}

static bool is_success(CURL *curl)
{
	long status = 0;

	curl_easy.getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	size_t n = size * count;
	int rc;

	if (t->rq->out_fd >= 0 && is_success(t->curl)) {
		rc = io_write_all(t->rq->out_fd, p, n, &t->failed);
	} else {
		buf_append(&t->response->body, p, n);
		rc = buf_check(&t->response->body, "the response", &t->failed);
	}
	return rc ? CURL_WRITEFUNC_ERROR : n;
}

// Each response of a chain (100 Continue, redirects) starts anew; the last one's headers stay.
static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	struct str line = {p, size * count};

	if (str_has_prefix(line, STR("HTTP/")))
		buf_clear(&t->response->headers);
	buf_append_str(&t->response->headers, line);
	return buf_check(&t->response->headers, "the response's header", &t->failed) ? 0 : line.n;
}

static uint64_t body_size(const struct http_request *rq)
{
	return rq->body_fd >= 0 ? rq->body_size : rq->body.n;
}

static size_t on_upload(char *p, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	const struct http_request *rq = t->rq;
	size_t n = (size_t)MIN(body_size(rq) - t->sent, (uint64_t)(size * count));

	if (rq->body_fd >= 0) {
		if (n && io_pread_all(rq->body_fd, p, n, t->sent, &t->failed))
			return CURL_READFUNC_ABORT;
	} else if (n) {
		memcpy(p, rq->body.p + t->sent, n);
	}
	t->sent += n;
	return n;
}

// curl goes back when a redirect or a dropped connection makes it send again.
static int on_rewind(void *ctx, curl_off_t off, int origin)
{
	struct transfer *t = ctx;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > body_size(t->rq))
		return CURL_SEEKFUNC_CANTSEEK;
	t->sent = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	struct transfer *t = ctx;

	if (t->rq->stop && atomic_load(t->rq->stop))
		return 1;
	if (!t->rq->progress)
		return 0;
	if (up_total > 0)
		t->rq->progress(t->rq->progress_ctx, (uint64_t)up, (uint64_t)up_total);
	else
		t->rq->progress(t->rq->progress_ctx, (uint64_t)down, (uint64_t)down_total);
	return 0;
}

static int add_header(struct curl_slist **list, const char *line, struct err *e)
{
	struct curl_slist *longer = curl_easy.slist_append(*list, line);

	if (!longer)
		return err_nomem(e);
	*list = longer;
	return 0;
}

static int collect_headers(const struct http_client *c, const struct http_request *rq,
			   struct curl_slist **list, struct err *e)
{
	if (c->authorization && add_header(list, c->authorization, e))
		return -1;
	for (const char *const *h = rq->headers; h && *h; h++) {
		if (!fits_header(*h))
			return err_set(e, ERR_BAD_REQUEST, "a request header holds a line break");
		if (add_header(list, *h, e))
			return -1;
	}
	return 0;
}

static void set_limits(CURL *curl, const struct http_request *rq)
{
	curl_easy.setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy.setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy.setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy.setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy.setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy.setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy.setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy.setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_S);
	if (rq->send_bytes_per_s)
		curl_easy.setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)rq->send_bytes_per_s);
	curl_easy.setopt(curl, CURLOPT_TIMEOUT_MS, (long)MIN(rq->timeout_ms, (uint64_t)INT32_MAX));
}

static void set_callbacks(CURL *curl, struct transfer *t)
{
	curl_easy.setopt(curl, CURLOPT_ERRORBUFFER, t->curl_says);
	curl_easy.setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy.setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy.setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy.setopt(curl, CURLOPT_HEADERDATA, t);
	if (t->rq->progress || t->rq->stop) {
		curl_easy.setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy.setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy.setopt(curl, CURLOPT_XFERINFODATA, t);
	}
}

static void set_method(CURL *curl, struct transfer *t)
{
	const char *method = t->rq->method;

	if (strcmp(method, "HEAD") == 0) {
		curl_easy.setopt(curl, CURLOPT_NOBODY, 1L);
		return;
	}
	if (body_size(t->rq) || strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0) {
		curl_easy.setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy.setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_size(t->rq));
		curl_easy.setopt(curl, CURLOPT_READFUNCTION, on_upload);
		curl_easy.setopt(curl, CURLOPT_READDATA, t);
		curl_easy.setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
		curl_easy.setopt(curl, CURLOPT_SEEKDATA, t);
	}
	if (strcmp(method, "GET") != 0)
		curl_easy.setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

static enum err_kind kind_of(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return ERR_USAGE;
	case CURLE_OUT_OF_MEMORY:
		return ERR_NOMEM;
	default:
		return ERR_UNAVAILABLE;
	}
}

static int transfer_error(struct transfer *t, CURLcode code, struct err *e)
{
	if (t->failed.kind != ERR_NONE) {
		if (e)
			*e = t->failed;
		return err_wrap(e, "%s %s", t->rq->method, t->rq->url);
	}
	return err_set(e, kind_of(code), "%s %s: %s", t->rq->method, t->rq->url,
		       t->curl_says[0] ? t->curl_says : curl_easy.strerror(code));
}

static void note_result(CURL *curl, struct http_response *r)
{
	const char *type = NULL;
	curl_off_t wait = 0;

	curl_easy.getinfo(curl, CURLINFO_RESPONSE_CODE, &r->status);
	curl_easy.getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	curl_easy.getinfo(curl, CURLINFO_RETRY_AFTER, &wait);
	snprintf(r->content_type, sizeof(r->content_type), "%s", type ? type : "");
	r->retry_after_s = wait > 0 ? (uint64_t)wait : 0;
}

static int perform(struct http_client *c, struct transfer *t, struct curl_slist *headers,
		   struct err *e)
{
	CURLcode code;

	curl_easy.reset(c->curl); // keeps connections
	set_limits(c->curl, t->rq);
	set_callbacks(c->curl, t);
	set_method(c->curl, t);
	curl_easy.setopt(c->curl, CURLOPT_URL, t->rq->url);
	curl_easy.setopt(c->curl, CURLOPT_USERAGENT, c->user_agent);
	curl_easy.setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	code = curl_easy.perform(c->curl);
	if (code != CURLE_OK)
		return transfer_error(t, code, e);
	note_result(c->curl, t->response);
	return 0;
}

int http_do(struct http_client *c, const struct http_request *rq, struct http_response *ret,
	    struct err *e)
{
	struct http_response response = {.body = BUF_INIT(c->max_body),
					 .headers = BUF_INIT(HEADERS_MAX)};
	struct transfer t = {.curl = c->curl, .rq = rq, .response = &response};
	struct curl_slist *headers = NULL;
	int rc;

	rc = collect_headers(c, rq, &headers, e);
	if (!rc)
		rc = perform(c, &t, headers, e);
	curl_easy.slist_free_all(headers);
	if (rc)
		http_response_deinit(&response);
	else
		*ret = response;
	return rc;
}

void http_response_deinit(struct http_response *r)
{
	buf_deinit(&r->body);
	buf_deinit(&r->headers);
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy.cleanup(c->curl);
	free(c->user_agent);
	free(c->authorization);
	free(c);
}

// The client is there to have libcurl loaded.
bool http_url_is_valid(const struct http_client *c UNUSED, const char *url)
{
	struct str s = str_from(url);
	CURLU *parts;
	bool ok;

	// libcurl takes a third slash for a slip of the pen.
	if (str_has_prefix(s, STR("http:///")) || str_has_prefix(s, STR("https:///")))
		return false;
	if (!str_has_prefix(s, STR("http://")) && !str_has_prefix(s, STR("https://")))
		return false;
	parts = curl_easy.url();
	ok = parts && curl_easy.url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;
	curl_easy.url_cleanup(parts);
	return ok;
}

static enum err_kind kind_of_status(long status)
{
	static const enum err_kind kinds[] = {
		ERR_UNAUTHORIZED, ERR_FORBIDDEN,    ERR_NOT_FOUND, ERR_METHOD,  ERR_CONFLICT,
		ERR_TOO_LARGE,	  ERR_UNSUPPORTED,  ERR_RATE_LIMITED, ERR_NO_SPACE, ERR_TIMEOUT,
		ERR_LENGTH_REQUIRED,
	};

	for (size_t i = 0; i < countof(kinds); i++) {
		if (err_http_status(kinds[i]) == status)
			return kinds[i];
	}
	return status >= 500 ? ERR_UNAVAILABLE : ERR_BAD_REQUEST;
}

// RFC 9457, with our own member "code"; or connectrpc.com/docs/protocol "Unary
// (Request-Response RPCs)", which says "message". Members that are absent stay empty.
static enum err_kind read_problem(const json_t *problem, enum err_kind by_status, struct str *detail)
{
	struct str code = json_get_str(problem, "code");
	enum err_kind kind = err_kind_from_code(code.p);

	*detail = json_get_str(problem, "detail");
	if (!detail->n)
		*detail = json_get_str(problem, "message");
	if (!detail->n)
		*detail = json_get_str(problem, "title");
	// An unknown code says less than the status.
	return kind == ERR_NONE || (kind == ERR_INTERNAL && !str_is(code, err_code(ERR_INTERNAL)))
		       ? by_status
		       : kind;
}

int http_status_err(const struct http_response *r, const char *url, struct err *e)
{
	enum err_kind kind = kind_of_status(r->status);
	struct str detail = STR_EMPTY;
	json_t *problem = NULL;

	if (r->status < 400)
		return 0;
	if (memmem(r->content_type, strlen(r->content_type), "json", 4) &&
	    json_parse(buf_str(&r->body), &problem, NULL) == 0)
		kind = read_problem(problem, kind, &detail);
	err_set(e, kind, "%s: HTTP %ld%s" STR_FMT, url, r->status, detail.n ? ": " : "",
		STR_ARG(detail));
	json_decref(problem);
	return -1;
}

struct str http_header(const struct http_response *r, const char *name)
{
	struct str rest = buf_str(&r->headers);
	struct str line;
	struct str key;

	while (str_next(&rest, '\n', &line)) {
		if (str_next(&line, ':', &key) && line.p && str_eq_nocase(key, str_from(name)))
			return str_trim(line);
	}
	return STR_EMPTY;
}
