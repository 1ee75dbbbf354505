/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"
#include "base/testing.h"

enum { MANY = 5000 };

static struct str key_of(unsigned i, char text[static 16])
{
	snprintf(text, 16, "key%u", i);
	return str_from(text);
}

static void keys_are_copied_and_found(void **state)
{
	struct map m = MAP_INIT;
	char key[] = "abc";
	char one[] = "one";
	char two[] = "two";
	void *old = key;

	(void)state;
	assert_null(map_get(&m, STR("abc")));
	assert_int_equal(map_set(&m, str_from(key), one, &old), 0);
	assert_null(old);
	key[0] = 'X';
	assert_string_equal(map_get(&m, STR("abc")), "one");
	assert_int_equal(map_set(&m, STR("abc"), two, &old), 0);
	assert_string_equal(old, "one");
	assert_int_equal(m.n, 1);
	assert_string_equal(map_del(&m, STR("abc")), "two");
	assert_null(map_del(&m, STR("abc")));
	assert_int_equal(map_set(&m, STR_EMPTY, one, NULL), 0);
	assert_string_equal(map_get(&m, STR_EMPTY), "one");
	map_deinit(&m);
}

static void many_come_and_go(void **state)
{
	static int values[MANY];
	struct map m = MAP_INIT;
	char text[16];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(map_set(&m, key_of(i, text), &values[i], NULL), 0);
		for (unsigned i = 0; i < MANY; i += 2)
			assert_ptr_equal(map_del(&m, key_of(i, text)), &values[i]);
		assert_int_equal(m.n, MANY / 2);
		for (unsigned i = 0; i < MANY; i++)
			assert_ptr_equal(map_get(&m, key_of(i, text)), i % 2 ? &values[i] : NULL);
	}
	map_deinit(&m);
}

static void turnover_does_not_grow_the_table(void **state)
{
	struct map m = MAP_INIT;
	char text[16];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(map_set(&m, key_of(i, text), &m, NULL), 0);
		assert_ptr_equal(map_del(&m, key_of(i, text)), &m);
	}
	assert_true(m.cap <= 32);
	map_deinit(&m);
}

static void walking_may_delete(void **state)
{
	struct map m = MAP_INIT;
	unsigned seen = 0;
	struct str key;
	size_t pos = 0;
	char text[16];
	void *value;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(map_set(&m, key_of(i, text), &m, NULL), 0);
	while (map_next(&m, &pos, &key, &value)) {
		assert_ptr_equal(value, &m);
		assert_ptr_equal(map_del(&m, key), &m);
		seen++;
	}
	assert_int_equal(seen, 100);
	assert_int_equal(m.n, 0);
	map_deinit(&m);
}

static void failed_inserts_change_nothing(void **state)
{
	struct map m = MAP_INIT;
	struct map64 m64 = MAP64_INIT;
	unsigned failures = 0;

	(void)state;
	for (unsigned long nth = 1;; nth++) {
		int rc;
		int rc64;

		mem_fault_at(nth, 1);
		rc = map_set(&m, STR("key"), &m, NULL);
		rc64 = map64_set(&m64, 1, 2);
		if (!mem_fault_off())
			break;
		assert_int_equal(rc + rc64, -1);
		assert_int_equal(m.n, rc ? 0 : 1);
		assert_int_equal(m64.n, rc64 ? 0 : 1);
		map_deinit(&m);
		map64_deinit(&m64);
		failures++;
	}
	assert_int_equal(failures, 5);
	map_deinit(&m);
	map64_deinit(&m64);
}

static void numbers_map_to_numbers(void **state)
{
	struct map64 m = MAP64_INIT;
	uint64_t v = 0;

	(void)state;
	assert_false(map64_get(&m, 0, &v));
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(map64_set(&m, i << 40, i), 0);
	assert_int_equal(map64_set(&m, 0, 99), 0);
	assert_int_equal(m.n, MANY);
	assert_true(map64_get(&m, 0, &v));
	assert_int_equal(v, 99);
	for (uint64_t i = 1; i < MANY; i++) {
		assert_true(map64_get(&m, i << 40, &v));
		assert_int_equal(v, i);
	}
	assert_false(map64_get(&m, 1, &v));
	map64_clear(&m);
	assert_false(map64_get(&m, 0, &v));
	map64_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_copied_and_found),
		cmocka_unit_test(many_come_and_go),
		cmocka_unit_test(turnover_does_not_grow_the_table),
		cmocka_unit_test(walking_may_delete),
		cmocka_unit_test(failed_inserts_change_nothing),
		cmocka_unit_test(numbers_map_to_numbers),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
