/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the stores are on this disk: bench-store DIR [ROWS]. DIR is made; remove it after. CPU is that
 * of the whole process, for machines that do other things meanwhile.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "store/blob.h"
#include "store/catalog.h"
#include "store/push_log.h"
#include "store/results.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { GETS = 100000, BLOB_SIZE = 64 << 20, RECORD = 8 << 10, LOG_MS = 2000 };

static char dir[512];
static uint64_t rows = 1000000;

static void die(const struct err *e)
{
	fprintf(stderr, "bench-store: %s\n", e->msg);
	exit(1);
}

static const char *path_of(const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

struct stopwatch {
	uint64_t wall;
	clock_t cpu;
};

static struct stopwatch start(void)
{
	return (struct stopwatch){clock_mono_ns(), clock()};
}

static double wall_s(struct stopwatch w)
{
	return (double)(clock_mono_ns() - w.wall) / 1e9;
}

static double cpu_s(struct stopwatch w)
{
	return (double)(clock() - w.cpu) / CLOCKS_PER_SEC;
}

static void say_rate(const char *what, struct stopwatch w, double count, const char *unit)
{
	printf("%-28s %10.0f %s (%.0f per second of CPU)\n", what, count / wall_s(w), unit,
	       count / cpu_s(w));
}

static void say_time(const char *what, struct stopwatch w, double count)
{
	printf("%-28s %10.2f us (%.2f us of CPU)\n", what, wall_s(w) * 1e6 / count,
	       cpu_s(w) * 1e6 / count);
}

// ---- results ----------------------------------------------------------------------------------------

static uint64_t address_of(uint64_t i)
{
	return 0x400000 + i * 2654435761U % (64U << 20) * 4;
}

static void bench_results(void)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(4096);
	char frames[120];
	struct results *r;
	struct err e = ERR_INIT;
	struct stopwatch w;
	size_t found = 0;

	if (results_open(path_of("results.db"), &r, &e))
		die(&e);
	memset(frames, 'f', sizeof(frames));
	w = start();
	for (uint64_t i = 0; i < rows; i++) {
		struct result_key k = {1 + (int64_t)(i % 7), 1, address_of(i)};

		results_put(r, &k, (struct str){frames, sizeof(frames)});
		if (i % 100000 == 99999 && results_flush(r, &e))
			die(&e);
	}
	say_rate("results_put, flushed", w, (double)rows, "rows/s");
	for (int round = 0; round < 2; round++) { // the first one warms
		found = 0;
		w = start();
		for (uint64_t i = 0; i < GETS; i++) {
			uint64_t which = i * 7919 % rows;
			struct result_key k = {1 + (int64_t)(which % 7), 1, address_of(which)};

			buf_clear(&out);
			found += results_get(r, &k, &out, &e) == 0;
		}
	}
	say_time("results_get", w, GETS);
	if (found != GETS)
		printf("only %zu of %d found\n", found, GETS);
	results_close(r);
}

// ---- catalog ----------------------------------------------------------------------------------------

static struct build_id numbered_id(uint64_t n)
{
	struct build_id id = {0};

	if (build_id_set(&id, BUILD_ID_GNU, &n, sizeof(n), NULL))
		abort();
	return id;
}

static void bench_catalog(void)
{
	enum { FILES = 300, FINDS = 100000 };
	struct catalog *c;
	struct binary b;
	struct err e = ERR_INIT;
	struct stopwatch w;

	if (catalog_open(path_of("catalog.db"), &c, &e))
		die(&e);
	w = start();
	for (uint64_t i = 0; i < FILES; i++) {
		struct build_id id = numbered_id(i);
		struct catalog_new_file f = {.ids = &id, .id_count = 1};

		f.file.type = FILE_DEBUGINFO;
		f.file.trust = TRUST_UPLOAD;
		memset(f.file.sha256, 'a', SHA256_HEX - 1);
		if (catalog_add_file(c, &f, &b, &e) < 0)
			die(&e);
	}
	say_rate("catalog_add_file, 1 thread", w, FILES, "/s");
	w = start();
	for (uint64_t i = 0; i < FINDS; i++) {
		struct build_id id = numbered_id(i % FILES);

		if (catalog_find(c, &id, 1, &b, &e))
			die(&e);
	}
	say_time("catalog_find", w, FINDS);
	catalog_close(c);
}

// ---- blobs ------------------------------------------------------------------------------------------

