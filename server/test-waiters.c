/* SPDX-License-Identifier: Apache-2.0 */
#include "server/waiters.h"

#include "base/clock.h"
#include "base/testing.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { CROWD = 300, THREADS = 4, PATIENCE_MS = 20000, LONG_MS = 600000 };

struct client {
	atomic_uint woken;
	pthread_t by;
};

static void on_wake(void *ctx)
{
	struct client *c = ctx;

	c->by = pthread_self();
	atomic_fetch_add(&c->woken, 1);
}

static void await(struct client *c)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;

	while (!atomic_load(&c->woken) && clock_mono_ms() < until)
		usleep(1000);
	assert_int_equal(atomic_load(&c->woken), 1);
}

static struct waiter *wait_ms(struct waiters *ws, struct client *c, uint64_t ms)
{
	struct binaries_waiting what = {.wait_ms = ms, .wake = on_wake, .ctx = c};
	struct waiter *w = waiter_new(ws, &what);

	assert_non_null(w);
	return w;
}

static int setup(void **state)
{
	struct waiters *ws;
	struct err e = ERR_INIT;

	assert_ok(waiters_new(&ws, &e));
	*state = ws;
	return 0;
}

static int teardown(void **state)
{
	waiters_free(*state);
	return 0;
}

static void the_last_release_wakes(void **state)
{
	struct client c = {0};
	struct waiter *w = wait_ms(*state, &c, LONG_MS);
	struct err e = ERR_INIT;

	waiter_hold(w);
	waiter_hold(w);
	assert_ok(waiter_start(w, &e));
	waiter_release(w);
	usleep(20000);
	assert_int_equal(atomic_load(&c.woken), 0);
	waiter_release(w);
	await(&c);
}

static void a_deadline_wakes_once(void **state)
{
	struct client c = {0};
	uint64_t began = clock_mono_ms();
	struct waiter *w = wait_ms(*state, &c, 50);
	struct err e = ERR_INIT;

	waiter_hold(w);
	assert_ok(waiter_start(w, &e));
	await(&c);
	assert_true(clock_mono_ms() - began >= 50);
	waiter_release(w); // too late to wake again
	usleep(20000);
	assert_int_equal(atomic_load(&c.woken), 1);
}

static void what_was_released_before_the_start_wakes_from_another_thread(void **state)
{
	struct client c = {0};
	struct waiter *w = wait_ms(*state, &c, LONG_MS);
	struct err e = ERR_INIT;

	waiter_hold(w);
	waiter_release(w);
	assert_ok(waiter_start(w, &e));
	await(&c);
	assert_false(pthread_equal(c.by, pthread_self()));
}

static void a_dropped_one_is_never_woken(void **state)
{
	struct client c = {0};

	waiter_drop(wait_ms(*state, &c, 0));
	usleep(20000);
	assert_int_equal(atomic_load(&c.woken), 0);
}

// Ever the earliest of many deadlines first, whatever is taken out in between.
static void deadlines_come_in_order(void **state)
{
	static struct client crowd[CROWD];
	static struct waiter *w[CROWD];
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (struct client){0};
		w[i] = wait_ms(*state, &crowd[i], i % 3 ? LONG_MS : 20 + i * 7 % 50);
		waiter_hold(w[i]);
		assert_ok(waiter_start(w[i], &e));
	}
	for (unsigned i = 1; i < CROWD; i += 3)
		waiter_release(w[i]);
	for (unsigned i = 0; i < CROWD; i++) {
		if (i % 3 != 2)
			await(&crowd[i]);
	}
	for (unsigned i = 2; i < CROWD; i += 3)
		assert_int_equal(atomic_load(&crowd[i].woken), 0);
	for (unsigned i = 0; i < CROWD; i++) {
		if (i % 3 != 1)
			waiter_release(w[i]);
	}
	for (unsigned i = 2; i < CROWD; i += 3)
		await(&crowd[i]);
}

static void *release_all(void *arg)
{
	struct waiter **w = arg;

	for (unsigned i = 0; i < CROWD; i++)
		waiter_release(w[i]);
	return NULL;
}

static void threads_may_race(void **state)
{
	static struct client crowd[CROWD];
	static struct waiter *w[CROWD];
	pthread_t threads[THREADS];
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (struct client){0};
		w[i] = wait_ms(*state, &crowd[i], i % 5);
		for (unsigned t = 0; t < THREADS; t++)
			waiter_hold(w[i]);
		assert_ok(waiter_start(w[i], &e));
	}
	for (unsigned t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, release_all, w), 0);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	for (unsigned i = 0; i < CROWD; i++)
		await(&crowd[i]);
}

static void the_end_wakes_all(void **state)
{
	struct client c = {0};
	struct waiters *ws;
	struct waiter *w;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(waiters_new(&ws, &e));
	w = wait_ms(ws, &c, LONG_MS);
	assert_ok(waiter_start(w, &e));
	waiters_free(ws);
	assert_int_equal(atomic_load(&c.woken), 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_last_release_wakes),
		T(a_deadline_wakes_once),
		T(what_was_released_before_the_start_wakes_from_another_thread),
		T(a_dropped_one_is_never_woken),
		T(deadlines_come_in_order),
		T(threads_may_race),
		cmocka_unit_test(the_end_wakes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
