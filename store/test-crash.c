/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at any moment: a child writes and reports what was acknowledged, is killed, and the parent
 * looks whether all of that is there, whole, and nothing else half.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "store/blob.h"
#include "store/catalog.h"
#include "store/folder.h"
#include "store/profile_dir.h"
#include "store/push_log.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { ROUNDS = 5, ACKS_MAX = 100000 };

// One acknowledged thing: what it is made from, and where it is.
struct ack {
	uint64_t number;
	uint64_t position;
	char sha256[SHA256_HEX];
};

static struct ack acks[ACKS_MAX];
static size_t ack_count;

static int set_up(void **state)
{
	*state = test_folder_make();
	ack_count = 0;
	return 0;
}

static int tear_down(void **state)
{
	test_folder_remove(*state);
	return 0;
}

// ---- the child --------------------------------------------------------------------------------------

static int ack_fd;

static void acknowledge(const struct ack *a)
{
	if (write(ack_fd, a, sizeof(*a)) != sizeof(*a)) // less than PIPE_BUF: whole
		_exit(1);
}

static void give_up(const struct err *e)
{
	fprintf(stderr, "child: %s\n", e->msg);
	_exit(1);
}

// ---- the parent -------------------------------------------------------------------------------------

typedef void child_fn(const char *dir, uint64_t first);

static void read_acks(int fd, uint64_t until_ms)
{
	for (;;) {
		uint64_t now = clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (until_ms && now >= until_ms)
			return;
		if (poll(&p, 1, until_ms ? (int)(until_ms - now) : -1) <= 0)
			continue;
		assert_true(ack_count < ACKS_MAX);
		if (read(fd, &acks[ack_count], sizeof(acks[0])) != sizeof(acks[0]))
			return;
		ack_count++;
	}
}

static void run_and_kill(child_fn *fn, const char *dir, uint64_t ms)
{
	uint64_t first = ack_count ? acks[ack_count - 1].number + 1000000 : 0;
	int status;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		ack_fd = fds[1];
		fn(dir, first);
		_exit(1);
	}
	close(fds[1]);
	read_acks(fds[0], clock_mono_ms() + ms);
	kill(pid, SIGKILL);
	read_acks(fds[0], 0);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

// Not always at the same point.
static uint64_t round_ms(int round)
{
	return 40 + (uint64_t)round * 17;
}

// ---- push log ---------------------------------------------------------------------------------------

enum { LOG_THREADS = 4 };

struct log_writer {
	struct push_log *log;
	uint64_t first;
	uint64_t thread;
};

struct pending_append {
	pthread_mutex_t lock;
	pthread_cond_t came;
	bool done;
	uint64_t number;
};

static size_t make_record(uint64_t number, char out[static 4096])
{
	size_t n = 16 + number * 7919 % 4000;

	memset(out, (int)(number % 251), n);
	memcpy(out, &number, sizeof(number));
	return n;
}

static void appended(void *ctx, uint64_t position, const struct err *failure)
{
	struct pending_append *p = ctx;
	struct ack a = {.number = p->number, .position = position};

	if (failure)
		give_up(failure);
	acknowledge(&a);
	pthread_mutex_lock(&p->lock);
	p->done = true;
	pthread_cond_signal(&p->came);
	pthread_mutex_unlock(&p->lock);
}

static void *append_for_ever(void *arg)
{
	const struct log_writer *w = arg;
	struct pending_append p = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
	struct err e = ERR_INIT;
	char record[4096];

	for (uint64_t i = 0; i < UINT32_MAX; i++) {
		p.number = w->first + i * LOG_THREADS + w->thread;
		p.done = false;
		if (push_log_append(w->log, (struct str){record, make_record(p.number, record)},
				    appended, &p, &e))
			give_up(&e);
		pthread_mutex_lock(&p.lock);
		while (!p.done)
			pthread_cond_wait(&p.came, &p.lock);
		pthread_mutex_unlock(&p.lock);
	}
	return NULL;
}

static void log_child(const char *dir, uint64_t first)
{
	struct log_writer w[LOG_THREADS];
	pthread_t threads[LOG_THREADS];
	struct push_log *log;
	struct err e = ERR_INIT;

	if (push_log_open(dir, &log, &e))
		give_up(&e);
	for (uint64_t i = 0; i < LOG_THREADS; i++) {
		w[i] = (struct log_writer){log, first, i};
		pthread_create(&threads[i], NULL, append_for_ever, &w[i]);
	}
	pause();
}

// Records come in order; those acknowledged must be among them, others may.
struct log_check {
	uint64_t last;
	size_t found;
};

static int by_position(const void *a, const void *b)
{
	uint64_t x = ((const struct ack *)a)->position;
	uint64_t y = ((const struct ack *)b)->position;

	return (x > y) - (x < y);
}

