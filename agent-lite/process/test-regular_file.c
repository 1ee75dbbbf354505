/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/regular_file.h"

#include "agent-lite/elf/testing.h"
#include "base/cleanup.h"

#include <errno.h>
#include <sys/inotify.h>

static char dir[64], root[96];
static struct stat st;

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	snprintf(root, sizeof(root), "%s/root", dir);
	assert_int_equal(mkdir(root, 0755), 0);
	assert_int_equal(mkdir(in_dir("root/lib"), 0755), 0);
	put("secret", "outside");
	put("root/lib/a", "inside");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static void assert_reads(int fd, const char *text)
{
	char got[32] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	assert_string_equal(got, text);
	close(fd);
}

static void files_are_opened(void **state)
{
	(void)state;
	assert_reads(regular_file_open(in_dir("secret")), "outside");
	assert_reads(regular_file_open_inside(root, "lib/a", &st), "inside");
	assert_reads(regular_file_open_inside(root, "/lib/a", &st), "inside");
	assert_int_equal(st.st_size, strlen("inside"));
	assert_int_equal(regular_file_open(in_dir("none")), -1);
	assert_int_equal(regular_file_open_inside(in_dir("none"), "lib/a", &st), -1);
}

static void links_do_not_lead_out(void **state)
{
	char outside[128];

	(void)state;
	snprintf(outside, sizeof(outside), "%s/secret", dir);
	assert_int_equal(symlink(outside, in_dir("root/lib/last")), 0);
	assert_int_equal(symlink(dir, in_dir("root/away")), 0);
	assert_int_equal(symlink("../..", in_dir("root/up")), 0);
	assert_int_equal(symlink("/lib", in_dir("root/lib64")), 0);
	assert_int_equal(regular_file_open_inside(root, "lib/last", &st), -1);
	assert_int_equal(regular_file_open_inside(root, "away/secret", &st), -1);
	assert_int_equal(regular_file_open_inside(root, "up/secret", &st), -1);
	assert_int_equal(regular_file_open_inside(root, "../secret", &st), -1);
	assert_reads(regular_file_open_inside(root, "lib64/a", &st), "inside");
}

/* It is not even opened for a moment: opening a device may have consequences. */
static void what_is_no_file_is_left_alone(void **state)
{
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char event[4096];

	(void)state;
	assert_int_equal(mkfifo(in_dir("root/fifo"), 0600), 0);
	assert_true(inotify_add_watch(watch, in_dir("root/fifo"), IN_OPEN) >= 0);
	assert_int_equal(regular_file_open(in_dir("root/fifo")), -1);
	assert_int_equal(regular_file_open_inside(root, "fifo", &st), -1);
	assert_int_equal(regular_file_open(root), -1);
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	assert_int_equal(errno, EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_opened),
		cmocka_unit_test(links_do_not_lead_out),
		cmocka_unit_test(what_is_no_file_is_left_alone),
	};

	return cmocka_run_group_tests_name("regular_file", tests, setup, teardown);
}
