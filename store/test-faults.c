/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every single failure: the nth write, fsync, rename or allocation of an operation fails, for n = 1, 2, …
 * until the operation gets through untouched (of sqlite's thousands of allocations not each). Each time there is a clean error or success, and the store
 * is consistent after. sqlite's own allocations and writes fail the same way, through its allocator and
 * VFS hooks. Also on fresh stores, since the first operation does more.
 */
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"
#include "store/blob.h"
#include "store/catalog.h"
#include "store/folder.h"
#include "store/profile_dir.h"
#include "store/push_log.h"
#include "store/sql.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

enum { NTH_MAX = 100000 };

static char dir[512];

static int set_up(void **state)
{
	*state = test_folder_make();
	snprintf(dir, sizeof(dir), "%s", (char *)*state);
	return 0;
}

static int tear_down(void **state)
{
	test_folder_remove(*state);
	return 0;
}

// ---- sqlite's hooks ---------------------------------------------------------------------------------

static struct fault sqlite_memory;
static struct fault sqlite_disk;
static sqlite3_mem_methods real_memory;
// One for each way of locking; what is replaced is the same in all.
static const sqlite3_io_methods *real_file[8];
static sqlite3_io_methods failing_file[8];
static sqlite3_vfs failing_vfs;

static void *failing_malloc(int n)
{
	return fault_hits(&sqlite_memory) ? NULL : real_memory.xMalloc(n);
}

static void *failing_realloc(void *p, int n)
{
	return fault_hits(&sqlite_memory) ? NULL : real_memory.xRealloc(p, n);
}

static int failing_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 off)
{
	return fault_hits(&sqlite_disk) ? SQLITE_FULL : real_file[0]->xWrite(f, p, n, off);
}

static int failing_sync(sqlite3_file *f, int flags)
{
	return fault_hits(&sqlite_disk) ? SQLITE_IOERR_FSYNC : real_file[0]->xSync(f, flags);
}

static int failing_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return fault_hits(&sqlite_disk) ? SQLITE_IOERR_TRUNCATE : real_file[0]->xTruncate(f, size);
}

static const sqlite3_io_methods *failing_methods(const sqlite3_io_methods *real)
{
	size_t i = 0;

	while (real_file[i] && real_file[i] != real)
		i++;
	if (!real_file[i]) {
		failing_file[i] = *real;
		failing_file[i].xWrite = failing_write;
		failing_file[i].xSync = failing_sync;
		failing_file[i].xTruncate = failing_truncate;
		real_file[i] = real;
	}
	return &failing_file[i];
}

// The real VFS opens the file; only its table of functions is exchanged for one that can fail.
static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	sqlite3_vfs *real = vfs->pAppData;
	int rc = real->xOpen(real, name, f, flags, out);

	if (rc || !f->pMethods)
		return rc;
	pthread_mutex_lock(&lock);
	f->pMethods = failing_methods(f->pMethods);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void install_hooks(void)
{
	sqlite3_mem_methods memory;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory))
		abort();
	memory = real_memory;
	memory.xMalloc = failing_malloc;
	memory.xRealloc = failing_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) || sqlite3_initialize())
		abort();
	failing_vfs = *sqlite3_vfs_find(NULL);
	failing_vfs.pAppData = sqlite3_vfs_find(NULL);
	failing_vfs.zName = "failing";
	failing_vfs.pNext = NULL;
	failing_vfs.xOpen = failing_open;
	if (sqlite3_vfs_register(&failing_vfs, 1))
		abort();
}

// ---- kinds of faults --------------------------------------------------------------------------------

struct fault_kind {
	const char *name;
	void (*arm)(unsigned long nth);
	bool (*disarm)(void);
	enum err_kind expect[3]; // ERR_NONE ends
	unsigned long sparse;    // above this number not every one is tried
};

static void arm_eio(unsigned long nth)
{
	io_fault_at(nth, EIO);
}

static void arm_enospc(unsigned long nth)
{
	io_fault_at(nth, ENOSPC);
}

static void arm_memory(unsigned long nth)
{
	mem_fault_at(nth, 1);
}

static void arm_memory_for_ever(unsigned long nth)
{
	mem_fault_at(nth, 0);
}

static void arm_sqlite_memory(unsigned long nth)
{
	fault_arm(&sqlite_memory, nth, 1);
}

static bool disarm_sqlite_memory(void)
{
	return fault_disarm(&sqlite_memory);
}

static void arm_sqlite_disk(unsigned long nth)
{
	fault_arm(&sqlite_disk, nth, 1);
}