static int check_record(void *ctx, uint64_t position, struct str record, struct err *e)
{
	struct log_check *c = ctx;
	struct ack key = {.position = position};
	char expect[4096];
	uint64_t number;
	const struct ack *a;

	(void)e;
	assert_true(position > c->last);
	c->last = position;
	assert_true(record.n >= sizeof(number));
	memcpy(&number, record.p, sizeof(number));
	assert_int_equal(record.n, make_record(number, expect));
	assert_memory_equal(record.p, expect, record.n);
	a = bsearch(&key, acks, ack_count, sizeof(*acks), by_position);
	if (a) {
		assert_int_equal(a->number, number);
		c->found++;
	}
	return 0;
}

static void test_push_log(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct log_check c = {0};
		struct push_log *log;
		struct err e = ERR_INIT;

		run_and_kill(log_child, *state, round_ms(round));
		if (push_log_open(*state, &log, &e))
			fail_msg("%s", e.msg);
		assert_false(push_log_damaged(log, &e));
		qsort(acks, ack_count, sizeof(*acks), by_position);
		assert_int_equal(push_log_replay(log, check_record, &c, &e), 0);
		assert_int_equal(c.found, ack_count);
		push_log_close(log);
	}
	assert_true(ack_count > 0);
	print_message("push log: %zu acknowledged records, all there after %d kills\n", ack_count, ROUNDS);
}

// ---- blobs ------------------------------------------------------------------------------------------

static const struct blob_limits blob_limits = {.identity_cache_bytes = MIB(64)};

static size_t make_content(uint64_t number, char *out)
{
	size_t n = (size_t)(1000 + number * 104729 % 90000);
	uint64_t x = number * 2654435761U + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		out[i] = (char)(x & 15);
	}
	return n;
}

static void blob_child(const char *dir, uint64_t first)
{
	char *content = malloc(MIB(1));
	struct blob_store *s;
	struct err e = ERR_INIT;

	if (blob_store_open(dir, &blob_limits, &s, &e))
		give_up(&e);
	for (uint64_t i = first;; i++) {
		struct blob_info info;
		int fd = blob_staging(s, &e);
		struct ack a = {.number = i};

		if (fd < 0 || io_write_all(fd, content, make_content(i, content), &e) ||
		    blob_put(s, fd, &info, &e) < 0)
			give_up(&e);
		close(fd);
		memcpy(a.sha256, info.sha256, sizeof(a.sha256));
		acknowledge(&a);
	}
}

struct blob_check {
	struct blob_store *store;
	size_t n;
};

static int check_visible_blob(void *ctx, const char *path, const char *name, struct err *e)
{
	struct blob_check *c = ctx;
	_cleanup_close_ int fd = -1;
	char sha256[SHA256_HEX];
	char actual[SHA256_HEX];

	(void)path;
	snprintf(sha256, sizeof(sha256), "%.64s", name);
	fd = blob_open_identity(c->store, sha256, e);
	if (fd < 0 || sha256_fd_hex(fd, actual, e))
		fail_msg("%s", e->msg);
	assert_string_equal(actual, sha256);
	c->n++;
	return 0;
}

static int check_blob_folder(void *ctx, const char *path, const char *name, struct err *e)
{
	return strlen(name) == 2 ? folder_each(path, check_visible_blob, ctx, e) : 0;
}

static int refuse_any(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)ctx;
	(void)name;
	return err_set(e, ERR_INTERNAL, "%s is left over", path);
}

static void check_blobs(const char *dir)
{
	struct blob_check c = {0};
	struct blob_info info;
	struct blob_usage usage;
	struct err e = ERR_INIT;
	char tmp[FOLDER_PATH];

	if (blob_store_open(dir, &blob_limits, &c.store, &e) ||
	    folder_each(dir, check_blob_folder, &c, &e) || folder_path(tmp, &e, dir, "tmp") ||
	    folder_each(tmp, refuse_any, NULL, &e))
		fail_msg("%s", e.msg);
	blob_store_usage(c.store, &usage);
	assert_int_equal(usage.blobs, c.n);
	for (size_t i = 0; i < ack_count; i++) {
		if (blob_stat(c.store, acks[i].sha256, &info, &e))
			fail_msg("%s", e.msg);
	}
	blob_store_close(c.store);
}

static void test_blobs(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		run_and_kill(blob_child, *state, round_ms(round));
		check_blobs(*state);
	}
	assert_true(ack_count > 0);
	print_message("blobs: %zu acknowledged, all there after %d kills\n", ack_count, ROUNDS);
}

// ---- catalog ----------------------------------------------------------------------------------------

