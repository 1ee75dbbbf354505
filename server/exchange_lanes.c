/* SPDX-License-Identifier: Apache-2.0 */
#include "server/exchange_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/http_metrics.h"
#include "server/transmit.h"
#include <errno.h>
#include <time.h>

enum { LANE_MARGIN = 64 }; // I/O threads that passed the queue check together

static struct exchange *exchange_of(const struct request *rq)
{
	return container_of((struct request *)rq, struct exchange, rq);
}

// ---- the set, and references ------------------------------------------------------------------

static void free_set(struct exchanges *set)
{
	pthread_cond_destroy(&set->changed);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

void exchange_unref(struct exchange *x)
{
	struct exchanges *set = x->set;
	bool last_of_set = false;
	bool last;

	pthread_mutex_lock(&set->lock);
	last = --x->refs == 0;
	if (last)
		last_of_set = --set->refs == 0;
	pthread_mutex_unlock(&set->lock);
	if (last)
		free(x);
	if (last_of_set)
		free_set(set);
}

static void count_suspended(struct exchanges *set, int by)
{
	pthread_mutex_lock(&set->lock);
	set->suspended += (size_t)by;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
}

// ---- lanes ------------------------------------------------------------------------------------

/*
 * Requests that were parked come back through the same queue and must always find room: as many as
 * may be parked, and one per worker that asked before another took the last place.
 */
static size_t lane_depth(const struct exchange_config *cfg, enum lane lane)
{
	size_t parked = cfg->max_parked + cfg->lanes[LANE_WORK].queue +
			cfg->lanes[LANE_WORK].threads + cfg->lanes[LANE_INGEST].threads;

	return cfg->lanes[lane].queue + parked + LANE_MARGIN;
}

static enum lane lane_of(const struct exchange *x)
{
	return x->rq.route->lane == LANE_IO ? LANE_WORK : x->rq.route->lane;
}

static bool lane_push(struct exchange *x)
{
	enum lane lane = lane_of(x);
	struct pool *p = x->set->lanes[lane];

	return pool_waiting(p) < x->set->cfg.lanes[lane].queue && pool_push(p, x);
}

static void resume(struct exchange *x, enum stage stage)
{
	struct exchanges *set = x->set;

	x->stage = stage;
	MHD_resume_connection(x->conn);
	// *x is not ours any more. Counted only now, lest the daemon be stopped in between.
	count_suspended(set, -1);
}

void exchange_answer_early(struct exchange *x)
{
	transmit_early(&x->rq, x->conn);
	x->discard_from_ms = clock_mono_ms();
}

void exchange_hand_over(struct exchange *x, enum stage stage)
{
	struct err e;

	x->stage = stage;
	count_suspended(x->set, 1);
	MHD_suspend_connection(x->conn);
	if (lane_push(x))
		return;
	err_set(&e, ERR_OVERLOADED, "all workers are busy and %zu requests wait; try again",
		x->set->cfg.lanes[lane_of(x)].queue);
	respond_err(&x->rq, &e);
	if (stage == STAGE_FEEDING)
		exchange_answer_early(x);
	resume(x, stage == STAGE_FEEDING ? STAGE_DISCARD : STAGE_ANSWER);
}

// ---- on a worker ------------------------------------------------------------------------------

// False: woken in the meantime, or nobody may wait any more: the door is to be called again at
// once.
static bool park(struct exchange *x)
{
	struct exchanges *set = x->set;
	bool parked;

	pthread_mutex_lock(&set->lock);
	x->cancelled = x->cancelled || set->stopping;
	parked = x->park != PARK_WOKEN && !x->cancelled;
	x->park = parked ? PARK_WAITING : PARK_RUNNING;
	if (parked) {
		x->prev = NULL;
		x->next = set->parked;
		if (x->next)
			x->next->prev = x;
		set->parked = x;
		set->parked_count++;
	}
	pthread_mutex_unlock(&set->lock);
	return parked;
}

static void run_door(struct exchange *x)
{
	struct err e = ERR_INIT;
	int outcome;

	do {
		outcome = x->rq.route->door(&x->rq, &e);
	} while (outcome == DOOR_PARKED && !park(x));
	if (outcome == DOOR_PARKED)
		return; // *x belongs to whoever wakes it
	if (outcome < 0)
		respond_err(&x->rq, &e);
	resume(x, STAGE_ANSWER);
}

void exchange_release_body_memory(struct exchange *x)
{
	atomic_fetch_sub(&x->set->body_memory, x->charged);
	x->charged = 0;
}

static int feed(struct exchange *x, bool last, struct err *e)
{
	int rc = x->rq.route->sink(&x->rq, buf_str(&x->piece), last, e);

	buf_clear(&x->piece);
	exchange_release_body_memory(x);
	x->sunk = last;
	return rc;
}

static void feed_and_go_on(struct exchange *x)
{
	struct err e = ERR_INIT;

	if (feed(x, false, &e) == 0) {
		resume(x, STAGE_BODY);
		return;
	}
	respond_err(&x->rq, &e);
	exchange_answer_early(x);
	resume(x, STAGE_DISCARD);
}

static void work(void *task, UNUSED void *ctx)
{
	struct exchange *x = task;
	struct err e = ERR_INIT;

	pthread_mutex_lock(&x->set->lock);
	x->park = PARK_RUNNING;
	pthread_mutex_unlock(&x->set->lock);
	x->rq.on_io_thread = false;
	if (x->stage == STAGE_FEEDING) {
		feed_and_go_on(x);
	} else if (x->rq.route->sink && !x->sunk && feed(x, true, &e)) {
		respond_err(&x->rq, &e);
		resume(x, STAGE_ANSWER);
	} else {
		run_door(x);
	}
}

// ---- parking ----------------------------------------------------------------------------------

static bool has_room(struct exchanges *set, size_t limit)
{
	bool room;

	pthread_mutex_lock(&set->lock);
	room = !set->stopping && set->parked_count < limit;
	pthread_mutex_unlock(&set->lock);
	return room;
}

bool request_may_park(struct request *rq)
{
	struct exchanges *set = exchange_of(rq)->set;

	return has_room(set, set->cfg.max_parked);
}

bool request_may_park_briefly(struct request *rq)
{
	struct exchanges *set = exchange_of(rq)->set;

	return has_room(set, set->cfg.max_parked + set->cfg.lanes[LANE_WORK].queue);
}

void *request_waker(struct request *rq)
{
	struct exchange *x = exchange_of(rq);

	pthread_mutex_lock(&x->set->lock);
	x->refs++;
	rq->woken_with = ERR_INIT;
	pthread_mutex_unlock(&x->set->lock);
	return x;
}

void request_waker_drop(void *waker)
{
	exchange_unref(waker);
}

// The lock is held, and *x is parked.
static void unpark(struct exchange *x)
{
	struct exchanges *set = x->set;

	if (x->prev)
		x->prev->next = x->next;
	else
		set->parked = x->next;
	if (x->next)
		x->next->prev = x->prev;
	set->parked_count--;
	x->park = PARK_WOKEN;
	// There is room: see lane_depth(). The lanes end only when nothing is suspended.
	if (!pool_push(set->lanes[lane_of(x)], x))
		abort();
}

void request_wake_with(void *waker, const struct err *failure)
{
	struct exchange *x = waker;

	pthread_mutex_lock(&x->set->lock);
	if (x->park != PARK_OVER && !x->cancelled) {
		if (failure)
			x->rq.woken_with = *failure;
		if (x->park == PARK_WAITING)
			unpark(x);
		x->park = PARK_WOKEN;
	}
	pthread_mutex_unlock(&x->set->lock);
	exchange_unref(x);
}

void request_wake(void *waker)
{
	request_wake_with(waker, NULL);
}

bool request_cancelled(const struct request *rq)
{
	struct exchange *x = exchange_of(rq);
	bool cancelled;

	pthread_mutex_lock(&x->set->lock);
	cancelled = x->cancelled;
	pthread_mutex_unlock(&x->set->lock);
	return cancelled;
}

// ---- life of the set --------------------------------------------------------------------------

static int start_lanes(struct exchanges *set, struct err *e)
{
	static const char *const names[] = {[LANE_WORK] = "work", [LANE_INGEST] = "ingest"};

	for (enum lane l = LANE_WORK; l < LANE_COUNT; l++) {
		if (pool_new(names[l], set->cfg.lanes[l].threads, lane_depth(&set->cfg, l), work,
			     NULL, &set->lanes[l], e))
			return -1;
	}
	return 0;
}

int exchanges_new(const struct exchange_config *cfg, struct exchanges **ret, struct err *e)
{
	struct exchanges *set = mem_zalloc(sizeof(*set));
	pthread_condattr_t attr;

	if (!set)
		return err_nomem(e);
	set->cfg = *cfg;
	set->refs = 1;
	pthread_mutex_init(&set->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&set->changed, &attr);
	pthread_condattr_destroy(&attr);
	http_metrics_register(cfg->routes);
	if (start_lanes(set, e)) {
		exchanges_free(set);
		return -1;
	}
	*ret = set;
	return 0;
}

void exchanges_free(struct exchanges *set)
{
	bool last;

	if (!set)
		return;
	for (enum lane l = LANE_WORK; l < LANE_COUNT; l++)
		pool_free(set->lanes[l]);
	pthread_mutex_lock(&set->lock);
	last = --set->refs == 0;
	pthread_mutex_unlock(&set->lock);
	if (last)
		free_set(set);
}

void exchanges_drain(struct exchanges *set)
{
	atomic_store(&set->draining, true);
}

bool exchanges_draining(const struct exchanges *set)
{
	return atomic_load(&set->draining);
}

static struct timespec deadline_in(uint64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(ms / 1000);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

// The lock is held. True when the count has come down to zero.
static bool wait_for_zero(struct exchanges *set, const size_t *count, uint64_t timeout_ms)
{
	struct timespec until = deadline_in(timeout_ms);

	while (*count && pthread_cond_timedwait(&set->changed, &set->lock, &until) != ETIMEDOUT)
		;
	return *count == 0;
}

bool exchanges_wait_idle(struct exchanges *set, uint64_t timeout_ms)
{
	bool idle;

	pthread_mutex_lock(&set->lock);
	idle = wait_for_zero(set, &set->active, timeout_ms);
	pthread_mutex_unlock(&set->lock);
	return idle;
}

bool exchanges_stop(struct exchanges *set, uint64_t timeout_ms)
{
	bool none;

	pthread_mutex_lock(&set->lock);
	set->stopping = true;
	while (set->parked) {
		set->parked->cancelled = true;
		unpark(set->parked);
	}
	none = wait_for_zero(set, &set->suspended, timeout_ms);
	pthread_mutex_unlock(&set->lock);
	return none;
}

void exchanges_measure(struct exchanges *set)
{
	struct http_gauges g = {.body_memory = atomic_load(&set->body_memory)};

	pthread_mutex_lock(&set->lock);
	g.active = set->active;
	g.suspended = set->suspended;
	g.parked = set->parked_count;
	pthread_mutex_unlock(&set->lock);
	for (enum lane l = LANE_WORK; l < LANE_COUNT; l++) {
		g.waiting[l] = pool_waiting(set->lanes[l]);
		g.busy[l] = pool_busy(set->lanes[l]);
	}
	http_metrics_gauges(&g);
}
