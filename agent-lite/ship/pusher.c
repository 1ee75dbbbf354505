/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/pusher.h"

#include "agent-lite/ship/jitter.h"
#include "agent-lite/ship/push_queue.h"
#include "agent-lite/ship/push_request.h"
#include "agent-lite/ship/token_file.h"
#include "agent-lite/rights/rights.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ANSWER_MAX = 64 << 10,
	REQUEST_TIMEOUT_MS = 10 * 1000,
	SLOWEST_BYTES_PER_MS = 16, // a large body on a slow line must not time out for ever
	PAUSE_FIRST_MS = 500,
	PAUSE_GROWTH_MAX = 120, // i.e. up to a minute
	RETRY_AFTER_MAX_S = 300,
	// A server that was away gets its backlog from the whole fleet at once.
	REPLAY_GAP_MS = 50,
	REPLAY_BYTES_PER_MS = 1 << 10, // 1 MB/s
	// A body over which the server itself fails, again and again, must not hold up all others.
	FAILURES_MAX = 20,
};

struct pusher {
	char *url;
	char *token_file;
	struct spool *spool; /* NULL: none */
	/* the thread's */
	struct http_client *http;
	uint64_t first_pause_ms, pause_ms;
	uint64_t failed_sequence; /* the server failed (500) over that body, ... */
	unsigned failures;	  /* ... so often */
	struct thread thread;
	pthread_mutex_t mutex; /* guards all below; not held while anything is sent or written */
	pthread_cond_t changed;
	struct push_queue queue;
	uint64_t newest; /* sequence */
	bool failing;	 /* the last attempt was not answered well */
	bool refused;	 /* and will not be in the next seconds: token, path */
	bool disk_failing;
	bool stopping;
	uint64_t stop_at_ms;
	struct pusher_stats stats;
};

/* ---- keeping --------------------------------------------------------------------------------- */

/* Callers hold the mutex. */
static void count_dropped(struct pusher *p, const struct push_body *b)
{
	p->stats.dropped++;
	p->stats.dropped_bytes += b->n;
	p->stats.dropped_samples += b->samples;
}

static void drop_oldest(struct pusher *p)
{
	_cleanup_(push_body_freep) struct push_body *b = push_queue_take(&p->queue);

	count_dropped(p, b);
}

/* Says so when it begins and when it ends, not for each body. */
static void note_disk(struct pusher *p, bool ok, const struct err *err)
{
	bool news;

	pthread_mutex_lock(&p->mutex);
	news = p->disk_failing == ok;
	p->disk_failing = !ok;
	p->stats.disk_failures += !ok;
	pthread_mutex_unlock(&p->mutex);
	if (news && ok)
		LOG(LOG_INFO, "spool_works_again");
	else if (news)
		log_err(LOG_WARN, "spool_failed_memory_only", err, NULL);
}

/* True when the body is safe there, and gone from here. */
static bool to_spool(struct pusher *p, struct push_body *b)
{
	struct err err = ERR_INIT;
	int r;

	if (!p->spool)
		return false;
	r = spool_put(p->spool, b->sequence, (struct str){b->bytes, b->n}, b->samples, &err);
	note_disk(p, r == 0, &err);
	if (r == 0)
		push_body_free(b);
	return r == 0;
}

/* What waits in memory goes to the spool, as long as that takes it. Holds the mutex, but for I/O. */
static void spill(struct pusher *p)
{
	bool ok = p->spool != NULL;

	while (ok && p->queue.first) {
		struct push_body *b = push_queue_take(&p->queue);

		pthread_mutex_unlock(&p->mutex);
		ok = to_spool(p, b);
		pthread_mutex_lock(&p->mutex);
		if (!ok)
			push_queue_put_first(&p->queue, b);
	}
}

/* A full queue loses its oldest. Callers hold the mutex. */
static void keep_in_memory(struct pusher *p, struct push_body *b)
{
	push_queue_put_last(&p->queue, b);
	while (p->queue.bytes > PUSHER_QUEUE_BYTES && p->queue.count > 1)
		drop_oldest(p);
}

