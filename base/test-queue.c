/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include "base/mem.h"
#include "base/testing.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

// Workers stop at the gate while it is closed.
struct gate {
	pthread_mutex_t lock;
	atomic_uint done;
	unsigned order[16];
};

static void pass_gate(void *task, void *ctx)
{
	struct gate *g = ctx;

	pthread_mutex_lock(&g->lock);
	g->order[atomic_load(&g->done) % 16] = *(unsigned *)task;
	atomic_fetch_add(&g->done, 1);
	pthread_mutex_unlock(&g->lock);
}

static void wait_until(const struct pool *p, size_t busy, size_t waiting)
{
	for (int i = 0; i < 5000; i++) {
		if (pool_busy(p) == busy && pool_waiting(p) == waiting)
			return;
		usleep(1000);
	}
	fail_msg("busy %zu, waiting %zu", pool_busy(p), pool_waiting(p));
}

static void tasks_run_in_order_and_a_full_queue_refuses(void **state)
{
	struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER};
	unsigned tasks[5] = {0, 1, 2, 3, 4};
	struct err e = ERR_INIT;
	struct pool *p;

	(void)state;
	assert_ok(pool_new("test", 1, 3, pass_gate, &g, &p, &e));
	assert_int_equal(pool_depth(p), 3);
	pthread_mutex_lock(&g.lock);
	assert_true(pool_push(p, &tasks[0]));
	wait_until(p, 1, 0);
	for (unsigned i = 1; i < 4; i++)
		assert_true(pool_push(p, &tasks[i]));
	assert_false(pool_push(p, &tasks[4]));
	assert_int_equal(pool_waiting(p), 3);
	pthread_mutex_unlock(&g.lock);
	pool_free(p);
	assert_int_equal(atomic_load(&g.done), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(g.order[i], i);
	pool_free(NULL);
}

static void count_task(void *task, void *ctx)
{
	(void)task;
	atomic_fetch_add((atomic_uint *)ctx, 1);
}

struct pusher {
	struct pool *pool;
	unsigned pushed;
};

static void *push_many(void *arg)
{
	struct pusher *p = arg;

	for (unsigned i = 0; i < 20000; i++)
		p->pushed += pool_push(p->pool, p);
	return NULL;
}

static void every_task_taken_is_run_once(void **state)
{
	struct pusher pushers[3];
	pthread_t threads[3];
	atomic_uint ran = 0;
	struct err e = ERR_INIT;
	unsigned pushed = 0;
	struct pool *p;

	(void)state;
	assert_ok(pool_new("many", 4, 64, count_task, &ran, &p, &e));
	for (unsigned i = 0; i < 3; i++) {
		pushers[i] = (struct pusher){p, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, push_many, &pushers[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		pushed += pushers[i].pushed;
	}
	pool_free(p);
	assert_true(pushed >= 64);
	assert_int_equal(atomic_load(&ran), pushed);
}

static void look_at_thread(void *task, void *ctx)
{
	sigset_t mask;

	(void)ctx;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	pthread_getname_np(pthread_self(), task, 16);
	if (!sigismember(&mask, SIGTERM))
		snprintf(task, 16, "open to signals");
}

static void workers_have_names_and_no_signals(void **state)
{
	char name[16] = "";
	struct err e = ERR_INIT;
	struct pool *p;
	sigset_t mask;

	(void)state;
	assert_ok(pool_new("a-rather-long-name", 1, 1, look_at_thread, NULL, &p, &e));
	assert_true(pool_push(p, name));
	pool_free(p);
	assert_string_equal(name, "a-rather-lo-0");
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
}

static void nonsense_and_lack_of_memory_are_refused(void **state)
{
	struct err e = ERR_INIT;
	struct pool *p = NULL;

	(void)state;
	assert_int_equal(pool_new("none", 0, 1, count_task, NULL, &p, &e), -1);
	assert_err(&e, ERR_INTERNAL, "pool none: 0 threads");
	for (unsigned long nth = 1; nth <= 2; nth++) {
		mem_fault_at(nth, 1);
		assert_int_equal(pool_new("x", 1, 1, count_task, NULL, &p, &e), -1);
		assert_true(mem_fault_off());
		assert_int_equal(e.kind, ERR_NOMEM);
	}
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_run_in_order_and_a_full_queue_refuses),
		cmocka_unit_test(every_task_taken_is_run_once),
		cmocka_unit_test(workers_have_names_and_no_signals),
		cmocka_unit_test(nonsense_and_lack_of_memory_are_refused),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