static bool disarm_sqlite_disk(void)
{
	return fault_disarm(&sqlite_disk);
}

static const struct fault_kind fault_kinds[] = {
	{"EIO", arm_eio, io_fault_off, {ERR_IO}, NTH_MAX},
	{"ENOSPC", arm_enospc, io_fault_off, {ERR_NO_SPACE}, NTH_MAX},
	{"memory, once", arm_memory, mem_fault_off, {ERR_NOMEM}, NTH_MAX},
	{"memory, from then on", arm_memory_for_ever, mem_fault_off, {ERR_NOMEM}, NTH_MAX},
	{"sqlite's memory", arm_sqlite_memory, disarm_sqlite_memory, {ERR_NOMEM}, 20},
	{"sqlite's disk", arm_sqlite_disk, disarm_sqlite_disk, {ERR_NO_SPACE, ERR_DB}, NTH_MAX},
};

static void assert_expected(const struct fault_kind *k, unsigned long nth, const struct err *e)
{
	for (size_t i = 0; i < countof(k->expect) && k->expect[i]; i++) {
		if (e->kind == k->expect[i] && e->msg[0])
			return;
	}
	fail_msg("%s, number %lu: %s: '%s'", k->name, nth, err_code(e->kind), e->msg);
}

// One operation under test: `run` opens, acts and closes; `check` is told what run returned.
struct subject {
	const char *name;
	int (*run)(unsigned long number, struct err *e);
	void (*check)(unsigned long number, int rc);
};

// Returns the number of the last call that could fail.
static unsigned long try_all(const struct subject *s, const struct fault_kind *k, unsigned long *number)
{
	for (unsigned long nth = 1; nth < NTH_MAX; nth += 1 + nth / k->sparse) {
		struct err e = ERR_INIT;
		bool fired;
		int rc;

		k->arm(nth);
		rc = s->run(++*number, &e);
		fired = k->disarm();
		if (rc)
			assert_expected(k, nth, &e);
		s->check(*number, rc);
		if (!fired) {
			if (rc)
				fail_msg("%s: %s", s->name, e.msg);
			return nth - 1;
		}
	}
	fail_msg("%s: %s: no end", s->name, k->name);
	return 0;
}

static void try_all_kinds(const struct subject *s)
{
	unsigned long number = 0;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < countof(fault_kinds); i++)
		print_message("%s: %s: %lu calls\n", s->name, fault_kinds[i].name,
			      try_all(s, &fault_kinds[i], &number));
	// and when all is well, all is well
	number++;
	if (s->run(number, &e))
		fail_msg("%s: %s", s->name, e.msg);
	s->check(number, 0);
}

static int count_entry(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)path;
	(void)name;
	(void)e;
	++*(int *)ctx;
	return 0;
}

static void assert_empty(const char *name)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;
	int n = 0;

	if (folder_path(path, &e, dir, "%s", name) == 0 && access(path, F_OK) == 0)
		assert_int_equal(folder_each(path, count_entry, &n, &e), 0);
	assert_int_equal(n, 0);
}

// ---- blobs ------------------------------------------------------------------------------------------

static const struct blob_limits limits = {.identity_cache_bytes = MIB(1)};

static void fill_content(unsigned long number, char out[static 3000])
{
	memset(out, (int)(number % 200), 3000);
	memcpy(out, &number, sizeof(number));
}

static int put_staged(struct blob_store *s, unsigned long number, struct err *e)
{
	_cleanup_close_ int fd = blob_staging(s, e);
	_cleanup_close_ int copy = -1;
	struct blob_info info;
	char content[3000];

	fill_content(number, content);
	if (fd < 0 || io_write_all(fd, content, sizeof(content), e) || blob_put(s, fd, &info, e) < 0)
		return -1;
	copy = blob_open_identity(s, info.sha256, e);
	return copy < 0 ? -1 : 0;
}

static int run_blob(unsigned long number, struct err *e)
{
	struct blob_store *s;
	int rc;

	if (blob_store_open(dir, &limits, &s, e))
		return -1;
	rc = put_staged(s, number, e);
	blob_store_close(s);
	return rc;
}

