/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/row_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MANY = 300000 }; // several pieces of memory

static void add_all(struct row_log *log, const struct uhx_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(row_log_add(log, &rows[i]), 0);
	assert_int_equal(row_log_finish(log), 0);
	assert_int_equal(log->n, n);
}

// Every row as it was added, in runs whose starts rise.
static void expect_all(const struct row_log *log, const struct uhx_row *rows, size_t n)
{
	size_t seen = 0;

	for (size_t i = 0; i < log->run_count; i++) {
		struct row_cursor c = row_log_begin(&log->runs[i]);
		uint64_t last = 0;

		assert_int_equal(log->runs[i].start, c.row.start);
		do {
			assert_true(seen < n && c.number == seen && c.row.start >= last);
			assert_memory_equal(&c.row, &rows[seen], sizeof(rows[seen]));
			last = c.row.start;
			seen++;
		} while (row_log_next(&c));
	}
	assert_int_equal(seen, n);
}

static void check(const struct uhx_row *rows, size_t n)
{
	struct row_log log = ROW_LOG_INIT;

	add_all(&log, rows, n);
	expect_all(&log, rows, n);
	row_log_deinit(&log);
}

static void test_nothing(void **state)
{
	(void)state;
	check(NULL, 0);
}

static void test_the_largest_values(void **state)
{
	const struct uhx_row rows[] = {
		{UINT64_MAX - 1, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
		{0, UINT64_MAX, 0, 0, 0, 0},
		{UINT64_MAX, UINT64_MAX, UINT32_MAX, 0, UINT32_MAX, 0},
		{1, 2, 1, 1, 1, 1},
		{1, 2, 1, 1, 1, 1},
	};

	(void)state;
	check(rows, countof(rows));
}

static void test_a_run_ends_where_starts_fall(void **state)
{
	const struct uhx_row rows[] = {
		{.start = 10, .end = 20}, {.start = 20, .end = 25}, {.start = 20, .end = 22},
		{.start = 5, .end = 9},	  {.start = 9, .end = 50},  {.start = 8, .end = 9},
	};
	struct row_log log = ROW_LOG_INIT;

	(void)state;
	add_all(&log, rows, countof(rows));
	assert_int_equal(log.run_count, 3);
	assert_int_equal(log.runs[0].n, 3);
	assert_int_equal(log.runs[1].n, 2);
	assert_int_equal(log.runs[1].first, 3);
	assert_int_equal(log.runs[2].start, 8);
	row_log_deinit(&log);
}

static struct uhx_row random_row(unsigned *seed, uint64_t at)
{
	struct uhx_row row = {.start = at + (rand_r(seed) % 4 ? 0 : (uint64_t)rand_r(seed) % 5000)};

	row.end = row.start + 1 + (uint64_t)rand_r(seed) % 300;
	row.scope = (uint32_t)rand_r(seed) >> rand_r(seed) % 32;
	row.file = (uint32_t)rand_r(seed) % 50;
	row.line = (uint32_t)rand_r(seed) % 3000;
	row.column = (uint32_t)rand_r(seed) % 80;
	return row;
}

static void test_more_than_one_piece_of_memory(void **state)
{
	struct uhx_row *rows = calloc(MANY, sizeof(*rows));
	unsigned seed = 11;

	(void)state;
	assert_non_null(rows);
	for (size_t i = 0; i < MANY; i++)
		rows[i] = random_row(&seed, i % 1000 ? rows[i - 1].end : (uint64_t)rand_r(&seed) << 20);
	check(rows, MANY);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_the_largest_values),
		cmocka_unit_test(test_a_run_ends_where_starts_fall),
		cmocka_unit_test(test_more_than_one_piece_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
