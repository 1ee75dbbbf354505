/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/testing.h"

static void copies_are_copies(void **state)
{
	char *s = mem_strdup("abc");
	char *cut = mem_strndup("abcdef", 2);
	char *nothing = mem_strndup(NULL, 0);
	uint64_t *zeroed = mem_calloc(4, sizeof(*zeroed));
	void *empty = mem_alloc(0);

	(void)state;
	assert_string_equal(s, "abc");
	assert_string_equal(cut, "ab");
	assert_string_equal(nothing, "");
	assert_int_equal(zeroed[3], 0);
	assert_non_null(empty);
	free(s);
	free(cut);
	free(nothing);
	free(zeroed);
	free(empty);
}

static void sizes_that_overflow_are_refused(void **state)
{
	volatile size_t huge = SIZE_MAX;

	(void)state;
	assert_null(mem_calloc(huge, 2));
	assert_null(mem_reallocarray(NULL, huge / 2, 4));
	assert_null(mem_strndup("", huge));
}

static void arrays_grow_up_to_their_maximum(void **state)
{
	uint32_t *items = NULL;
	size_t cap = 0;

	(void)state;
	assert_int_equal(mem_grow(&items, &cap, 1, sizeof(*items), 100), 0);
	assert_true(cap >= 1);
	items[0] = 7;
	assert_int_equal(mem_grow(&items, &cap, 100, sizeof(*items), 100), 0);
	assert_int_equal(cap, 100);
	assert_int_equal(items[0], 7);
	assert_int_equal(mem_grow(&items, &cap, 101, sizeof(*items), 100), -1);
	assert_int_equal(cap, 100);
	free(items);
}

static void the_nth_allocation_fails(void **state)
{
	void *a;
	void *b;
	void *c;
	void *d;

	(void)state;
	mem_fault_at(2, 2);
	a = mem_alloc(1);
	b = mem_alloc(1);
	c = mem_alloc(1);
	d = mem_alloc(1);
	assert_non_null(a);
	assert_null(b);
	assert_null(c);
	assert_non_null(d);
	assert_true(mem_fault_off());
	assert_false(mem_fault_off());
	free(a);
	free(d);

	mem_fault_at(1, 0);
	assert_null(mem_zalloc(1));
	assert_null(mem_strdup("for ever"));
	assert_true(mem_fault_off());
	mem_fault_at(5, 1);
	assert_false(mem_fault_off());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_copies),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(arrays_grow_up_to_their_maximum),
		cmocka_unit_test(the_nth_allocation_fails),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
