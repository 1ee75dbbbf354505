/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blob.h"

#include "base/compress.h"
#include "base/io.h"
#include "store/folder.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct blob_store *store;
static const struct blob_limits roomy = {.identity_cache_bytes = MIB(8)};

static void open_store(const char *dir, const struct blob_limits *limits)
{
	struct err e = ERR_INIT;

	if (blob_store_open(dir, limits, &store, &e))
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	*state = test_folder_make();
	open_store(*state, &roomy);
	return 0;
}

static int tear_down(void **state)
{
	blob_store_close(store);
	test_folder_remove(*state);
	return 0;
}

// Bytes that compress about as an ELF does, different for each seed.
static void fill(char *p, size_t n, unsigned seed)
{
	uint64_t x = 88172645463325252ULL + seed;

	for (size_t i = 0; i < n; i++) {
		if (i % 4 == 0)
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		p[i] = (char)((i % 4 < 2 ? x >> 8 * (i % 4) : i >> 12) & 0xff);
	}
}

static int stage(const char *p, size_t n)
{
	struct err e = ERR_INIT;
	int fd = blob_staging(store, &e);

	if (fd < 0 || io_write_all(fd, p, n, &e))
		fail_msg("%s", e.msg);
	return fd;
}

static void put(const char *p, size_t n, int expect, struct blob_info *info)
{
	_cleanup_close_ int fd = stage(p, n);
	struct err e = ERR_INIT;
	int rc = blob_put(store, fd, info, &e);

	if (rc != expect)
		fail_msg("%d: %s", rc, e.msg);
}

static void assert_holds(int fd, const char *p, size_t n)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(n + 1);
	struct err e = ERR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(io_read_fd(fd, &b, &e), 0);
	assert_int_equal(b.n, n);
	assert_memory_equal(buf_str(&b).p, p, n);
	close(fd);
}

static int count_files(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)path;
	(void)name;
	(void)e;
	++*(int *)ctx;
	return 0;
}

static int files_in(const char *dir, const char *name)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;
	int n = 0;

	if (folder_path(path, &e, dir, "%s", name) || folder_each(path, count_files, &n, &e))
		fail_msg("%s", e.msg);
	return n;
}

static void test_put_and_read(void **state)
{
	enum { SIZE = 600 * 1024 };
	_cleanup_free_ char *bytes = malloc(SIZE);
	char part[1000];
	struct blob_info info;
	struct blob_info again;
	struct err e = ERR_INIT;
	int fd;

	fill(bytes, SIZE, 1);
	put(bytes, SIZE, 0, &info);
	assert_int_equal(info.size, SIZE);
	assert_true(info.stored_size < SIZE);
	put(bytes, SIZE, BLOB_EXISTS, &again);
	assert_string_equal(info.sha256, again.sha256);
	assert_int_equal(info.stored_size, again.stored_size);
	assert_int_equal(blob_pread(store, info.sha256, part, sizeof(part), 300000, &e), 0);
	assert_memory_equal(part, bytes + 300000, sizeof(part));
	assert_int_equal(blob_pread(store, info.sha256, part, sizeof(part), SIZE - 10, &e), -1);
	assert_int_equal(blob_open_identity_hot(store, info.sha256), -1);
	assert_holds(blob_open_identity(store, info.sha256, &e), bytes, SIZE);
	assert_holds(blob_open_identity(store, info.sha256, &e), bytes, SIZE);
	assert_holds(blob_open_identity_hot(store, info.sha256), bytes, SIZE);
	assert_int_equal(files_in(*state, "identity"), 1);
	fd = blob_open_stored(store, info.sha256, &e);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(files_in(*state, "tmp"), 0);
}

