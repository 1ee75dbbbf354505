/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/give/giver.h"

#include "agent-lite/give/giver_ids.h"
#include "agent-lite/give/giver_upload.h"
#include "agent-lite/ship/jitter.h"
#include "agent-lite/rights/rights.h"
#include "agent-lite/ship/token_file.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	QUESTION_MAX = 512 << 10,
	ANSWER_MAX = 256 << 10,
	URL_BYTES = 1024,
	ASK_TIMEOUT_MS = 30 * 1000,
	HAND_TIMEOUT_MS = 30 * 1000,
	PAUSE_MAX_MS = 1800 * 1000, // after failures
	FIRST_QUESTION_MS = 3000,   // a batch or two may have come by then
};

/* What passes between the two threads about one file. */
enum handing { HANDING_NOTHING, HANDING_NEEDED, HANDING_DONE };

struct giver {
	struct giver_config config; /* strings are our own */
	char *server, *token_file, *tmp_dir, *elf_program;
	struct giver_stats told; /* the owner's */
	/* the thread's */
	struct http_client *http;
	struct wanted_id asked[WANTED_ASKED_MAX];
	uint64_t failure_pause_ms; /* 0: the last try went well */
	struct thread thread;
	atomic_bool stopping;
	pthread_mutex_t mutex; /* guards all below; not held while anything is sent or read */
	pthread_cond_t changed;
	struct giver_ids ids;
	enum handing handing;
	char needed[BUILD_ID_TEXT];
	int handed; /* fd */
	struct giver_stats stats;
};

/* ---- waiting --------------------------------------------------------------------------------- */

/* Until the time is over, what is waited for has come, or it is to stop. Holds the mutex. */
static void wait_until(struct giver *g, uint64_t until_ms, enum handing leave_at)
{
	const struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};

	while (!atomic_load(&g->stopping) && clock_mono_ms() < until_ms &&
	       !(leave_at != HANDING_NOTHING && g->handing == leave_at))
		pthread_cond_timedwait(&g->changed, &g->mutex, &until);
}

static void sleep_ms(struct giver *g, uint64_t ms)
{
	pthread_mutex_lock(&g->mutex);
	wait_until(g, clock_mono_ms() + ms, HANDING_NOTHING);
	pthread_mutex_unlock(&g->mutex);
}

/* The owner is asked for the file; its descriptor, or -1. */
static int need_file(struct giver *g, const char *id)
{
	int fd;

	pthread_mutex_lock(&g->mutex);
	snprintf(g->needed, sizeof(g->needed), "%s", id);
	g->handing = HANDING_NEEDED;
	wait_until(g, clock_mono_ms() + HAND_TIMEOUT_MS, HANDING_DONE);
	fd = g->handing == HANDING_DONE ? g->handed : -1;
	g->handed = -1;
	g->handing = HANDING_NOTHING;
	pthread_mutex_unlock(&g->mutex);
	return fd;
}

/* ---- failures -------------------------------------------------------------------------------- */

static void note_failure(struct giver *g, uint64_t *counter, const char *event, const char *id,
			 const struct err *why)
{
	pthread_mutex_lock(&g->mutex);
	(*counter)++;
	g->stats.last = *why;
	pthread_mutex_unlock(&g->mutex);
	log_err(LOG_INFO, event, why, (const struct log_field[]){{"build_id", LOG_S(id)}, {NULL, {0}}});
}

/* Every try after a failure waits twice as long as the one before. */
static void slow_down(struct giver *g, uint64_t at_least_ms)
{
	uint64_t pause = MIN(MAX(2 * g->failure_pause_ms, g->config.interval_ms), (uint64_t)PAUSE_MAX_MS);

	g->failure_pause_ms = MAX(pause, at_least_ms);
}

/* ---- giving ---------------------------------------------------------------------------------- */

static enum upload_outcome give_file(struct giver *g, const struct upload *u, uint64_t *bytes,
				     struct err *e)
{
	_cleanup_close_ int fd = need_file(g, u->id);

	if (fd < 0) {
		err_set(e, ERR_NOT_FOUND, "no running process has it mapped any more, or it cannot be opened");
		return UPLOAD_UNREADABLE;
	}
	return upload_file(u, fd, bytes, e);
}

static void note_sent(struct giver *g, const struct wanted_id *w, uint64_t bytes)
{
	pthread_mutex_lock(&g->mutex);
	*(w->is_list ? &g->stats.lists : &g->stats.files) += 1;
	g->stats.bytes += bytes;
	giver_ids_put_off(&g->ids, w->text, clock_mono_ms() + GIVER_DONE_MS);
	pthread_mutex_unlock(&g->mutex);
	LOG(LOG_INFO, "gave", {"build_id", LOG_S(w->text)},
	    {"type", LOG_S(w->is_list ? "kallsyms" : "debuginfo")}, {"bytes", LOG_U(bytes)});
}

