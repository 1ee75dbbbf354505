/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/row_merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SPACE = 64, SCOPES = 8 };

static const uint8_t rank[SCOPES] = {0, SOURCE_SYMTAB, SOURCE_DWARF, SOURCE_DWARF,
				     SOURCE_GOPCLNTAB, SOURCE_DYNSYM, SOURCE_EH_FRAME, SOURCE_PLT};

struct picture {
	uint32_t line[SPACE]; // 0: nothing
	uint64_t last_end;
	size_t pieces;
	int stop_after;
};

static int draw(void *ctx, uint64_t start, uint64_t end, const struct uhx_row *row)
{
	struct picture *p = ctx;

	assert_true(start < end && end <= SPACE);
	assert_true(start >= p->last_end);
	assert_true(start >= row->start && end <= row->end);
	for (uint64_t at = start; at < end; at++)
		p->line[at] = row->line;
	p->last_end = end;
	p->pieces++;
	return p->stop_after && p->pieces == (size_t)p->stop_after ? 7 : 0;
}

static int merge_rows(const struct uhx_row *rows, size_t n, row_sink *sink, void *ctx)
{
	struct row_log log = ROW_LOG_INIT;
	struct err e = ERR_INIT;
	int result;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(row_log_add(&log, &rows[i]), 0);
	assert_int_equal(row_log_finish(&log), 0);
	result = row_merge(&log, rank, sink, ctx, &e);
	row_log_deinit(&log);
	return result;
}

static int merge(const struct uhx_row *rows, size_t n, struct picture *p)
{
	return merge_rows(rows, n, draw, p);
}

static void test_nothing(void **state)
{
	struct picture p = {0};

	(void)state;
	assert_int_equal(merge(NULL, 0, &p), 0);
	assert_int_equal(p.pieces, 0);
}

static void test_higher_source_wins(void **state)
{
	const struct uhx_row rows[] = {
		{.start = 10, .end = 40, .scope = 1, .line = 1}, // symtab
		{.start = 20, .end = 30, .scope = 2, .line = 2}, // dwarf
		{.start = 0, .end = 50, .scope = 6, .line = 3},  // eh_frame
	};
	struct picture p = {0};

	(void)state;
	assert_int_equal(merge(rows, countof(rows), &p), 0);
	assert_int_equal(p.line[0], 3);
	assert_int_equal(p.line[9], 3);
	assert_int_equal(p.line[10], 1);
	assert_int_equal(p.line[19], 1);
	assert_int_equal(p.line[20], 2);
	assert_int_equal(p.line[29], 2);
	assert_int_equal(p.line[30], 1);
	assert_int_equal(p.line[40], 3);
	assert_int_equal(p.line[50], 0);
	assert_int_equal(p.pieces, 5);
}

static void test_first_of_equals_wins(void **state)
{
	const struct uhx_row rows[] = {
		{.start = 20, .end = 30, .scope = 2, .line = 1},
		{.start = 10, .end = 40, .scope = 3, .line = 2},
		{.start = 20, .end = 35, .scope = 2, .line = 3},
	};
	struct picture p = {0};

	(void)state;
	assert_int_equal(merge(rows, countof(rows), &p), 0);
	assert_int_equal(p.line[10], 2);
	assert_int_equal(p.line[20], 1);
	assert_int_equal(p.line[30], 2);
	assert_int_equal(p.line[39], 2);
}

static void test_sink_ends_it(void **state)
{
	const struct uhx_row rows[] = {
		{.start = 1, .end = 2, .scope = 1, .line = 1},
		{.start = 3, .end = 4, .scope = 1, .line = 2},
		{.start = 5, .end = 6, .scope = 1, .line = 3},
	};
	struct picture p = {.stop_after = 2};

	(void)state;
	assert_int_equal(merge(rows, countof(rows), &p), 7);
	assert_int_equal(p.line[5], 0);
}

static void expect(const struct uhx_row *rows, size_t n, struct picture *p)
{
	for (size_t at = 0; at < SPACE; at++) {
		const struct uhx_row *best = NULL;

		for (size_t i = 0; i < n; i++) {
			const struct uhx_row *r = &rows[i];

			if (r->start <= at && at < r->end &&
			    (!best || rank[r->scope] > rank[best->scope]))
				best = r;
		}
		p->line[at] = best ? best->line : 0;
	}
}

static void test_random_rows_against_the_definition(void **state)
{
	unsigned seed = 20;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct uhx_row rows[24];
		struct picture want = {0};
		struct picture got = {0};
		size_t n = (size_t)rand_r(&seed) % countof(rows);

		for (size_t i = 0; i < n; i++) {
			uint64_t start = (uint64_t)rand_r(&seed) % (SPACE - 1);
			uint64_t size = 1 + (uint64_t)rand_r(&seed) % (SPACE - start);

			rows[i] = (struct uhx_row){
				.start = start,
				.end = start + size,
				.scope = 1 + (uint32_t)rand_r(&seed) % (SCOPES - 1),
				.line = (uint32_t)i + 1,
			};
		}
		expect(rows, n, &want);
		assert_int_equal(merge(rows, n, &got), 0);
		assert_memory_equal(want.line, got.line, sizeof(want.line));
	}
}

static int count(void *ctx, uint64_t start, uint64_t end, const struct uhx_row *row)
{
	uint64_t *last = ctx;

	assert_true(start >= *last && start < end && row->line);
	*last = end;
	return 0;
}

// The whole 64-bit space, and as many runs as half the rows.
static void test_far_addresses(void **state)
{
	enum { N = 10000 };
	struct uhx_row *rows = calloc(N, sizeof(*rows));
	uint64_t last = 0;
	unsigned seed = 4;

	(void)state;
	assert_non_null(rows);
	for (size_t i = 0; i < N; i++) {
		uint64_t start = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed) << 11 ^
				 (uint64_t)rand_r(&seed);

		rows[i] =
			(struct uhx_row){.start = start, .end = start + 100, .scope = 1, .line = 1};
		if (rows[i].end < start)
			rows[i].end = UINT64_MAX;
	}
	assert_int_equal(merge_rows(rows, N, count, &last), 0);
	assert_true(last > UINT64_C(1) << 63);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_higher_source_wins),
		cmocka_unit_test(test_first_of_equals_wins),
		cmocka_unit_test(test_sink_ends_it),
		cmocka_unit_test(test_random_rows_against_the_definition),
		cmocka_unit_test(test_far_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
