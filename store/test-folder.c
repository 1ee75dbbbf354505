/* SPDX-License-Identifier: Apache-2.0 */
#include "store/folder.h"

#include "base/io.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

static int set_up(void **state)
{
	*state = test_folder_make();
	return 0;
}

static int tear_down(void **state)
{
	test_folder_remove(*state);
	return 0;
}

static void test_path(void **state)
{
	char path[FOLDER_PATH];
	char name[FOLDER_PATH + 10];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(folder_path(path, &e, "dir", "%s-%d", "a", 7), 0);
	assert_string_equal(path, "dir/a-7");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(folder_path(path, &e, "dir", "%s", name), -1);
	assert_int_equal(e.kind, ERR_BAD_PATH);
	assert_string_equal(e.msg, "the path of a file in folder dir… is too long");
	assert_int_equal(folder_path(path, &e, name, "x"), -1);
	assert_int_equal(e.kind, ERR_BAD_PATH);
}

static int append_name(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)e;
	assert_non_null(strstr(path, name));
	buf_puts(ctx, name);
	return 0;
}

static void make_file(const char *dir, const char *name)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;

	assert_int_equal(folder_path(path, &e, dir, "%s", name), 0);
	assert_int_equal(io_write_file(path, "x", 1, 0600, &e), 0);
}

static void assert_each(const char *dir, const char *expect)
{
	struct buf names = BUF_INIT(1000);
	struct err e = ERR_INIT;

	assert_int_equal(folder_each(dir, append_name, &names, &e), 0);
	assert_true(str_is(buf_str(&names), expect));
	buf_deinit(&names);
}

static void test_walk_and_empty(void **state)
{
	char sub[FOLDER_PATH];
	struct err e = ERR_INIT;

	make_file(*state, "seen");
	make_file(*state, ".hidden");
	assert_each(*state, "seen");
	assert_int_equal(folder_path(sub, &e, *state, "sub"), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(folder_empty(*state, &e), 0);
	assert_each(*state, "sub");
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(*state), 0); // nothing hidden was left, either
	assert_int_equal(folder_each(*state, append_name, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(folder_sync(*state, &e), -1);
	assert_int_equal(mkdir(*state, 0700), 0);
}

static void test_own(void **state)
{
	char dir[FOLDER_PATH];
	struct err e = ERR_INIT;
	int fd;

	assert_int_equal(folder_path(dir, &e, *state, "a/b"), 0);
	fd = folder_own(dir, &e);
	assert_true(fd >= 0);
	assert_int_equal(folder_own(dir, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "a/b is in use by another process"));
	close(fd);
	fd = folder_own(dir, &e);
	assert_true(fd >= 0);
	close(fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_path),
		TEST(test_walk_and_empty),
		TEST(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
