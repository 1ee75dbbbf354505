/* SPDX-License-Identifier: Apache-2.0 */
#include "server/index_cache.h"

#include "server/binaries_metrics.h"
#include "server/binaries_testing.h"

struct fixture {
	char dir[64];
	struct index_cache *cache;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	test_dir_make(f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	index_cache_free(f->cache);
	test_dir_remove(f->dir);
	free(f);
	return 0;
}

// Indexes of binaries 1 to n, generation 1, all the same.
static struct fixture *with_indexes(void **state, unsigned n, size_t max_open)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	if (made.why_not) {
		print_message("skipped: %s\n", made.why_not);
		skip();
	}
	assert_ok(index_cache_new(f->dir, max_open, &f->cache, &e));
	assert_int_equal(toolbox_run("%s -o one.uhx one >/dev/null", made.indexer), 0);
	for (unsigned i = 1; i <= n; i++)
		assert_int_equal(toolbox_run("cp one.uhx %s/%u-1.uhx", f->dir, i), 0);
	return f;
}

static void what_falls_out_stays_readable(void **state)
{
	struct fixture *f = with_indexes(state, 3, 2);
	static struct frames frames;
	struct uhx *u[3];
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < 3; i++)
		assert_ok(index_cache_get(f->cache, i + 1, 1, &u[i], &e));
	assert_int_equal(metric_get(&metric_indexes_open, 0), 2);
	for (unsigned i = 0; i < 3; i++) {
		uhx_lookup(u[i], made.work, &frames);
		assert_true(frames.n > 0);
		uhx_unref(u[i]);
	}
}

static void the_least_recently_used_falls_out(void **state)
{
	struct fixture *f = with_indexes(state, 3, 2);
	uint64_t misses;
	struct uhx *u;
	struct err e = ERR_INIT;
	static const unsigned order[] = {1, 2, 1, 3}; // 2 has to go

	for (unsigned i = 0; i < countof(order); i++) {
		assert_ok(index_cache_get(f->cache, order[i], 1, &u, &e));
		uhx_unref(u);
	}
	misses = metric_get(&metric_index_misses, 0);
	assert_ok(index_cache_get(f->cache, 1, 1, &u, &e));
	uhx_unref(u);
	assert_int_equal(metric_get(&metric_index_misses, 0), misses);
	assert_ok(index_cache_get(f->cache, 2, 1, &u, &e));
	uhx_unref(u);
	assert_int_equal(metric_get(&metric_index_misses, 0), misses + 1);
}

static void what_is_not_there_or_damaged_is_not_found(void **state)
{
	struct fixture *f = with_indexes(state, 1, 2);
	struct uhx *u;
	struct err e = ERR_INIT;

	assert_int_equal(index_cache_get(f->cache, 1, 2, &u, &e), INDEX_NOT_FOUND);
	assert_int_equal(index_cache_get(f->cache, 7, 1, &u, &e), INDEX_NOT_FOUND);
	assert_int_equal(toolbox_run("echo garbage >%s/7-1.uhx", f->dir), 0);
	assert_int_equal(index_cache_get(f->cache, 7, 1, &u, &e), INDEX_NOT_FOUND);
	assert_false(index_cache_has_file(f->cache, 7, 1)); // so that it is built anew
	assert_true(index_cache_has_file(f->cache, 1, 1));
}

static void removal_takes_the_file_not_the_reader(void **state)
{
	struct fixture *f = with_indexes(state, 1, 2);
	static struct frames frames;
	struct uhx *u;
	struct uhx *again;
	struct err e = ERR_INIT;

	assert_ok(index_cache_get(f->cache, 1, 1, &u, &e));
	index_cache_remove(f->cache, 1, 1);
	assert_false(index_cache_has_file(f->cache, 1, 1));
	assert_int_equal(index_cache_get(f->cache, 1, 1, &again, &e), INDEX_NOT_FOUND);
	uhx_lookup(u, made.work, &frames);
	assert_true(frames.n > 0);
	uhx_unref(u);
	assert_int_equal(metric_get(&metric_indexes_open, 0), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_falls_out_stays_readable),
		T(the_least_recently_used_falls_out),
		T(what_is_not_there_or_damaged_is_not_found),
		T(removal_takes_the_file_not_the_reader),
	};

	binaries_metrics_register();
	return cmocka_run_group_tests(tests, life_group_setup, life_group_teardown);
}
