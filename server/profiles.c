/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread owns the way from the push log into segments. What arrives from the log's thread waits in a
 * list; the thread takes it in (deduplicated, looked at once for what is missing, put into the head) and,
 * when the window ends, closes the head and writes it.
 *
 * profiles.lock guards the list, the two heads and the counters; it is never held across I/O. Queries see
 * segments + closing head + open head; `epoch` tells them whether a head turned into segments meanwhile.
 */
#include "server/profiles.h"

#include "base/clock.h"
#include "base/compress.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/profiles_internal.h"
#include "server/profile_segments.h"
#include "server/seen.h"
#include "symbolizer/pprof_symbolize.h"

enum {
	ARENA_CAP = 1 << 30,
	RECORD_MAX = 256 << 20,
	RECORD_VERSION = 1,
	RETRY_MS = 5000, /* after segments could not be written */
};

static struct metric pushes = {
	.name = "unhex_profiles_total",
	.help = "Pushed profiles, by what became of them.",
	.type = METRIC_COUNTER,
	.label = "outcome",
	.values = (const char *const[]){"kept", "duplicate", "failed", NULL},
};
enum { PUSH_KEPT, PUSH_DUPLICATE, PUSH_FAILED };

static struct metric head_size = {
	.name = "unhex_profile_head_bytes",
	.help = "Acknowledged profiles that are not in a segment yet.",
	.type = METRIC_GAUGE,
};

static struct metric windows = {
	.name = "unhex_profile_windows_total",
	.help = "Closed windows, by whether they could be written.",
	.type = METRIC_COUNTER,
	.label = "outcome",
	.values = (const char *const[]){"written", "failed", NULL},
};
enum { WINDOW_WRITTEN, WINDOW_FAILED };

/* A record on its way: first to the log's disk, then into the head. */
struct arrival {
	struct arrival *next;
	struct profiles *profiles;
	profiles_done *done;
	void *done_ctx;
	uint64_t position;
	size_t n;
	char record[]; /* version byte, 8 bytes received_unix_ns, PushRequest */
};

enum { RECORD_HEADER = 9 };

/* ---- records -------------------------------------------------------------------------------------- */

static struct arrival *arrival_new(struct profiles *p, struct str record)
{
	struct arrival *a = mem_zalloc(sizeof(*a) + record.n);

	if (!a)
		return NULL;
	a->profiles = p;
	a->n = record.n;
	memcpy(a->record, record.p, record.n);
	return a;
}

static struct arrival *arrival_from_request(struct profiles *p, const struct push_request *rq)
{
	struct buf record = BUF_INIT(RECORD_MAX);
	struct arrival *a = NULL;
	int64_t received = clock_unix_ns();

	buf_append_c(&record, RECORD_VERSION);
	buf_append(&record, &received, sizeof(received));
	push_request_encode(rq, &record);
	if (!record.failed)
		a = arrival_new(p, buf_str(&record));
	buf_deinit(&record);
	return a;
}

static void enqueue(struct profiles *p, struct arrival *a)
{
	pthread_mutex_lock(&p->lock);
	if (p->arrivals_last)
		p->arrivals_last->next = a;
	else
		p->arrivals = a;
	p->arrivals_last = a;
	p->arrived++;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

/* On the log's thread: the record is on disk, or cannot be. */
static void logged(void *ctx, uint64_t position, const struct err *failure)
{
	struct arrival *a = ctx;
	profiles_done *done = a->done;
	void *done_ctx = a->done_ctx;

	a->position = position;
	if (failure) {
		pthread_mutex_lock(&a->profiles->lock);
		a->profiles->arriving_bytes -= a->n;
		pthread_mutex_unlock(&a->profiles->lock);
		metric_add(&pushes, PUSH_FAILED, 1);
		free(a);
	} else {
		enqueue(a->profiles, a);
	}
	done(done_ctx, failure);
}

/* ---- checking what is pushed ----------------------------------------------------------------------- */

static int check_profile(struct str raw, struct err *e)
{
	struct buf identity = BUF_INIT(pprof_limits_default.identity_bytes);
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct pprof decoded;
	int r = -1;

	if (decompress_any(raw, &identity, e) == 0)
		r = pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &decoded, e);
	arena_deinit(&arena);
	buf_deinit(&identity);
	return r;
}

