/* SPDX-License-Identifier: Apache-2.0 */
#include "base/testing.h"

#include <errno.h>

static void set_fills_and_returns_minus_one(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, ERR_BAD_ELF, "section %d", 3), -1);
	assert_err(&e, ERR_BAD_ELF, "section 3");
	assert_int_equal(err_set(NULL, ERR_BAD_ELF, "nobody asked"), -1);
	assert_int_equal(err_set(&e, ERR_IO, "again: %s", e.msg), -1);
	assert_string_equal(e.msg, "again: section 3");
}

static void system_errors_choose_the_kind(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_sys(&e, ENOENT, "opening %s", "/x"), -1);
	assert_err(&e, ERR_NOT_FOUND, "opening /x: No such file or directory");
	assert_int_equal(e.sys, ENOENT);
	err_sys(&e, ENOSPC, "x");
	assert_err(&e, ERR_NO_SPACE, "x: No space left on device");
	err_sys(&e, EIO, "x");
	assert_err(&e, ERR_IO, "Input/output error");
	err_sys(&e, ENOMEM, "x");
	assert_int_equal(e.kind, ERR_NOMEM);
	assert_int_equal(err_nomem(&e), -1);
	assert_err(&e, ERR_NOMEM, "out of memory");
}

static void wrap_keeps_the_kind_and_cuts_long_text(void **state)
{
	struct err e = ERR_INIT;
	char longer[600];

	(void)state;
	err_sys(&e, ENOENT, "opening x");
	assert_int_equal(err_wrap(&e, "indexing %s", "3f2a"), -1);
	assert_err(&e, ERR_NOT_FOUND, "indexing 3f2a: opening x: No such");
	assert_int_equal(e.sys, ENOENT);

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	err_wrap(&e, "%s", longer);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
}

static void codes_are_unique_and_found_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ERR_KIND_COUNT; i++)
		assert_int_equal(err_kind_from_code(err_code((enum err_kind)i)), i);
	assert_int_equal(err_kind_from_code("no such code"), ERR_INTERNAL);
	assert_int_equal(err_kind_from_code(NULL), ERR_INTERNAL);
	assert_string_equal(err_code((enum err_kind)9999), "internal");
}

static void the_table_has_status_exit_and_retry(void **state)
{
	(void)state;
	assert_int_equal(err_http_status(ERR_TOO_LARGE), 413);
	assert_int_equal(err_exit_code(ERR_NOT_FOUND), EXIT_NOT_FOUND);
	assert_true(err_retryable(ERR_OVERLOADED));
	assert_false(err_retryable(ERR_BAD_ELF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_and_returns_minus_one),
		cmocka_unit_test(system_errors_choose_the_kind),
		cmocka_unit_test(wrap_keeps_the_kind_and_cuts_long_text),
		cmocka_unit_test(codes_are_unique_and_found_again),
		cmocka_unit_test(the_table_has_status_exit_and_retry),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
