/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/pusher.h"

#include "agent-lite/push_request.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	TOKEN_MAX = 4096,
	ANSWER_MAX = 64 << 10,
	REQUEST_TIMEOUT_MS = 10 * 1000,
	PAUSE_FIRST_MS = 500,
	PAUSE_MAX_MS = 60 * 1000,
	RETRY_AFTER_MAX_S = 300,
};

struct body {
	struct body *next;
	char *bytes;
	size_t n;
};

struct pusher {
	char *url;
	struct http_client *http; /* the thread's */
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t changed;
	struct body *first;
	struct body **last;
	size_t queued_bytes;
	bool stopping;
	uint64_t stop_at_ms;
	struct pusher_stats stats;
};

/* ---- the queue; callers hold the mutex ---------------------------------------------------------
 */

static struct body *take_first(struct pusher *p)
{
	struct body *b = p->first;

	if (!b)
		return NULL;
	p->first = b->next;
	if (!p->first)
		p->last = &p->first;
	p->queued_bytes -= b->n;
	p->stats.waiting--;
	return b;
}

static void put_first(struct pusher *p, struct body *b)
{
	b->next = p->first;
	if (!p->first)
		p->last = &b->next;
	p->first = b;
	p->queued_bytes += b->n;
	p->stats.waiting++;
}

static void put_last(struct pusher *p, struct body *b)
{
	b->next = NULL;
	*p->last = b;
	p->last = &b->next;
	p->queued_bytes += b->n;
	p->stats.waiting++;
}

static void body_free(struct body *b)
{
	if (!b)
		return;
	free(b->bytes);
	free(b);
}

static void drop_oldest(struct pusher *p)
{
	body_free(take_first(p));
	p->stats.dropped++;
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static bool must_stop(const struct pusher *p)
{
	return p->stopping && (!p->first || clock_mono_ms() >= p->stop_at_ms);
}

/* Sleeps that long, or until told to stop and out of time. */
static void pause_ms(struct pusher *p, uint64_t ms)
{
	uint64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until && !must_stop(p)) {
		uint64_t end = p->stopping ? MIN(until, p->stop_at_ms) : until;
		struct timespec ts = {(time_t)(end / 1000), (long)(end % 1000) * 1000000};

		pthread_cond_timedwait(&p->changed, &p->mutex, &ts);
	}
}

/* Half to all of the doubled pause, so that a fleet does not knock in step. */
static uint64_t next_pause(uint64_t *pause, uint64_t retry_after_s)
{
	uint64_t now = *pause;
	uint32_t random = 0;

	*pause = MIN(now * 2, (uint64_t)PAUSE_MAX_MS);
	if (retry_after_s > 0)
		return MIN(retry_after_s, (uint64_t)RETRY_AFTER_MAX_S) * 1000;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	return now / 2 + random % (now / 2 + 1);
}

static int send_body(struct pusher *p, const struct body *b, uint64_t *retry_after_s, struct err *e)
{
	static const char *const headers[] = {"Content-Type: " PUSH_CONTENT_TYPE,
					      "Connect-Protocol-Version: 1", "Expect:", NULL};
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response rs = {0};
	int r;

	rq.method = "POST";
	rq.url = p->url;
	rq.headers = headers;
	rq.body = (struct str){b->bytes, b->n};
	rq.timeout_ms = REQUEST_TIMEOUT_MS;
	*retry_after_s = 0;
	if (http_do(p->http, &rq, &rs, e) < 0)
		return -1;
	*retry_after_s = rs.retry_after_s;
	r = http_status_err(&rs, p->url, e);
	http_response_deinit(&rs);
	return r;
}

/* After a failure: try again later, or give the body up. Holds the mutex. */
static void handle_failure(struct pusher *p, struct body *b, const struct err *err,
			   uint64_t wait_ms)
{
	bool again = err_retryable(err->kind);

	p->stats.last = *err;
	log_err(again ? LOG_WARN : LOG_ERROR, again ? "push_retry" : "push_dropped", err, NULL);
	if (!again) {
		p->stats.dropped++;
		body_free(b);
		return;
	}
	p->stats.retries++;
	put_first(p, b);
	pause_ms(p, wait_ms);
}

