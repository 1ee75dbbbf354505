/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixture of the tests of profiles: real stores in a scratch folder, profiles made on the spot, pushes
 * that wait for their answer, queries that give a sum. For test-profiles.c alone.
 */
#ifndef SERVER_PROFILES_TESTING_H
#define SERVER_PROFILES_TESTING_H

#include "base/clock.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/testing.h"
#include "server/profiles.h"
#include "symbolizer/pprof.h"
#include <pthread.h>

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

static void on_taken(void *ctx)
{
	on_done(ctx, NULL);
}

static void wait_told(struct ack *a)
{
	pthread_mutex_lock(&a->lock);
	while (!a->told)
		pthread_cond_wait(&a->changed, &a->lock);
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
	int rc;

	encode(s, &raw);
	rc = push_raw(l, s, buf_str(&raw), &a, e);
	if (rc == 0)
		wait_told(&a);
	buf_deinit(&raw);
	return rc || a.failed ? -1 : 0;
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

/* As the door does: what was acknowledged is to be seen. */
static void wait_for_pushed(struct place *l)
{
	struct ack a = ACK_INIT;
	struct binaries_waiting w = {PATIENCE_S * 1000, on_taken, &a};
	struct err e = ERR_INIT;
	int rc = profiles_wait(l->profiles, &w, &e);

	assert_true(rc == 0 || rc == BINARIES_SETTLED);
	if (rc == 0)
		wait_told(&a);
}

static int query_span(struct place *l, const char *match, const int64_t span[static 2],
		      int64_t *ret, struct err *e)
{
	struct profiles_query q = {match, span[0], span[1]};
	struct buf out = BUF_INIT(MIB(64));
	struct binaries_view *view;
	int rc;

	wait_for_pushed(l);
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

#endif
