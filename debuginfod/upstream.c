/* SPDX-License-Identifier: Apache-2.0 */
#include "debuginfod/upstream.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "debuginfod/upstream_internal.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	QUEUE_MAX = 16384,  // fetches under way or waiting
	POLL_IDLE_MS = 60000,
	DOWN_AFTER = 5,     // transport failures in a row
	DOWN_MS = 30000,    // then the server is left alone for so long
};

// ---- servers ----------------------------------------------------------------------------------------

static bool is_http_url(struct str url)
{
	return str_has_prefix(url, STR("http://")) || str_has_prefix(url, STR("https://"));
}

// RFC 3986, 3.2.
static bool ends_authority(char c)
{
	return c == '/' || c == '?' || c == '#';
}

// Whoever may ask this server need not know how it shows itself to others.
static char *without_password(struct str url)
{
	size_t scheme = str_has_prefix(url, STR("https://")) ? 8 : 7;
	struct str rest = str_skip(url, scheme);
	size_t authority = 0;
	size_t host = 0;
	struct buf name = BUF_INIT(url.n + 1);

	while (authority < rest.n && !ends_authority(rest.p[authority]))
		authority++;
	for (size_t i = 0; i < authority; i++) {
		if (rest.p[i] == '@')
			host = i + 1;
	}
	buf_append(&name, url.p, scheme);
	buf_append_str(&name, str_skip(rest, host));
	return buf_steal(&name, NULL);
}

static int add_server(struct upstream *u, struct str url, struct err *e)
{
	struct server *s;

	if (!url.n || str_has_prefix(url, STR("ima:")))
		return 0;
	if (!is_http_url(url))
		return err_set(e, ERR_CONFIG,
			       "upstream '" STR_FMT "' is not an http:// or https:// URL", STR_ARG(url));
	if (u->server_count == UPSTREAM_SERVERS_MAX)
		return err_set(e, ERR_CONFIG, "more than %d upstream servers", UPSTREAM_SERVERS_MAX);
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	s = &u->servers[u->server_count];
	s->url = mem_strndup(url.p, url.n);
	s->name = without_password(url);
	u->server_count++;
	if (!s->url || !s->name)
		return err_nomem(e);
	return 0;
}

bool upstream_server_is_down(const struct server *s, uint64_t now_ms)
{
	return s->failures >= DOWN_AFTER && now_ms < s->down_until_ms;
}

// `transport`: it did not even answer.
static void note_health(struct server *s, bool transport)
{
	if (!transport) {
		s->failures = 0;
		return;
	}
	if (s->failures < DOWN_AFTER)
		s->failures++;
	if (s->failures >= DOWN_AFTER)
		s->down_until_ms = clock_mono_ms() + DOWN_MS;
}

// ---- fetches, on the upstream thread -------------------------------------------------------------------

static void free_fetch(struct fetch *f)
{
	free(f->forwarded);
	free(f);
}

// Out of the list, its attempts ended, its callback called.
static void finish_fetch(struct upstream *u, struct fetch *f, const struct upstream_result *r)
{
	for (unsigned i = 0; i < f->attempt_count; i++)
		upstream_attempt_end(u, f->attempts[i]);
	if (f->prev)
		f->prev->next = f->next;
	else
		u->fetches = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->done(f->ctx, r);
	free_fetch(f);
	atomic_fetch_sub(&u->pending, 1);
}

static void finish_failed(struct upstream *u, struct fetch *f, const struct err *why)
{
	struct upstream_result r = {.outcome = UPSTREAM_FAILED, .fd = -1, .err = *why};

	finish_fetch(u, f, &r);
}

// Every server has said no, or failed.
static void finish_without(struct upstream *u, struct fetch *f)
{
	struct upstream_result r = {.outcome = UPSTREAM_NONE, .fd = -1};

	if (f->last_failure.kind)
		finish_failed(u, f, &f->last_failure);
	else
		finish_fetch(u, f, &r);
}

/*
 * Asks the next server in the order of preference. False when there is none left.
 */
