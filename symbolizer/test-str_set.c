/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/str_set.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"

enum { MANY = 20000 };

static void numbers_follow_first_sight(void **state)
{
	struct arena arena = ARENA_INIT(MIB(16));
	struct str_set s = STR_SET_INIT(&arena);
	char text[16];
	uint32_t number;

	(void)state;
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < MANY; i++) {
			struct str key = {text, (size_t)snprintf(text, sizeof(text), "k%u", i)};

			assert_int_equal(str_set_copy(&s, key, &number), round == 0);
			assert_int_equal(number, i);
		}
	}
	assert_int_equal(s.n, MANY);
	assert_true(str_is(s.keys[17], "k17"));
	str_set_deinit(&s);
	arena_deinit(&arena);
}

static void borrowed_keys_are_compared_by_content(void **state)
{
	struct str_set s = STR_SET_INIT(NULL);
	char a[] = "same", b[] = "same";
	uint32_t number;

	(void)state;
	assert_int_equal(str_set_borrow(&s, STR_EMPTY, &number), 1);
	assert_int_equal(str_set_borrow(&s, str_from(a), &number), 1);
	assert_int_equal(number, 1);
	assert_int_equal(str_set_borrow(&s, str_from(b), &number), 0);
	assert_int_equal(number, 1);
	assert_ptr_equal(s.keys[1].p, a);
	assert_int_equal(str_set_borrow(&s, (struct str){a, 2}, &number), 1);
	assert_int_equal(number, 2);
	assert_int_equal(str_set_borrow(&s, str_from(a), &number), 0);
	assert_int_equal(number, 1);
	str_set_deinit(&s);
}

static void running_out_of_memory_leaves_a_usable_set(void **state)
{
	struct arena arena = ARENA_INIT(MIB(1));
	struct str_set s = STR_SET_INIT(&arena);
	uint32_t number;
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		mem_fault_at(nth, 1);
		number = 99;
		if (str_set_copy(&s, STR("key"), &number) < 0)
			assert_int_equal(number, 99);
		fired = mem_fault_off();
	}
	assert_int_equal(str_set_copy(&s, STR("key"), &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(s.n, 1);
	str_set_deinit(&s);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_follow_first_sight),
		cmocka_unit_test(borrowed_keys_are_compared_by_content),
		cmocka_unit_test(running_out_of_memory_leaves_a_usable_set),
	};

	return cmocka_run_group_tests_name("str_set", tests, NULL, NULL);
}
