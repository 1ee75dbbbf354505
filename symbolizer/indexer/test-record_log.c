/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/record_log.h"

#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_numbers(void **state)
{
	struct record_log l;

	(void)state;
	assert_int_equal(record_log_init(&l, sizeof(uint64_t)), 0);
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 1; i <= 100; i++) // few enough to be found again, nearly all
			(void)record_log_put(&l, &i);
	}
	assert_in_range(l.n, 101, 110);
	for (uint64_t i = 1; i <= 100; i++)
		assert_memory_equal(record_log_at(&l, (uint32_t)i), &i, sizeof(i));
	record_log_deinit(&l);
}

static void test_what_is_far_apart_is_kept_twice(void **state)
{
	struct record_log l;
	uint64_t first = 1;

	(void)state;
	assert_int_equal(record_log_init(&l, sizeof(uint64_t)), 0);
	assert_int_equal(record_log_put(&l, &first), 1);
	assert_int_equal(record_log_put(&l, &first), 1);
	for (uint64_t i = 2; i < 50 * RECORD_LOG_RECENT; i++)
		assert_int_equal(record_log_put(&l, &i), i);
	assert_int_equal(record_log_put(&l, &first), 50 * RECORD_LOG_RECENT);
	record_log_deinit(&l);
}

static void test_out_of_memory(void **state)
{
	struct record_log l;
	uint64_t i = 1;

	(void)state;
	mem_fault_at(1, 0);
	assert_int_equal(record_log_init(&l, sizeof(uint64_t)), -1);
	assert_true(mem_fault_off());
	record_log_deinit(&l);
	assert_int_equal(record_log_init(&l, sizeof(uint64_t)), 0);
	mem_fault_at(1, 0);
	while (record_log_put(&l, &i))
		i++;
	assert_true(mem_fault_off());
	assert_int_equal(l.n, i);
	assert_int_equal(record_log_put(&l, &i), i);
	record_log_deinit(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_what_is_far_apart_is_kept_twice),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
