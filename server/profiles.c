/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads own the way from the push log into segments. What arrives from the log's thread waits
 * in a list; the intake takes it into the open head (deduplicated, looked at once for what is
 * missing) and, when the window is over, makes it the closing one, always between two records. The
 * writer turns the closing head into segments, so that taking in never waits for that.
 *
 * The store keeps, in one transaction with the segments, how far the log was taken: a record counts
 * once even when a crash comes before the log is released, and a query knows from the same state
 * which heads have become segments.
 *
 * profiles.lock guards the list, the heads and the counters; it is never held across I/O.
 */
#include "server/profiles.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compress.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/profile_check.h"
#include "server/profiles_internal.h"
#include "server/profile_segments.h"
#include "server/seen.h"
#include "symbolizer/pprof_symbolize.h"

enum {
	ARENA_CAP = 1 << 30,
	RECORD_MAX = 256 << 20,
	RECORD_VERSION = 1,
	RETRY_MS = 5000,    /* after segments could not be written */
	NO_MEMORY_MS = 200, /* before a record is tried again */
	LOOK_AGAIN_MS = 1000,
	CLAIMS_MAX = 4096,
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
	bool replayed; /* an earlier process may have looked at it */
	size_t n;
	char record[]; /* version byte, 8 bytes received_unix_ns, PushRequest */
};

enum { RECORD_HEADER = 9 };

/* ---- records --------------------------------------------------------------------------------- */

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

static struct str body_of(const struct arrival *a)
{
	return (struct str){a->record + RECORD_HEADER, a->n - RECORD_HEADER};
}

static struct arrival *arrival_from_request(struct profiles *p, const struct push_request *rq,
					    struct err *e)
{
	struct buf record = BUF_INIT(RECORD_MAX);
	struct arrival *a = NULL;
	int64_t received = clock_unix_ns();

	buf_append_c(&record, RECORD_VERSION);
	buf_append(&record, &received, sizeof(received));
	push_request_encode(rq, &record);
	if (buf_check(&record, "the push", e) == 0) {
		a = arrival_new(p, buf_str(&record));
		if (!a)
			err_nomem(e);
	}
	buf_deinit(&record);
	return a;
}

/* The lock is held. */
static void enqueue(struct profiles *p, struct arrival *a)
{
	if (p->arrivals_last)
		p->arrivals_last->next = a;
	else
		p->arrivals = a;
	p->arrivals_last = a;
	p->arrived++;
	pthread_cond_signal(&p->wake);
}

/* On the log's thread: the record is on disk, or cannot be. With the lock given back, *p may be
 * gone. */
static void logged(void *ctx, uint64_t position, const struct err *failure)
{
	struct arrival *a = ctx;
	struct profiles *p = a->profiles;
	profiles_done *done = a->done;
	void *done_ctx = a->done_ctx;

	if (failure)
		metric_add(&pushes, PUSH_FAILED, 1);
	pthread_mutex_lock(&p->lock);
	a->position = position;
	if (failure)
		p->arriving_bytes -= a->n;
	else
		enqueue(p, a);
	p->logging--;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (failure)
		free(a);
	done(done_ctx, failure);
}

/* ---- pushing ---------------------------------------------------------------------------------- */

static int reserve_bytes(struct profiles *p, size_t n, struct err *e)
{
	bool full;

	pthread_mutex_lock(&p->lock);
	full = p->arriving_bytes + p->open->bytes + (p->closing ? p->closing->bytes : 0) + n >
	       2 * p->cfg.head_bytes;
	if (!full) {
		p->arriving_bytes += n;
		p->logging++;
	}
	pthread_mutex_unlock(&p->lock);
	return full ? err_set(e, ERR_OVERLOADED,
			      "more profiles wait to be written than fit in memory; "
			      "push again later")
		    : 0;
}

