/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP transfer from one upstream server: set up, received, judged. */
#include "debuginfod/upstream_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	REDIRECTS_MAX = 5,
	TRANSFER_MAX_S = 2 * 3600,
	ERROR_PAGE_MAX = 64 * 1024, // read and dropped, so that the connection can be used again
	DAY_S = 24 * 3600,
};

// ---- receiving ----------------------------------------------------------------------------------------

// Lines of all answers come by, also of those that redirect; the last one counts.
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	static const struct str size_header = {"x-debuginfod-size:", 18};
	struct attempt *a = ctx;
	struct str line = {p, size * n};
	struct str name = {p, MIN(line.n, size_header.n)};
	uint64_t promised;

	if (str_has_prefix(line, STR("HTTP/")))
		a->promised = UINT64_MAX;
	else if (str_eq_nocase(name, size_header) &&
		 str_to_u64(str_trim(str_skip(line, name.n)), UINT64_MAX, &promised))
		a->promised = promised;
	return line.n;
}

// Counts n more bytes of today; false when the day's allowance is used up.
static bool charge_day(struct upstream *u, uint64_t n)
{
	int64_t today = clock_unix_s() / DAY_S;

	if (today != u->day) {
		u->day = today;
		u->day_bytes = 0;
	}
	u->day_bytes += n;
	return !u->cfg.max_day_bytes || u->day_bytes <= u->cfg.max_day_bytes;
}

static int keep_bytes(struct attempt *a, const char *p, size_t n)
{
	struct upstream *u = a->upstream;
	struct err *e = &a->failure;

	if (a->promised != UINT64_MAX && a->promised > u->cfg.max_file_bytes)
		return err_set(e, ERR_TOO_LARGE, "the file has %" PRIu64 " bytes, more than the %" PRIu64
			       " allowed", a->promised, u->cfg.max_file_bytes);
	if (n > u->cfg.max_file_bytes - a->bytes)
		return err_set(e, ERR_TOO_LARGE, "the file is larger than the %" PRIu64 " bytes allowed",
			       u->cfg.max_file_bytes);
	if (!charge_day(u, n))
		return err_set(e, ERR_QUOTA, "the day's allowance of %" PRIu64
			       " bytes from upstream is used up", u->cfg.max_day_bytes);
	if (a->fd < 0)
		a->fd = io_tmpfile(u->staging_dir, e);
	if (a->fd < 0 || io_write_all(a->fd, p, n, e))
		return -1;
	a->bytes += n;
	return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct attempt *a = ctx;

	n *= size;
	curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->status);
	if (a->status == 200)
		return keep_bytes(a, p, n) ? 0 : n;
	a->bytes += n;
	return a->bytes > ERROR_PAGE_MAX ? 0 : n;
}

// ---- setting up ---------------------------------------------------------------------------------------

static bool set_url(struct attempt *a)
{
	char id[BUILD_ID_TEXT];
	struct buf url = BUF_INIT(8192);
	bool ok;

	build_id_text(&a->fetch->id, id);
	buf_printf(&url, "%s/buildid/%s/%s", a->server->url, id, a->fetch->artifact);
	ok = !url.failed && curl_easy_setopt(a->easy, CURLOPT_URL, url.p) == CURLE_OK;
	buf_deinit(&url);
	return ok;
}

static void set_limits(CURL *c, const struct upstream_config *cfg)
{
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)MIN(cfg->max_file_bytes, INT64_MAX));
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)cfg->connect_timeout_ms);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)UPSTREAM_SLOW_BYTES_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)MAX(cfg->stall_timeout_ms / 1000, 1u));
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)TRANSFER_MAX_S);
}

static bool set_up(struct attempt *a)
{
	CURL *c = a->easy = curl_easy_init();

	if (!c)
		return false;
	a->headers = curl_slist_append(NULL, a->fetch->forwarded);
	if (!a->headers || !set_url(a))
		return false;
	set_limits(c, &a->upstream->cfg);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(c, CURLOPT_USERAGENT, a->upstream->user_agent);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, a->headers);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, a->curl_text);
	curl_easy_setopt(c, CURLOPT_PRIVATE, a);
	return true;
}

struct attempt *upstream_attempt_new(struct upstream *u, struct fetch *f, struct server *s,
				     struct err *e)
{
	struct attempt *a = mem_zalloc(sizeof(*a));