static bool ask_next(struct upstream *u, struct fetch *f)
{
	while (f->next_server < u->server_count) {
		struct server *s = &u->servers[f->next_server++];
		struct attempt *a;

		if (upstream_server_is_down(s, clock_mono_ms())) {
			err_set(&f->last_failure, ERR_UPSTREAM,
				"%s did not answer lately and is left alone for a while", s->name);
			continue;
		}
		a = upstream_attempt_new(u, f, s, &f->last_failure);
		if (!a)
			continue;
		f->attempts[f->attempt_count++] = a;
		f->ask_next_ms = clock_mono_ms() + u->cfg.first_byte_timeout_ms;
		return true;
	}
	return false;
}

static void remove_attempt(struct fetch *f, struct attempt *a)
{
	for (unsigned i = 0; i < f->attempt_count; i++) {
		if (f->attempts[i] == a) {
			f->attempts[i] = f->attempts[--f->attempt_count];
			return;
		}
	}
}

// The first whole body wins.
static void attempt_won(struct upstream *u, struct fetch *f, struct attempt *a)
{
	struct upstream_result r = {.outcome = UPSTREAM_OK, .fd = steal_fd(&a->fd), .url = a->server->name};

	finish_fetch(u, f, &r);
}

static void attempt_done(struct upstream *u, struct attempt *a, CURLcode code)
{
	struct fetch *f = a->fetch;
	enum upstream_outcome outcome = upstream_attempt_outcome(a, code, &f->last_failure);

	note_health(a->server, outcome == UPSTREAM_FAILED && !a->status);
	if (outcome == UPSTREAM_OK) {
		attempt_won(u, f, a);
		return;
	}
	remove_attempt(f, a);
	upstream_attempt_end(u, a);
	if (!ask_next(u, f) && !f->attempt_count)
		finish_without(u, f);
}

// ---- the thread ------------------------------------------------------------------------------------------

static void take_asked(struct upstream *u)
{
	struct fetch *f;

	pthread_mutex_lock(&u->lock);
	f = u->asked;
	u->asked = NULL;
	u->asked_tail = &u->asked;
	pthread_mutex_unlock(&u->lock);
	while (f) {
		struct fetch *next = f->next;

		f->prev = NULL;
		f->next = u->fetches;
		if (u->fetches)
			u->fetches->prev = f;
		u->fetches = f;
		if (!ask_next(u, f))
			finish_without(u, f);
		f = next;
	}
}

// A server that lets us wait does not get to hold up the others.
static void hedge(struct upstream *u)
{
	uint64_t now = clock_mono_ms();
	struct fetch *next;

	for (struct fetch *f = u->fetches; f; f = next) {
		next = f->next;
		if (f->next_server >= u->server_count || now < f->ask_next_ms)
			continue;
		if (upstream_fetch_is_brisk(f, now))
			f->ask_next_ms = now + u->cfg.first_byte_timeout_ms;
		else if (!ask_next(u, f) && !f->attempt_count)
			finish_without(u, f);
	}
}

static int next_hedge_ms(const struct upstream *u)
{
	uint64_t now = clock_mono_ms();
	uint64_t wait = POLL_IDLE_MS;

	for (const struct fetch *f = u->fetches; f; f = f->next) {
		if (f->next_server < u->server_count)
			wait = MIN(wait, f->ask_next_ms > now ? f->ask_next_ms - now : 0);
	}
	return (int)wait;
}

static void collect_done(struct upstream *u)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(u->multi, &left))) {
		struct attempt *a = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&a);
		attempt_done(u, a, m->data.result);
	}
}

static void abort_all(struct upstream *u)
{
	struct err why;

	err_set(&why, ERR_SHUTTING_DOWN, "the server is shutting down");
	take_asked(u);
	while (u->fetches)
		finish_failed(u, u->fetches, &why);
}

static void *run(void *arg)
{
	struct upstream *u = arg;
	int running;

	while (!atomic_load(&u->stopping)) {
		take_asked(u);
		curl_multi_perform(u->multi, &running);
		collect_done(u);
		hedge(u);
		upstream_start_waiting(u);
		curl_multi_poll(u->multi, NULL, 0, next_hedge_ms(u), NULL);
	}
	abort_all(u);
	return NULL;
}

