/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in and out, over real stores; crashes, full disks, and queries at the wrong moment. */
#include "server/profiles.h"

#include "base/clock.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/testing.h"
#include "symbolizer/pprof.h"
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

enum { PATH_BYTES = 128, NEVER_MS = 3600 * 1000, PATIENCE_S = 20 };
static const size_t HEAD_BYTES = MIB(64);
#define T0 (INT64_C(1795219200) * 1000000000) /* 2026-11-21T00:00:00Z */

/* ---- the server's part ----------------------------------------------------------------------- */

struct place {
	char dir[64];
	char indexer[PATH_BYTES];
	char index_dir[PATH_BYTES];
	struct catalog *catalog;
	struct blob_store *blobs;
	struct results *results;
	struct upstream *upstream;
	struct binaries *binaries;
	struct push_log *log;
	struct profile_dir *store;
	struct profiles *profiles;
	uint64_t window_ms;
	size_t head_bytes;
};

static const char *path_in(const char *dir, const char *name, char out[static PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%s/%s", dir, name);
	return out;
}

static void open_binaries(struct place *l, const char *dir)
{
	static char *none[] = {NULL};
	struct blob_limits limits = {.identity_cache_bytes = 1 << 20};
	struct upstream_config up = {.urls = none,
				     .max_file_bytes = 1 << 20,
				     .per_server = 1,
				     .connect_timeout_ms = 1000,
				     .first_byte_timeout_ms = 1000,
				     .stall_timeout_ms = 1000,
				     .staging_dir = dir,
				     .user_agent = "test"};
	struct binaries_config cfg = {.index_workers = 1,
				      .indexer_deadline_ms = 1000,
				      .indexer_max_memory = GIB(1),
				      .absent_s = 60,
				      .error_s = 60,
				      .open_indexes = 4};
	struct err e = ERR_INIT;
	char path[PATH_BYTES];

	assert_ok(catalog_open(path_in(dir, "catalog.db", path), &l->catalog, &e));
	assert_ok(blob_store_open(path_in(dir, "blobs", path), &limits, &l->blobs, &e));
	assert_ok(results_open(path_in(dir, "results.db", path), &l->results, &e));
	assert_ok(upstream_new(&up, &l->upstream, &e));
	cfg.catalog = l->catalog;
	cfg.blobs = l->blobs;
	cfg.results = l->results;
	cfg.upstream = l->upstream;
	cfg.index_dir = path_in(dir, "index", l->index_dir);
	cfg.indexer_path = l->indexer;
	assert_ok(binaries_new(&cfg, &l->binaries, &e));
}

static void start_in(struct place *l, const char *dir)
{
	struct profiles_config cfg = {.window_ms = l->window_ms, .head_bytes = l->head_bytes};
	struct err e = ERR_INIT;
	char path[PATH_BYTES];

	open_binaries(l, dir);
	assert_ok(push_log_open(path_in(dir, "push-log", path), &l->log, &e));
	assert_ok(profile_dir_open(path_in(dir, "profiles", path), &l->store, &e));
	cfg.binaries = l->binaries;
	cfg.catalog = l->catalog;
	cfg.log = l->log;
	cfg.dir = l->store;
	assert_ok(profiles_new(&cfg, &l->profiles, &e));
}

static void start(struct place *l)
{
	start_in(l, l->dir);
}

static void stop(struct place *l)
{
	profiles_free(l->profiles);
	push_log_close(l->log);
	profile_dir_close(l->store);
	binaries_free(l->binaries);
	upstream_free(l->upstream);
	results_close(l->results);
	blob_store_close(l->blobs);
	catalog_close(l->catalog);
	l->profiles = NULL;
}

static int set_up(void **state)
{
	struct place *l = calloc(1, sizeof(*l));
	const char *build = getenv("UNHEX_BUILD");

	test_dir_make(l->dir);
	/* Nothing is indexed here: any program will do where the build is not known. */
	snprintf(l->indexer, sizeof(l->indexer), "%.100s%s", build ? build : "/bin/false",
		 build ? "/unhex-indexer" : "");
	l->window_ms = NEVER_MS;
	l->head_bytes = HEAD_BYTES;
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	struct place *l = *state;

	io_fault_off();
	if (l->profiles)
		stop(l);
	test_dir_remove(l->dir);
	free(l);
	return 0;
}

/* ---- pushing --------------------------------------------------------------------------------- */

struct sample {
	const char *service;
	const char *name;    /* of the series; NULL: "cpu" */
	const char *type;    /* of its values; NULL: "samples" */
	const char *push_id; /* NULL: none */
	int64_t value;
	int64_t time; /* 0: T0 */
	int64_t duration;
	size_t padding; /* bytes of a comment that does not compress away: pushed as it is */
};

static void encode(const struct sample *s, struct buf *out)
{
	struct arena arena = ARENA_INIT(MIB(64));
	char *comment =
		s->padding ? memset(arena_alloc(&arena, s->padding), 'x', s->padding) : NULL;
	struct str comments[] = {{comment, s->padding}};
	struct pprof_value_type type = {.type = str_from(s->type ? s->type : "samples"),
					.unit = STR("count")};
	struct pprof_mapping mapping = {.filename = STR("/opt/x"),
					.build_id =
						STR("abababababababababababababababababababab")};
	struct pprof_location location = {.mapping = 0, .address = 0x1139};
	uint32_t at = 0;
	int64_t value = s->value;
	struct pprof_sample sample = {.locations = &at, .location_count = 1, .values = &value};
	struct pprof p = {.arena = &arena,
			  .sample_types = &type,
			  .sample_type_count = 1,
			  .samples = &sample,
			  .sample_count = 1,
			  .mappings = &mapping,
			  .mapping_count = 1,
			  .locations = &location,
			  .location_count = 1,
			  .comments = comments,
			  .comment_count = s->padding ? 1 : 0,
			  .time_nanos = s->time ? s->time : T0,
			  .duration_nanos = s->duration};
	struct err e = ERR_INIT;

	assert_ok(pprof_encode(&p, out, &e));
	arena_deinit(&arena);
}

struct ack {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned told;
	unsigned failed;
};

#define ACK_INIT ((struct ack){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0})

static void on_done(void *ctx, const struct err *failure)
{
	struct ack *a = ctx;

	pthread_mutex_lock(&a->lock);
	a->told++;
	a->failed += failure != NULL;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

static int push_raw(struct place *l, const struct sample *s, struct str raw, struct ack *a,
		    struct err *e)
{
	struct push_label labels[] = {
		{STR("__name__"), str_from(s->name ? s->name : "cpu")},
		{STR("service_name"), str_from(s->service)},
	};
	struct push_profile profile = {raw, s->push_id ? str_from(s->push_id) : STR_EMPTY};
	struct push_series series = {labels, countof(labels), &profile, 1};
	struct push_request rq = {&series, 1};

	return profiles_push(l->profiles, STR_EMPTY, &rq, on_done, a, e);
}

static int try_push(struct place *l, const struct sample *s, struct err *e)
{
	struct buf raw = BUF_INIT(MIB(128));
	struct ack a = ACK_INIT;
	unsigned failed = 0;
	int rc;

	encode(s, &raw);
	rc = push_raw(l, s, buf_str(&raw), &a, e);
	pthread_mutex_lock(&a.lock);
	while (rc == 0 && !a.told)
		pthread_cond_wait(&a.changed, &a.lock);
	failed = a.failed;
	pthread_mutex_unlock(&a.lock);
	buf_deinit(&raw);
	return rc || failed ? -1 : 0;
}

static void push_one(struct place *l, const struct sample *s)
{
	struct err e = ERR_INIT;

	assert_ok(try_push(l, s, &e));
}

static void push_value(struct place *l, const char *service, int64_t value)
{
	push_one(l, &(struct sample){.service = service, .value = value});
}

static void push_with_id(struct place *l, const char *id, int64_t value)
{
	push_one(l, &(struct sample){.service = "shop", .push_id = id, .value = value});
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int64_t sum_of(struct str gzip)
{
	struct buf identity = BUF_INIT(MIB(256));
	struct arena arena = ARENA_INIT(MIB(256));
	struct err e = ERR_INIT;
	struct pprof p;
	int64_t sum = 0;

	assert_ok(decompress_any(gzip, &identity, &e));
	assert_ok(pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &p, &e));
	for (size_t i = 0; i < p.sample_count; i++)
		sum += p.samples[i].values[0];
	arena_deinit(&arena);
	buf_deinit(&identity);
	return sum;
}

static int query_span(struct place *l, const char *match, const int64_t span[static 2],
		      int64_t *ret, struct err *e)
{
	struct profiles_query q = {match, span[0], span[1]};
	struct buf out = BUF_INIT(MIB(64));
	struct binaries_view *view;
	int rc;

	if (binaries_view_new(l->binaries, &view, e) < 0)
		return -1;
	rc = profiles_query(l->profiles, &q, view, &out, e);
	if (rc == 0)
		*ret = sum_of(buf_str(&out));
	binaries_view_free(view);
	buf_deinit(&out);
	return rc;
}

static int query(struct place *l, const char *match, int64_t *ret, struct err *e)
{
	return query_span(l, match, (int64_t[]){0, INT64_MAX}, ret, e);
}

static int64_t total(struct place *l, const char *match)
{
	struct err e = ERR_INIT;
	int64_t sum = 0;

	assert_ok(query(l, match, &sum, &e));
	return sum;
}

static int count_one(void *ctx, UNUSED const struct profile_segment *s, UNUSED struct err *e)
{
	++*(size_t *)ctx;
	return 0;
}

static size_t segments(struct place *l)
{
	const struct profile_search all = {.to_unix_ns = INT64_MAX};
	struct err e = ERR_INIT;
	size_t n = 0;

	assert_ok(profile_dir_query(l->store, &all, count_one, &n, &e));
	return n;
}

static void flush(struct place *l)
{
	struct err e = ERR_INIT;

	assert_ok(profiles_flush(l->profiles, &e));
}

/* ---- the way in and out ---------------------------------------------------------------------- */

static void test_push_then_query(void **state)
{
	struct place *l = *state;
	struct err e = ERR_INIT;
	int64_t sum;

	start(l);
	push_value(l, "shop", 3);
	push_value(l, "shop", 4);
	push_value(l, "bank", 10);
	assert_int_equal(segments(l), 0);
	assert_int_equal(total(l, "{service_name=\"shop\"}"), 7);
	assert_int_equal(total(l, ""), 17);
	assert_int_equal(total(l, NULL), 17);
	assert_int_equal(query(l, "{service_name=\"none\"}", &sum, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "no profile matches");
	assert_int_equal(query(l, "{service_name=", &sum, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_REQUEST);
	assert_int_equal(query_span(l, "", (int64_t[]){0, T0 - 1}, &sum, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "no profile matches");
}

static void test_heads_become_segments(void **state)
{
	struct place *l = *state;

	start(l);
	push_value(l, "shop", 3);
	push_value(l, "shop", 4);
	push_value(l, "bank", 10);
	flush(l);
	assert_int_equal(segments(l), 2);
	assert_int_equal(total(l, "{service_name=\"shop\"}"), 7);
	push_value(l, "shop", 100);
	assert_int_equal(total(l, "{service_name=\"shop\"}"), 107);
	flush(l);
	flush(l); // nothing to do
	assert_int_equal(segments(l), 3);
	assert_int_equal(total(l, ""), 117);
	stop(l);
	start(l);
	assert_int_equal(segments(l), 3);
	assert_int_equal(total(l, ""), 117);
}

static void test_window_ends_by_itself(void **state)
{
	struct place *l = *state;
	time_t until = time(NULL) + PATIENCE_S;

	l->window_ms = 50;
	start(l);
	push_value(l, "shop", 3);
	while (!segments(l) && time(NULL) < until)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_int_equal(segments(l), 1);
	assert_int_equal(total(l, ""), 3);
}

static void test_stopping_writes_all(void **state)
{
	struct place *l = *state;

	start(l);
	push_value(l, "shop", 3);
	stop(l);
	start(l);
	assert_int_equal(segments(l), 1);
	assert_int_equal(total(l, ""), 3);
}

static void test_bad_profiles_are_refused(void **state)
{
	struct place *l = *state;
	const struct sample s = {.service = "shop"};
	struct ack a = ACK_INIT;
	struct err e = ERR_INIT;
	int64_t sum;

	start(l);
	assert_int_equal(push_raw(l, &s, STR("\xff\xff"), &a, &e), -1);
	assert_err(&e, ERR_BAD_PPROF, "series 0: profile 0: ");
	assert_int_equal(query(l, "", &sum, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "no profile matches");
	assert_int_equal(a.told, 0);
}

static void test_push_still_in_the_log_when_stopped(void **state)
{
	struct place *l = *state;
	const struct sample s = {.service = "shop", .value = 1};
	struct buf raw = BUF_INIT(KIB(64));
	struct ack a = ACK_INIT;
	struct err e = ERR_INIT;

	start(l);
	encode(&s, &raw);
	for (int i = 0; i < 100; i++)
		assert_ok(push_raw(l, &s, buf_str(&raw), &a, &e));
	stop(l); // at once: no answer has been waited for
	assert_int_equal(a.told, 100);
	assert_int_equal(a.failed, 0);
	start(l);
	assert_int_equal(total(l, ""), 100);
	buf_deinit(&raw);
}

/* ---- unusual profiles ------------------------------------------------------------------------ */

static void test_sample_types_keep_apart(void **state)
{
	struct place *l = *state;
	struct err e = ERR_INIT;
	int64_t sum;

	start(l);
	push_one(l, &(struct sample){.service = "shop", .type = "samples", .value = 1});
	push_one(l, &(struct sample){.service = "shop", .type = "bytes", .value = 2});
	push_one(l, &(struct sample){.service = "shop", .type = "bytes", .value = 4});
	push_one(l, &(struct sample){.service = "heap", .name = "memory", .value = 8});
	flush(l);
	assert_int_equal(segments(l), 3);
	// one name, two types: no sum means anything
	assert_int_equal(query(l, "{service_name=\"shop\"}", &sum, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_PPROF);
	// several names: one has to be said
	assert_int_equal(query(l, "", &sum, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_REQUEST);
	assert_holds(str_from(e.msg), "several profile types match");
	assert_holds(str_from(e.msg), "memory");
	assert_int_equal(total(l, "{__name__=\"memory\"}"), 8);
}

static void test_series_keys_do_not_mix(void **state)
{
	struct place *l = *state;

	start(l);
	// Without lengths and counts these would have the same key.
	push_one(l, &(struct sample){.service = "a", .type = "bc", .value = 1});
	push_one(l, &(struct sample){.service = "ab", .type = "c", .value = 2});
	flush(l);
	assert_int_equal(segments(l), 2);
	assert_int_equal(total(l, "{service_name=\"a\"}"), 1);
	assert_int_equal(total(l, "{service_name=\"ab\"}"), 2);
}

static void test_odd_times(void **state)
{
	struct place *l = *state;
	struct err e = ERR_INIT;
	int64_t sum = 0;

	start(l);
	push_one(l, &(struct sample){.service = "a", .value = 1, .duration = INT64_MAX});
	push_one(l, &(struct sample){.service = "b", .value = 2, .duration = -5});
	push_one(l, &(struct sample){.service = "c", .value = 4, .time = INT64_MAX, .duration = 1});
	push_one(l,
		 &(struct sample){.service = "d", .value = 8, .time = -1, .duration = INT64_MIN});
	assert_int_equal(total(l, ""), 15);
	flush(l);
	assert_int_equal(segments(l), 4);
	assert_int_equal(total(l, ""), 15);
	// what has no time of its own got that of its arrival
	assert_ok(query_span(l, "{service_name=\"d\"}",
			     (int64_t[]){clock_unix_ns() - INT64_C(60000000000), clock_unix_ns()},
			     &sum, &e));
	assert_int_equal(sum, 8);
	assert_ok(query_span(l, "{service_name=\"b\"}", (int64_t[]){T0, T0}, &sum, &e));
	assert_int_equal(sum, 2);
}

/* ---- limits ---------------------------------------------------------------------------------- */

// Without the folder for files on their way no window can be written.
static void move_tmp(const struct place *l, bool away)
{
	char tmp[PATH_BYTES];
	char other[PATH_BYTES];

	path_in(l->dir, "profiles/tmp", tmp);
	path_in(l->dir, "profiles/tmp-away", other);
	assert_int_equal(away ? rename(tmp, other) : rename(other, tmp), 0);
}

static void test_memory_has_a_cap(void **state)
{
	struct place *l = *state;
	const struct sample big = {.service = "shop", .value = 1, .padding = 300 * 1024};
	struct err e = ERR_INIT;
	int64_t pushed = 0;

	l->head_bytes = MIB(1);
	start(l);
	move_tmp(l, true);
	while (pushed < 20 && try_push(l, &big, &e) == 0)
		assert_int_equal(total(l, ""), ++pushed);
	assert_err(&e, ERR_OVERLOADED, "more profiles wait to be written than fit in memory");
	assert_in_range(pushed, 4, 7);
	assert_int_equal(profiles_flush(l->profiles, &e), -1);
	assert_err(&e, ERR_IO, "could not be written");
	assert_int_equal(total(l, ""), pushed);
	move_tmp(l, false);
	flush(l);
	assert_int_equal(total(l, ""), pushed);
	e = ERR_INIT;
	assert_ok(try_push(l, &big, &e));
	assert_int_equal(total(l, ""), pushed + 1);
}

static void test_stopping_without_a_store(void **state)
{
	struct place *l = *state;

	start(l);
	push_value(l, "shop", 3);
	move_tmp(l, true);
	stop(l);
	move_tmp(l, false);
	start(l);
	assert_int_equal(segments(l), 0);
	assert_int_equal(total(l, ""), 3);
}

/* ---- crashes and full disks ------------------------------------------------------------------ */

static void copy_place(const struct place *l, char to[static 64])
{
	char command[256];

	test_dir_make(to);
	snprintf(command, sizeof(command), "cp -a %s/. %s/", l->dir, to);
	assert_int_equal(system(command), 0); // NOLINT: names of ours
}

/* What a server finds that starts on what lies on disk just now. */
static int64_t total_after_crash(struct place *l, const char *match)
{
	struct place after = {.window_ms = NEVER_MS, .head_bytes = HEAD_BYTES};
	char dir[64];
	int64_t sum;

	copy_place(l, dir);
	memcpy(after.indexer, l->indexer, sizeof(after.indexer));
	start_in(&after, dir);
	sum = total(&after, match);
	flush(&after);
	assert_int_equal(total(&after, match), sum);
	stop(&after);
	start_in(&after, dir);
	assert_int_equal(total(&after, match), sum);
	stop(&after);
	test_dir_remove(dir);
	return sum;
}

static void test_crash_with_a_head(void **state)
{
	struct place *l = *state;

	start(l);
	push_value(l, "shop", 3);
	push_value(l, "shop", 4);
	assert_int_equal(total_after_crash(l, ""), 7);
	flush(l);
	push_value(l, "shop", 10);
	assert_int_equal(total_after_crash(l, ""), 17);
}

// The segments are there, and the log does not know that it was released.
static void test_crash_before_the_release(void **state)
{
	struct place *l = *state;
	char kept[64];
	char command[512];

	start(l);
	push_value(l, "shop", 3);
	push_value(l, "shop", 4);
	copy_place(l, kept);
	flush(l);
	stop(l);
	snprintf(command, sizeof(command), "rm -r %s/push-log && cp -a %s/push-log %s/", l->dir,
		 kept, l->dir);
	assert_int_equal(system(command), 0); // NOLINT: names of ours
	start(l);
	assert_int_equal(total(l, ""), 7);
	push_value(l, "shop", 10);
	assert_int_equal(total_after_crash(l, ""), 17);
	flush(l);
	assert_int_equal(total(l, ""), 17);
	test_dir_remove(kept);
}

// Positions begin anew in another log: what was noted of the old one does not count for it.
static void test_another_log(void **state)
{
	struct place *l = *state;
	char command[256];

	start(l);
	for (int i = 0; i < 5; i++)
		push_value(l, "shop", 1);
	stop(l);
	snprintf(command, sizeof(command), "rm -r %s/push-log", l->dir);
	assert_int_equal(system(command), 0); // NOLINT: names of ours
	start(l);
	push_value(l, "shop", 10);
	assert_int_equal(total(l, ""), 15);
	assert_int_equal(total_after_crash(l, ""), 15);
}

static void test_ids_count_once(void **state)
{
	struct place *l = *state;

	start(l);
	push_with_id(l, "one", 1);
	push_with_id(l, "one", 1);
	push_with_id(l, "two", 10);
	assert_int_equal(total(l, ""), 11);
	assert_int_equal(total_after_crash(l, ""), 11);
	flush(l);
	push_with_id(l, "one", 1);
	push_with_id(l, "two", 10);
	assert_int_equal(total(l, ""), 11);
	assert_int_equal(total_after_crash(l, ""), 11);
	stop(l);
	start(l);
	push_with_id(l, "two", 10);
	assert_int_equal(total(l, ""), 11);
	assert_int_equal(segments(l), 1);
}

static void crash_child(struct place *l, int64_t n)
{
	start(l);
	for (int64_t i = 0; i < n; i++) {
		push_value(l, "shop", 1);
		if (i % 7 == 0)
			flush(l);
	}
	_exit(0);
}

static void test_killed_child(void **state)
{
	struct place *l = *state;
	int64_t sum = 0;

	for (int64_t n = 1; n < 20; n += 6) {
		pid_t pid = fork(); // nothing runs here yet
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			crash_child(l, n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		sum += n;
		assert_int_equal(total_after_crash(l, ""), sum);
	}
}

static void test_full_disk(void **state)
{
	struct place *l = *state;
	struct err e = ERR_INIT;
	int64_t sum = 0;
	unsigned failures = 0;

	start(l);
	for (unsigned long nth = 1; nth < 12; nth++) {
		bool fired;

		push_value(l, "shop", 1);
		push_value(l, "bank", 1);
		sum += 2;
		assert_int_equal(total(l, ""),
				 sum); // taken in: what is written from here on is the window
		io_fault_at(nth, ENOSPC);
		e = ERR_INIT;
		if (profiles_flush(l->profiles, &e) < 0) {
			failures++;
			assert_err(&e, ERR_IO, "the profile window could not be written");
			assert_int_equal(total(l, ""), sum);
			assert_int_equal(total_after_crash(l, ""), sum);
		}
		fired = io_fault_off();
		flush(l);
		assert_int_equal(total(l, ""), sum);
		if (!fired)
			break;
	}
	assert_true(failures >= 4);
	assert_int_equal(total_after_crash(l, ""), sum);
	stop(l);
	start(l);
	assert_int_equal(total(l, ""), sum);
}

/* ---- at the same time ------------------------------------------------------------------------ */

struct asker {
	struct place *l;
	pthread_t thread;
	int64_t least; // so much must always be found
	_Atomic bool over;
	_Atomic unsigned asked;
};

static void *ask_on(void *ctx)
{
	struct asker *a = ctx;
	int64_t last = a->least;

	while (!a->over) {
		int64_t sum = total(a->l, "");

		// Nothing counts twice and nothing disappears: the sum only grows, by what is
		// pushed.
		assert_true(sum >= last);
		last = sum;
		a->asked++;
	}
	return NULL;
}

static void test_query_while_windows_close(void **state)
{
	struct place *l = *state;
	struct asker a = {.l = l, .least = 1};
	int64_t pushed = 1;

	start(l);
	push_value(l, "shop", 1);
	assert_int_equal(pthread_create(&a.thread, NULL, ask_on, &a), 0);
	while (a.asked < 200 && pushed < 400) {
		push_value(l, "shop", 1);
		pushed++;
		assert_int_equal(total(l, ""), pushed);
		if (pushed % 5 == 0)
			flush(l);
	}
	a.over = true;
	pthread_join(a.thread, NULL);
	assert_int_equal(total(l, ""), pushed);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_push_then_query),
		TEST(test_heads_become_segments),
		TEST(test_window_ends_by_itself),
		TEST(test_stopping_writes_all),
		TEST(test_bad_profiles_are_refused),
		TEST(test_push_still_in_the_log_when_stopped),
		TEST(test_sample_types_keep_apart),
		TEST(test_series_keys_do_not_mix),
		TEST(test_odd_times),
		TEST(test_memory_has_a_cap),
		TEST(test_stopping_without_a_store),
		TEST(test_crash_with_a_head),
		TEST(test_crash_before_the_release),
		TEST(test_another_log),
		TEST(test_ids_count_once),
		TEST(test_killed_child),
		TEST(test_full_disk),
		TEST(test_query_while_windows_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
