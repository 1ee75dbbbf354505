/* SPDX-License-Identifier: Apache-2.0 */
#include "store/push_log.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "store/folder.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct push_log *plog;

static void open_log(const char *dir)
{
	struct err e = ERR_INIT;

	if (push_log_open(dir, &plog, &e))
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	*state = test_folder_make();
	open_log(*state);
	return 0;
}

static int tear_down(void **state)
{
	push_log_close(plog);
	test_folder_remove(*state);
	return 0;
}

static void reopen(void **state)
{
	push_log_close(plog);
	open_log(*state);
}

// ---- appending, waited for ------------------------------------------------------------------------

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t came;
	bool done;
	uint64_t position;
	struct err err;
};
#define ANSWER_INIT {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER}

static void answer(void *ctx, uint64_t position, const struct err *failure)
{
	struct answer *a = ctx;

	pthread_mutex_lock(&a->lock);
	a->done = true;
	a->position = position;
	a->err = failure ? *failure : ERR_INIT;
	pthread_cond_signal(&a->came);
	pthread_mutex_unlock(&a->lock);
}

static uint64_t append(struct str record, struct err *ret)
{
	struct answer a = ANSWER_INIT;
	struct err e = ERR_INIT;

	if (push_log_append(plog, record, answer, &a, &e))
		fail_msg("%s", e.msg);
	pthread_mutex_lock(&a.lock);
	while (!a.done)
		pthread_cond_wait(&a.came, &a.lock);
	pthread_mutex_unlock(&a.lock);
	if (ret)
		*ret = a.err;
	else if (a.err.kind)
		fail_msg("%s", a.err.msg);
	return a.position;
}

static uint64_t append_text(const char *text)
{
	return append(str_from(text), NULL);
}

static int replay_text(void *ctx, uint64_t position, struct str record, struct err *e)
{
	(void)e;
	buf_printf(ctx, "%ju:" STR_FMT " ", (uintmax_t)position, STR_ARG(record));
	return 0;
}

static void assert_replay(const char *expect)
{
	_cleanup_(buf_deinit) struct buf got = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;

	if (push_log_replay(plog, replay_text, &got, &e))
		fail_msg("%s", e.msg);
	buf_append_c(&got, '\0');
	assert_string_equal(got.p, expect);
}

static void test_replay_after_reopening(void **state)
{
	assert_int_equal(append_text("one"), 1);
	assert_int_equal(append_text(""), 2);
	assert_int_equal(append_text("three"), 3);
	assert_replay("1:one 2: 3:three ");
	reopen(state);
	assert_replay("1:one 2: 3:three ");
	assert_int_equal(append_text("four"), 4);
	reopen(state);
	assert_replay("1:one 2: 3:three 4:four ");
}

static void test_release(void **state)
{
	struct err e = ERR_INIT;

	append_text("one");
	append_text("two");
	append_text("three");
	assert_int_equal(push_log_release(plog, 2, &e), 0);
	assert_replay("3:three ");
	reopen(state);
	assert_replay("3:three ");
	assert_int_equal(push_log_release(plog, 3, &e), 0);
	reopen(state);
	assert_replay("");
	assert_int_equal(append_text("four"), 4); // positions go on
	assert_int_equal(push_log_release(plog, 99, &e), -1);
	assert_string_equal(e.msg, "push log: position 99 is released before it was given");
}

static int list_name(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)path;
	(void)e;
	if (strstr(name, ".log"))
		buf_printf(ctx, "%s ", name);
	return 0;
}

static void assert_files(const char *dir, const char *expect)
{
	_cleanup_(buf_deinit) struct buf names = BUF_INIT(4096);
	struct err e = ERR_INIT;

	if (folder_each(dir, list_name, &names, &e))
		fail_msg("%s", e.msg);
	buf_append_c(&names, '\0');
	assert_string_equal(names.p, expect);
}

static void test_released_files_go(void **state)
{
	_cleanup_free_ char *megabyte = calloc(1, MIB(1));
	struct err e = ERR_INIT;

	append((struct str){megabyte, MIB(1)}, NULL);
	assert_files(*state, "0000000000000001.log ");
	assert_int_equal(push_log_release(plog, 1, &e), 0);
	append_text("two"); // begins a new file, for all of the old one is released
	append_text("three");
	assert_int_equal(push_log_release(plog, 2, &e), 0);
	reopen(state);
	assert_files(*state, "0000000000000002.log ");
	assert_replay("3:three ");
}

static void file_path(void **state, const char *name, char path[static FOLDER_PATH])
{
	struct err e = ERR_INIT;

	assert_int_equal(folder_path(path, &e, *state, "%s", name), 0);
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void test_torn_tail_is_cut_off(void **state)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;
	off_t whole;

	file_path(state, "0000000000000001.log", path);
	append_text("one");
	append_text("two");
	whole = size_of(path);
	append_text("torn");
	push_log_close(plog);
	for (off_t size = whole + 24 + 3; size > whole; size -= 5) {
		assert_int_equal(truncate(path, size), 0);
		open_log(*state);
		assert_replay("1:one 2:two ");
		assert_false(push_log_damaged(plog, &e));
		push_log_close(plog);
		assert_int_equal(size_of(path), whole);
	}
	assert_int_equal(truncate(path, whole + 4096), 0); // zeros
	open_log(*state);
	assert_replay("1:one 2:two ");
	assert_int_equal(append_text("again"), 3);
	reopen(state);
	assert_replay("1:one 2:two 3:again ");
	assert_false(push_log_damaged(plog, &e));
}

