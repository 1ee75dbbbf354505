/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_ids.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"

static void add_all(struct pprof_ids *ids, const uint64_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pprof_ids_add(ids, id[i]), 0);
}

// Each id is where it was put, and its neighbours are nowhere, unless they are ids themselves.
static void check(const struct pprof_ids *ids, const uint64_t *id, size_t n)
{
	uint32_t position;

	assert_false(pprof_ids_find(ids, 0, &position));
	for (size_t i = 0; i < n; i++) {
		assert_true(pprof_ids_find(ids, id[i], &position));
		assert_int_equal(position, i);
		for (uint64_t other = id[i] - 1; other - id[i] + 1 <= 2; other += 2) {
			if (pprof_ids_find(ids, other, &position))
				assert_int_equal(id[position], other);
		}
	}
}

static void check_kept(const uint64_t *id, size_t n, size_t expected, int want)
{
	struct pprof_ids ids = PPROF_IDS_INIT(expected);

	add_all(&ids, id, n);
	assert_int_equal(ids.kept, want);
	check(&ids, id, n);
	pprof_ids_deinit(&ids);
}

#define CHECK(expected, want, ...)                                                                 \
	check_kept((const uint64_t[]){__VA_ARGS__},                                                \
		   sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), expected, want)

static void all_kinds_of_ids_are_found(void **state)
{
	(void)state;
	CHECK(4, PPROF_IDS_IN_ORDER, 1, 2, 3, 4);
	CHECK(4, PPROF_IDS_ARRAY, 4, 3, 2, 1);
	CHECK(4, PPROF_IDS_ARRAY, 1, 2, 4, 16);
	CHECK(4, PPROF_IDS_MAP, 1, 2, 4, 17);
	CHECK(4, PPROF_IDS_MAP, 0x7f0000001000, 3, UINT64_MAX, 1);
	CHECK(2, PPROF_IDS_MAP, 1, 2, UINT64_MAX);
	// More of them than were announced.
	CHECK(0, PPROF_IDS_MAP, 7);
	CHECK(2, PPROF_IDS_IN_ORDER, 1, 2, 3, 4, 5);
	CHECK(2, PPROF_IDS_ARRAY, 2, 1, 3, 4, 5, 6, 7, 8);
	CHECK(2, PPROF_IDS_MAP, 2, 1, 3, 4, 5, 6, 7, 8, 9);
	CHECK(1, PPROF_IDS_MAP, 1, 3);
}

static void running_out_of_memory_is_survived(void **state)
{
	static const uint64_t id[] = {1, 2, 4, 3, 1000, 999};
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		struct pprof_ids ids = PPROF_IDS_INIT(countof(id));
		size_t added = 0;

		mem_fault_at(nth, 0);
		while (added < countof(id) && !pprof_ids_add(&ids, id[added]))
			added++;
		fired = mem_fault_off();
		assert_int_equal(added < countof(id), fired);
		check(&ids, id, added);
		pprof_ids_deinit(&ids);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_of_ids_are_found),
		cmocka_unit_test(running_out_of_memory_is_survived),
	};

	return cmocka_run_group_tests_name("pprof_ids", tests, NULL, NULL);
}
