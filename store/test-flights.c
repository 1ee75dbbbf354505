/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flights.h"

#include "base/mem.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <stdatomic.h>

enum { THREADS = 6, ROUNDS = 300 };

static struct flights flights;
static atomic_int inside[2];
static atomic_int most;

// Even and odd threads use different keys.
static void *fly(void *arg)
{
	int which = *(int *)arg % 2;
	struct str key = which ? STR("odd") : STR("even");

	for (int i = 0; i < ROUNDS; i++) {
		if (flights_enter(&flights, key, NULL))
			return arg;
		if (atomic_fetch_add(&inside[which], 1) > 0)
			atomic_store(&most, 2);
		sched_yield();
		atomic_fetch_sub(&inside[which], 1);
		flights_leave(&flights, key);
	}
	return NULL;
}

static void test_one_at_a_time_per_key(void **state)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];
	void *bad;

	(void)state;
	flights_init(&flights);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, fly, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(atomic_load(&most), 0);
	flights_deinit(&flights);
}

static void test_out_of_memory(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	flights_init(&flights);
	mem_fault_at(1, 0);
	assert_int_equal(flights_enter(&flights, STR("x"), &e), -1);
	assert_true(mem_fault_off());
	assert_int_equal(e.kind, ERR_NOMEM);
	assert_int_equal(flights_enter(&flights, STR("x"), &e), 0); // nobody is in it
	flights_leave(&flights, STR("x"));
	flights_deinit(&flights);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_at_a_time_per_key),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
