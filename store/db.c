/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/thread.h"
#include <stdio.h>

enum { READERS_MAX = 16, QUEUE_MAX = 4096, GROUP_MAX = 512 };

static const char *const db_names[] = {"catalog", "results", "segments", NULL};
static const double commit_bounds[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3};

static struct metric queue_depth = {
	.name = "unhex_db_queue_depth",
	.help = "Writes waiting for the database's writer thread.",
	.type = METRIC_GAUGE,
	.label = "db",
	.values = db_names,
};
static struct metric writes_total = {
	.name = "unhex_db_writes_total",
	.help = "Writes committed.",
	.type = METRIC_COUNTER,
	.label = "db",
	.values = db_names,
};
static struct metric failures_total = {
	.name = "unhex_db_failures_total",
	.help = "Writes that failed or were refused.",
	.type = METRIC_COUNTER,
	.label = "db",
	.values = db_names,
};
static struct metric commit_seconds = {
	.name = "unhex_db_commit_seconds",
	.help = "Time of one group commit, from BEGIN to the end of COMMIT.",
	.type = METRIC_HISTOGRAM,
	.label = "db",
	.values = db_names,
	.buckets = commit_bounds,
	.bucket_count = countof(commit_bounds),
};

// One queued write: on its caller's stack (waited for) or, with `release`, on the heap.
struct write {
	db_write_fn *fn;
	void *ctx;
	void (*release)(void *ctx);
	struct write *next;
	int rc;
	bool finished;
	pthread_cond_t wake;
	struct err err;
};

struct db {
	enum db_name name;
	char *path;

	struct sql *writer; // the writer thread's
	struct thread thread;

	pthread_mutex_t queue_lock; // guards the next five
	pthread_cond_t queued;
	struct write *head;
	struct write **tail;
	size_t waiting;
	bool closing;

	pthread_mutex_t readers_lock; // guards the next two
	pthread_cond_t returned;
	struct sql *idle[READERS_MAX];
	size_t idle_count;
};

// ---- the writer thread ----------------------------------------------------------------------------

static void run_write(struct sql *c, struct write *w)
{
	if (sql_run(c, "SAVEPOINT one", &w->err)) {
		w->rc = -1;
		return;
	}
	w->rc = w->fn(c, w->ctx, &w->err);
	if (!sql_in_transaction(c))
		return;
	if (w->rc < 0)
		(void)!sql_run(c, "ROLLBACK TO one", NULL);
	if (sql_run(c, "RELEASE one", w->rc < 0 ? NULL : &w->err))
		w->rc = -1;
}

// Nothing of the group has been kept: whoever thought to have succeeded learns why not.
static void fail_group(struct write *group, const struct err *why)
{
	for (struct write *w = group; w; w = w->next) {
		if (w->rc < 0)
			continue;
		w->rc = -1;
		w->err = *why;
	}
}

static int run_group(struct db *d, struct write *group, struct err *e)
{
	if (sql_run(d->writer, "BEGIN IMMEDIATE", e))
		return -1;
	for (struct write *w = group; w; w = w->next) {
		run_write(d->writer, w);
		if (!sql_in_transaction(d->writer)) {
			// The disk is full, or the like: sqlite has rolled back everything.
			*e = w->err;
			return -1;
		}
	}
	return sql_run(d->writer, "COMMIT", e);
}

static void commit_group(struct db *d, struct write *group)
{
	uint64_t began = clock_mono_ns();
	struct err e = ERR_INIT;

	if (run_group(d, group, &e)) {
		if (sql_in_transaction(d->writer))
			(void)!sql_run(d->writer, "ROLLBACK", NULL);
		fail_group(group, &e);
	}
	for (struct write *w = group; w; w = w->next)
		metric_add(w->rc < 0 ? &failures_total : &writes_total, d->name, 1);
	metric_observe(&commit_seconds, d->name, (double)(clock_mono_ns() - began) / 1e9);
}

