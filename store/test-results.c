/* SPDX-License-Identifier: Apache-2.0 */
#include "store/results.h"

#include "base/cleanup.h"
#include "base/metrics.h"
#include "store/db.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct results *results;

static void open_results(const char *dir)
{
	char path[512];
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "%s/results.db", dir);
	if (results_open(path, &results, &e))
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	*state = test_folder_make();
	open_results(*state);
	return 0;
}

static int tear_down(void **state)
{
	results_close(results);
	test_folder_remove(*state);
	return 0;
}

static struct result_key key(int64_t binary, uint32_t generation, uint64_t address)
{
	return (struct result_key){binary, generation, address};
}

static void put(struct result_key k, const char *frames)
{
	results_put(results, &k, str_from(frames));
}

static void assert_result(struct result_key k, const char *expect)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(1024);
	struct err e = ERR_INIT;
	int rc = results_get(results, &k, &out, &e);

	if (rc < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(rc, expect ? 0 : RESULTS_NOT_FOUND);
	assert_true(str_is(buf_str(&out), expect));
}

static void flush(void)
{
	struct err e = ERR_INIT;

	if (results_flush(results, &e))
		fail_msg("%s", e.msg);
}

static void test_put_and_get(void **state)
{
	put(key(1, 1, 0x1139), "main");
	assert_result(key(1, 1, 0x1139), "main"); // queued
	assert_result(key(1, 1, 0x113a), NULL);
	assert_result(key(1, 2, 0x1139), NULL);
	assert_result(key(2, 1, 0x1139), NULL);
	flush();
	assert_result(key(1, 1, 0x1139), "main"); // stored
	put(key(1, 1, UINT64_MAX), "top");
	put(key(1, 1, 0), "");
	results_close(results);
	open_results(*state);
	assert_result(key(1, 1, 0x1139), "main");
	assert_result(key(1, 1, UINT64_MAX), "top");
	assert_result(key(1, 1, 0), "");
}

static void test_written_within_a_second(void **state)
{
	struct sql *c;
	struct err e = ERR_INIT;
	char path[512];
	bool found = false;

	put(key(1, 1, 7), "f");
	snprintf(path, sizeof(path), "%s/results.db", (char *)*state);
	assert_int_equal(sql_open(path, SQL_READ, false, &c, &e), 0);
	for (int i = 0; i < 20 && !found; i++) {
		struct query q = query(c, "SELECT 1 FROM result WHERE address = 7");

		usleep(50000);
		found = query_step(&q, &e) > 0;
		query_end(&q);
	}
	sql_close(c);
	assert_true(found);
}

static void test_the_first_answer_stays(void **state)
{
	(void)state;
	put(key(1, 1, 1), "a");
	put(key(1, 1, 1), "b");
	assert_result(key(1, 1, 1), "a");
	flush();
	put(key(1, 1, 1), "c");
	flush();
	assert_result(key(1, 1, 1), "a");
}

static void test_delete_binary(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	put(key(1, 1, 1), "a");
	put(key(2, 1, 1), "b");
	flush();
	put(key(1, 2, 9), "queued");
	assert_int_equal(results_delete_binary(results, 1, &e), 0);
	assert_result(key(1, 1, 1), NULL);
	assert_result(key(1, 2, 9), NULL);
	assert_result(key(2, 1, 1), "b");
	put(key(1, 1, 1), "again"); // not held to be there
	flush();
	assert_result(key(1, 1, 1), "again");
}

static void test_frames_that_are_too_large(void **state)
{
	_cleanup_free_ char *big = calloc(1, (1 << 20) + 1);
	struct result_key k = key(1, 1, 1);

	(void)state;
	results_put(results, &k, (struct str){big, (1 << 20) + 1});
	assert_result(k, NULL);
}

static void test_answer_beyond_the_buffer(void **state)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(3);
	struct result_key k = key(1, 1, 1);
	struct err e = ERR_INIT;

	(void)state;
	put(k, "four");
	flush();
	assert_int_equal(results_get(results, &k, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_non_null(strstr(e.msg, "stored frames"));
}

enum { THREADS = 4, EACH = 5000 };

static void *put_and_get(void *arg)
{
	int64_t binary = *(int64_t *)arg;

	for (uint64_t i = 0; i < EACH; i++) {
		_cleanup_(buf_deinit) struct buf out = BUF_INIT(64);
		struct result_key k = key(binary, 1, i);
		char text[32];
		struct err e = ERR_INIT;

		snprintf(text, sizeof(text), "%jd.%ju", (intmax_t)binary, (uintmax_t)i);
		put(k, text);
		if (results_get(results, &k, &out, &e) || !str_is(buf_str(&out), text))
			return arg;
		if (i % 1000 == 0 && results_flush(results, &e))
			return arg;
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	pthread_t threads[THREADS];
	int64_t binaries[THREADS];
	void *bad;

	for (int i = 0; i < THREADS; i++) {
		binaries[i] = i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, &binaries[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	results_close(results);
	open_results(*state);
	assert_result(key(1, 1, 0), "1.0");
	assert_result(key(THREADS, 1, EACH - 1), "4.4999");
}

static void test_full_disk(void **state)
{
	char dir[256];
	char text[200];
	struct err e = ERR_INIT;
	int rc = 0;

	snprintf(dir, sizeof(dir), "%s/full", (char *)*state);
	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("tmpfs", dir, "tmpfs", 0, "size=512k")) {
		print_message("skipped: mounting a small tmpfs: errno %d\n", errno);
		skip();
	}
	results_close(results);
	open_results(dir);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put(key(1, 1, 0), "kept");
	flush();
	for (uint64_t i = 1; i < 20000; i++)
		put(key(1, 1, i), text);
	rc = results_flush(results, &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_NO_SPACE);
	assert_non_null(strstr(e.msg, "no space left on the disk"));
	assert_result(key(1, 1, 0), "kept");
	assert_result(key(1, 1, 5), NULL);
	put(key(1, 1, 5), "small"); // not held to be there; fits
	flush();
	assert_result(key(1, 1, 5), "small");
	results_close(results);
	assert_int_equal(umount(dir), 0);
	open_results(*state);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_put_and_get),
		TEST(test_written_within_a_second),
		TEST(test_the_first_answer_stays),
		TEST(test_delete_binary),
		TEST(test_frames_that_are_too_large),
		TEST(test_answer_beyond_the_buffer),
		TEST(test_many_threads),
		TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
