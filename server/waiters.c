/* SPDX-License-Identifier: Apache-2.0 */
#include "server/waiters.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "server/binaries_metrics.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

enum {
	WAITERS_MAX = 1 << 20,
	NOT_IN_HEAP = -1,
	// Time may be shifted by tests; so the thread looks again now and then.
	LOOK_AGAIN_MS = 1000,
};

// All of it is guarded by waiters.lock.
struct waiter {
	struct waiters *owner;
	struct binaries_waiting what;
	uint64_t deadline_ms;
	unsigned holds;
	ssize_t at; // in the heap
	bool woken; // or never to be
};

struct waiters {
	struct thread thread;
	pthread_mutex_t lock; // guards what follows
	pthread_cond_t changed;
	bool closing;
	struct waiter **heap; // the earliest deadline first
	size_t n;
	size_t cap;
};

// ---- the heap; the lock is held --------------------------------------------------------------------------

static bool earlier(const struct waiter *a, const struct waiter *b)
{
	return a->deadline_ms < b->deadline_ms;
}

static void place(struct waiters *ws, struct waiter *w, size_t at)
{
	ws->heap[at] = w;
	w->at = (ssize_t)at;
}

static void sift_up(struct waiters *ws, struct waiter *w, size_t at)
{
	while (at && earlier(w, ws->heap[(at - 1) / 2])) {
		place(ws, ws->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	place(ws, w, at);
}

static void sift_down(struct waiters *ws, struct waiter *w, size_t at)
{
	for (size_t child; (child = 2 * at + 1) < ws->n; at = child) {
		if (child + 1 < ws->n && earlier(ws->heap[child + 1], ws->heap[child]))
			child++;
		if (!earlier(ws->heap[child], w))
			break;
		place(ws, ws->heap[child], at);
	}
	place(ws, w, at);
}

static void heap_remove(struct waiters *ws, struct waiter *w)
{
	struct waiter *last = ws->heap[--ws->n];
	size_t at = (size_t)w->at;

	w->at = NOT_IN_HEAP;
	metric_gauge_add(&metric_waiters, 0, -1);
	if (last == w)
		return;
	sift_up(ws, last, at);
	sift_down(ws, last, (size_t)last->at);
}

static int heap_insert(struct waiters *ws, struct waiter *w)
{
	if (mem_grow(&ws->heap, &ws->cap, ws->n + 1, sizeof(struct waiter *), WAITERS_MAX))
		return -1;
	sift_up(ws, w, ws->n++);
	metric_gauge_add(&metric_waiters, 0, 1);
	return 0;
}

// ---- waking -------------------------------------------------------------------------------------------------

// Takes it out of the heap; returns what to call without the lock, or an empty one.
static struct binaries_waiting take_wake(struct waiters *ws, struct waiter *w)
{
	if (w->woken || w->at == NOT_IN_HEAP)
		return (struct binaries_waiting){0};
	heap_remove(ws, w);
	w->woken = true;
	return w->what;
}

static void call(const struct binaries_waiting *what)
{
	if (what->wake)
		what->wake(what->ctx);
}

// The lock is held. Wakes the first one and takes the lock again.
static void wake_first(struct waiters *ws)
{
	struct waiter *w = ws->heap[0];
	struct binaries_waiting what = take_wake(ws, w);
	bool unused = !w->holds;

	pthread_mutex_unlock(&ws->lock);
	if (unused)
		free(w);
	call(&what);
	pthread_mutex_lock(&ws->lock);
}

// Until the first deadline, a change, or a while.
static void sleep_on(struct waiters *ws, uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&ws->changed, &ws->lock, &until);
}

static void *run(void *arg)
{
	struct waiters *ws = arg;

	pthread_mutex_lock(&ws->lock);
	while (!ws->closing || ws->n) {
		uint64_t now = clock_mono_ms();

		if (!ws->n)
			pthread_cond_wait(&ws->changed, &ws->lock);
		else if (ws->closing || ws->heap[0]->deadline_ms <= now)
			wake_first(ws);
		else
			sleep_on(ws, MIN(ws->heap[0]->deadline_ms - now, (uint64_t)LOOK_AGAIN_MS));
	}
	pthread_mutex_unlock(&ws->lock);
	return NULL;
}

// ---- the interface --------------------------------------------------------------------------------------------

struct waiter *waiter_new(struct waiters *ws, const struct binaries_waiting *what)
{
	struct waiter *w = mem_zalloc(sizeof(*w));

	if (!w)
		return NULL;
	w->owner = ws;
	w->what = *what;
	w->deadline_ms = clock_mono_ms() + what->wait_ms;
	w->holds = 1;
	w->at = NOT_IN_HEAP;
	return w;
}

void waiter_hold(struct waiter *w)
{
	pthread_mutex_lock(&w->owner->lock);
	w->holds++;
	pthread_mutex_unlock(&w->owner->lock);
}

void waiter_release(struct waiter *w)
{
	struct waiters *ws = w->owner;
	struct binaries_waiting what = {0};
	bool last;

	pthread_mutex_lock(&ws->lock);
	last = --w->holds == 0;
	if (last)
		what = take_wake(ws, w);
	pthread_mutex_unlock(&ws->lock);
	if (last)
		free(w);
	call(&what);
}

// When everything has been released already, the thread wakes it: wake() comes from another thread.
int waiter_start(struct waiter *w, struct err *e)
{
	struct waiters *ws = w->owner;
	bool unused;
	int rc;

	pthread_mutex_lock(&ws->lock);
	unused = --w->holds == 0;
	if (unused)
		w->deadline_ms = 0;
	rc = ws->closing ? -1 : heap_insert(ws, w);
	if (rc)
		w->woken = true;
	pthread_cond_signal(&ws->changed);
	pthread_mutex_unlock(&ws->lock);
	if (!rc)
		return 0;
	if (unused)
		free(w);
	return err_set(e, ERR_OVERLOADED, "too many requests are waiting, or the server is stopping");
}

void waiter_drop(struct waiter *w)
{
	waiter_release(w);
}

int waiters_new(struct waiters **ret, struct err *e)
{
	struct waiters *ws = mem_zalloc(sizeof(*ws));
	pthread_condattr_t attr;

	if (!ws)
		return err_nomem(e);
	pthread_mutex_init(&ws->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ws->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (thread_start(&ws->thread, "waiters", run, ws, e)) {
		waiters_free(ws);
		return -1;
	}
	*ret = ws;
	return 0;
}

void waiters_free(struct waiters *ws)
{
	if (!ws)
		return;
	pthread_mutex_lock(&ws->lock);
	ws->closing = true;
	pthread_cond_signal(&ws->changed);
	pthread_mutex_unlock(&ws->lock);
	thread_join(&ws->thread);
	pthread_cond_destroy(&ws->changed);
	pthread_mutex_destroy(&ws->lock);
	free(ws->heap);
	free(ws);
}