static void put_off(struct giver *g, const struct wanted_id *w, uint64_t ms)
{
	pthread_mutex_lock(&g->mutex);
	giver_ids_put_off(&g->ids, w->text, clock_mono_ms() + ms);
	pthread_mutex_unlock(&g->mutex);
}

/* False: the server is not there; the rest would fail as well. */
static bool give(struct giver *g, struct elf_child *reader, const struct wanted_id *w)
{
	const struct upload u = {&g->config, g->http, reader, &g->stopping, w->text};
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	switch (w->is_list ? upload_list(&u, &bytes, &err) : give_file(g, &u, &bytes, &err)) {
	case UPLOAD_SENT:
		note_sent(g, w, bytes);
		return true;
	case UPLOAD_UNREADABLE:
		if (atomic_load(&g->stopping))
			return false;
		note_failure(g, &g->stats.unreadable, "not_given", w->text, &err);
		// Another process may have it mapped tomorrow; a stripped file stays so.
		put_off(g, w, err.kind == ERR_NOT_FOUND ? GIVER_PAUSE_MAX_MS : GIVER_REFUSED_MS);
		return true;
	case UPLOAD_REFUSED:
		note_failure(g, &g->stats.refused, "gift_refused", w->text, &err);
		put_off(g, w, GIVER_REFUSED_MS);
		return true;
	default:
		if (atomic_load(&g->stopping))
			return false;
		note_failure(g, &g->stats.failures, "gift_failed", w->text, &err);
		slow_down(g, 0);
		return false;
	}
}

static void give_all(struct giver *g, const size_t *wanted, size_t n)
{
	struct elf_child *reader;
	struct err err = ERR_INIT;
	bool well = true;

	if (elf_child_new(g->config.elf_program, &reader, &err) < 0) {
		note_failure(g, &g->stats.failures, "gift_failed", "", &err);
		return;
	}
	for (size_t i = 0; i < n && well && !atomic_load(&g->stopping); i++)
		well = give(g, reader, &g->asked[wanted[i]]);
	elf_child_free(reader); // it is not needed for the next minutes
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int ask_server(struct giver *g, struct str question, struct http_response *ret, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	struct http_request rq = HTTP_REQUEST_INIT;
	char url[URL_BYTES];

	if ((size_t)snprintf(url, sizeof(url), "%s/v1/debuginfo/wanted", g->server) >= sizeof(url))
		return err_set(e, ERR_USAGE, "--server is too long");
	rq.method = "POST";
	rq.url = url;
	rq.headers = headers;
	rq.body = question;
	rq.timeout_ms = ASK_TIMEOUT_MS;
	rq.stop = &g->stopping;
	if (token_file_use(g->token_file, g->http, e) < 0 || http_do(g->http, &rq, ret, e) < 0)
		return -1;
	if (ret->status == 200)
		return 0;
	slow_down(g, 1000 * ret->retry_after_s);
	if (http_status_err(ret, url, e) == 0)
		err_set(e, ERR_UNAVAILABLE, "%s: HTTP %ld", url, ret->status);
	http_response_deinit(ret);
	return -1;
}

static int question(struct giver *g, size_t n, size_t *wanted, size_t *wanted_n, struct err *e)
{
	_cleanup_(buf_deinit) struct buf body = BUF_INIT(QUESTION_MAX);
	struct http_response rs;
	int r;

	wanted_write(g->asked, n, &body);
	if (buf_check(&body, "the question what is wanted", e) < 0 ||
	    ask_server(g, buf_str(&body), &rs, e) < 0)
		return -1;
	r = wanted_read(buf_str(&rs.body), g->asked, n, wanted, wanted_n, e);
	http_response_deinit(&rs);
	return r;
}

/* What is not wanted now is asked about later. */
static void note_answer(struct giver *g, size_t n, const size_t *wanted, size_t wanted_n)
{
	pthread_mutex_lock(&g->mutex);
	g->stats.questions++;
	g->stats.wanted += wanted_n;
	giver_ids_answered(&g->ids, g->asked, n, wanted, wanted_n, clock_mono_ms());
	pthread_mutex_unlock(&g->mutex);
}

static void round_of(struct giver *g)
{
	size_t wanted[WANTED_GIVEN_MAX];
	size_t n, wanted_n = 0;
	struct err err = ERR_INIT;

	pthread_mutex_lock(&g->mutex);
	n = giver_ids_due(&g->ids, clock_mono_ms(), g->asked);
	pthread_mutex_unlock(&g->mutex);
	if (n == 0)
		return;
	if (question(g, n, wanted, &wanted_n, &err) < 0) {
		if (atomic_load(&g->stopping))
			return;
		slow_down(g, 0);
		note_failure(g, &g->stats.failures, "not_asked", "", &err);
		return;
	}
	g->failure_pause_ms = 0;
	note_answer(g, n, wanted, wanted_n);
	if (wanted_n > 0)
		give_all(g, wanted, wanted_n);
}

static void *run(void *arg)
{
	enum { NICEST = 19 };
	struct giver *g = arg;
	struct err err = ERR_INIT;

	if (rights_keep(RIGHTS_FOR_GIVING, &err) < 0)
		log_err(LOG_WARN, "rights_kept", &err, NULL);
	// Of this thread alone, as Linux has it; its sandboxed child inherits it.
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICEST);
	sleep_ms(g, MIN((uint64_t)FIRST_QUESTION_MS, g->config.interval_ms));
	while (!atomic_load(&g->stopping)) {
		round_of(g);
		sleep_ms(g, jitter_interval(MAX(g->config.interval_ms, g->failure_pause_ms)));
	}
	return NULL;
}