static void test_survives_reopening(void **state)
{
	struct blob_info info;
	struct blob_info again;
	struct blob_usage usage;
	struct err e = ERR_INIT;

	put("hello", 5, 0, &info);
	assert_string_equal(info.sha256,
			    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
	close(blob_open_identity(store, info.sha256, &e));
	blob_store_close(store);
	open_store(*state, &roomy);
	blob_store_usage(store, &usage);
	assert_int_equal(usage.blobs, 1);
	assert_int_equal(usage.stored_bytes, info.stored_size);
	assert_int_equal(usage.identity_cache_bytes, 0);
	assert_int_equal(blob_stat(store, info.sha256, &again, &e), 0);
	assert_memory_equal(&info, &again, sizeof(info));
	assert_holds(blob_open_identity(store, info.sha256, &e), "hello", 5);
}

static void test_empty_blob(void **state)
{
	struct blob_info info;
	struct err e = ERR_INIT;

	(void)state;
	put("", 0, 0, &info);
	assert_int_equal(info.size, 0);
	assert_holds(blob_open_identity(store, info.sha256, &e), "", 0);
}

static void test_unknown_and_foreign_names(void **state)
{
	static const char none[] = "00000000000000000000000000000000000000000000000000000000000000ff";
	struct blob_info info;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(blob_stat(store, none, &info, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "blob 00000000"));
	assert_non_null(strstr(e.msg, "No such file"));
	assert_int_equal(blob_open_stored(store, "../../etc/passwd", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "'../../etc/passwd' is not the SHA-256 of a blob");
	assert_int_equal(blob_remove(store, none, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void test_remove(void **state)
{
	struct blob_info info;
	struct blob_usage usage;
	struct err e = ERR_INIT;
	int fd;

	put("gone soon", 9, 0, &info);
	fd = blob_open_identity(store, info.sha256, &e);
	assert_int_equal(blob_remove(store, info.sha256, &e), 0);
	assert_holds(fd, "gone soon", 9); // open copies stay readable
	blob_store_usage(store, &usage);
	assert_int_equal(usage.blobs, 0);
	assert_int_equal(usage.stored_bytes, 0);
	assert_int_equal(usage.identity_cache_bytes, 0);
	assert_int_equal(files_in(*state, "identity"), 0);
	assert_int_equal(blob_open_identity(store, info.sha256, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static int use_blob(void *ctx, const struct blob_info *info, struct err *e)
{
	int rc = *(int *)ctx;
	struct blob_info there;

	assert_int_equal(blob_stat(store, info->sha256, &there, e), 0);
	return rc < 0 ? err_set(e, ERR_DB, "no row") : rc;
}

static int answer_used(void *ctx, const char *sha256, struct err *e)
{
	(void)sha256;
	(void)e;
	return *(int *)ctx;
}

static int put_used(const char *bytes, int answer, struct blob_info *ret, struct err *e)
{
	int fd = stage(bytes, strlen(bytes));
	int rc = blob_put_used(store, fd, use_blob, &answer, ret, e);

	close(fd);
	return rc;
}

// A blob stays only when somebody uses it.
static void test_use(void **state)
{
	struct blob_usage usage;
	struct blob_info info;
	struct err e = ERR_INIT;
	int used = BLOB_USED;
	int unused = BLOB_UNUSED;

	(void)state;
	assert_int_equal(put_used("overtaken", BLOB_UNUSED, &info, &e), 0);
	assert_int_equal(put_used("no row", -1, &info, &e), -1);
	assert_string_equal(e.msg, "no row");
	blob_store_usage(store, &usage);
	assert_int_equal(usage.blobs, 0);
	assert_int_equal(put_used("used", BLOB_USED, &info, &e), 0);
	assert_int_equal(put_used("used", BLOB_UNUSED, &info, &e), BLOB_EXISTS); // others use it
	assert_int_equal(blob_remove_unused(store, info.sha256, answer_used, &used, &e), BLOB_USED);
	assert_int_equal(blob_stat(store, info.sha256, &info, &e), 0);
	assert_int_equal(blob_remove_unused(store, info.sha256, answer_used, &unused, &e), 0);
	assert_int_equal(blob_stat(store, info.sha256, &info, &e), -1);
}

static int is_kept(void *ctx, const char *sha256, UNUSED struct err *e)
{
	const struct blob_info *kept = ctx;

	return strcmp(sha256, kept->sha256) ? BLOB_UNUSED : BLOB_USED;
}

static void test_sweep(void **state)
{
	struct blob_usage usage;
	struct blob_info kept;
	struct blob_info orphan;
	struct err e = ERR_INIT;
	int fails = -1;

	(void)state;
	put("orphan", 6, 0, &orphan);
	put("kept", 4, 0, &kept);
	assert_int_equal(blob_sweep(store, answer_used, &fails, &e), -1);
	blob_store_usage(store, &usage);
	assert_int_equal(usage.blobs, 2);
	assert_int_equal(blob_sweep(store, is_kept, &kept, &e), 0);
	assert_int_equal(blob_stat(store, orphan.sha256, &orphan, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_holds(blob_open_identity(store, kept.sha256, &e), "kept", 4);
	blob_store_usage(store, &usage);
	assert_int_equal(usage.blobs, 1);
	assert_int_equal(usage.stored_bytes, kept.stored_size);
}

static void test_quota(void **state)
{
	enum { SIZE = 300 * 1024 };
	_cleanup_free_ char *bytes = malloc(SIZE);
	_cleanup_close_ int fd = -1;
	struct blob_limits small = {.quota_bytes = 400 * 1024};
	struct blob_info info;
	struct err e = ERR_INIT;

	blob_store_close(store);
	open_store(*state, &small);
	fill(bytes, SIZE, 1);
	put(bytes, SIZE, 0, &info);
	fill(bytes, SIZE, 2);
	fd = stage(bytes, SIZE);
	assert_int_equal(blob_put(store, fd, &info, &e), -1);
	assert_int_equal(e.kind, ERR_QUOTA);
	assert_non_null(strstr(e.msg, "of 409600 bytes"));
	assert_int_equal(files_in(*state, "tmp"), 0);
}

static void test_identity_copies_are_evicted(void **state)
{
	enum { SIZE = 100 * 1024 };
	_cleanup_free_ char *bytes = malloc(SIZE);
	struct blob_limits small = {.identity_cache_bytes = 250 * 1024};
	struct blob_info info[3];
	struct blob_usage usage;
	struct err e = ERR_INIT;

	blob_store_close(store);
	open_store(*state, &small);
	for (unsigned i = 0; i < 3; i++) {
		fill(bytes, SIZE, i);
		put(bytes, SIZE, 0, &info[i]);
	}
	for (unsigned i = 0; i < 9; i++) {
		fill(bytes, SIZE, i % 3);
		assert_holds(blob_open_identity(store, info[i % 3].sha256, &e), bytes, SIZE);
		blob_store_usage(store, &usage);
		assert_true(usage.identity_cache_bytes <= small.identity_cache_bytes);
	}
	assert_int_equal(files_in(*state, "identity"), 2);
}

static void test_copy_that_vanished_is_made_again(void **state)
{
	struct blob_info info;
	struct err e = ERR_INIT;
	char path[FOLDER_PATH];

	put("again", 5, 0, &info);
	close(blob_open_identity(store, info.sha256, &e));
	assert_int_equal(folder_path(path, &e, *state, "identity/%s", info.sha256), 0);
	assert_int_equal(unlink(path), 0);
	assert_holds(blob_open_identity(store, info.sha256, &e), "again", 5);
}

static void test_copy_larger_than_the_cache(void **state)
{
	struct blob_limits tiny = {.identity_cache_bytes = 3};
	struct blob_info info;
	struct err e = ERR_INIT;

	blob_store_close(store);
	open_store(*state, &tiny);
	put("hello", 5, 0, &info);
	assert_holds(blob_open_identity(store, info.sha256, &e), "hello", 5);
	assert_int_equal(files_in(*state, "identity"), 0);
}

static void test_damaged_blob(void **state)
{
	struct blob_info info;
	struct err e = ERR_INIT;
	char path[FOLDER_PATH];

	put("whole", 5, 0, &info);
	assert_int_equal(folder_path(path, &e, *state, "%.2s/%s.zst", info.sha256, info.sha256), 0);
	assert_int_equal(truncate(path, 7), 0);
	assert_int_equal(blob_open_identity(store, info.sha256, &e), -1);
	assert_non_null(strstr(e.msg, info.sha256));
	assert_int_equal(files_in(*state, "tmp"), 0);
	assert_int_equal(files_in(*state, "identity"), 0);
}

static void test_one_process_at_a_time(void **state)
{
	struct blob_store *second;
	struct err e = ERR_INIT;

	assert_int_equal(blob_store_open(*state, &roomy, &second, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "is in use by another process"));
}

static void test_leftovers_are_removed(void **state)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;

	blob_store_close(store);
	assert_int_equal(folder_path(path, &e, *state, "tmp/.tmp-123456"), 0);
	assert_int_equal(io_write_file(path, "half", 4, 0600, &e), 0);
	open_store(*state, &roomy);
	assert_int_equal(access(path, F_OK), -1);
}

// ---- many at once ---------------------------------------------------------------------------------

enum { THREADS = 8, ROUNDS = 12, SHARED_SIZE = 64 * 1024 };

static void *put_and_read_shared(void *arg)
{
	char *bytes = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		char mine[SHARED_SIZE];
		char back[SHARED_SIZE];
		struct blob_info info;
		struct err e = ERR_INIT;
		int fd = blob_staging(store, &e);
		int copy = -1;

		memcpy(mine, bytes, SHARED_SIZE);
		mine[0] = (char)i; // the same for all threads
		if (fd < 0 || io_write_all(fd, mine, SHARED_SIZE, &e) ||
		    blob_put(store, fd, &info, &e) < 0 ||
		    (copy = blob_open_identity(store, info.sha256, &e)) < 0 ||
		    io_pread_all(copy, back, SHARED_SIZE, 0, &e) || memcmp(mine, back, SHARED_SIZE) != 0)
			return arg;
		close(fd);
		close(copy);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct blob_limits small = {.identity_cache_bytes = 3 * SHARED_SIZE};
	char bytes[SHARED_SIZE];
	pthread_t threads[THREADS];
	struct blob_usage usage;
	struct blob_usage counted;
	void *result;

	blob_store_close(store);
	open_store(*state, &small);
	fill(bytes, sizeof(bytes), 9);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_read_shared, bytes), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	blob_store_usage(store, &usage);
	assert_int_equal(usage.blobs, ROUNDS);
	assert_true(usage.identity_cache_bytes <= small.identity_cache_bytes);
	blob_store_close(store);
	open_store(*state, &small);
	blob_store_usage(store, &counted);
	assert_int_equal(usage.blobs, counted.blobs);
	assert_int_equal(usage.stored_bytes, counted.stored_bytes);
}

// ---- a full disk ----------------------------------------------------------------------------------

static void test_full_disk(void **state)
{
	enum { SIZE = 3 * 1024 * 1024 };
	_cleanup_free_ char *bytes = malloc(SIZE);
	_cleanup_close_ int fd = -1;
	char dir[FOLDER_PATH];
	struct blob_info info;
	struct blob_info kept;
	struct err e = ERR_INIT;

	assert_int_equal(folder_path(dir, &e, *state, "full"), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("tmpfs", dir, "tmpfs", 0, "size=1m")) {
		print_message("skipped: mounting a small tmpfs: errno %d\n", errno);
		skip();
	}
	blob_store_close(store);
	open_store(dir, &roomy);
	put("fits", 4, 0, &kept);
	fill(bytes, SIZE, 1);
	fd = io_tmpfile(*state, &e);
	assert_int_equal(io_write_all(fd, bytes, SIZE, &e), 0);
	assert_int_equal(blob_put(store, fd, &info, &e), -1);
	assert_int_equal(e.kind, ERR_NO_SPACE);
	assert_non_null(strstr(e.msg, "storing blob"));
	assert_non_null(strstr(e.msg, "No space left on device"));
	assert_int_equal(files_in(dir, "tmp"), 0);
	assert_int_equal(blob_stat(store, info.sha256, &info, &e), -1);
	assert_holds(blob_open_identity(store, kept.sha256, &e), "fits", 4);
	blob_store_close(store);
	assert_int_equal(umount(dir), 0);
	open_store(*state, &roomy);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_put_and_read),
		TEST(test_survives_reopening),
		TEST(test_empty_blob),
		TEST(test_unknown_and_foreign_names),
		TEST(test_remove),
		TEST(test_use),
		TEST(test_sweep),
		TEST(test_quota),
		TEST(test_identity_copies_are_evicted),
		TEST(test_copy_that_vanished_is_made_again),
		TEST(test_copy_larger_than_the_cache),
		TEST(test_damaged_blob),
		TEST(test_one_process_at_a_time),
		TEST(test_leftovers_are_removed),
		TEST(test_many_threads),
		TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
