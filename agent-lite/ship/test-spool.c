/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/spool.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOMY = 16 << 20, BLOCK = 4096 };

static char dir[64];

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static struct spool *open_spool(uint64_t max)
{
	struct spool *s = NULL;
	struct err e = ERR_INIT;

	assert_ok(spool_open(dir, max, &s, &e));
	return s;
}

static void put(struct spool *s, uint64_t sequence, const char *text)
{
	struct err e = ERR_INIT;

	assert_ok(spool_put(s, sequence, str_from(text), sequence * 10, &e));
}

/* The oldest is that one; it is removed. */
static void assert_next(struct spool *s, uint64_t sequence, const char *text)
{
	struct buf b = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	uint64_t samples;

	assert_int_equal(spool_oldest(s), sequence);
	assert_ok(spool_take(s, sequence, &b, &samples, &e));
	assert_str(buf_str(&b), text);
	assert_int_equal(samples, sequence * 10);
	spool_release(s, sequence, true);
	buf_deinit(&b);
}

static struct spool_stats stats_of(struct spool *s)
{
	struct spool_stats stats;

	spool_stats(s, &stats);
	return stats;
}

static unsigned files_in_folder(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void path_of(const char *name, char out[static 256])
{
	snprintf(out, 256, "%s/%s", dir, name);
}

static void write_file(const char *name, const void *p, size_t n)
{
	char path[256];
	FILE *f;

	path_of(name, path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

static void what_was_put_is_there_after_a_restart_in_order(void **state)
{
	struct spool *s = open_spool(ROOMY);

	(void)state;
	assert_int_equal(spool_oldest(s), 0);
	put(s, 7, "seven");
	put(s, 300, "three hundred");
	put(s, 20, "twenty"); // one that waited in memory for longer
	assert_int_equal(spool_newest(s), 300);
	assert_next(s, 7, "seven");
	spool_close(s);
	s = open_spool(ROOMY);
	assert_int_equal(stats_of(s).files, 2);
	assert_int_equal(stats_of(s).bytes, 2 * BLOCK);
	assert_int_equal(stats_of(s).samples, 3200);
	assert_int_equal(stats_of(s).damaged_files, 0);
	assert_next(s, 20, "twenty");
	assert_next(s, 300, "three hundred");
	assert_int_equal(spool_oldest(s), 0);
	assert_int_equal(stats_of(s).bytes, 0);
	assert_int_equal(files_in_folder(), 1); // the lock
	spool_close(s);
}

static void the_oldest_goes_first(void **state)
{
	struct spool *s = open_spool(3 * BLOCK);
	struct buf b = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	uint64_t samples;

	(void)state;
	for (uint64_t i = 1; i <= 5; i++)
		put(s, i, "x");
	assert_int_equal(stats_of(s).files, 3);
	assert_int_equal(stats_of(s).dropped_files, 2);
	assert_int_equal(stats_of(s).dropped_bytes, 2 * BLOCK);
	assert_int_equal(stats_of(s).dropped_samples, 30);
	// One that is on its way to the server stays; the next one has to go.
	assert_ok(spool_take(s, 3, &b, &samples, &e));
	put(s, 6, "x");
	assert_int_equal(stats_of(s).dropped_samples, 70);
	spool_release(s, 3, false);
	assert_next(s, 3, "x");
	assert_next(s, 5, "x");
	assert_next(s, 6, "x");
	assert_int_equal(files_in_folder(), 1);
	buf_deinit(&b);
	spool_close(s);
}

static void what_is_larger_than_all_of_it_is_refused(void **state)
{
	struct spool *s = open_spool(2 * BLOCK);
	char big[2 * BLOCK];
	struct err e = ERR_INIT;

	(void)state;
	put(s, 1, "kept");
	memset(big, 'x', sizeof(big));
	assert_int_equal(spool_put(s, 2, (struct str){big, sizeof(big)}, 1, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "--spool-size");
	assert_int_equal(stats_of(s).dropped_files, 0);
	assert_next(s, 1, "kept");
	spool_close(s);
}

/* Every cut and every flipped bit of a file: found at the start or when it is read, and removed. */
static void damaged_files_are_counted_and_removed(void **state)
{
	static const char name[] = "0000000000000009.push";
	char whole[256], bad[256], path[256];
	struct spool *s = open_spool(ROOMY);
	size_t n;
	FILE *f;

	(void)state;
	put(s, 9, "a body of some length");
	spool_close(s);
	path_of(name, path);
	f = fopen(path, "re");
	n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	assert_in_range(n, 60, 100);
	for (size_t i = 0; i < 2 * n; i++) {
		struct buf b = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;
		uint64_t samples, oldest;

		memcpy(bad, whole, n);
		bad[i % n] = (char)(bad[i % n] ^ 0x10);
		write_file(name, bad, i < n ? i : n);
		s = open_spool(ROOMY);
		oldest = spool_oldest(s);
		if (oldest)
			assert_int_equal(spool_take(s, oldest, &b, &samples, &e), -1);
		assert_int_equal(spool_oldest(s), 0);
		assert_int_equal(stats_of(s).damaged_files, 1);
		assert_int_equal(files_in_folder(), 1);
		buf_deinit(&b);
		spool_close(s);
	}
}

/* A host that runs out of descriptors for a while loses nothing by it. */
static void no_descriptors_is_no_damage(void **state)
{
	struct spool *s = open_spool(ROOMY);
	struct buf b = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	struct rlimit before, none;
	uint64_t samples;

	(void)state;
	put(s, 1, "kept");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(spool_take(s, 1, &b, &samples, &e), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(e.sys, EMFILE);
	assert_int_equal(stats_of(s).damaged_files, 0);
	assert_next(s, 1, "kept");
	buf_deinit(&b);
	spool_close(s);
}

static void only_our_own_names_are_touched(void **state)
{
	struct spool *s = open_spool(ROOMY);
	char from[256], to[256];

	(void)state;
	put(s, 1, "one");
	path_of("0000000000000001.push", from);
	path_of("0000000000000002.push", to);
	assert_int_equal(link(from, to), 0); // a copy under another name would count twice
	spool_close(s);
	write_file("0000000000000003.tmp", "half", 4);
	write_file("notes.push", "x", 1);
	write_file("000000000000000A.push", "x", 1);
	write_file("0000000000000004.pushed", "x", 1);
	write_file(".tmp", "x", 1);
	s = open_spool(ROOMY);
	assert_int_equal(stats_of(s).files, 1);
	assert_int_equal(stats_of(s).damaged_files, 1);
	assert_int_equal(files_in_folder(), 1 + 1 + 4);
	assert_next(s, 1, "one");
	spool_close(s);
}

static void a_folder_is_one_agents(void **state)
{
	struct spool *s = open_spool(ROOMY), *other;
	struct err e = ERR_INIT;
	char pid[32];

	(void)state;
	assert_int_equal(spool_open(dir, ROOMY, &other, &e), -1);
	snprintf(pid, sizeof(pid), "PID %d", (int)getpid());
	assert_err(&e, ERR_CONFLICT, pid);
	assert_err(&e, ERR_CONFLICT, "--spool-dir: ");
	spool_close(s);
	s = open_spool(ROOMY); // the lock went with its holder
	spool_close(s);
}

static void a_folder_that_cannot_be_had_is_named(void **state)
{
	struct spool *s;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(spool_open("/proc/spool", ROOMY, &s, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/proc/spool");
}

/* The disk is full at any of the writes: an error, nothing half-written, all else as it was. */
static void a_full_disk_is_survived(void **state)
{
	struct spool *s = open_spool(ROOMY);
	bool fired = true;

	(void)state;
	put(s, 1, "before");
	for (unsigned long nth = 1; fired; nth++) {
		struct err e = ERR_INIT;
		int r;

		io_fault_at(nth, ENOSPC);
		r = spool_put(s, 2, STR("late"), 20, &e);
		fired = io_fault_off();
		assert_int_equal(r, fired ? -1 : 0);
		if (fired)
			assert_err(&e, ERR_NO_SPACE, "No space left");
		assert_int_equal(stats_of(s).files, fired ? 1 : 2);
		assert_int_equal(stats_of(s).bytes, (fired ? 1 : 2) * BLOCK);
		assert_int_equal(files_in_folder(), fired ? 2 : 3);
	}
	assert_next(s, 1, "before");
	assert_next(s, 2, "late");
	spool_close(s);
}

static void out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		struct buf b = BUF_INIT(1 << 20);
		struct spool *s = NULL;
		struct err e = ERR_INIT;
		uint64_t samples;
		int r;

		mem_fault_at(nth, 0);
		r = spool_open(dir, ROOMY, &s, &e);
		if (r == 0)
			r = spool_put(s, nth, STR("x"), 1, &e);
		if (r == 0)
			r = spool_take(s, nth, &b, &samples, &e);
		fired = mem_fault_off();
		assert_true(fired ? r < 0 && e.kind == ERR_NOMEM : r == 0);
		if (r == 0)
			spool_release(s, nth, true);
		buf_deinit(&b);
		spool_close(s);
		s = open_spool(ROOMY);
		assert_int_equal(stats_of(s).damaged_files, 0);
		while (spool_oldest(s))
			spool_release(s, spool_oldest(s), true);
		spool_close(s);
	}
}

/* Killed while it writes one after the other: whole files only, and the lock is free. */
static void a_killed_writer_leaves_whole_files(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		char body[20000];
		struct spool *s;
		struct err e;

		memset(body, 'b', sizeof(body));
		if (spool_open(dir, 1 << 20, &s, &e) < 0)
			_exit(1);
		for (uint64_t i = 1;; i++) {
			if (spool_put(s, i, (struct str){body, sizeof(body)}, 1, &e) < 0)
				_exit(2);
		}
	}
	usleep(60000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));

	struct spool *s = open_spool(1 << 20);
	struct buf b = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	uint64_t samples, sequence, before = 0;
	unsigned n = 0;

	for (; (sequence = spool_oldest(s)); n++) {
		assert_true(before == 0 || sequence == before + 1);
		before = sequence;
		assert_ok(spool_take(s, sequence, &b, &samples, &e));
		assert_int_equal(b.n, 20000);
		spool_release(s, sequence, true);
	}
	assert_true(n > 0);
	assert_int_equal(stats_of(s).damaged_files, 0);
	assert_int_equal(files_in_folder(), 1);
	buf_deinit(&b);
	spool_close(s);
}

struct producer {
	struct spool *spool;
	uint64_t n;
};

static void *produce(void *arg)
{
	struct producer *p = arg;
	struct err e;

	for (uint64_t i = 1; i <= p->n; i++) {
		if (spool_put(p->spool, i, STR("body"), i * 10, &e) < 0)
			return p;
	}
	return NULL;
}

/* One thread puts, one takes; what is not dropped arrives, in order. */
static void two_threads_share_it(void **state)
{
	struct producer p = {open_spool(8 * BLOCK), 400};
	uint64_t before = 0, got = 0;
	pthread_t thread;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	while (before < p.n) {
		uint64_t sequence = spool_oldest(p.spool), samples;
		struct buf b = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		// It may have been dropped between the two calls: then it is no longer there.
		if (sequence && spool_take(p.spool, sequence, &b, &samples, &e) == 0) {
			assert_true(sequence > before);
			before = sequence;
			got++;
			spool_release(p.spool, sequence, true);
		}
		buf_deinit(&b);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(got + stats_of(p.spool).dropped_files, p.n);
	assert_int_equal(stats_of(p.spool).damaged_files, 0);
	spool_close(p.spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_is_there_after_a_restart_in_order,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_oldest_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_larger_than_all_of_it_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(no_descriptors_is_no_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_files_are_counted_and_removed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_our_own_names_are_touched, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_is_one_agents, setup, teardown),
		cmocka_unit_test(a_folder_that_cannot_be_had_is_named),
		cmocka_unit_test_setup_teardown(a_full_disk_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_writer_leaves_whole_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(two_threads_share_it, setup, teardown),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
