/* SPDX-License-Identifier: Apache-2.0 */
#include "server/leases.h"

#include "base/testing.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { LONG_MS = 600000, SHORT_MS = 30, ASKERS = 4, ASKED = 500 };

static struct build_id id_of(unsigned n)
{
	struct build_id id;
	struct err e = ERR_INIT;

	assert_ok(build_id_set(&id, BUILD_ID_GNU, &n, sizeof(n), &e));
	return id;
}

static struct leases *leases(uint64_t ms)
{
	struct leases *l;
	struct err e = ERR_INIT;

	assert_ok(leases_new(ms, &l, &e));
	return l;
}

static int take(struct leases *l, unsigned n)
{
	const struct build_id id = id_of(n);
	struct err e = ERR_INIT;

	return leases_take(l, &id, &e);
}

static void one_asker_has_it(UNUSED void **state)
{
	struct leases *l = leases(LONG_MS);

	assert_int_equal(leases_duration_ms(l), LONG_MS);
	assert_int_equal(take(l, 1), 0);
	assert_int_equal(take(l, 1), LEASE_HELD);
	assert_int_equal(take(l, 2), 0);
	leases_free(l);
	leases_free(NULL);
}

static void it_runs_out_but_not_while_the_upload_lasts(UNUSED void **state)
{
	const struct build_id id = id_of(1);
	struct leases *l = leases(SHORT_MS);

	assert_int_equal(take(l, 1), 0);
	usleep(2 * SHORT_MS * 1000);
	assert_int_equal(take(l, 1), 0);
	assert_true(leases_upload_begins(l, &id));
	usleep(2 * SHORT_MS * 1000);
	assert_int_equal(take(l, 1), LEASE_HELD);
	leases_upload_ends(l, &id, false);
	assert_int_equal(take(l, 1), 0);
	leases_free(l);
}

static void a_refused_upload_is_not_asked_for_again_at_once(UNUSED void **state)
{
	const struct build_id id = id_of(1);
	const struct build_id other = id_of(2);
	struct leases *l = leases(LONG_MS);

	assert_int_equal(take(l, 1), 0);
	assert_true(leases_upload_begins(l, &id));
	leases_upload_ends(l, &id, true);
	assert_int_equal(take(l, 1), LEASE_HELD);
	assert_true(leases_upload_begins(l, &id));
	leases_upload_ends(l, &id, false);
	assert_int_equal(take(l, 1), 0);
	assert_false(leases_upload_begins(l, &other)); // nobody asked for it, so it does not end either
	assert_int_equal(take(l, 2), 0);
	leases_free(l);
}

static void the_table_is_bounded(UNUSED void **state)
{
	struct leases *l = leases(LONG_MS);

	for (unsigned i = 0; i < LEASES_MAX; i++)
		assert_int_equal(take(l, i), 0);
	assert_int_equal(take(l, LEASES_MAX), LEASE_HELD);
	for (unsigned i = 0; i < 10; i++)
		leases_upload_ends(l, (struct build_id[1]){id_of(i)}, false);
	for (unsigned i = 0; i < 10; i++) // what is over makes room
		assert_int_equal(take(l, LEASES_MAX + i), 0);
	assert_int_equal(take(l, LEASES_MAX + 10), LEASE_HELD);
	leases_free(l);
}

struct race {
	struct leases *leases;
	atomic_uint taken;
};

static void *ask(void *ctx)
{
	struct race *r = ctx;

	for (unsigned i = 0; i < ASKED; i++)
		atomic_fetch_add(&r->taken, take(r->leases, i) == 0);
	return NULL;
}

static void askers_that_race_share(UNUSED void **state)
{
	struct race r = {.leases = leases(LONG_MS)};
	pthread_t threads[ASKERS];

	for (size_t i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &r), 0);
	for (size_t i = 0; i < ASKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&r.taken), ASKED);
	leases_free(r.leases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_asker_has_it),
		cmocka_unit_test(it_runs_out_but_not_while_the_upload_lasts),
		cmocka_unit_test(a_refused_upload_is_not_asked_for_again_at_once),
		cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(askers_that_race_share),
	};

	return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