static void open_catalog(const char *dir, struct catalog **ret)
{
	struct err e = ERR_INIT;
	char path[FOLDER_PATH];

	if (folder_path(path, &e, dir, "catalog.db") || catalog_open(path, ret, &e))
		give_up(&e);
}

static struct build_id numbered_id(uint64_t number)
{
	struct build_id id = {0};

	if (build_id_set(&id, BUILD_ID_GNU, &number, sizeof(number), NULL))
		abort();
	return id;
}

static void catalog_child(const char *dir, uint64_t first)
{
	struct catalog *c;
	struct err e = ERR_INIT;

	open_catalog(dir, &c);
	for (uint64_t i = first;; i++) {
		struct build_id id = numbered_id(i);
		struct catalog_new_file f = {.ids = &id, .id_count = 1};
		struct binary b;
		struct ack a = {.number = i};

		f.file.type = FILE_DEBUGINFO;
		f.file.trust = TRUST_UPLOAD;
		snprintf(f.file.sha256, sizeof(f.file.sha256), "%064ju", (uintmax_t)i);
		if (catalog_add_file(c, &f, &b, &e))
			give_up(&e);
		a.position = (uint64_t)b.id;
		acknowledge(&a);
	}
}

static void test_catalog(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct catalog *c;

		run_and_kill(catalog_child, *state, round_ms(round));
		open_catalog(*state, &c);
		for (size_t i = 0; i < ack_count; i++) {
			struct build_id id = numbered_id(acks[i].number);
			struct catalog_file f;
			struct binary b;
			struct err e = ERR_INIT;

			assert_int_equal(catalog_find(c, &id, 1, &b, &e), 0);
			assert_int_equal(b.id, acks[i].position);
			assert_int_equal(catalog_best_file(c, b.id, FILE_DEBUGINFO, &f, &e), 0);
		}
		catalog_close(c);
	}
	assert_true(ack_count > 0);
	print_message("catalog: %zu acknowledged files, all there after %d kills\n", ack_count, ROUNDS);
}

// ---- profile store ----------------------------------------------------------------------------------

enum { SET = 3 };

static void segments_child(const char *dir, uint64_t first)
{
	static const struct profile_label labels[SET] = {
		{STR("service_name"), STR("a")},
		{STR("service_name"), STR("b")},
		{STR("service_name"), STR("c")},
	};
	struct profile_dir *d;
	struct err e = ERR_INIT;

	if (profile_dir_open(dir, &d, &e))
		give_up(&e);
	for (uint64_t i = first;; i++) {
		struct profile_segment s[SET];
		struct ack a = {.number = i};
		char text[32];

		snprintf(text, sizeof(text), "%ju", (uintmax_t)i);
		for (int k = 0; k < SET; k++)
			s[k] = (struct profile_segment){.series = {&labels[k], 1},
							.from_unix_ns = (int64_t)i,
							.to_unix_ns = (int64_t)i,
							.samples = 1,
							.pprof = str_from(text)};
		if (profile_dir_write(d, s, SET, NULL, &e))
			give_up(&e);
		acknowledge(&a);
	}
}

struct segment_check {
	size_t n;
	size_t acknowledged;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct ack *)a)->number;
	uint64_t y = ((const struct ack *)b)->number;

	return (x > y) - (x < y);
}

static int check_segment(void *ctx, const struct profile_segment *s, struct err *e)
{
	struct segment_check *c = ctx;
	struct ack key;

	(void)e;
	assert_true(str_to_u64(s->pprof, UINT64_MAX, &key.number));
	assert_int_equal(key.number, s->from_unix_ns);
	c->n++;
	c->acknowledged += bsearch(&key, acks, ack_count, sizeof(*acks), by_number) != NULL;
	return 0;
}

static void test_profile_dir(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		const struct profile_search all = {.to_unix_ns = INT64_MAX};
		struct segment_check c = {0};
		struct profile_dir *d;
		struct err e = ERR_INIT;

		run_and_kill(segments_child, *state, round_ms(round));
		if (profile_dir_open(*state, &d, &e) ||
		    profile_dir_query(d, &all, check_segment, &c, &e))
			fail_msg("%s", e.msg);
		assert_int_equal(profile_dir_unreadable(d), 0);
		assert_int_equal(c.n % SET, 0);
		assert_int_equal(c.acknowledged, ack_count * SET);
		profile_dir_close(d);
	}
	assert_true(ack_count > 0);
	print_message("segments: %zu acknowledged sets, all there after %d kills\n", ack_count, ROUNDS);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_push_log),
		TEST(test_blobs),
		TEST(test_catalog),
		TEST(test_profile_dir),
	};

	// A killed process loses nothing the kernel has, so memory will do, and more happens in less time.
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
