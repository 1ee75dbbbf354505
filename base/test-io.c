/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include "base/cleanup.h"
#include "base/testing.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct place {
	char dir[64];
	char file[80];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	test_dir_make(p->dir);
	snprintf(p->file, sizeof(p->file), "%s/file", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	test_dir_remove(p->dir);
	free(p);
	return 0;
}

static unsigned files_in(const char *dir)
{
	char command[128];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", dir);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void files_go_there_and_back(void **state)
{
	struct place *p = *state;
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(100);
	struct err e = ERR_INIT;
	struct stat st;

	assert_ok(io_write_file(p->file, "hello", 5, 0640, &e));
	assert_ok(io_read_file(p->file, &b, &e));
	assert_str(buf_str(&b), "hello");
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(files_in(p->dir), 1);
}

static void the_limit_of_a_read_is_exact(void **state)
{
	struct place *p = *state;
	_cleanup_(buf_deinit) struct buf fits = BUF_INIT(5);
	_cleanup_(buf_deinit) struct buf small = BUF_INIT(4);
	struct err e = ERR_INIT;

	assert_ok(io_write_file(p->file, "hello", 5, 0600, &e));
	assert_ok(io_read_file(p->file, &fits, &e));
	assert_int_equal(io_read_file(p->file, &small, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "/file is larger than the limit of 4 bytes");
}

static void early_ends_are_told(void **state)
{
	struct place *p = *state;
	_cleanup_close_ int fd = -1;
	struct err e = ERR_INIT;
	char text[8];

	assert_ok(io_write_file(p->file, "hello", 5, 0600, &e));
	fd = io_open_read(p->file, &e);
	assert_true(fd >= 0);
	assert_ok(io_pread_all(fd, text, 3, 2, &e));
	assert_memory_equal(text, "llo", 3);
	assert_int_equal(io_pread_all(fd, text, 4, 2, &e), -1);
	assert_err(&e, ERR_CORRUPT, "/file: it ends at offset 5, 1 bytes early");
	assert_int_equal(io_pread_all(fd, text, 1, UINT64_MAX, &e), -1);
	assert_err(&e, ERR_CORRUPT, "out of range");
}

static void only_regular_files_open(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	assert_int_equal(io_open_read(p->file, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/file: No such file");
	assert_int_equal(io_open_read(p->dir, &e), -1);
	assert_err(&e, ERR_BAD_PATH, "not a regular file");
	assert_int_equal(mkfifo(p->file, 0600), 0);
	assert_int_equal(io_open_read(p->file, &e), -1);
	assert_err(&e, ERR_BAD_PATH, "/file: not a regular file");
}

static void sizes_and_copies(void **state)
{
	struct place *p = *state;
	_cleanup_close_ int from = io_tmpfile(p->dir, NULL);
	_cleanup_close_ int to = io_tmpfile(p->dir, NULL);
	struct err e = ERR_INIT;
	uint64_t size = 0;
	char text[6] = "";

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(files_in(p->dir), 0);
	assert_ok(io_pwrite_all(from, "hello", 5, 0, &e));
	assert_ok(io_copy(from, to, 4, &e));
	assert_ok(io_file_size(to, &size, &e));
	assert_int_equal(size, 4);
	assert_ok(io_pread_all(to, text, 4, 0, &e));
	assert_string_equal(text, "hell");
	assert_int_equal(io_copy(from, to, 2, &e), -1);
	assert_err(&e, ERR_CORRUPT, "ends 1 bytes early");
}

static void folders_are_made_on_the_way(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "%s/a//b/c/", p->dir);
	assert_ok(io_mkdirs(path, 0700, &e));
	assert_ok(io_mkdirs(path, 0700, &e));
	assert_ok(io_write_file(p->file, "", 0, 0600, &e));
	snprintf(path, sizeof(path), "%s/b", p->file);
	assert_int_equal(io_mkdirs(path, 0700, &e), -1);
	assert_non_null(strstr(e.msg, "creating folder"));
}

static void unpublished_files_vanish(void **state)
{
	struct place *p = *state;
	struct io_pending f = IO_PENDING_INIT;
	struct err e = ERR_INIT;

	io_pending_deinit(&f);
	assert_ok(io_pending_open(&f, p->dir, &e));
	assert_int_equal(files_in(p->dir), 1);
	io_pending_deinit(&f);
	assert_int_equal(files_in(p->dir), 0);
	assert_int_equal(io_pending_open(&f, p->file, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "creating a temporary file in");
	io_pending_deinit(&f);
}

// Each system call of a publication fails in turn: the old content stays, and no temporary file.
static void a_failed_write_leaves_the_old_file(void **state)
{
	struct place *p = *state;
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(100);
	struct err e = ERR_INIT;
	unsigned long nth = 1;

	assert_ok(io_write_file(p->file, "old", 3, 0600, &e));
	for (;; nth++) {
		int rc;

		io_fault_at(nth, ENOSPC);
		rc = io_write_file(p->file, "new", 3, 0600, &e);
		if (!io_fault_off()) {
			assert_int_equal(rc, 0);
			break;
		}
		assert_int_equal(rc, -1);
		assert_err(&e, ERR_NO_SPACE, "No space left on device");
		assert_int_equal(files_in(p->dir), 1);
		buf_clear(&b);
		assert_ok(io_read_file(p->file, &b, &e));
		// The fourth is the folder's fsync: the rename is done, but may not be durable.
		assert_str(buf_str(&b), nth < 4 ? "old" : "new");
	}
	assert_int_equal(nth, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_go_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(the_limit_of_a_read_is_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(early_ends_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(only_regular_files_open, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes_and_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_are_made_on_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(unpublished_files_vanish, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, setup, teardown),
	};

	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