	if (!a) {
		err_nomem(e);
		return NULL;
	}
	a->fetch = f;
	a->server = s;
	a->upstream = u;
	a->fd = -1;
	a->promised = UINT64_MAX;
	if (!set_up(a)) {
		err_nomem(e);
		upstream_attempt_end(u, a);
		return NULL;
	}
	a->waiting = true;
	if (!s->line)
		s->line_tail = &s->line;
	*s->line_tail = a;
	s->line_tail = &a->line_next;
	upstream_start_waiting(u);
	return a;
}

// ---- taking turns -------------------------------------------------------------------------------------

static void leave_line(struct server *s, struct attempt *a)
{
	struct attempt **at = &s->line;

	while (*at != a)
		at = &(*at)->line_next;
	*at = a->line_next;
	if (s->line_tail == &a->line_next)
		s->line_tail = at;
	a->line_next = NULL;
	a->waiting = false;
}

void upstream_start_waiting(struct upstream *u)
{
	for (unsigned i = 0; i < u->server_count; i++) {
		struct server *s = &u->servers[i];

		while (s->line && s->active < u->cfg.per_server) {
			struct attempt *a = s->line;

			if (curl_multi_add_handle(u->multi, a->easy) != CURLM_OK)
				return; // out of memory: tried again later
			leave_line(s, a);
			s->active++;
			a->began_ms = clock_mono_ms();
		}
	}
}

void upstream_attempt_end(struct upstream *u, struct attempt *a)
{
	if (a->waiting) {
		leave_line(a->server, a);
	} else if (a->began_ms) {
		curl_multi_remove_handle(u->multi, a->easy);
		a->server->active--;
	}
	curl_easy_cleanup(a->easy);
	curl_slist_free_all(a->headers);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

bool upstream_fetch_is_brisk(const struct fetch *f, uint64_t now_ms)
{
	for (unsigned i = 0; i < f->attempt_count; i++) {
		const struct attempt *a = f->attempts[i];
		uint64_t ms = now_ms - a->began_ms;

		if (!a->waiting && a->bytes / (ms / 1000 + 1) >= UPSTREAM_BRISK_BYTES_S)
			return true;
	}
	return false;
}

// ---- judging --------------------------------------------------------------------------------------------

static void describe(const struct attempt *a, CURLcode code, struct err *e)
{
	const char *text = *a->curl_text ? a->curl_text : curl_easy_strerror(code);

	switch (code) {
	case CURLE_OK:
		err_set(e, ERR_UPSTREAM, "answered with HTTP status %ld", a->status);
		break;
	case CURLE_PARTIAL_FILE:
		err_set(e, ERR_UPSTREAM, "the answer was cut off after %" PRIu64 " bytes", a->bytes);
		break;
	case CURLE_FILESIZE_EXCEEDED:
		err_set(e, ERR_TOO_LARGE, "the file is larger than the %" PRIu64 " bytes allowed",
			a->upstream->cfg.max_file_bytes);
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
		err_set(e, ERR_UPSTREAM, "redirected to something that is not http(s): %s", text);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		err_set(e, ERR_TIMEOUT, "no answer in time: %s", text);
		break;
	default:
		err_set(e, ERR_UPSTREAM, "%s", text);
		break;
	}
}

static int check_body(struct attempt *a, struct err *e)
{
	if (a->fd < 0)
		return err_set(e, ERR_UPSTREAM, "the answer was empty");
	if (a->promised != UINT64_MAX && a->promised != a->bytes)
		return err_set(e, ERR_UPSTREAM, "%" PRIu64 " bytes came where X-DEBUGINFOD-SIZE says %"
			       PRIu64, a->bytes, a->promised);
	if (lseek(a->fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "rewinding the staging file");
	return 0;
}

enum upstream_outcome upstream_attempt_outcome(struct attempt *a, CURLcode code,
					       struct err *failure)
{
	struct err e = a->failure;

	curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->status);
	if (a->status == 404 || a->status == 410)
		return UPSTREAM_NONE;
	if (!e.kind && code == CURLE_OK && a->status == 200 && !check_body(a, &e))
		return UPSTREAM_OK;
	if (!e.kind)
		describe(a, code, &e);
	err_wrap(&e, "%s", a->server->name);
	*failure = e;
	return UPSTREAM_FAILED;
}