static int check_series(const struct push_series *s, struct err *e)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		if (check_profile(s->profiles[i].raw, e) < 0)
			return err_wrap(e, "profile %zu", i);
	}
	return 0;
}

static int reserve_bytes(struct profiles *p, size_t n, struct err *e)
{
	bool full;

	pthread_mutex_lock(&p->lock);
	full = p->arriving_bytes + p->open->bytes + (p->closing ? p->closing->bytes : 0) + n >
	       2 * p->cfg.head_bytes;
	if (!full)
		p->arriving_bytes += n;
	pthread_mutex_unlock(&p->lock);
	return full ? err_set(e, ERR_OVERLOADED, "more profiles wait to be written than fit in memory; "
						 "push again later")
		    : 0;
}

static void unreserve_bytes(struct profiles *p, size_t n)
{
	pthread_mutex_lock(&p->lock);
	p->arriving_bytes -= n;
	pthread_mutex_unlock(&p->lock);
}

int profiles_push(struct profiles *p, struct str body UNUSED, const struct push_request *rq,
		  profiles_done *done, void *ctx, struct err *e)
{
	struct arrival *a;

	for (size_t i = 0; i < rq->series_count; i++) {
		if (check_series(&rq->series[i], e) < 0)
			return err_wrap(e, "series %zu", i);
	}
	a = arrival_from_request(p, rq);
	if (!a)
		return err_nomem(e);
	a->done = done;
	a->done_ctx = ctx;
	if (reserve_bytes(p, a->n, e) < 0) {
		free(a);
		return -1;
	}
	if (push_log_append(p->cfg.log, (struct str){a->record, a->n}, logged, a, e) < 0) {
		unreserve_bytes(p, a->n);
		free(a);
		return -1;
	}
	return 0;
}

/* ---- taking in ------------------------------------------------------------------------------------- */

/*
 * A first look at what a profile needs: starts the fetches its binaries want and notes the weight of what
 * cannot be named now. The names found here are not kept: the window's merged profile is symbolized once.
 */
static int look(struct profiles *p, struct pprof *decoded, struct arena *arena, struct err *e)
{
	struct seen_batch batch;
	struct symbolize_options options = {.on_module = seen_batch_note, .on_module_ctx = &batch};
	struct symbolize_stats stats;
	struct binaries_view *view;
	int r;

	if (seen_batch_init(&batch, arena, e) < 0)
		return -1;
	if (binaries_view_new(p->cfg.binaries, &view, e) < 0)
		return -1;
	r = pprof_symbolize(decoded, binaries_view_resolver(view), &options, &stats, e);
	binaries_view_free(view);
	if (r == 0)
		r = seen_batch_add(&batch, p->cfg.catalog, e);
	return r;
}

static int keep(struct profiles *p, const struct arrival *a, const struct push_series *series,
		const struct push_profile *profile, struct err *e)
{
	struct buf identity = BUF_INIT(pprof_limits_default.identity_bytes);
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct pprof decoded;
	int64_t received;
	int r = -1;

	memcpy(&received, a->record + 1, sizeof(received));
	if (decompress_any(profile->raw, &identity, e) == 0 &&
	    pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &decoded, e) == 0) {
		pthread_mutex_lock(&p->lock);
		r = head_add(p->open, series, &decoded, buf_str(&identity), received, e);
		metric_set(&head_size, 0, (int64_t)p->open->bytes);
		pthread_mutex_unlock(&p->lock);
	}
	if (r == 0) {
		struct err looked = ERR_INIT;

		metric_add(&pushes, PUSH_KEPT, 1);
		if (look(p, &decoded, &arena, &looked) < 0)
			log_err(LOG_WARN, "profile_look", &looked, NULL);
	}
	arena_deinit(&arena);
	buf_deinit(&identity);
	return r;
}