static void check_blob(unsigned long number, int rc)
{
	struct blob_store *s;
	struct blob_usage before;
	struct blob_usage after;
	struct blob_info info;
	char content[3000];
	char back[3000];
	uint8_t digest[SHA256_SIZE];
	char sha256[SHA256_HEX];
	struct err e = ERR_INIT;
	int there;

	if (blob_store_open(dir, &limits, &s, &e))
		fail_msg("%s", e.msg);
	assert_empty("tmp");
	fill_content(number, content);
	sha256_of(content, sizeof(content), digest);
	hex_encode(digest, sizeof(digest), sha256);
	there = blob_stat(s, sha256, &info, &e);
	if (rc == 0)
		assert_int_equal(there, 0);
	if (there == 0) {
		assert_int_equal(blob_pread(s, sha256, back, sizeof(back), 0, &e), 0);
		assert_memory_equal(back, content, sizeof(back));
	}
	blob_store_usage(s, &before);
	blob_store_close(s);
	assert_int_equal(blob_store_open(dir, &limits, &s, &e), 0);
	blob_store_usage(s, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	blob_store_close(s);
}

static void test_blob(void **state)
{
	(void)state;
	try_all_kinds(&(struct subject){"blob", run_blob, check_blob});
}

// ---- catalog ----------------------------------------------------------------------------------------

static struct build_id numbered_id(enum build_id_kind kind, unsigned long number)
{
	struct build_id id = {0};

	if (build_id_set(&id, kind, &number, sizeof(number), NULL))
		abort();
	return id;
}

static int open_catalog(struct catalog **ret, struct err *e)
{
	char path[FOLDER_PATH];

	return folder_path(path, e, dir, "catalog.db") ? -1 : catalog_open(path, ret, e);
}

static int add_numbered(struct catalog *c, unsigned long number, struct err *e)
{
	struct build_id ids[] = {numbered_id(BUILD_ID_GNU, number), numbered_id(BUILD_ID_GO, number)};
	struct catalog_new_file f = {.ids = ids, .id_count = 2, .name = "prog", .headers = "phdr",
				     .headers_size = 4};
	struct binary b;
	struct catalog_file *files = NULL;
	size_t n;
	int rc;

	f.file.type = FILE_DEBUGINFO;
	f.file.trust = TRUST_UPLOAD;
	memset(f.file.sha256, 'a', SHA256_HEX - 1);
	if (catalog_add_file(c, &f, &b, e) < 0)
		return -1;
	rc = catalog_files(c, b.id, &files, &n, e);
	free(files);
	return rc;
}

static int run_catalog(unsigned long number, struct err *e)
{
	struct catalog *c;
	int rc;

	if (open_catalog(&c, e))
		return -1;
	rc = add_numbered(c, number, e);
	catalog_close(c);
	return rc;
}

static void assert_intact(const char *name)
{
	struct err e = ERR_INIT;
	char path[FOLDER_PATH];
	struct sql *c;
	struct query q;

	if (folder_path(path, &e, dir, "%s", name) || sql_open(path, SQL_WRITE, true, &c, &e))
		fail_msg("%s", e.msg);
	q = query(c, "PRAGMA integrity_check");
	assert_int_equal(query_step(&q, &e), 1);
	assert_true(str_is(query_col_str(&q), "ok"));
	query_end(&q);
	q = query(c, "PRAGMA foreign_key_check");
	assert_int_equal(query_step(&q, &e), 0);
	query_end(&q);
	sql_close(c);
}

static void check_catalog(unsigned long number, int rc)
{
	struct build_id one = numbered_id(BUILD_ID_GNU, number);
	struct build_id other = numbered_id(BUILD_ID_GO, number);
	struct catalog_file f;
	struct catalog *c;
	struct binary a;
	struct binary b;
	struct err e = ERR_INIT;
	int found;

	if (open_catalog(&c, &e))
		fail_msg("%s", e.msg);
	found = catalog_find(c, &one, 1, &a, &e);
	if (rc == 0)
		assert_int_equal(found, 0);
	assert_int_equal(catalog_find(c, &other, 1, &b, &e), found); // both IDs or none
	if (found == 0) {
		assert_int_equal(a.id, b.id);
		assert_true(a.needs_index);
		assert_int_equal(a.headers_size, 4);
		assert_int_equal(catalog_best_file(c, a.id, FILE_DEBUGINFO, &f, &e), 0);
	}
	catalog_close(c);
	assert_intact("catalog.db");
}

static void test_catalog(void **state)
{
	(void)state;
	try_all_kinds(&(struct subject){"catalog", run_catalog, check_catalog});
}

// ---- push log ---------------------------------------------------------------------------------------

struct appending {
	pthread_mutex_t lock;
	pthread_cond_t came;
	bool done;
	bool failed;
	struct err err;
};

static void appended(void *ctx, uint64_t position, const struct err *failure)
{
	struct appending *a = ctx;

	(void)position;
	pthread_mutex_lock(&a->lock);
	a->done = true;
	a->failed = failure != NULL;
	if (failure)
		a->err = *failure;
	pthread_cond_signal(&a->came);
	pthread_mutex_unlock(&a->lock);
}

static int run_push_log(unsigned long number, struct err *e)
{
	struct appending a = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, ERR_INIT};
	struct push_log *log;
	int rc;

	if (push_log_open(dir, &log, e))
		return -1;
	rc = push_log_append(log, (struct str){(char *)&number, sizeof(number)}, appended, &a, e);
	if (!rc) {
		pthread_mutex_lock(&a.lock);
		while (!a.done)
			pthread_cond_wait(&a.came, &a.lock);
		pthread_mutex_unlock(&a.lock);
		if (a.failed) {
			*e = a.err;
			rc = -1;
		}
	}
	push_log_close(log);
	return rc;
}