// A waited-for write is gone as soon as its owner is woken, so `next` is read before.
static void finish_group(struct db *d, struct write *group)
{
	while (group) {
		struct write *w = group;

		group = w->next;
		if (w->release) {
			w->release(w->ctx);
			free(w);
			continue;
		}
		pthread_mutex_lock(&d->queue_lock);
		w->finished = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&d->queue_lock);
	}
}

// The lock is held. NULL only when all is done and the database closes.
static struct write *take_group(struct db *d)
{
	struct write *group;
	struct write **end = &d->head;
	size_t n = 0;

	while (!d->head && !d->closing)
		pthread_cond_wait(&d->queued, &d->queue_lock);
	group = d->head;
	for (; *end && n < GROUP_MAX; n++)
		end = &(*end)->next;
	d->head = *end;
	if (!d->head)
		d->tail = &d->head;
	if (n)
		*end = NULL;
	d->waiting -= n;
	metric_set(&queue_depth, d->name, (int64_t)d->waiting);
	return group;
}

static void *write_loop(void *arg)
{
	struct db *d = arg;
	struct write *group;

	for (;;) {
		pthread_mutex_lock(&d->queue_lock);
		group = take_group(d);
		pthread_mutex_unlock(&d->queue_lock);
		if (!group)
			return NULL;
		commit_group(d, group);
		finish_group(d, group);
	}
}

// ---- queueing -------------------------------------------------------------------------------------

// The lock is held.
static int enqueue(struct db *d, struct write *w, struct err *e)
{
	if (d->closing)
		return err_set(e, ERR_SHUTTING_DOWN, "%s: the database is closing", d->path);
	if (d->waiting >= QUEUE_MAX)
		return err_set(e, ERR_OVERLOADED, "%s: %zu writes are waiting already; try again",
			       d->path, d->waiting);
	*d->tail = w;
	d->tail = &w->next;
	d->waiting++;
	metric_set(&queue_depth, d->name, (int64_t)d->waiting);
	pthread_cond_signal(&d->queued);
	return 0;
}

int db_write(struct db *d, db_write_fn *fn, void *ctx, struct err *e)
{
	struct write w = {.fn = fn, .ctx = ctx, .wake = PTHREAD_COND_INITIALIZER};
	int rc;

	pthread_mutex_lock(&d->queue_lock);
	rc = enqueue(d, &w, e);
	while (!rc && !w.finished)
		pthread_cond_wait(&w.wake, &d->queue_lock);
	pthread_mutex_unlock(&d->queue_lock);
	pthread_cond_destroy(&w.wake);
	if (rc) {
		metric_add(&failures_total, d->name, 1);
		return -1;
	}
	if (w.rc < 0 && e)
		*e = w.err;
	return w.rc;
}

int db_write_later(struct db *d, db_write_fn *fn, void *ctx, void (*release)(void *ctx),
		   struct err *e)
{
	struct write *w = mem_zalloc(sizeof(*w));
	int rc;

	if (!w) {
		release(ctx);
		return err_nomem(e);
	}
	*w = (struct write){.fn = fn, .ctx = ctx, .release = release};
	pthread_mutex_lock(&d->queue_lock);
	rc = enqueue(d, w, e);
	pthread_mutex_unlock(&d->queue_lock);
	if (!rc)
		return 0;
	metric_add(&failures_total, d->name, 1);
	release(ctx);
	free(w);
	return -1;
}

// ---- readers --------------------------------------------------------------------------------------

struct db_reader db_reader(struct db *d)
{
	struct db_reader r = {.db = d};

	pthread_mutex_lock(&d->readers_lock);
	while (!d->idle_count)
		pthread_cond_wait(&d->returned, &d->readers_lock);
	r.sql = d->idle[--d->idle_count];
	pthread_mutex_unlock(&d->readers_lock);
	return r;
}

int db_reader_snapshot(struct db_reader *r, struct err *e)
{
	return sql_run(r->sql, "BEGIN", e);
}

void db_reader_end(struct db_reader *r)
{
	struct db *d = r->db;

	if (!r->sql)
		return;
	if (sql_in_transaction(r->sql))
		(void)!sql_run(r->sql, "ROLLBACK", NULL);
	pthread_mutex_lock(&d->readers_lock);
	d->idle[d->idle_count++] = r->sql;
	pthread_cond_signal(&d->returned);
	pthread_mutex_unlock(&d->readers_lock);
	r->sql = NULL;
}