/* Has this push ID been counted, by another record? */
static bool duplicate(struct profiles *p, struct str id, uint64_t position)
{
	struct err e = ERR_INIT;
	int r;

	if (id.n == 0)
		return false;
	r = catalog_push_once(p->cfg.catalog, id, position, &e);
	if (r < 0)
		log_err(LOG_WARN, "push_id", &e, NULL);
	return r == CATALOG_EXISTS;
}

static void take_in_series(struct profiles *p, const struct arrival *a, const struct push_series *s)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		struct err e = ERR_INIT;

		if (duplicate(p, s->profiles[i].id, a->position)) {
			metric_add(&pushes, PUSH_DUPLICATE, 1);
		} else if (keep(p, a, s, &s->profiles[i], &e) < 0) {
			metric_add(&pushes, PUSH_FAILED, 1);
			log_err(LOG_ERROR, "profile_lost", &e, NULL);
		}
	}
}

static void take_in(struct profiles *p, struct arrival *a)
{
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct str body = {a->record + RECORD_HEADER, a->n - RECORD_HEADER};
	struct err e = ERR_INIT;
	struct push_request rq;

	if (push_request_decode(body, &arena, &rq, &e) < 0) {
		log_err(LOG_ERROR, "push_record_lost", &e, NULL);
	} else {
		for (size_t i = 0; i < rq.series_count; i++)
			take_in_series(p, a, &rq.series[i]);
	}
	arena_deinit(&arena);
	pthread_mutex_lock(&p->lock);
	p->open->last_position = a->position;
	p->arriving_bytes -= a->n;
	p->taken++;
	pthread_cond_broadcast(&p->published);
	pthread_mutex_unlock(&p->lock);
	free(a);
}

/* ---- closing the window ------------------------------------------------------------------------------- */

/* Writes p->closing; queries wait while it turns from head into segments. */
static int write_closing(struct profiles *p, struct err *e)
{
	struct head *h = p->closing;
	int r;

	pthread_mutex_lock(&p->lock);
	p->publishing = true;
	pthread_mutex_unlock(&p->lock);
	r = profile_segments_write(h, p->cfg.binaries, p->cfg.dir, e);
	pthread_mutex_lock(&p->lock);
	p->publishing = false;
	p->epoch++;
	if (r == 0)
		p->closing = NULL;
	pthread_cond_broadcast(&p->published);
	pthread_mutex_unlock(&p->lock);
	metric_add(&windows, r == 0 ? WINDOW_WRITTEN : WINDOW_FAILED, 1);
	if (r < 0)
		return -1;
	r = push_log_release(p->cfg.log, h->last_position, e);
	head_free(h);
	return r;
}

/* The open head becomes the closing one, if there is anything in it and none is being written. */
static int close_window(struct profiles *p, struct err *e)
{
	struct head *fresh;

	if (!p->closing) {
		fresh = head_new();
		if (!fresh)
			return err_nomem(e);
		pthread_mutex_lock(&p->lock);
		fresh->last_position = p->open->last_position;
		p->closing = p->open;
		p->open = fresh;
		metric_set(&head_size, 0, 0);
		pthread_mutex_unlock(&p->lock);
	}
	return write_closing(p, e);
}

static bool window_over(const struct profiles *p)
{
	const struct head *h = p->open;

	if (p->closing)
		return clock_mono_ms() >= p->retry_at_ms;
	return h->opened_ms && (clock_mono_ms() - h->opened_ms >= p->cfg.window_ms ||
				h->bytes >= p->cfg.head_bytes);
}

static void close_if_over(struct profiles *p, bool now)
{
	struct err e = ERR_INIT;

	if (!now && !window_over(p))
		return;
	if (!p->closing && !p->open->opened_ms)
		return;
	if (close_window(p, &e) < 0) {
		log_err(LOG_ERROR, "profile_segments", &e, NULL);
		p->retry_at_ms = clock_mono_ms() + RETRY_MS;
	}
}