static void unreserve_bytes(struct profiles *p, size_t n)
{
	pthread_mutex_lock(&p->lock);
	p->arriving_bytes -= n;
	p->logging--;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

int profiles_push(struct profiles *p, struct str body UNUSED, const struct push_request *rq,
		  profiles_done *done, void *ctx, struct err *e)
{
	struct arrival *a;

	if (profile_check(rq, MAX(p->cfg.head_bytes, pprof_limits_default.identity_bytes), e) < 0)
		return -1;
	a = arrival_from_request(p, rq, e);
	if (!a)
		return -1;
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

/* ---- taking in ------------------------------------------------------------------------------- */

/*
 * A first look at what a profile needs: starts the fetches its binaries want and notes the weight
 * of what cannot be named now, once: not of what a replay brings again. The names found here are
 * not kept: the window's merged profile is symbolized once.
 */
static int look(struct profiles *p, bool replayed, struct pprof *decoded, struct err *e)
{
	struct seen_batch batch;
	struct symbolize_options options = {
		.weigh_only = true, .on_module = seen_batch_note, .on_module_ctx = &batch};
	struct symbolize_stats stats;
	struct binaries_view *view;
	int r;

	if (seen_batch_init(&batch, decoded->arena, e) < 0)
		return -1;
	if (binaries_view_new(p->cfg.binaries, &view, e) < 0)
		return -1;
	r = pprof_symbolize(decoded, binaries_view_resolver(view), &options, &stats, e);
	binaries_view_free(view);
	if (r == 0 && !replayed)
		r = seen_batch_add(&batch, p->cfg.catalog, e);
	return r;
}

/* The lock is held. */
static void note_size(const struct profiles *p)
{
	metric_set(&head_size, 0, (int64_t)(p->open->bytes + (p->closing ? p->closing->bytes : 0)));
}

static int try_keep(struct profiles *p, const struct arrival *a, const struct push_series *series,
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
		note_size(p);
		pthread_mutex_unlock(&p->lock);
	}
	if (r == 0) {
		struct err looked = ERR_INIT;

		metric_add(&pushes, PUSH_KEPT, 1);
		if (look(p, a->replayed, &decoded, &looked) < 0)
			log_err(LOG_WARN, "profile_look", &looked, NULL);
	}
	arena_deinit(&arena);
	buf_deinit(&identity);
	return r;
}

static bool pause_for_memory(struct profiles *p)
{
	struct timespec pause = {.tv_nsec = NO_MEMORY_MS * 1000000L};
	bool go_on;

	pthread_mutex_lock(&p->lock);
	go_on = !p->stopping;
	p->incomplete = p->incomplete || !go_on;
	pthread_mutex_unlock(&p->lock);
	if (go_on)
		nanosleep(&pause, NULL);
	return go_on;
}

/* It is acknowledged: a lack of memory is waited out. When the server stops first, the log has it.
 */
static int keep(struct profiles *p, const struct arrival *a, const struct push_series *series,
		const struct push_profile *profile, struct err *e)
{
	int r;

	do {
		r = try_keep(p, a, series, profile, e);
	} while (r < 0 && e->kind == ERR_NOMEM && pause_for_memory(p));
	return r;
}

/* Push IDs of what arrived, on their way into the catalog. They borrow from the records. */
struct claims {
	struct profiles *profiles;
	struct catalog_push *push;
	size_t n;
};

/* Where this fails, an ID may count again. */
static void claim_now(struct claims *c)
{
	struct err e = ERR_INIT;

	if (catalog_push_claim(c->profiles->cfg.catalog, c->push, c->n, &e) < 0)
		log_err(LOG_WARN, "push_ids", &e, NULL);
	c->n = 0;
}

static void claim_series(struct claims *c, const struct push_series *s, uint64_t position)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		if (!s->profiles[i].id.n)
			continue;
		c->push[c->n++] = (struct catalog_push){s->profiles[i].id, position};
		if (c->n == CLAIMS_MAX)
			claim_now(c);
	}
}

static void claim_record(struct claims *c, const struct arrival *a)
{
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct push_request rq;
	struct err e = ERR_INIT;

	if (push_request_decode(body_of(a), &arena, &rq, &e) == 0) {
		for (size_t i = 0; i < rq.series_count; i++)
			claim_series(c, &rq.series[i], a->position);
	}
	arena_deinit(&arena);
}

/* All that arrived together claims its IDs in one go: one sync of the disk, not one for each. */
static void claim_ids(struct profiles *p, const struct arrival *first)
{
	struct claims c = {.profiles = p};

	if (!first)
		return;
	c.push = mem_calloc(CLAIMS_MAX, sizeof(*c.push));
	if (!c.push) {
		LOG(LOG_WARN, "push_ids_unclaimed");
		return;
	}
	for (const struct arrival *a = first; a; a = a->next)
		claim_record(&c, a);
	claim_now(&c);
	free(c.push);
}