// ---- opening and closing --------------------------------------------------------------------------

static int read_version(struct sql *c, int64_t *ret, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "PRAGMA user_version");

	if (query_step(&q, e) < 0)
		return -1;
	*ret = query_col_i64(&q);
	return 0;
}

static int migrate_one(struct sql *c, const char *script, int64_t version, struct err *e)
{
	char set_version[64];

	snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %jd", (intmax_t)version);
	if (sql_run(c, script, e) || sql_run(c, set_version, e))
		return err_wrap(e, "bringing the database to version %jd", (intmax_t)version);
	return 0;
}

// Under the write lock, so that two processes opening a new file do not both create it.
static int migrate_locked(struct sql *c, const struct db_config *cfg, struct err *e)
{
	int64_t version = 0;
	int64_t newest = 0;

	while (cfg->migrations[newest])
		newest++;
	if (read_version(c, &version, e))
		return -1;
	if (version < 0 || version > newest)
		return err_set(e, ERR_CONFIG,
			       "%s has version %jd, this program knows up to %jd: it was made by a newer "
			       "one",
			       cfg->path, (intmax_t)version, (intmax_t)newest);
	for (; version < newest; version++) {
		if (migrate_one(c, cfg->migrations[version], version + 1, e))
			return -1;
	}
	return sql_run(c, "COMMIT", e);
}

static int migrate(struct sql *c, const struct db_config *cfg, struct err *e)
{
	if (sql_run(c, "BEGIN IMMEDIATE", e))
		return -1;
	if (migrate_locked(c, cfg, e)) {
		if (sql_in_transaction(c))
			(void)!sql_run(c, "ROLLBACK", NULL);
		return -1;
	}
	return 0;
}

static int open_connections(struct db *d, const struct db_config *cfg, struct err *e)
{
	if (sql_open(cfg->path, SQL_WRITE, cfg->durable, &d->writer, e) ||
	    migrate(d->writer, cfg, e))
		return -1;
	while (d->idle_count < MIN(MAX(cfg->readers, 1U), (unsigned)READERS_MAX)) {
		if (sql_open(cfg->path, SQL_READ, false, &d->idle[d->idle_count], e))
			return -1;
		d->idle_count++;
	}
	return thread_start(&d->thread, "db-writer", write_loop, d, e);
}

int db_open(const struct db_config *cfg, struct db **ret, struct err *e)
{
	_cleanup_(db_closep) struct db *d = mem_zalloc(sizeof(*d));

	if (!d)
		return err_nomem(e);
	pthread_mutex_init(&d->queue_lock, NULL);
	pthread_cond_init(&d->queued, NULL);
	pthread_mutex_init(&d->readers_lock, NULL);
	pthread_cond_init(&d->returned, NULL);
	d->tail = &d->head;
	d->name = cfg->name;
	d->path = mem_strdup(cfg->path);
	if (!d->path)
		return err_nomem(e);
	metric_register(&queue_depth);
	metric_register(&writes_total);
	metric_register(&failures_total);
	metric_register(&commit_seconds);
	if (open_connections(d, cfg, e))
		return -1;
	*ret = steal_ptr(d);
	return 0;
}

static void stop_writer(struct db *d)
{
	if (!d->thread.started)
		return;
	pthread_mutex_lock(&d->queue_lock);
	d->closing = true;
	pthread_cond_signal(&d->queued);
	pthread_mutex_unlock(&d->queue_lock);
	thread_join(&d->thread);
}

void db_close(struct db *d)
{
	if (!d)
		return;
	stop_writer(d);
	for (size_t i = 0; i < d->idle_count; i++)
		sql_close(d->idle[i]);
	sql_close(d->writer); // the last one: checkpoints and removes the WAL
	pthread_cond_destroy(&d->returned);
	pthread_mutex_destroy(&d->readers_lock);
	pthread_cond_destroy(&d->queued);
	pthread_mutex_destroy(&d->queue_lock);
	free(d->path);
	free(d);
}
