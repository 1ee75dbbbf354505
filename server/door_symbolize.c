/* SPDX-License-Identifier: Apache-2.0 */
#include "server/doors.h"

#include "base/clock.h"
#include "base/compress.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/app.h"
#include "server/negotiate.h"
#include "server/seen.h"
#include "server/waiting.h"
#include "symbolizer/pprof.h"
#include "symbolizer/pprof_symbolize.h"
#include "symbolizer/symbolize_json.h"

enum { WAIT_DEFAULT_MS = 30 * 1000, RETRY_AFTER_S = 5, ZSTD_LEVEL = 1 };
// A profile decoded and symbolized takes several times its bytes.
static const size_t ARENA_BASE = MIB(64), ARENA_PER_BYTE = 16, JSON_ANSWER_MAX = GIB(1);

// What is kept while the request is parked: not the decoded body, which is decoded anew.
struct job {
	struct binaries_view *view;
	uint64_t deadline_ms;
	struct symbolize_options options;
	size_t pending;
};

static void job_free(void *state)
{
	struct job *job = state;

	binaries_view_free(job->view);
	free(job);
}

static int parse_rename(const struct request *rq, enum rename_policy *ret, struct err *e)
{
	struct str text;

	*ret = RENAME_BETTER;
	if (!request_arg(rq, "rename", &text) || str_is(text, "better"))
		return 0;
	if (str_is(text, "never") || str_is(text, "always")) {
		*ret = str_is(text, "never") ? RENAME_NEVER : RENAME_ALWAYS;
		return 0;
	}
	return err_set(e, ERR_BAD_REQUEST, "rename='" STR_FMT "' is not never, better or always",
		       STR_ARG(text));
}

static int parse_addresses(const struct request *rq, bool *ret_virtual, struct err *e)
{
	struct str text;

	*ret_virtual = false;
	if (!request_arg(rq, "addresses", &text) || str_is(text, "mapped"))
		return 0;
	*ret_virtual = str_is(text, "virtual");
	return *ret_virtual
		       ? 0
		       : err_set(e, ERR_BAD_REQUEST,
				 "addresses='" STR_FMT "' is not mapped or virtual", STR_ARG(text));
}

static int open_job(struct request *rq, struct err *e)
{
	struct job *job;
	uint64_t wait_ms;

	if (rq->state) {
		binaries_view_reset(((struct job *)rq->state)->view);
		return 0;
	}
	job = mem_zalloc(sizeof(*job));
	if (!job)
		return err_nomem(e);
	if (request_wait_ms(rq, WAIT_DEFAULT_MS, &wait_ms, e) ||
	    parse_rename(rq, &job->options.rename, e) ||
	    parse_addresses(rq, &job->options.addresses_are_virtual, e) ||
	    binaries_view_new(app_of(rq)->binaries, &job->view, e)) {
		free(job);
		return -1;
	}
	job->deadline_ms = clock_mono_ms() + wait_ms;
	rq->state = job;
	rq->state_free = job_free;
	return 0;
}

static void say_pending(struct request *rq, size_t pending)
{
	respond_header(rq, "Unhex-Pending", "%zu", pending);
	if (pending)
		respond_header(rq, "Retry-After", "%d", RETRY_AFTER_S);
}

static int wait_or_go_on(struct request *rq, struct err *e)
{
	struct job *job = rq->state;

	return wait_for_view(rq, app_of(rq)->binaries, job->view, job->deadline_ms, e);
}

// ---- JSON -------------------------------------------------------------------------------------

static int symbolize_json_body(struct request *rq, struct str body, struct err *e)
{
	struct job *job = rq->state;
	struct buf out = BUF_INIT(JSON_ANSWER_MAX);
	int rc = symbolize_json(body, binaries_view_resolver(job->view),
				&symbolize_json_limits_default, &out, &job->pending, e);

	if (rc == 0)
		rc = wait_or_go_on(rq, e);
	if (rc == DOOR_DONE) {
		respond_buf(rq, 200, "application/json", &out);
		say_pending(rq, job->pending);
	}
	buf_deinit(&out);
	return rc;
}

