/* SPDX-License-Identifier: Apache-2.0 */
/* When inputs are merged, and that nothing is lost by it. */
#include "base/mem.h"
#include "base/testing.h"
#include "server/profile_merge.h"

enum { BIG = 20 << 20, SMALL = 1 << 20 };

/* A profile of value 1 with so many bytes that no other profile has. */
static void add(struct profile_merge *m, char mark, size_t n)
{
	struct arena arena = ARENA_INIT(MIB(64));
	struct str comment = {memset(arena_alloc(&arena, n), mark, n), n};
	struct pprof_value_type type = {.type = STR("samples"), .unit = STR("count")};
	struct pprof_location location = {.mapping = PPROF_NONE, .address = 0x1139};
	uint32_t at = 0;
	int64_t value = 1;
	struct pprof_sample sample = {.locations = &at, .location_count = 1, .values = &value};
	struct pprof p = {.arena = &arena,
			  .sample_types = &type,
			  .sample_type_count = 1,
			  .samples = &sample,
			  .sample_count = 1,
			  .locations = &location,
			  .location_count = 1,
			  .comments = &comment,
			  .comment_count = 1};
	struct buf bytes = BUF_INIT(MIB(64));
	struct err e = ERR_INIT;

	assert_ok(pprof_encode(&p, &bytes, &e));
	assert_ok(profile_merge_add(m, buf_str(&bytes), &e));
	buf_deinit(&bytes);
	arena_deinit(&arena);
}

static int64_t finish(struct profile_merge *m)
{
	struct arena arena = ARENA_INIT(MIB(512));
	struct err e = ERR_INIT;
	struct pprof p;
	int64_t sum = 0;

	assert_ok(profile_merge_finish(m, &arena, &p, &e));
	for (size_t i = 0; i < p.sample_count; i++)
		sum += p.samples[i].values[0];
	arena_deinit(&arena);
	profile_merge_deinit(m);
	return sum;
}

static void test_small_inputs_become_one(void **state)
{
	struct profile_merge m = PROFILE_MERGE_INIT;

	(void)state;
	for (int i = 0; i < 40; i++)
		add(&m, 'a', SMALL); // the same bytes: a merge leaves them once
	assert_in_range(m.count, 2, 20);
	assert_true(m.bytes <= PROFILE_MERGE_BATCH);
	assert_int_equal(finish(&m), 40);
}

static void test_a_large_result_is_left_alone(void **state)
{
	struct profile_merge m = PROFILE_MERGE_INIT;

	(void)state;
	add(&m, 'a', BIG);
	add(&m, 'b', BIG);
	add(&m, 'c', BIG);
	assert_int_equal(m.count, 2); // a with b, and c
	assert_in_range(m.merged, 2 * BIG, 2 * BIG + SMALL);
	for (int i = 0; i < 10; i++)
		add(&m, 'd', SMALL);
	assert_int_equal(m.count, 12); // 70 MiB: less than twice 40
	for (int i = 0; i < 10; i++)
		add(&m, 'd', SMALL);
	assert_in_range(m.count, 2, 12); // once more
	assert_in_range(m.merged, 3 * BIG, 3 * BIG + 2 * SMALL);
	assert_int_equal(finish(&m), 23);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_inputs_become_one),
		cmocka_unit_test(test_a_large_result_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