static int find_record(void *ctx, uint64_t position, struct str record, struct err *e)
{
	unsigned long *wanted = ctx;
	unsigned long number;

	(void)position;
	(void)e;
	assert_int_equal(record.n, sizeof(number));
	memcpy(&number, record.p, sizeof(number));
	if (number == *wanted)
		*wanted = 0;
	return 0;
}

static void check_push_log(unsigned long number, int rc)
{
	unsigned long wanted = number;
	struct push_log *log;
	struct err e = ERR_INIT;

	if (push_log_open(dir, &log, &e) || push_log_replay(log, find_record, &wanted, &e))
		fail_msg("%s", e.msg);
	assert_false(push_log_damaged(log, &e));
	if (rc == 0)
		assert_int_equal(wanted, 0);
	else
		assert_int_equal(wanted, number); // taken back
	push_log_close(log);
}

static void test_push_log(void **state)
{
	(void)state;
	try_all_kinds(&(struct subject){"push log", run_push_log, check_push_log});
}

// ---- profile store ----------------------------------------------------------------------------------

static int count_segments(void *ctx, const struct profile_segment *s, struct err *e)
{
	(void)e;
	assert_true(str_is(s->pprof, "bytes of a profile"));
	++*(int *)ctx;
	return 0;
}

static int write_two(struct profile_dir *d, unsigned long number, struct err *e)
{
	static const struct profile_label label = {STR("service_name"), STR("api")};
	static const struct str unresolved = STR("aa11");
	struct profile_segment s = {
		.series = {&label, 1},
		.from_unix_ns = (int64_t)number,
		.to_unix_ns = (int64_t)number,
		.samples = 1,
		.pprof = STR("bytes of a profile"),
		.unresolved = &unresolved,
		.unresolved_count = 1,
	};
	struct profile_segment both[] = {s, s};
	const struct profile_search search = {NULL, (int64_t)number, (int64_t)number, NULL};
	int n = 0;

	if (profile_dir_write(d, both, 2, NULL, e))
		return -1;
	return profile_dir_query(d, &search, count_segments, &n, e);
}

static int run_profile_dir(unsigned long number, struct err *e)
{
	struct profile_dir *d;
	int rc;

	if (profile_dir_open(dir, &d, e))
		return -1;
	rc = write_two(d, number, e);
	profile_dir_close(d);
	return rc;
}

static void check_profile_dir(unsigned long number, int rc)
{
	const struct profile_search its = {NULL, (int64_t)number, (int64_t)number, NULL};
	const struct profile_search any = {.to_unix_ns = INT64_MAX};
	struct profile_dir *d;
	struct err e = ERR_INIT;
	char day[FOLDER_PATH];
	int visible = 0;
	int all = 0;
	int files = 0;

	if (profile_dir_open(dir, &d, &e) ||
	    profile_dir_query(d, &its, count_segments, &visible, &e) ||
	    profile_dir_query(d, &any, count_segments, &all, &e))
		fail_msg("%s", e.msg);
	assert_true(visible == 0 || visible == 2);
	if (rc == 0)
		assert_int_equal(visible, 2);
	assert_int_equal(profile_dir_unreadable(d), 0);
	profile_dir_close(d);
	assert_empty("tmp");
	assert_int_equal(folder_path(day, &e, dir, "1970-01-01"), 0);
	if (access(day, F_OK) == 0)
		assert_int_equal(folder_each(day, count_entry, &files, &e), 0);
	assert_int_equal(files, all);
	assert_intact("segments.db");
}

static void test_profile_dir(void **state)
{
	(void)state;
	try_all_kinds(&(struct subject){"profile store", run_profile_dir, check_profile_dir});
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_blob),
		TEST(test_catalog),
		TEST(test_push_log),
		TEST(test_profile_dir),
	};

	install_hooks();
	// Thousands of openings; what the disk does is made up anyway.
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
