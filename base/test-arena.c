/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/mem.h"
#include "base/testing.h"

static void allocations_are_aligned_and_apart(void **state)
{
	struct arena a = ARENA_INIT(1 << 20);
	unsigned char *before = NULL;

	(void)state;
	for (size_t size = 0; size < 300; size++) {
		unsigned char *p = arena_alloc(&a, size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_ptr_not_equal(p, before);
		memset(p, 0xaa, size);
		before = p;
	}
	assert_true(a.used <= a.cap);
	arena_deinit(&a);
	assert_int_equal(a.used, 0);
}

static void the_cap_holds(void **state)
{
	struct arena a = ARENA_INIT(100 * 1024);
	size_t got = 0;

	(void)state;
	while (arena_alloc(&a, 1000))
		got += 1000;
	assert_true(got > 90 * 1024);
	assert_true(a.used <= a.cap);
	assert_null(arena_alloc(&a, 1 << 20));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 40));
	assert_null(arena_calloc(&a, SIZE_MAX / 2, 4));
	arena_deinit(&a);
}

static void one_large_allocation_fits(void **state)
{
	struct arena a = ARENA_INIT(8 << 20);
	char *p = arena_calloc(&a, 7 << 20, 1);

	(void)state;
	assert_non_null(p);
	assert_int_equal(p[(7 << 20) - 1], 0);
	arena_deinit(&a);
}

static void strings_are_terminated(void **state)
{
	struct arena a = ARENA_INIT(1 << 20);
	struct str s = arena_str(&a, (struct str){"abcdef", 3});
	uint32_t *zero = arena_new(&a, uint32_t);

	(void)state;
	assert_string_equal(s.p, "abc");
	assert_int_equal(s.n, 3);
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	assert_memory_equal(arena_dup(&a, "xyz", 3), "xyz", 3);
	assert_int_equal(*zero, 0);
	mem_fault_at(1, 0);
	assert_null(arena_alloc(&a, 1 << 18));
	assert_null(arena_str(&a, (struct str){"", SIZE_MAX}).p);
	assert_true(mem_fault_off());
	arena_deinit(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_aligned_and_apart),
		cmocka_unit_test(the_cap_holds),
		cmocka_unit_test(one_large_allocation_fits),
		cmocka_unit_test(strings_are_terminated),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
