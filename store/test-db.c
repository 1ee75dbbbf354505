/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "store/test-folder.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static const char *const v1[] = {"CREATE TABLE t(x INTEGER PRIMARY KEY) STRICT;", NULL};
static const char *const v2[] = {"CREATE TABLE t(x INTEGER PRIMARY KEY) STRICT;",
				 "ALTER TABLE t ADD COLUMN y INTEGER NOT NULL DEFAULT 5;", NULL};
static const char *const broken[] = {"CREATE TABLE t(x INTEGER PRIMARY KEY) STRICT;", "CREATE RABBIT;",
				     NULL};

static char db_file[512];

static int open_with(const char *const *migrations, struct db **ret, struct err *e)
{
	struct db_config cfg = {
		.path = db_file, .name = DB_CATALOG, .migrations = migrations, .durable = true, .readers = 2};

	return db_open(&cfg, ret, e);
}

static int set_up(void **state)
{
	*state = test_folder_make();
	snprintf(db_file, sizeof(db_file), "%s/t.db", (char *)*state);
	return 0;
}

static int tear_down(void **state)
{
	test_folder_remove(*state);
	return 0;
}

static struct db *must_open(const char *const *migrations)
{
	struct db *d = NULL;
	struct err e = ERR_INIT;

	if (open_with(migrations, &d, &e))
		fail_msg("%s", e.msg);
	return d;
}

static int insert(struct sql *c, void *ctx, struct err *e)
{
	_cleanup_(query_end) struct query q = query(c, "INSERT INTO t(x) VALUES(?)");

	query_i64(&q, *(int64_t *)ctx);
	return query_run(&q, e);
}

static int insert_then_fail(struct sql *c, void *ctx, struct err *e)
{
	if (insert(c, ctx, e))
		return -1;
	return err_set(e, ERR_CONFLICT, "on second thoughts");
}

static int insert_with_outcome(struct sql *c, void *ctx, struct err *e)
{
	return insert(c, ctx, e) ? -1 : 42;
}

static int64_t one_number(struct db *d, const char *text)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(d);
	_cleanup_(query_end) struct query q = query(r.sql, text);
	struct err e = ERR_INIT;

	if (query_step(&q, &e) < 1)
		fail_msg("%s", e.msg);
	return query_col_i64(&q);
}

#define COUNT "SELECT count(*) FROM t"

