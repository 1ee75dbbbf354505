/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in and out, over real stores; crashes, full disks, and queries at the wrong moment. */
#include "server/profiles_internal.h"
#include "server/profiles_testing.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

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

// The log takes no record of more than 256 MiB; an ID counts as well.
static void test_push_larger_than_a_record(void **state)
{
	struct place *l = *state;
	size_t n = MIB(256);
	char *id = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct push_profile profile = {.id = {id, n}};
	struct push_series series = {.profiles = &profile, .profile_count = 1};
	struct push_request rq = {&series, 1};
	struct buf raw = BUF_INIT(KIB(64));
	struct ack a = ACK_INIT;
	struct err e = ERR_INIT;

	assert_ptr_not_equal(id, MAP_FAILED);
	start(l);
	encode(&(struct sample){.service = "shop", .value = 1}, &raw);
	profile.raw = buf_str(&raw);
	assert_int_equal(profiles_push(l->profiles, STR_EMPTY, &rq, on_done, &a, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "the push is larger than the limit of 268435456 bytes");
	assert_int_equal(a.told, 0);
	push_value(l, "shop", 3);
	assert_int_equal(total(l, ""), 3);
	buf_deinit(&raw);
	munmap(id, n);
}

/* ---- crashes and full disks ------------------------------------------------------------------ */

static void copy_place(const struct place *l, char to[static 64])
{
	char command[256];

	test_dir_make(to);
	// Files under way come and go while this reads; a start sweeps what a crash leaves of them.
	snprintf(command, sizeof(command), "tar -C %s --exclude='.tmp-*' -cf - . | tar -C %s -xf -",
		 l->dir, to);
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

static void wait_for_weight(struct place *l, const char *weight)
{
	time_t until = time(NULL) + PATIENCE_S;
	bool there = false;

	while (!there && time(NULL) < until) {
		struct buf json = BUF_INIT(MIB(1));
		struct err e = ERR_INIT;

		assert_ok(catalog_missing_json(l->catalog, 10, &json, &e));
		there = strstr(buf_str(&json).p, weight) != NULL;
		buf_deinit(&json);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	assert_true(there);
}

// What was looked at before the crash has lost its weight once, however often it is replayed.
static void test_replay_weighs_nothing(void **state)
{
	struct place *l = *state;
	struct place after = {.window_ms = NEVER_MS, .head_bytes = HEAD_BYTES};
	char dir[64];

	start(l);
	push_value(l, "shop", 3);
	wait_for_weight(l, "\"weight\":3,");
	copy_place(l, dir);
	memcpy(after.indexer, l->indexer, sizeof(after.indexer));
	start_in(&after, dir);
	push_value(&after, "shop", 10);
	wait_for_weight(&after, "\"weight\":13,");
	assert_int_equal(total(&after, ""), 13);
	stop(&after);
	test_dir_remove(dir);
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

/* ---- waiting for what was pushed -------------------------------------------------------------- */

// As if so many records had arrived that the intake has not come to.
static void lag(struct place *l, int64_t records)
{
	pthread_mutex_lock(&l->profiles->lock);
	l->profiles->arrived += (uint64_t)records;
	pthread_mutex_unlock(&l->profiles->lock);
}

static int wait_at_most(struct place *l, uint64_t ms, struct ack *a, struct err *e)
{
	return profiles_wait(l->profiles, &(struct binaries_waiting){ms, on_taken, a}, e);
}

static void test_waiting_for_what_was_pushed(void **state)
{
	struct place *l = *state;
	struct ack near = ACK_INIT, far = ACK_INIT, none = ACK_INIT;
	struct err e = ERR_INIT;

	start(l);
	push_value(l, "shop", 1);
	wait_for_pushed(l);
	assert_int_equal(wait_at_most(l, 0, &none, &e), BINARIES_SETTLED);
	lag(l, 1);
	assert_ok(wait_at_most(l, NEVER_MS, &near, &e));
	lag(l, 1);
	assert_ok(wait_at_most(l, NEVER_MS, &far, &e));
	push_value(l, "shop", 1); // takes one step nearer
	wait_told(&near);
	assert_int_equal(far.told, 0);
	push_value(l, "shop", 1);
	wait_told(&far);
	lag(l, -2);
	assert_int_equal(wait_at_most(l, 0, &none, &e), BINARIES_SETTLED);
	assert_int_equal(total(l, ""), 3);
	assert_int_equal(near.told + far.told + none.told, 2);
}

static void test_waiting_has_an_end(void **state)
{
	struct place *l = *state;
	struct ack a = ACK_INIT;
	struct err e = ERR_INIT;

	start(l);
	lag(l, 1);
	assert_ok(wait_at_most(l, 20, &a, &e));
	wait_told(&a);
	push_value(l, "shop", 1); // what it waited for, too late
	lag(l, -1);
	assert_int_equal(total(l, ""), 1);
	assert_int_equal(a.told, 1);
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
		TEST(test_push_larger_than_a_record),
		TEST(test_crash_with_a_head),
		TEST(test_crash_before_the_release),
		TEST(test_replay_weighs_nothing),
		TEST(test_another_log),
		TEST(test_ids_count_once),
		TEST(test_killed_child),
		TEST(test_full_disk),
		TEST(test_waiting_for_what_was_pushed),
		TEST(test_waiting_has_an_end),
		TEST(test_query_while_windows_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