// ---- pprof ------------------------------------------------------------------------------------

// gzip is what a .pb.gz is; zstd is a coding on top of the plain profile, for those who ask for it.
static bool wants_zstd(const struct request *rq)
{
	struct str accept = request_header(rq, "Accept-Encoding");
	unsigned zstd = accept_weight(accept, "zstd");

	return zstd && zstd >= accept_weight(accept, "gzip");
}

static int answer_pprof(struct request *rq, const struct pprof *p, struct err *e)
{
	struct buf plain = BUF_INIT(GIB(2));
	struct buf packed = BUF_INIT(GIB(2));
	bool zstd = wants_zstd(rq);
	int rc = pprof_encode(p, &plain, e);

	if (rc == 0 && zstd)
		rc = zstd_compress(buf_str(&plain), ZSTD_LEVEL, &packed, e);
	else if (rc == 0)
		rc = gzip_compress_fast(buf_str(&plain), &packed, e);
	if (rc == 0) {
		respond_buf(rq, 200, "application/octet-stream", &packed);
		respond_header(rq, "Vary", "Accept-Encoding");
		if (zstd)
			respond_header(rq, "Content-Encoding", "zstd");
		say_pending(rq, ((struct job *)rq->state)->pending);
	}
	buf_deinit(&plain);
	buf_deinit(&packed);
	return rc;
}

// Losing the count of what is missing is no reason to withhold the answer.
static void note_missing(struct request *rq, const struct seen_batch *seen)
{
	struct err e = ERR_INIT;

	if (seen_batch_add(seen, app_of(rq)->catalog, &e))
		log_err(LOG_WARN, "seen_not_noted", &e, NULL);
}

static int symbolize_profile(struct request *rq, struct str identity, struct arena *arena,
			     struct err *e)
{
	struct job *job = rq->state;
	struct pprof_limits limits = pprof_limits_default;
	struct symbolize_options options = job->options;
	struct symbolize_stats stats;
	struct seen_batch seen;
	struct pprof profile;
	int rc;

	limits.identity_bytes = app_of(rq)->config->max_decompressed;
	if (pprof_decode(identity, &limits, arena, &profile, e) || seen_batch_init(&seen, arena, e))
		return -1;
	options.on_module = seen_batch_note;
	options.on_module_ctx = &seen;
	if (pprof_symbolize(&profile, binaries_view_resolver(job->view), &options, &stats, e))
		return -1;
	job->pending = stats.pending_modules;
	rc = wait_or_go_on(rq, e);
	if (rc != DOOR_DONE)
		return rc;
	note_missing(rq, &seen);
	return answer_pprof(rq, &profile, e);
}

static int symbolize_pprof_body(struct request *rq, struct str body, struct err *e)
{
	struct buf identity = BUF_INIT(app_of(rq)->config->max_decompressed);
	struct arena arena = ARENA_INIT(0);
	struct str plain = body;
	int rc = 0;

	if (encoding_sniff(body) != ENCODING_IDENTITY) {
		rc = decompress_any(body, &identity, e);
		plain = buf_str(&identity);
	}
	arena.cap = ARENA_BASE + plain.n * ARENA_PER_BYTE;
	if (rc == 0)
		rc = symbolize_profile(rq, plain, &arena, e);
	arena_deinit(&arena);
	buf_deinit(&identity);
	return rc;
}

int door_symbolize(struct request *rq, struct err *e)
{
	struct buf body = BUF_INIT(app_of(rq)->config->max_decompressed);
	int rc;

	if (!rq->body.n)
		return err_set(e, ERR_BAD_REQUEST,
			       "the body is empty: send JSON "
			       "({\"modules\":[…]}, Content-Type: application/json) or a pprof");
	rc = open_job(rq, e);
	if (rc == 0)
		rc = request_identity_body(rq, &body, e);
	if (rc == 0)
		rc = request_content_type_is(rq, "application/json")
			     ? symbolize_json_body(rq, buf_str(&body), e)
			     : symbolize_pprof_body(rq, buf_str(&body), e);
	buf_deinit(&body);
	return rc;
}