static void *run(void *arg)
{
	struct pusher *p = arg;
	uint64_t pause = PAUSE_FIRST_MS;

	pthread_mutex_lock(&p->mutex);
	while (!must_stop(p)) {
		struct body *b = take_first(p);
		struct err err = ERR_INIT;
		uint64_t retry_after_s;
		int r;

		if (!b) {
			pthread_cond_wait(&p->changed, &p->mutex);
			continue;
		}
		pthread_mutex_unlock(&p->mutex);
		r = send_body(p, b, &retry_after_s, &err);
		pthread_mutex_lock(&p->mutex);
		if (r < 0) {
			handle_failure(p, b, &err, next_pause(&pause, retry_after_s));
			continue;
		}
		pause = PAUSE_FIRST_MS;
		p->stats.pushes++;
		p->stats.bytes += b->n;
		body_free(b);
	}
	while (p->first)
		drop_oldest(p);
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int set_token(struct pusher *p, const char *file, struct err *e)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(TOKEN_MAX);
	char token[TOKEN_MAX + 1];
	struct str trimmed;

	if (!file)
		return 0;
	if (io_read_file(file, &b, e) < 0)
		return err_wrap(e, "--token-file");
	trimmed = str_trim(buf_str(&b));
	if (trimmed.n == 0)
		return err_set(e, ERR_CONFIG, "--token-file %s is empty", file);
	snprintf(token, sizeof(token), STR_FMT, STR_ARG(trimmed));
	return http_client_token(p->http, token, e);
}

static int set_url(struct pusher *p, const char *server, struct err *e)
{
	struct str s = str_from(server);

	if (!str_has_prefix(s, STR("http://")) && !str_has_prefix(s, STR("https://")))
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

static int start_thread(struct pusher *p, struct err *e)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return err_sys(e, r, "starting the push thread");
	p->started = true;
	return 0;
}

int pusher_new(const struct pusher_config *config, struct pusher **ret, struct err *e)
{
	struct pusher *p = mem_zalloc(sizeof(*p));

	if (!p)
		return err_nomem(e);
	p->last = &p->first;
	init_sync(p);
	if (set_url(p, config->server, e) < 0 ||
	    http_client_new("unhex-agent/" UNHEX_VERSION, ANSWER_MAX, &p->http, e) < 0 ||
	    set_token(p, config->token_file, e) < 0 || start_thread(p, e) < 0) {
		pusher_free(p);
		return -1;
	}
	*ret = p;
	return 0;
}

int pusher_add(struct pusher *p, struct buf *body, struct err *e)
{
	struct body *b = mem_zalloc(sizeof(*b));

	if (!b)
		return err_nomem(e);
	b->bytes = buf_steal(body, &b->n);
	if (!b->bytes) {
		free(b);
		return err_nomem(e);
	}
	pthread_mutex_lock(&p->mutex);
	put_last(p, b);
	while (p->queued_bytes > PUSHER_QUEUE_BYTES && p->first->next)
		drop_oldest(p);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	return 0;
}

void pusher_stats(struct pusher *p, struct pusher_stats *ret)
{
	pthread_mutex_lock(&p->mutex);
	*ret = p->stats;
	pthread_mutex_unlock(&p->mutex);
}

void pusher_stop(struct pusher *p, uint64_t grace_ms)
{
	if (!p->started)
		return;
	pthread_mutex_lock(&p->mutex);
	p->stopping = true;
	p->stop_at_ms = clock_mono_ms() + grace_ms;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->mutex);
	pthread_join(p->thread, NULL);
	p->started = false;
}

void pusher_free(struct pusher *p)
{
	if (!p)
		return;
	pusher_stop(p, 0);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->mutex);
	http_client_free(p->http);
	free(p->url);
	free(p);
}