// The program itself, over and over, is what ELF files are like.
static int stage_self(struct blob_store *s, struct err *e)
{
	_cleanup_close_ int self = io_open_read("/proc/self/exe", e);
	int fd = blob_staging(s, e);
	uint64_t size;

	if (self < 0 || fd < 0 || io_file_size(self, &size, e))
		die(e);
	for (uint64_t at = 0; at < BLOB_SIZE; at += size) {
		if (lseek(self, 0, SEEK_SET) || io_copy(self, fd, MIN(size, BLOB_SIZE - at), e))
			die(e);
	}
	return fd;
}

static void bench_blob(void)
{
	struct blob_limits limits = {.identity_cache_bytes = GIB(1)};
	struct blob_store *s;
	struct blob_info info;
	struct err e = ERR_INIT;
	struct stopwatch w;
	char page[4096];
	int fd;

	if (blob_store_open(path_of("blobs"), &limits, &s, &e))
		die(&e);
	fd = stage_self(s, &e);
	w = start();
	if (blob_put(s, fd, &info, &e))
		die(&e);
	say_rate("blob_put", w, BLOB_SIZE / 1e6, "MB/s");
	close(fd);
	w = start();
	for (uint64_t i = 0; i < 500; i++) {
		if (blob_pread(s, info.sha256, page, sizeof(page), i * 130003, &e))
			die(&e);
	}
	say_time("blob_pread of 4 KiB", w, 500);
	w = start();
	fd = blob_open_identity(s, info.sha256, &e);
	if (fd < 0)
		die(&e);
	say_rate("blob_open_identity, first", w, BLOB_SIZE / 1e6, "MB/s");
	close(fd);
	blob_store_close(s);
}

// ---- push log ---------------------------------------------------------------------------------------

struct appender {
	struct push_log *log;
	uint64_t until_ns;
	uint64_t count;
	pthread_mutex_t lock;
	pthread_cond_t came;
	bool done;
	pthread_t thread;
};

static void appended(void *ctx, uint64_t position, const struct err *failure)
{
	struct appender *a = ctx;

	(void)position;
	if (failure)
		die(failure);
	pthread_mutex_lock(&a->lock);
	a->done = true;
	pthread_cond_signal(&a->came);
	pthread_mutex_unlock(&a->lock);
}

static void *append_loop(void *arg)
{
	static const char record[RECORD];
	struct appender *a = arg;
	struct err e = ERR_INIT;

	while (clock_mono_ns() < a->until_ns) {
		a->done = false;
		if (push_log_append(a->log, (struct str){record, RECORD}, appended, a, &e))
			die(&e);
		pthread_mutex_lock(&a->lock);
		while (!a->done)
			pthread_cond_wait(&a->came, &a->lock);
		pthread_mutex_unlock(&a->lock);
		a->count++;
	}
	return NULL;
}

static void bench_push_log(unsigned threads)
{
	struct appender a[16];
	struct stopwatch w;
	struct push_log *log;
	char what[64];
	struct err e = ERR_INIT;
	uint64_t count = 0;

	if (push_log_open(path_of("log"), &log, &e))
		die(&e);
	w = start();
	for (unsigned i = 0; i < threads; i++) {
		a[i] = (struct appender){.log = log,
					 .until_ns = clock_mono_ns() + LOG_MS * 1000000ULL,
					 .lock = PTHREAD_MUTEX_INITIALIZER,
					 .came = PTHREAD_COND_INITIALIZER};
		if (pthread_create(&a[i].thread, NULL, append_loop, &a[i]))
			abort();
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(a[i].thread, NULL);
		count += a[i].count;
	}
	snprintf(what, sizeof(what), "push_log_append, %u threads", threads);
	say_rate(what, w, (double)count, "/s of 8 KiB");
	push_log_close(log);
}

static void bench_fsync(void)
{
	enum { SYNCS = 100 };
	struct err e = ERR_INIT;
	int fd = io_tmpfile(dir, &e);
	struct stopwatch w = start();

	for (uint64_t i = 0; i < SYNCS; i++) {
		if (fd < 0 || io_pwrite_all(fd, "x", 1, i, &e) || io_fsync(fd, &e))
			die(&e);
	}
	say_time("one fsync here", w, SYNCS);
	close(fd);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (argc < 2 || argc > 3 || access(argv[1], F_OK) == 0 ||
	    (argc > 2 && !str_to_u64(str_from(argv[2]), 100000000, &rows))) {
		fprintf(stderr, "usage: bench-store DIR [ROWS]; DIR must not exist\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s", argv[1]);
	if (io_mkdirs(dir, 0700, &e))
		die(&e);
	bench_fsync();
	bench_results();
	bench_catalog();
	bench_blob();
	bench_push_log(1);
	bench_push_log(16);
	return 0;
}