static void test_outcomes(void **state)
{
	struct db *d = must_open(v1);
	struct err e = ERR_INIT;
	int64_t x = 1;

	(void)state;
	assert_int_equal(db_write(d, insert, &x, &e), 0);
	assert_int_equal(db_write(d, insert, &x, &e), -1);
	assert_int_equal(e.kind, ERR_DB);
	assert_non_null(strstr(e.msg, "t.db: UNIQUE constraint failed: t.x"));
	x = 2;
	assert_int_equal(db_write(d, insert_then_fail, &x, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "on second thoughts");
	assert_int_equal(one_number(d, COUNT), 1);
	assert_int_equal(db_write(d, insert_with_outcome, &x, &e), 42);
	assert_int_equal(one_number(d, COUNT), 2);
	db_close(d);
}

// ---- groups ---------------------------------------------------------------------------------------

enum { THREADS = 8, EACH = 50 };

struct inserter {
	struct db *d;
	int64_t first;
};

// Every third one fails; its neighbours in the group do not.
static void *insert_some(void *arg)
{
	const struct inserter *in = arg;

	for (int64_t i = 0; i < EACH; i++) {
		int64_t x = in->first + i;
		bool bad = x % 3 == 0;

		if (db_write(in->d, bad ? insert_then_fail : insert, &x, NULL) != (bad ? -1 : 0))
			return arg;
	}
	return NULL;
}

static void test_group_commit(void **state)
{
	struct db *d = must_open(v1);
	pthread_t threads[THREADS];
	struct inserter in[THREADS];
	void *bad;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		in[i] = (struct inserter){d, i * EACH + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, insert_some, &in[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(one_number(d, COUNT), THREADS * EACH - THREADS * EACH / 3);
	assert_int_equal(one_number(d, "SELECT count(*) FROM t WHERE x % 3 = 0"), 0);
	db_close(d);
}

static atomic_int released;

static void release(void *ctx)
{
	free(ctx);
	atomic_fetch_add(&released, 1);
}

static void test_later_writes_are_done_at_the_latest_on_close(void **state)
{
	struct db *d = must_open(v1);
	struct err e = ERR_INIT;

	(void)state;
	atomic_store(&released, 0);
	for (int64_t i = 0; i < 100; i++) {
		int64_t *x = malloc(sizeof(*x));

		*x = i;
		assert_int_equal(db_write_later(d, insert, x, release, &e), 0);
	}
	db_close(d);
	assert_int_equal(atomic_load(&released), 100);
	d = must_open(v1);
	assert_int_equal(one_number(d, COUNT), 100);
	db_close(d);
}

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool entered;
	bool open;
};

static int wait_at_gate(struct sql *c, void *ctx, struct err *e)
{
	struct gate *g = ctx;

	(void)c;
	(void)e;
	pthread_mutex_lock(&g->lock);
	g->entered = true;
	while (!g->open)
		pthread_cond_wait(&g->opened, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static void leave_be(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&released, 1);
}

static void test_full_queue_refuses(void **state)
{
	struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
	struct db *d = must_open(v1);
	struct err e = ERR_INIT;
	int64_t x = 1;
	int n = 0;

	(void)state;
	atomic_store(&released, 0);
	assert_int_equal(db_write_later(d, wait_at_gate, &g, leave_be, &e), 0);
	while (db_write_later(d, insert, &x, leave_be, &e) == 0)
		n++;
	assert_true(n >= 4095 && n <= 4096 + 512); // a group may have been taken with the first
	assert_int_equal(e.kind, ERR_OVERLOADED);
	assert_non_null(strstr(e.msg, "4096 writes are waiting already; try again"));
	assert_int_equal(db_write(d, insert, &x, &e), -1);
	assert_int_equal(e.kind, ERR_OVERLOADED);
	pthread_mutex_lock(&g.lock);
	g.open = true;
	pthread_cond_signal(&g.opened);
	pthread_mutex_unlock(&g.lock);
	db_close(d);
	assert_int_equal(atomic_load(&released), n + 2);
}

// ---- versions -------------------------------------------------------------------------------------

static void test_migrations(void **state)
{
	struct db *d = must_open(v1);
	struct err e = ERR_INIT;
	int64_t x = 1;

	(void)state;
	assert_int_equal(db_write(d, insert, &x, &e), 0);
	db_close(d);
	d = must_open(v2);
	assert_int_equal(one_number(d, "SELECT y FROM t"), 5);
	assert_int_equal(one_number(d, "PRAGMA user_version"), 2);
	db_close(d);
	assert_int_equal(open_with(v1, &d, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "t.db has version 2, this program knows up to 1"));
}

static void test_failed_migration_changes_nothing(void **state)
{
	struct db *d = must_open(v1);
	struct err e = ERR_INIT;

	(void)state;
	db_close(d);
	assert_int_equal(open_with(broken, &d, &e), -1);
	assert_int_equal(e.kind, ERR_DB);
	assert_non_null(strstr(e.msg, "bringing the database to version 2: "));
	assert_non_null(strstr(e.msg, "near \"RABBIT\": syntax error"));
	d = must_open(v1);
	assert_int_equal(one_number(d, "PRAGMA user_version"), 1);
	db_close(d);
}

static void test_foreign_file(void **state)
{
	struct db *d = NULL;
	struct err e = ERR_INIT;
	FILE *f = fopen(db_file, "we");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 100; i++)
		fputs("this is no database at all, whatever its name says\n", f);
	fclose(f);
	assert_int_equal(open_with(v1, &d, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "t.db: file is not a database"));
}

static void test_missing_folder(void **state)
{
	struct db *d = NULL;
	struct err e = ERR_INIT;

	(void)state;
	snprintf(db_file, sizeof(db_file), "/nonexistent/t.db");
	assert_int_equal(open_with(v1, &d, &e), -1);
	assert_int_equal(e.kind, ERR_DB);
	assert_string_equal(e.msg, "/nonexistent/t.db: unable to open database file");
}

static void test_snapshot(void **state)
{
	struct db *d = must_open(v1);
	struct db_reader r = db_reader(d);
	struct err e = ERR_INIT;
	int64_t x = 1;

	(void)state;
	assert_int_equal(db_reader_snapshot(&r, &e), 0);
	for (int i = 0; i < 2; i++) {
		struct query q = query(r.sql, COUNT);

		assert_int_equal(query_step(&q, &e), 1);
		assert_int_equal(query_col_i64(&q), 0);
		query_end(&q);
		if (i == 0)
			assert_int_equal(db_write(d, insert, &x, &e), 0);
	}
	db_reader_end(&r);
	assert_int_equal(one_number(d, COUNT), 1);
	db_close(d);
}

static void test_readers_cannot_write(void **state)
{
	struct db *d = must_open(v1);
	struct db_reader r = db_reader(d);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sql_run(r.sql, "INSERT INTO t VALUES(1)", &e), -1);
	assert_non_null(strstr(e.msg, "attempt to write a readonly database"));
	db_reader_end(&r);
	db_close(d);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_outcomes),
		TEST(test_group_commit),
		TEST(test_later_writes_are_done_at_the_latest_on_close),
		TEST(test_full_queue_refuses),
		TEST(test_migrations),
		TEST(test_failed_migration_changes_nothing),
		TEST(test_foreign_file),
		TEST(test_missing_folder),
		TEST(test_snapshot),
		TEST(test_readers_cannot_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