/* Has this push ID been counted, by another record? */
static bool duplicate(struct profiles *p, struct str id, uint64_t position)
{
	struct catalog_push push = {id, position};
	struct err e = ERR_INIT;
	int r;

	if (id.n == 0)
		return false;
	r = catalog_push_counts(p->cfg.catalog, &push, &e);
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

/* A query that sees part of a record must see its position, too. */
static void begin_record(struct profiles *p, const struct arrival *a)
{
	pthread_mutex_lock(&p->lock);
	p->open->last_position = a->position;
	pthread_mutex_unlock(&p->lock);
}

static void end_record(struct profiles *p, struct arrival *a)
{
	struct arrival_wait *over;

	pthread_mutex_lock(&p->lock);
	p->arriving_bytes -= a->n;
	p->taken++;
	over = profiles_waits_over(p);
	pthread_mutex_unlock(&p->lock);
	profiles_waits_wake(over);
	free(a);
}

static void take_in(struct profiles *p, struct arrival *a)
{
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct err e = ERR_INIT;
	struct push_request rq;
	int r;

	begin_record(p, a);
	do {
		r = push_request_decode(body_of(a), &arena, &rq, &e);
	} while (r < 0 && e.kind == ERR_NOMEM && pause_for_memory(p));
	if (r < 0)
		log_err(LOG_ERROR, "push_record_lost", &e, NULL);
	for (size_t i = 0; r == 0 && i < rq.series_count; i++)
		take_in_series(p, a, &rq.series[i]);
	arena_deinit(&arena);
	end_record(p, a);
}

/* ---- closing the window; the lock is held ---------------------------------------------------- */

void profiles_head_unref(struct head *h)
{
	if (h && --h->refs == 0)
		head_free(h);
}

static bool window_over(const struct profiles *p)
{
	const struct head *h = p->open;

	return h->opened_ms && (clock_mono_ms() - h->opened_ms >= p->cfg.window_ms ||
				h->bytes >= p->cfg.head_bytes);
}

/* Records that brought nothing (duplicates) need not wait for others. */
static bool nothing_came(const struct profiles *p)
{
	return !p->open->opened_ms && p->open->last_position > p->released;
}

static bool must_close(const struct profiles *p, uint64_t flush)
{
	return !p->closing && p->spare && !p->incomplete &&
	       (window_over(p) || nothing_came(p) || flush > p->flush_closed);
}

static void release(struct profiles *p, uint64_t position)
{
	struct err e = ERR_INIT;

	p->released = MAX(p->released, position);
	if (push_log_release(p->cfg.log, position, &e) < 0)
		log_err(LOG_ERROR, "push_log_release", &e, NULL);
}

/* `flush`: who asked until then is served by this; 0: nobody. */
static void close_window(struct profiles *p, uint64_t flush)
{
	p->flush_closed = MAX(p->flush_closed, flush);
	pthread_cond_broadcast(&p->changed);
	if (!p->open->opened_ms) {
		release(p, p->open->last_position);
		return;
	}
	p->spare->last_position = p->open->last_position;
	p->closing = p->open;
	p->open = steal_ptr(p->spare);
	p->retry_at_ms = 0;
	pthread_cond_signal(&p->write);
}

/* ---- the intake thread ----------------------------------------------------------------------- */

static void wait_ms(struct profiles *p, pthread_cond_t *cond, uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(cond, &p->lock, &until);
}

static void wait_for_work(struct profiles *p)
{
	while (!p->arrivals && !p->stopping && !must_close(p, p->flush_asked)) {
		wait_ms(p, &p->wake, MIN(p->cfg.window_ms, (uint64_t)LOOK_AGAIN_MS));
		if (!p->spare)
			p->spare = head_new();
	}
}

/* Takes what arrived. Flushes asked for until then are for what was acknowledged until then. */
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

static void close_if_over(struct profiles *p, uint64_t flush)
{
	pthread_mutex_lock(&p->lock);
	if (!p->spare)
		p->spare = head_new();
	if (must_close(p, flush))
		close_window(p, flush);
	pthread_mutex_unlock(&p->lock);
}

static void *intake(void *ctx)
{
	struct profiles *p = ctx;
	bool stopping = false;

	while (!stopping) {
		uint64_t flush;
		struct arrival *a = next_work(p, &flush, &stopping);

		claim_ids(p, a);
		while (a) {
			struct arrival *next = a->next;

			take_in(p, a);
			if (next)
				close_if_over(p, 0);
			a = next;
		}
		close_if_over(p, flush);
	}
	return NULL;
}

/* ---- the writer thread ----------------------------------------------------------------------- */

/* Only who calls this ends p->closing. */
static int write_closing(struct profiles *p, struct err *e)
{
	struct head *h = p->closing;
	int r = profile_segments_write(h, p->cfg.binaries, p->cfg.dir, push_log_id(p->cfg.log), e);

	metric_add(&windows, r == 0 ? WINDOW_WRITTEN : WINDOW_FAILED, 1);
	pthread_mutex_lock(&p->lock);
	if (r == 0) {
		release(p, h->last_position);
		p->closing = NULL;
		profiles_head_unref(h);
		note_size(p);
	} else {
		p->failures++;
		p->retry_at_ms = clock_mono_ms() + RETRY_MS;
	}
	pthread_cond_broadcast(&p->changed);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static bool wait_for_closing(struct profiles *p)
{
	bool go_on;

	pthread_mutex_lock(&p->lock);
	while (!p->writer_stopping && !(p->closing && clock_mono_ms() >= p->retry_at_ms))
		wait_ms(p, &p->write, LOOK_AGAIN_MS);
	go_on = !p->writer_stopping;
	pthread_mutex_unlock(&p->lock);
	return go_on;
}

static void *writer(void *ctx)
{
	struct profiles *p = ctx;

	while (wait_for_closing(p)) {
		struct err e = ERR_INIT;

		if (write_closing(p, &e) < 0)
			log_err(LOG_ERROR, "profile_segments", &e, NULL);
	}
	return NULL;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

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
	a->replayed = true;
	pthread_mutex_lock(&p->lock);
	p->arriving_bytes += a->n;
	enqueue(p, a);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static int replay(struct profiles *p, struct err *e)
{
	if (profile_dir_taken(p->cfg.dir, push_log_id(p->cfg.log), &p->released, e) < 0)
		return -1;
	push_log_skip(p->cfg.log, p->released);
	return push_log_replay(p->cfg.log, replay_one, p, e);
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
		r = pthread_cond_init(&p->write, &attr);
	if (r == 0)
		r = pthread_cond_init(&p->changed, &attr);
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
	head_free(p->spare);
	pthread_cond_destroy(&p->changed);
	pthread_cond_destroy(&p->write);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void stop_threads(struct profiles *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->logging)
		pthread_cond_wait(&p->changed, &p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	thread_join(&p->intake);
	pthread_mutex_lock(&p->lock);
	p->writer_stopping = true;
	pthread_cond_signal(&p->write);
	pthread_mutex_unlock(&p->lock);
	thread_join(&p->writer);
}

static int start(struct profiles *p, struct err *e)
{
	p->open = head_new();
	p->spare = head_new();
	if (!p->open || !p->spare)
		return err_nomem(e);
	if (replay(p, e) < 0)
		return -1;
	p->open->last_position = p->released;
	if (thread_start(&p->writer, "profiles-out", writer, p, e) < 0)
		return -1;
	return thread_start(&p->intake, "profiles-in", intake, p, e);
}

int profiles_new(const struct profiles_config *cfg, struct profiles **ret, struct err *e)
{
	struct profiles *p = mem_zalloc(sizeof(*p));

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
	if (start(p, e) < 0) {
		stop_threads(p);
		destroy(p);
		return -1;
	}
	*ret = p;
	return 0;
}

/* What cannot be written now stays in the log. */
static void write_rest(struct profiles *p)
{
	struct err e = ERR_INIT;

	if (p->closing && write_closing(p, &e) < 0) {
		log_err(LOG_ERROR, "profile_segments", &e, NULL);
		return;
	}
	pthread_mutex_lock(&p->lock);
	if (!p->incomplete && p->spare)
		close_window(p, p->flush_asked);
	pthread_mutex_unlock(&p->lock);
	if (p->closing && write_closing(p, &e) < 0)
		log_err(LOG_ERROR, "profile_segments", &e, NULL);
}

void profiles_free(struct profiles *p)
{
	if (!p)
		return;
	stop_threads(p);
	write_rest(p);
	destroy(p);
}

int profiles_flush(struct profiles *p, struct err *e)
{
	uint64_t mine, failures;
	bool failed;

	pthread_mutex_lock(&p->lock);
	mine = ++p->flush_asked;
	failures = p->failures;
	p->retry_at_ms = 0;
	pthread_cond_signal(&p->wake);
	pthread_cond_signal(&p->write);
	while ((p->flush_closed < mine || p->closing) && p->failures == failures)
		pthread_cond_wait(&p->changed, &p->lock);
	failed = p->failures != failures;
	pthread_mutex_unlock(&p->lock);
	return failed ? err_set(e, ERR_IO, "the profile window could not be written; see the log")
		      : 0;
}
