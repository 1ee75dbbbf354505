/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/scan.h"

#include "tests/unit/toolbox.h"
#include "base/testing.h"

static void in_dir(char out[static 256], const char *name)
{
	snprintf(out, 256, "%s/%s", toolbox_dir, name);
}

static int setup(void **state)
{
	return toolbox_setup(state) ||
	       toolbox_run("mkdir -p tree/b/c empty && printf '\\177ELFx' >tree/z.so && printf '\\177ELFx' >tree/b/c/a && "
			   "printf '\\177EL' >tree/short && printf 'text' >tree/text && : >tree/nothing && "
			   "mkfifo tree/pipe && ln -s ../z.so tree/b/link && ln -s .. tree/b/circle");
}

static void a_folder_means_its_elf_files(void **state)
{
	struct scan s = SCAN_INIT;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	in_dir(path, "tree");
	assert_ok(scan_add(&s, path, &e));
	assert_int_equal(s.n, 2);
	in_dir(path, "tree/b/c/a");
	assert_string_equal(s.paths[0], path);
	in_dir(path, "tree/z.so");
	assert_string_equal(s.paths[1], path);
	scan_deinit(&s);
	assert_int_equal(s.n, 0);
}

static void a_file_is_taken_whatever_it_is(void **state)
{
	struct scan s = SCAN_INIT;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	in_dir(path, "tree/text");
	assert_ok(scan_add(&s, path, &e));
	in_dir(path, "empty");
	assert_ok(scan_add(&s, path, &e));
	assert_int_equal(s.n, 1);
	scan_deinit(&s);
}

static void what_is_not_there_is_told(void **state)
{
	struct scan s = SCAN_INIT;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	in_dir(path, "gone");
	assert_int_equal(scan_add(&s, path, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/gone: No such file");
	scan_deinit(&s);
}

static void too_deep_is_told(void **state)
{
	struct scan s = SCAN_INIT;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	assert_int_equal(toolbox_run("mkdir -p deep/$(printf 'd/%%.0s' $(seq %d))", SCAN_DEPTH_MAX + 1), 0);
	in_dir(path, "deep");
	assert_int_equal(scan_add(&s, path, &e), -1);
	assert_err(&e, ERR_TOO_DEEP, "more than 64 folders deep");
	scan_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_folder_means_its_elf_files),
		cmocka_unit_test(a_file_is_taken_whatever_it_is),
		cmocka_unit_test(what_is_not_there_is_told),
		cmocka_unit_test(too_deep_is_told),
	};

	return cmocka_run_group_tests_name("scan", tests, setup, toolbox_teardown);
}