/* ---- the thread ----------------------------------------------------------------------------------------- */

static void wait_for_work(struct profiles *p)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	while (!p->arrivals && !p->stopping && p->flush_asked == p->flush_done) {
		if (pthread_cond_timedwait(&p->wake, &p->lock, &until) != 0)
			break;
	}
}

/* Takes what arrived; *ret_flush is the flush request it must answer. */
static struct arrival *next_work(struct profiles *p, uint64_t *ret_flush, bool *ret_stopping)
{
	struct arrival *list;

	pthread_mutex_lock(&p->lock);
	wait_for_work(p);
	list = p->arrivals;
	p->arrivals = p->arrivals_last = NULL;
	*ret_flush = p->flush_asked;
	*ret_stopping = p->stopping;
	pthread_mutex_unlock(&p->lock);
	return list;
}

static void *profiles_thread(void *ctx)
{
	struct profiles *p = ctx;
	bool stopping = false;

	while (!stopping) {
		uint64_t flush;
		struct arrival *a = next_work(p, &flush, &stopping);

		while (a) {
			struct arrival *next = a->next;

			take_in(p, a);
			close_if_over(p, false);
			a = next;
		}
		close_if_over(p, stopping || flush != p->flush_done);
		pthread_mutex_lock(&p->lock);
		p->flush_done = flush;
		pthread_cond_broadcast(&p->published);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

static int replay_one(void *ctx, uint64_t position, struct str record, struct err *e)
{
	struct profiles *p = ctx;
	struct arrival *a;

	if (record.n < RECORD_HEADER || record.p[0] != RECORD_VERSION)
		return err_set(e, ERR_CORRUPT, "push log record %llu: unknown version",
			       (unsigned long long)position);
	a = arrival_new(p, record);
	if (!a)
		return err_nomem(e);
	a->position = position;
	p->arriving_bytes += a->n;
	enqueue(p, a);
	return 0;
}

static int init_sync(struct profiles *p, struct err *e)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r == 0)
		r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (r == 0)
		r = pthread_mutex_init(&p->lock, NULL);
	if (r == 0)
		r = pthread_cond_init(&p->wake, &attr);
	if (r == 0)
		r = pthread_cond_init(&p->published, &attr);
	pthread_condattr_destroy(&attr);
	return r ? err_sys(e, r, "profiles: cannot make locks") : 0;
}

static void destroy(struct profiles *p)
{
	while (p->arrivals) {
		struct arrival *next = p->arrivals->next;

		free(p->arrivals);
		p->arrivals = next;
	}
	head_free(p->open);
	head_free(p->closing);
	pthread_cond_destroy(&p->published);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int profiles_new(const struct profiles_config *cfg, struct profiles **ret, struct err *e)
{
	struct profiles *p = mem_zalloc(sizeof(*p));
	int r;

	metric_register(&pushes);
	metric_register(&head_size);
	metric_register(&windows);
	if (!p)
		return err_nomem(e);
	p->cfg = *cfg;
	if (init_sync(p, e) < 0) {
		free(p);
		return -1;
	}
	p->open = head_new();
	if (!p->open || push_log_replay(cfg->log, replay_one, p, e) < 0) {
		if (!p->open)
			err_nomem(e);
		destroy(p);
		return -1;
	}
	r = pthread_create(&p->thread, NULL, profiles_thread, p);
	if (r) {
		destroy(p);
		return err_sys(e, r, "profiles: cannot start a thread");
	}
	*ret = p;
	return 0;
}

void profiles_free(struct profiles *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	destroy(p);
}

int profiles_flush(struct profiles *p, struct err *e)
{
	bool left;
	uint64_t mine;

	pthread_mutex_lock(&p->lock);
	mine = ++p->flush_asked;
	pthread_cond_signal(&p->wake);
	while (p->flush_done < mine)
		pthread_cond_wait(&p->published, &p->lock);
	left = p->closing != NULL;
	pthread_mutex_unlock(&p->lock);
	return left ? err_set(e, ERR_IO, "the profile window could not be written; see the log") : 0;
}