/* ---- the owner's side ------------------------------------------------------------------------ */

static void saw_module(struct giver *g, const struct module *m, uint64_t now)
{
	bool is_kernel = strcmp(m->filename, "[kernel]") == 0;

	// A file's hash is of all of it: what is given would have another.
	if (str_has_prefix(str_from(m->build_id), STR("htl-")))
		return;
	// The vdso has no file; the kernel none here.
	if (m->build_id[0] && strcmp(m->filename, "[vdso]") != 0 &&
	    (!is_kernel || g->config.kernel->known))
		giver_ids_saw(&g->ids, m->build_id, is_kernel, now);
}

/*
 * Whoever samples does not wait for a thread that may have been taken off its CPU while it held the
 * lock: what does not work now does a second later.
 */
static bool try_lock(struct giver *g)
{
	return pthread_mutex_trylock(&g->mutex) == 0;
}

void giver_saw(struct giver *g, const struct batch *b)
{
	uint64_t now = clock_mono_ms();

	if (!try_lock(g))
		return;
	for (size_t i = 0; i < b->series_count; i++) {
		const struct stacks *s = &b->series[i]->stacks;

		for (size_t k = 0; k < s->module_count; k++)
			saw_module(g, s->modules[k], now);
	}
	pthread_mutex_unlock(&g->mutex);
}

bool giver_needs(struct giver *g, char ret_id[static BUILD_ID_TEXT])
{
	bool needs;

	if (!try_lock(g))
		return false;
	needs = g->handing == HANDING_NEEDED;
	if (needs)
		memcpy(ret_id, g->needed, sizeof(g->needed));
	pthread_mutex_unlock(&g->mutex);
	return needs;
}

void giver_hand(struct giver *g, int fd)
{
	_cleanup_close_ int owned = fd;

	if (!try_lock(g))
		return; // it is still needed
	if (g->handing == HANDING_NEEDED) {
		g->handing = HANDING_DONE;
		g->handed = steal_fd(&owned);
		pthread_cond_signal(&g->changed);
	}
	pthread_mutex_unlock(&g->mutex);
}

void giver_stats(struct giver *g, struct giver_stats *ret)
{
	if (try_lock(g)) {
		g->told = g->stats;
		pthread_mutex_unlock(&g->mutex);
	}
	*ret = g->told;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static int copy_text(const char *text, char **ret, struct err *e)
{
	*ret = text ? mem_strdup(text) : NULL;
	return text && !*ret ? err_nomem(e) : 0;
}

static int copy_config(struct giver *g, const struct giver_config *c, struct err *e)
{
	g->config = *c;
	if (copy_text(c->server, &g->server, e) < 0 || copy_text(c->token_file, &g->token_file, e) < 0 ||
	    copy_text(c->tmp_dir, &g->tmp_dir, e) < 0 ||
	    copy_text(c->elf_program, &g->elf_program, e) < 0)
		return -1;
	for (size_t n = strlen(g->server); n > 0 && g->server[n - 1] == '/'; n--)
		g->server[n - 1] = '\0';
	g->config.server = g->server;
	g->config.token_file = g->token_file;
	g->config.tmp_dir = g->tmp_dir;
	g->config.elf_program = g->elf_program;
	g->config.bytes_per_s = MAX(c->bytes_per_s, (uint64_t)1);
	return 0;
}

static void init_waiting(struct giver *g)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&g->mutex, NULL);
}

int giver_new(const struct giver_config *config, struct giver **ret, struct err *e)
{
	struct giver *g = mem_zalloc(sizeof(*g));

	if (!g)
		return err_nomem(e);
	g->handed = -1;
	giver_ids_init(&g->ids, config->interval_ms);
	init_waiting(g);
	if (copy_config(g, config, e) < 0 ||
	    http_client_new("unhex-agent/" UNHEX_VERSION, ANSWER_MAX, &g->http, e) < 0 ||
	    thread_start(&g->thread, "giver", run, g, e) < 0) {
		giver_free(g);
		return -1;
	}
	*ret = g;
	return 0;
}

void giver_free(struct giver *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->mutex);
	atomic_store(&g->stopping, true);
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->mutex);
	thread_join(&g->thread);
	http_client_free(g->http);
	if (g->handed >= 0)
		close(g->handed);
	giver_ids_deinit(&g->ids);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->mutex);
	free(g->server);
	free(g->token_file);
	free(g->tmp_dir);
	free(g->elf_program);
	free(g);
}