/* Grows, and begins behind what a former run has left. Callers hold the mutex. */
static uint64_t next_sequence(struct pusher *p)
{
	p->newest = MAX((uint64_t)clock_unix_ns(), p->newest + 1);
	return p->newest;
}

int pusher_add(struct pusher *p, struct buf *body, uint64_t samples, struct err *e)
{
	struct push_body *b;
	bool to_disk;

	if (push_body_new(body, samples, &b, e) < 0)
		return -1;
	pthread_mutex_lock(&p->mutex);
	b->sequence = next_sequence(p);
	to_disk = p->spool && (p->failing || spool_oldest(p->spool) ||
			       p->queue.bytes + b->n > PUSHER_SPILL_BYTES);
	pthread_mutex_unlock(&p->mutex);
	if (to_disk && to_spool(p, b))
		b = NULL;
	pthread_mutex_lock(&p->mutex);
	if (b)
		keep_in_memory(p, b);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	return 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

enum outcome { SENT, LATER, NEVER };

/* Is it the body's fault? */
static bool never_taken(long status)
{
	static const int statuses[] = {400, 411, 413, 414, 415, 422, 431};

	for (size_t i = 0; i < countof(statuses); i++) {
		if (statuses[i] == status)
			return true;
	}
	return false;
}

static void renew_token(struct pusher *p)
{
	struct err err = ERR_INIT;

	if (token_file_use(p->token_file, p->http, &err) < 0)
		log_err(LOG_WARN, "token_not_renewed", &err, NULL);
}

/* The same body for the 20th time: not ever, then. */
static bool fails_for_ever(struct pusher *p, const struct push_body *b, long status)
{
	if (status != 500)
		return false;
	p->failures = p->failed_sequence == b->sequence ? p->failures + 1 : 1;
	p->failed_sequence = b->sequence;
	return p->failures >= FAILURES_MAX;
}

static enum outcome judge(struct pusher *p, const struct push_body *b,
			  const struct http_response *rs, struct err *e)
{
	bool refused;

	if (rs->status >= 200 && rs->status < 300)
		return SENT;
	if (http_status_err(rs, p->url, e) == 0)
		err_set(e, ERR_UNAVAILABLE, "%s: HTTP %ld", p->url, rs->status);
	if (never_taken(rs->status) || fails_for_ever(p, b, rs->status))
		return NEVER;
	refused = rs->status < 500 && rs->status != 408 && rs->status != 425 && rs->status != 429;
	if (refused)
		renew_token(p);
	pthread_mutex_lock(&p->mutex);
	p->refused = refused;
	pthread_mutex_unlock(&p->mutex);
	return LATER;
}

static enum outcome send_body(struct pusher *p, const struct push_body *b, uint64_t *retry_after_s,
			      struct err *e)
{
	static const char *const headers[] = {"Content-Type: " PUSH_CONTENT_TYPE,
					      "Content-Encoding: " PUSH_CONTENT_ENCODING,
					      "Connect-Protocol-Version: 1", "Expect:", NULL};
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response rs = {0};
	enum outcome outcome;

	rq.method = "POST";
	rq.url = p->url;
	rq.headers = headers;
	rq.body = (struct str){b->bytes, b->n};
	rq.timeout_ms = REQUEST_TIMEOUT_MS + b->n / SLOWEST_BYTES_PER_MS;
	*retry_after_s = 0;
	if (http_do(p->http, &rq, &rs, e) < 0)
		return LATER;
	*retry_after_s = rs.retry_after_s;
	outcome = judge(p, b, &rs, e);
	http_response_deinit(&rs);
	return outcome;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Waiting on would not help: with a spool nothing is lost by going, a refusal does not pass by. */
static bool hopeless(const struct pusher *p)
{
	return p->failing && (p->refused || (p->spool && !p->disk_failing));
}

static bool has_work(const struct pusher *p)
{
	return p->queue.first || (p->spool && spool_oldest(p->spool));
}

static bool must_stop(const struct pusher *p)
{
	return p->stopping &&
	       (!has_work(p) || hopeless(p) || clock_mono_ms() >= p->stop_at_ms);
}

/* Sleeps that long, or until told to stop and out of time. Holds the mutex. */
static void sleep_ms(struct pusher *p, uint64_t ms)
{
	uint64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until && !must_stop(p)) {
		uint64_t end = p->stopping ? MIN(until, p->stop_at_ms) : until;
		struct timespec ts = {(time_t)(end / 1000), (long)(end % 1000) * 1000000};

		pthread_cond_timedwait(&p->changed, &p->mutex, &ts);
	}
}

/* Half to all of the doubled pause, so that a fleet does not knock in step. */
static uint64_t next_pause(struct pusher *p, uint64_t retry_after_s)
{
	uint64_t now = p->pause_ms;

	p->pause_ms = MIN(now * 2, p->first_pause_ms * PAUSE_GROWTH_MAX);
	if (retry_after_s > 0)
		now = MAX(now, 2 * MIN(retry_after_s, (uint64_t)RETRY_AFTER_MAX_S) * 1000);
	return jitter_between(now / 2, now);
}

/* The body that is next: the oldest of memory and spool. 1, 0 when there is none, -1: look again. */
static int take_next(struct pusher *p, struct push_body **ret)
{
	_cleanup_(buf_deinit) struct buf bytes = BUF_INIT(SPOOL_BODY_MAX);
	uint64_t on_disk = p->spool ? spool_oldest(p->spool) : 0;
	uint64_t samples;
	struct err err = ERR_INIT;

	if (p->queue.first && (!on_disk || p->queue.first->sequence < on_disk)) {
		*ret = push_queue_take(&p->queue);
		return 1;
	}
	if (!on_disk)
		return 0;
	pthread_mutex_unlock(&p->mutex);
	if (spool_take(p->spool, on_disk, &bytes, &samples, &err) < 0 ||
	    push_body_new(&bytes, samples, ret, &err) < 0) {
		spool_release(p->spool, on_disk, false);
		if (err.kind != ERR_NOT_FOUND) // then it was dropped just now
			log_err(LOG_WARN, "spool_unreadable", &err, NULL);
		pthread_mutex_lock(&p->mutex);
		if (err.kind != ERR_NOT_FOUND && err.kind != ERR_CORRUPT) // neither is gone
			sleep_ms(p, PAUSE_FIRST_MS);
		return -1;
	}
	(*ret)->sequence = on_disk;
	(*ret)->on_disk = true;
	pthread_mutex_lock(&p->mutex);
	return 1;
}

/* Done with it, wherever it is. Holds the mutex, but for I/O. */
static void forget(struct pusher *p, struct push_body *b)
{
	if (b->on_disk) {
		pthread_mutex_unlock(&p->mutex);
		spool_release(p->spool, b->sequence, true);
		pthread_mutex_lock(&p->mutex);
	}
	push_body_free(b);
}

static void handle_sent(struct pusher *p, struct push_body *b)
{
	uint64_t gap = b->on_disk ? REPLAY_GAP_MS + b->n / REPLAY_BYTES_PER_MS : 0;

	if (p->failing)
		LOG(LOG_INFO, "push_works_again");
	p->failing = false;
	p->refused = false;
	p->pause_ms = p->first_pause_ms;
	p->stats.pushes++;
	p->stats.bytes += b->n;
	p->stats.samples += b->samples;
	p->stats.replayed += b->on_disk;
	forget(p, b);
	if (!p->stopping)
		sleep_ms(p, gap);
}

static void handle_refused(struct pusher *p, struct push_body *b, const struct err *err)
{
	p->stats.last = *err;
	p->stats.refused++;
	count_dropped(p, b);
	log_err(LOG_ERROR, "push_dropped", err,
		(const struct log_field[]){{"samples", LOG_U(b->samples)}, {NULL, {0}}});
	forget(p, b);
}

static void handle_failure(struct pusher *p, struct push_body *b, const struct err *err,
			   uint64_t wait_ms)
{
	p->stats.last = *err;
	p->stats.retries++;
	p->failing = true;
	log_err(LOG_WARN, "push_retry", err,
		(const struct log_field[]){{"wait_ms", LOG_U(wait_ms)}, {NULL, {0}}});
	if (b->on_disk) {
		spool_release(p->spool, b->sequence, false);
		push_body_free(b);
	} else {
		push_queue_put_first(&p->queue, b);
	}
	spill(p);
	sleep_ms(p, wait_ms);
}

static void attempt(struct pusher *p, struct push_body *b)
{
	struct err err = ERR_INIT;
	uint64_t retry_after_s;
	enum outcome outcome;

	pthread_mutex_unlock(&p->mutex);
	outcome = send_body(p, b, &retry_after_s, &err);
	pthread_mutex_lock(&p->mutex);
	if (outcome == SENT)
		handle_sent(p, b);
	else if (outcome == NEVER)
		handle_refused(p, b, &err);
	else
		handle_failure(p, b, &err, next_pause(p, retry_after_s));
}

static void *run(void *arg)
{
	struct pusher *p = arg;
	struct err err = ERR_INIT;

	if (rights_keep(RIGHTS_FOR_SENDING, &err) < 0)
		log_err(LOG_WARN, "rights_kept", &err, NULL);
	pthread_mutex_lock(&p->mutex);
	while (!must_stop(p)) {
		struct push_body *b;
		int r = take_next(p, &b);

		if (r > 0)
			attempt(p, b);
		else if (r == 0)
			pthread_cond_wait(&p->changed, &p->mutex);
	}
	spill(p);
	while (p->queue.first)
		drop_oldest(p);
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int set_url(struct pusher *p, const char *server, struct err *e)
{
	struct str s = str_from(server);

	// One that libcurl never takes would be tried again for ever.
	if (!http_url_is_valid(p->http, server))
		return err_set(e, ERR_USAGE,
			       "--server %s: give it as http://HOST:PORT or https://…", server);
	while (str_has_suffix(s, STR("/")))
		s.n--;
	if (asprintf(&p->url, STR_FMT PUSH_PATH, STR_ARG(s)) < 0) {
		p->url = NULL;
		return err_nomem(e);
	}
	return 0;
}

static void init_sync(struct pusher *p)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&p->mutex, NULL);
}