static void overwrite(const char *path, off_t at, char c)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void test_damage_is_kept_aside(void **state)
{
	char path[FOLDER_PATH];
	char aside[FOLDER_PATH];
	char expect[FOLDER_PATH + 100];
	struct err e = ERR_INIT;

	append_text("one");
	append_text("two");
	append_text("three");
	push_log_close(plog);
	file_path(state, "0000000000000001.log", path);
	file_path(state, "0000000000000001.log.damaged", aside);
	overwrite(path, 16 + 24 + 3 + 24, 'X'); // "two"
	open_log(*state);
	assert_replay("1:one ");
	assert_true(push_log_damaged(plog, &e));
	assert_int_equal(e.kind, ERR_CORRUPT);
	snprintf(expect, sizeof(expect),
		 "push log: 56 bytes are damaged and were left out; they are kept as %s", aside);
	assert_string_equal(e.msg, expect);
	assert_int_equal(size_of(aside), 56);
	reopen(state);
	assert_false(push_log_damaged(plog, &e));
}

static void test_length_that_lies(void **state)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;

	append_text("one");
	append_text("two");
	push_log_close(plog);
	file_path(state, "0000000000000001.log", path);
	overwrite(path, 16 + 2, 'X'); // the length of "one": far beyond the end, yet not torn
	open_log(*state);
	assert_replay("");
	assert_true(push_log_damaged(plog, &e));
}

static void test_foreign_and_empty_files(void **state)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;

	append_text("one");
	push_log_close(plog);
	file_path(state, "0000000000000007.log", path);
	assert_int_equal(io_write_file(path, "not a log, but long enough", 26, 0600, &e), 0);
	open_log(*state);
	assert_replay("1:one ");
	assert_true(push_log_damaged(plog, &e));
	push_log_close(plog);
	assert_int_equal(io_write_file(path, "", 0, 0600, &e), 0); // a crash while it was begun
	open_log(*state);
	assert_false(push_log_damaged(plog, &e));
	assert_int_equal(access(path, F_OK), -1);
	assert_true(append_text("on") > 1);
}

static void test_too_large(void **state)
{
	struct err e = ERR_INIT;
	char c = 0;

	(void)state;
	assert_int_equal(push_log_append(plog, (struct str){&c, (256U << 20) + 1}, answer, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
}

static void test_one_process_at_a_time(void **state)
{
	struct push_log *second;
	struct err e = ERR_INIT;

	assert_int_equal(push_log_open(*state, &second, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
}

// ---- failing disks ----------------------------------------------------------------------------------

static void test_failed_write_is_reported_and_forgotten(void **state)
{
	struct err e = ERR_INIT;

	append_text("one");
	for (unsigned long nth = 1; nth <= 2; nth++) { // the write, then the fsync
		io_fault_at(nth, EIO);
		append(STR("lost"), &e);
		assert_true(io_fault_off());
		assert_int_equal(e.kind, ERR_IO);
		assert_non_null(strstr(e.msg, "push log: "));
		assert_non_null(strstr(e.msg, "Input/output error"));
		assert_int_equal(append_text("next"), 2 * nth + 1);
	}
	reopen(state);
	assert_replay("1:one 3:next 5:next ");
}

static void test_full_disk(void **state)
{
	_cleanup_free_ char *record = calloc(1, MIB(1));
	char dir[FOLDER_PATH];
	struct err e = ERR_INIT;

	file_path(state, "full", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("tmpfs", dir, "tmpfs", 0, "size=512k")) {
		print_message("skipped: mounting a small tmpfs: errno %d\n", errno);
		skip();
	}
	push_log_close(plog);
	open_log(dir);
	append_text("fits");
	append((struct str){record, MIB(1)}, &e);
	assert_int_equal(e.kind, ERR_NO_SPACE);
	assert_int_equal(append_text("fits, too"), 3);
	push_log_close(plog);
	open_log(dir);
	assert_replay("1:fits 3:fits, too ");
	push_log_close(plog);
	assert_int_equal(umount(dir), 0);
	open_log(*state);
}

// ---- many at once -----------------------------------------------------------------------------------

enum { THREADS = 8, EACH = 200 };

static void *append_many(void *arg)
{
	for (int i = 0; i < EACH; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%d/%d", *(int *)arg, i);
		append_text(text);
	}
	return NULL;
}

struct tally {
	uint64_t last;
	int next[THREADS]; // records of one thread come in its order
};

static int count_record(void *ctx, uint64_t position, struct str record, struct err *e)
{
	struct tally *t = ctx;
	struct str rest = record;
	struct str thread;
	uint64_t who;
	uint64_t which;

	(void)e;
	assert_true(position > t->last);
	t->last = position;
	assert_true(str_next(&rest, '/', &thread));
	assert_true(str_to_u64(thread, THREADS - 1, &who));
	assert_true(str_to_u64(rest, EACH, &which));
	assert_int_equal(which, t->next[who]++);
	return 0;
}

static void test_many_threads(void **state)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];
	struct tally t = {0};
	struct err e = ERR_INIT;

	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	reopen(state);
	assert_int_equal(push_log_replay(plog, count_record, &t, &e), 0);
	assert_int_equal(t.last, THREADS * EACH);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replay_after_reopening),
		TEST(test_release),
		TEST(test_released_files_go),
		TEST(test_torn_tail_is_cut_off),
		TEST(test_damage_is_kept_aside),
		TEST(test_length_that_lies),
		TEST(test_foreign_and_empty_files),
		TEST(test_too_large),
		TEST(test_one_process_at_a_time),
		TEST(test_failed_write_is_reported_and_forgotten),
		TEST(test_full_disk),
		TEST(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
