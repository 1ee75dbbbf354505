/* SPDX-License-Identifier: Apache-2.0 */
#include "base/output.h"

#include "tests/unit/toolbox.h"
#include "base/testing.h"
#include <sys/stat.h>

static void in_dir(char out[static 256], const char *name)
{
	snprintf(out, 256, "%s/%s", toolbox_dir, name);
}

static void it_appears_when_it_is_published(void **state)
{
	struct output o = OUTPUT_INIT;
	struct err e = ERR_INIT;
	struct stat st;
	char path[256];
	mode_t mask = umask(027);
	char *text;

	(void)state;
	in_dir(path, "new");
	assert_ok(output_open(&o, path, &e));
	assert_ok(io_write_all(o.fd, "names", 5, &e));
	assert_int_equal(access(path, F_OK), -1);
	assert_ok(output_publish(&o, &e));
	output_deinit(&o);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	text = toolbox_read("new", NULL);
	assert_string_equal(text, "names");
	free(text);
	umask(mask);
}

static void a_failure_leaves_what_was_there(void **state)
{
	struct output o = OUTPUT_INIT;
	struct err e = ERR_INIT;
	char path[256];
	char *text;

	(void)state;
	toolbox_write("old", STR("before"));
	in_dir(path, "old");
	assert_ok(output_open(&o, path, &e));
	assert_ok(io_write_all(o.fd, "ha", 2, &e));
	output_deinit(&o);
	text = toolbox_read("old", NULL);
	assert_string_equal(text, "before");
	free(text);
	assert_int_equal(toolbox_run("test -z \"$(find . -name '.tmp*')\""), 0);
}

static void a_device_stays_a_device(void **state)
{
	struct output o = OUTPUT_INIT;
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_ok(output_open(&o, "/dev/null", &e));
	assert_ok(io_write_all(o.fd, "names", 5, &e));
	assert_ok(output_publish(&o, &e));
	output_deinit(&o);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

static void a_folder_that_is_missing_is_told(void **state)
{
	struct output o = OUTPUT_INIT;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	in_dir(path, "none/out");
	assert_int_equal(output_open(&o, path, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/none: No such file");
	output_deinit(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_appears_when_it_is_published),
		cmocka_unit_test(a_failure_leaves_what_was_there),
		cmocka_unit_test(a_device_stays_a_device),
		cmocka_unit_test(a_folder_that_is_missing_is_told),
	};

	return cmocka_run_group_tests_name("output", tests, toolbox_setup, toolbox_teardown);
}