static int set_up(struct pusher *p, const struct pusher_config *config, struct err *e)
{
	if (config->token_file && !(p->token_file = mem_strdup(config->token_file)))
		return err_nomem(e);
	if (http_client_new("unhex-agent/" UNHEX_VERSION, ANSWER_MAX, &p->http, e) < 0 ||
	    set_url(p, config->server, e) < 0 ||
	    token_file_use(p->token_file, p->http, e) < 0)
		return -1;
	if (config->spool_dir) {
		if (spool_open(config->spool_dir, config->spool_bytes, &p->spool, e) < 0)
			return -1;
		p->newest = spool_newest(p->spool);
	}
	return thread_start(&p->thread, "push", run, p, e);
}

int pusher_new(const struct pusher_config *config, struct pusher **ret, struct err *e)
{
	struct pusher *p = mem_zalloc(sizeof(*p));

	if (!p)
		return err_nomem(e);
	p->first_pause_ms = config->pause_ms ? config->pause_ms : PAUSE_FIRST_MS;
	p->pause_ms = p->first_pause_ms;
	init_sync(p);
	if (set_up(p, config, e) < 0) {
		pusher_free(p);
		return -1;
	}
	*ret = p;
	return 0;
}

void pusher_stats(struct pusher *p, struct pusher_stats *ret)
{
	pthread_mutex_lock(&p->mutex);
	*ret = p->stats;
	ret->waiting = p->queue.count;
	ret->waiting_bytes = p->queue.bytes;
	pthread_mutex_unlock(&p->mutex);
	if (p->spool)
		spool_stats(p->spool, &ret->spool);
}

void pusher_stop(struct pusher *p, uint64_t grace_ms)
{
	pthread_mutex_lock(&p->mutex);
	p->stopping = true;
	p->stop_at_ms = clock_mono_ms() + grace_ms;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	thread_join(&p->thread);
}

void pusher_free(struct pusher *p)
{
	struct push_body *b;

	if (!p)
		return;
	pusher_stop(p, 0);
	while ((b = push_queue_take(&p->queue)))
		push_body_free(b);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->mutex);
	http_client_free(p->http);
	spool_close(p->spool);
	free(p->token_file);
	free(p->url);
	free(p);
}
