/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lazy_library.h"

#include "base/testing.h"
#include <math.h>

static struct {
	typeof(cbrt) *cube_root;
	void (*missing)(void);
} lib;

static void finds_functions_once(void **state)
{
	static const struct lazy_symbol symbols[] = {{"cbrt", &lib.cube_root}, {0}};
	struct lazy_library l = {"libm.so.6", "libc6", symbols, PTHREAD_MUTEX_INITIALIZER, false};
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(lazy_library_load(&l, &e), 0);
	assert_true(l.loaded);
	assert_float_equal(lib.cube_root(27), 3, 1e-9);
	lib.cube_root = NULL;
	assert_int_equal(lazy_library_load(&l, &e), 0);
	assert_null(lib.cube_root);
}

static void names_a_missing_library_and_its_package(void **state)
{
	static const struct lazy_symbol symbols[] = {{"cbrt", &lib.cube_root}, {0}};
	struct lazy_library l = {"libnowhere.so.9", "libnowhere9", symbols, PTHREAD_MUTEX_INITIALIZER, false};
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(lazy_library_load(&l, &e), -1);
	assert_err(&e, ERR_INTERNAL, "libnowhere.so.9");
	assert_err(&e, ERR_INTERNAL, "Debian's package of it is libnowhere9");
	assert_false(l.loaded);
}

static void sets_nothing_where_a_function_is_missing(void **state)
{
	static const struct lazy_symbol symbols[] = {
		{"cbrt", &lib.cube_root}, {"unhex_has_no_such", &lib.missing}, {0}};
	struct lazy_library l = {"libm.so.6", "libc6", symbols, PTHREAD_MUTEX_INITIALIZER, false};
	struct err e = ERR_INIT;

	(void)state;
	lib.cube_root = NULL;
	assert_int_equal(lazy_library_load(&l, &e), -1);
	assert_err(&e, ERR_INTERNAL, "unhex_has_no_such");
	assert_null(lib.cube_root);
	assert_null(lib.missing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_functions_once),
		cmocka_unit_test(names_a_missing_library_and_its_package),
		cmocka_unit_test(sets_nothing_where_a_function_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