// ---- the interface ---------------------------------------------------------------------------------------

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int set_up(struct upstream *u, const struct upstream_config *cfg, struct err *e)
{
	uint32_t random;

	u->cfg = *cfg;
	u->cfg.urls = NULL;
	u->cfg.per_server = MAX(cfg->per_server, 1u);
	u->staging_dir = mem_strdup(cfg->staging_dir);
	u->user_agent = mem_strdup(cfg->user_agent);
	u->multi = curl_multi_init();
	if (!u->staging_dir || !u->user_agent || !u->multi)
		return err_nomem(e);
	for (char *const *url = cfg->urls; url && *url; url++) {
		if (add_server(u, str_trim(str_from(*url)), e))
			return -1;
	}
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint32_t)clock_mono_ns();
	snprintf(u->token, sizeof(u->token), "unhex-%08" PRIx32, random);
	return thread_start(&u->thread, "upstream", run, u, e);
}

int upstream_new(const struct upstream_config *cfg, struct upstream **ret, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct upstream *u = mem_zalloc(sizeof(*u));

	if (!u)
		return err_nomem(e);
	pthread_once(&once, init_curl);
	pthread_mutex_init(&u->lock, NULL);
	u->asked_tail = &u->asked;
	if (set_up(u, cfg, e)) {
		upstream_free(u);
		return -1;
	}
	*ret = u;
	return 0;
}

bool upstream_configured(const struct upstream *u)
{
	return u->server_count > 0;
}

const char *upstream_token(const struct upstream *u)
{
	return u->token;
}

static struct fetch *new_fetch(const struct upstream *u, const struct upstream_ask *ask)
{
	struct fetch *f = mem_zalloc(sizeof(*f));
	bool forwarded = ask->forwarded && *ask->forwarded;
	struct buf header = BUF_INIT(4096);

	if (!f)
		return NULL;
	buf_printf(&header, "X-Forwarded-For: %s%s%s", forwarded ? ask->forwarded : "",
		   forwarded ? ", " : "", u->token);
	f->forwarded = buf_steal(&header, NULL);
	f->id = *ask->id;
	f->artifact = ask->artifact;
	f->done = ask->done;
	f->ctx = ask->ctx;
	f->last_failure = ERR_INIT;
	if (!f->forwarded) {
		free(f);
		return NULL;
	}
	return f;
}

// False when the thread has stopped, or is about to.
static bool hand_over(struct upstream *u, struct fetch *f)
{
	bool taken = false;

	pthread_mutex_lock(&u->lock);
	if (!atomic_load(&u->stopping)) {
		*u->asked_tail = f;
		u->asked_tail = &f->next;
		taken = true;
	}
	pthread_mutex_unlock(&u->lock);
	return taken;
}

int upstream_fetch(struct upstream *u, const struct upstream_ask *ask, struct err *e)
{
	struct fetch *f;

	if (!u->server_count)
		return err_set(e, ERR_UNAVAILABLE, "no upstream debuginfod server is configured");
	if (ask->id->kind != BUILD_ID_GNU)
		return err_set(e, ERR_INTERNAL, "only GNU build-IDs can be asked of upstream");
	if (atomic_fetch_add(&u->pending, 1) >= QUEUE_MAX) {
		atomic_fetch_sub(&u->pending, 1);
		return err_set(e, ERR_OVERLOADED, "too many fetches from upstream are under way");
	}
	f = new_fetch(u, ask);
	if (f && hand_over(u, f)) {
		curl_multi_wakeup(u->multi);
		return 0;
	}
	atomic_fetch_sub(&u->pending, 1);
	if (!f)
		return err_nomem(e);
	free_fetch(f);
	return err_set(e, ERR_SHUTTING_DOWN, "the server is shutting down");
}

void upstream_stop(struct upstream *u)
{
	if (!u->thread.started)
		return;
	pthread_mutex_lock(&u->lock);
	atomic_store(&u->stopping, true);
	pthread_mutex_unlock(&u->lock);
	curl_multi_wakeup(u->multi);
	thread_join(&u->thread);
}

void upstream_free(struct upstream *u)
{
	if (!u)
		return;
	upstream_stop(u);
	if (u->multi)
		curl_multi_cleanup(u->multi);
	for (unsigned i = 0; i < u->server_count; i++) {
		free(u->servers[i].url);
		free(u->servers[i].name);
	}
	free(u->staging_dir);
	free(u->user_agent);
	pthread_mutex_destroy(&u->lock);
	free(u);
}
