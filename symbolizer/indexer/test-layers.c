/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/layers.h"

#include "base/buf.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void print(void *ctx, uint64_t start, uint64_t end, uint32_t value)
{
	buf_printf(ctx, "%u:%u-%u ", value, (unsigned)start, (unsigned)end);
}

static void check(const struct layer *items, size_t n, const char *expected)
{
	struct layers l = LAYERS_INIT;
	struct buf b = BUF_INIT(4096);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(layers_add(&l, items[i].start, items[i].end, items[i].value, &e), 0);
	assert_int_equal(layers_flatten(&l, print, &b, &e), 0);
	assert_string_equal(buf_str(&b).p, expected);
	layers_deinit(&l);
	buf_deinit(&b);
}

#define CHECK(expected, ...)                                                                       \
	check((const struct layer[]){__VA_ARGS__}, countof(((const struct layer[]){__VA_ARGS__})), expected)

static void test_last_on_top(void **state)
{
	(void)state;
	CHECK("1:10-20 ", {10, 20, 1, 0});
	CHECK("1:10-12 2:12-15 1:15-20 ", {10, 20, 1, 0}, {12, 15, 2, 0});
	CHECK("1:10-12 2:12-14 3:14-15 2:15-18 1:18-20 ", {10, 20, 1, 0}, {12, 18, 2, 0}, {14, 15, 3, 0});
	CHECK("2:5-20 1:20-30 ", {10, 30, 1, 0}, {5, 20, 2, 0});
	CHECK("2:10-20 ", {10, 20, 1, 0}, {10, 20, 2, 0});
}

// The later of two siblings that overlap, whatever their order in memory.
static void test_overlapping_siblings(void **state)
{
	(void)state;
	CHECK("2:10-20 3:20-30 ", {0, 0, 1, 0}, {10, 25, 2, 0}, {20, 30, 3, 0});
	CHECK("3:20-30 2:30-35 ", {25, 35, 2, 0}, {20, 30, 3, 0});
}

static void test_gaps_and_nothing(void **state)
{
	(void)state;
	CHECK("1:1-2 2:8-9 ", {1, 2, 1, 0}, {8, 9, 2, 0});
	CHECK("", {5, 5, 1, 0}, {9, 3, 2, 0});
	CHECK("1:0-4294967295 ", {0, UINT32_MAX, 1, 0});
}

enum { CANVAS = 200 };

static void paint(void *ctx, uint64_t start, uint64_t end, uint32_t value)
{
	assert_true(end <= CANVAS);
	memset((uint8_t *)ctx + start, (int)value, end - start);
}

// Against painting an array of bytes.
static void test_random(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	srand(7);
	for (int round = 0; round < 300; round++) {
		struct layers l = LAYERS_INIT;
		uint8_t want[CANVAS] = {0};
		uint8_t got[CANVAS] = {0};

		for (uint32_t i = 1; i <= 20; i++) {
			unsigned start = (unsigned)rand() % 150;
			unsigned end = start + (unsigned)rand() % 50;

			assert_int_equal(layers_add(&l, start, end, i, &e), 0);
			paint(want, start, end, i);
		}
		assert_int_equal(layers_flatten(&l, paint, got, &e), 0);
		assert_memory_equal(got, want, CANVAS);
		layers_deinit(&l);
	}
}

static void test_out_of_memory(void **state)
{
	struct layers l = LAYERS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	mem_fault_at(1, 0);
	assert_int_equal(layers_add(&l, 1, 2, 3, &e), -1);
	assert_true(mem_fault_off());
	assert_int_equal(e.kind, ERR_NOMEM);
	layers_deinit(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_on_top),
		cmocka_unit_test(test_overlapping_siblings),
		cmocka_unit_test(test_gaps_and_nothing),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
