/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/mem.h"
#include "base/testing.h"

static void appends_keep_a_terminator(void **state)
{
	struct buf b = BUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_str(buf_str(&b), "");
	buf_puts(&b, "one");
	buf_append_c(&b, ' ');
	buf_append_str(&b, STR("two"));
	buf_printf(&b, " %d %s", 3, "four");
	assert_string_equal(b.p, "one two 3 four");
	assert_int_equal(b.n, strlen(b.p));
	assert_ok(buf_check(&b, "it", &e));
	buf_deinit(&b);
	assert_null(b.p);
	assert_int_equal(b.max, 1000);
}

static void the_maximum_latches(void **state)
{
	struct buf b = BUF_INIT(5);
	struct err e = ERR_INIT;

	(void)state;
	buf_puts(&b, "12345");
	assert_ok(buf_check(&b, "it", &e));
	buf_append_c(&b, '6');
	buf_clear(&b);
	buf_puts(&b, "1234");
	buf_puts(&b, "56");
	buf_puts(&b, "5");
	assert_str(buf_str(&b), "1234");
	assert_int_equal(buf_check(&b, "the answer", &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "the answer is larger than the limit of 5 bytes");
	assert_null(buf_steal(&b, NULL));
	buf_puts(&b, "again");
	assert_str(buf_str(&b), "again");
	buf_deinit(&b);
}

static void running_out_of_memory_is_told_apart(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX);
	struct err e = ERR_INIT;

	(void)state;
	mem_fault_at(1, 1);
	buf_puts(&b, "x");
	assert_true(mem_fault_off());
	assert_int_equal(buf_check(&b, "it", &e), -1);
	assert_err(&e, ERR_NOMEM, "it: out of memory");
	buf_clear(&b);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_int_equal(buf_check(&b, "it", &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_deinit(&b);
}

static void stealing_hands_the_bytes_over(void **state)
{
	struct buf b = BUF_INIT(100);
	size_t n = 99;
	char *p = buf_steal(&b, &n);

	(void)state;
	assert_string_equal(p, "");
	assert_int_equal(n, 0);
	free(p);
	buf_append(&b, "a\0b", 3);
	p = buf_steal(&b, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(p, "a\0b", 4);
	assert_int_equal(b.n, 0);
	free(p);
}

static void reserved_room_counts_when_committed(void **state)
{
	struct buf b = BUF_INIT(100);
	char *p = buf_reserve(&b, 10);

	(void)state;
	assert_non_null(p);
	assert_int_equal(b.n, 0);
	memcpy(p, "hello", 5);
	buf_commit(&b, 5);
	assert_string_equal(b.p, "hello");
	assert_null(buf_reserve(&b, 96));
	assert_true(b.failed);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_keep_a_terminator),
		cmocka_unit_test(the_maximum_latches),
		cmocka_unit_test(running_out_of_memory_is_told_apart),
		cmocka_unit_test(stealing_hands_the_bytes_over),
		cmocka_unit_test(reserved_room_counts_when_committed),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
