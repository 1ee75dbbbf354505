/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include "base/mem.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS_MAX = 256, THREAD_NAME = 16 };

struct pool {
	pool_fn *fn;
	void *ctx;
	size_t depth;
	unsigned threads; // started
	// Changed under the lock, read by the gauges without it.
	atomic_size_t waiting;
	atomic_size_t busy;

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t pushed;
	bool closing;
	size_t head; // of the ring
	void **ring;
	pthread_t ids[];
};

// The lock is held; false when there is nothing left to do for ever.
static bool wait_for_task(struct pool *p)
{
	while (!atomic_load(&p->waiting)) {
		if (p->closing)
			return false;
		pthread_cond_wait(&p->pushed, &p->lock);
	}
	return true;
}

static void *work(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	while (wait_for_task(p)) {
		void *task = p->ring[p->head];

		p->head = (p->head + 1) % p->depth;
		atomic_fetch_sub(&p->waiting, 1);
		atomic_fetch_add(&p->busy, 1);
		pthread_mutex_unlock(&p->lock);
		p->fn(task, p->ctx);
		pthread_mutex_lock(&p->lock);
		atomic_fetch_sub(&p->busy, 1);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

// Threads inherit the signal mask: with everything blocked, signals go to the main thread.
static int start_threads(struct pool *p, const char *name, unsigned threads)
{
	sigset_t all;
	sigset_t old;
	int errnum = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->threads < threads) {
		char text[THREAD_NAME];

		errnum = pthread_create(&p->ids[p->threads], NULL, work, p);
		if (errnum)
			break;
		snprintf(text, sizeof(text), "%.11s-%u", name, p->threads % 1000);
		pthread_setname_np(p->ids[p->threads], text);
		p->threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errnum;
}

static struct pool *new_pool(unsigned threads, size_t depth, pool_fn *fn, void *ctx)
{
	struct pool *p = mem_zalloc(sizeof(*p) + threads * sizeof(p->ids[0]));

	if (!p)
		return NULL;
	p->ring = mem_calloc(depth, sizeof(*p->ring));
	if (!p->ring) {
		free(p);
		return NULL;
	}
	p->fn = fn;
	p->ctx = ctx;
	p->depth = depth;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->pushed, NULL);
	return p;
}

int pool_new(const char *name, unsigned threads, size_t depth, pool_fn *fn, void *ctx,
	     struct pool **ret, struct err *e)
{
	struct pool *p;
	int errnum;

	if (!threads || threads > THREADS_MAX || !depth)
		return err_set(e, ERR_INTERNAL, "pool %s: %u threads and a queue of %zu make no sense",
			       name, threads, depth);
	p = new_pool(threads, depth, fn, ctx);
	if (!p)
		return err_nomem(e);
	errnum = start_threads(p, name, threads);
	if (errnum) {
		pool_free(p);
		return err_sys(e, errnum, "starting threads of pool %s", name);
	}
	*ret = p;
	return 0;
}

bool pool_push(struct pool *p, void *task)
{
	bool taken = false;
	size_t waiting;

	pthread_mutex_lock(&p->lock);
	waiting = atomic_load(&p->waiting);
	if (!p->closing && waiting < p->depth) {
		p->ring[(p->head + waiting) % p->depth] = task;
		atomic_store(&p->waiting, waiting + 1);
		pthread_cond_signal(&p->pushed);
		taken = true;
	}
	pthread_mutex_unlock(&p->lock);
	return taken;
}

size_t pool_waiting(const struct pool *p)
{
	return atomic_load(&p->waiting);
}

size_t pool_busy(const struct pool *p)
{
	return atomic_load(&p->busy);
}

size_t pool_depth(const struct pool *p)
{
	return p->depth;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->pushed);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	pthread_cond_destroy(&p->pushed);
	pthread_mutex_destroy(&p->lock);
	free(p->ring);
	free(p);
}
