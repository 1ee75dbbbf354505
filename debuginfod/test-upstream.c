/* SPDX-License-Identifier: Apache-2.0 */
#include "debuginfod/upstream.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/testing.h"
#include "tests/unit/fake_upstream.h"
#include <time.h>

#define ID "c89156ebdabf859f4ee70cb0c303004dccf1ae51"
#define DEBUGINFO "/buildid/" ID "/debuginfo"

enum { HEAD_START_MS = 150, LONG_MS = 10000, PATIENCE_S = 20 };

/* One fetch, waited for. */
struct outcome {
	pthread_mutex_t lock;
	pthread_cond_t came;
	bool done;
	struct upstream_result r;
	char body[256];
	size_t size;
	uint64_t ms;
};

struct fixture {
	char dir[64];
	struct fake_upstream *first;
	struct fake_upstream *second;
	struct upstream_config cfg;
	char *urls[4];
	struct upstream *u;
	struct outcome out;
	struct buf packed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	test_dir_make(f->dir);
	f->first = fake_upstream_new();
	f->second = fake_upstream_new();
	f->urls[0] = f->first->url;
	f->urls[1] = f->second->url;
	f->cfg = (struct upstream_config){
		.urls = f->urls,
		.max_file_bytes = 1 << 20,
		.per_server = 4,
		.connect_timeout_ms = 2000,
		.first_byte_timeout_ms = HEAD_START_MS,
		.stall_timeout_ms = 10000,
		.staging_dir = f->dir,
		.user_agent = "unhexd/test",
	};
	pthread_mutex_init(&f->out.lock, NULL);
	pthread_cond_init(&f->out.came, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	upstream_free(f->u);
	if (f->out.r.fd > 0)
		close(f->out.r.fd);
	fake_upstream_free(f->first);
	fake_upstream_free(f->second);
	buf_deinit(&f->packed);
	pthread_mutex_destroy(&f->out.lock);
	pthread_cond_destroy(&f->out.came);
	test_dir_remove(f->dir);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	struct err e = ERR_INIT;

	fake_upstream_start(f->first);
	fake_upstream_start(f->second);
	assert_ok(upstream_new(&f->cfg, &f->u, &e));
}

static void on_done(void *ctx, const struct upstream_result *r)
{
	struct outcome *o = ctx;

	pthread_mutex_lock(&o->lock);
	assert_false(o->done);
	o->r = *r;
	o->done = true;
	pthread_cond_signal(&o->came);
	pthread_mutex_unlock(&o->lock);
}

static void wait_for(struct outcome *o)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&o->lock);
	while (!o->done)
		assert_int_equal(pthread_cond_timedwait(&o->came, &o->lock, &until), 0);
	pthread_mutex_unlock(&o->lock);
}

static void ask(struct fixture *f, struct outcome *o)
{
	struct build_id id[2];
	struct err e = ERR_INIT;
	struct upstream_ask a = {
		.id = id, .artifact = "debuginfo", .forwarded = "10.1.2.3", .done = on_done, .ctx = o};

	assert_int_equal(build_id_parse(STR(ID), id, &e), 1);
	assert_ok(upstream_fetch(f->u, &a, &e));
}

static void fetch(struct fixture *f)
{
	uint64_t began = clock_mono_ms();
	ssize_t n;

	ask(f, &f->out);
	wait_for(&f->out);
	f->out.ms = clock_mono_ms() - began;
	if (f->out.r.outcome != UPSTREAM_OK)
		return;
	n = read(f->out.r.fd, f->out.body, sizeof(f->out.body));
	assert_true(n >= 0);
	f->out.size = (size_t)n;
}

static void failed(const struct fixture *f, enum err_kind kind, const char *part)
{
	assert_int_equal(f->out.r.outcome, UPSTREAM_FAILED);
	assert_err(&f->out.r.err, kind, part);
}

static void a_file_comes(void **state)
{
	struct fixture *f = *state;
	struct fake_route *r = fake_upstream_route(f->first, DEBUGINFO, 200, "hello", 5);

	r->extra = "X-DEBUGINFOD-SIZE: 5\r\n";
	start(f);
	fetch(f);
	assert_int_equal(f->out.r.outcome, UPSTREAM_OK);
	assert_string_equal(f->out.r.url, f->first->url);
	assert_int_equal(f->out.size, 5);
	assert_memory_equal(f->out.body, "hello", 5);
	assert_int_equal(atomic_load(&f->second->unknown), 0);
	assert_holds(str_from(f->first->last_request), "User-Agent: unhexd/test\r\n");
	assert_holds(str_from(f->first->last_request), "X-Forwarded-For: 10.1.2.3, unhex-");
	assert_holds(str_from(f->first->last_request), upstream_token(f->u));
}

static void nobody_has_it(void **state)
{
	struct fixture *f = *state;

	f->cfg.first_byte_timeout_ms = LONG_MS;
	start(f);
	fetch(f);
	assert_int_equal(f->out.r.outcome, UPSTREAM_NONE);
	assert_int_equal(atomic_load(&f->first->unknown), 1);
	assert_int_equal(atomic_load(&f->second->unknown), 1);
	assert_true(f->out.ms < LONG_MS);
}

static void the_next_server_is_asked_after_a_no(void **state)
{
	struct fixture *f = *state;

	f->cfg.first_byte_timeout_ms = LONG_MS;
	fake_upstream_route(f->second, DEBUGINFO, 200, "two", 3);
	start(f);
	fetch(f);
	assert_int_equal(f->out.r.outcome, UPSTREAM_OK);
	assert_string_equal(f->out.r.url, f->second->url);
	assert_true(f->out.ms < LONG_MS);
}

static void a_failure_outweighs_a_no(void **state)
{
	struct fixture *f = *state;

	fake_upstream_route(f->first, DEBUGINFO, 503, "busy", 4);
	start(f);
	fetch(f);
	failed(f, ERR_UPSTREAM, "answered with HTTP status 503");
	assert_non_null(strstr(f->out.r.err.msg, f->first->url));
}

static void a_hanging_server_does_not_hold_up(void **state)
{
	struct fixture *f = *state;

	fake_upstream_route(f->first, DEBUGINFO, 200, "slow", 4)->hang = true;
	fake_upstream_route(f->second, DEBUGINFO, 200, "fast", 4);
	start(f);
	fetch(f);
	assert_int_equal(f->out.r.outcome, UPSTREAM_OK);
	assert_string_equal(f->out.r.url, f->second->url);
	assert_true(f->out.ms >= HEAD_START_MS && f->out.ms < LONG_MS);
}

static void a_hanging_server_is_given_up(void **state)
{
	struct fixture *f = *state;

	f->urls[1] = NULL;
	f->cfg.stall_timeout_ms = 1000;
	fake_upstream_route(f->first, DEBUGINFO, 200, "slow", 4)->hang = true;
	start(f);
	fetch(f);
	failed(f, ERR_TIMEOUT, "no answer in time");
}

static void busy_servers_are_waited_for_in_line(void **state)
{
	struct fixture *f = *state;
	struct outcome more[6];
	struct fake_route *r = fake_upstream_route(f->first, DEBUGINFO, 200, "x", 1);

	f->urls[1] = NULL;
	f->cfg.per_server = 2;
	r->delay_ms = 50;
	start(f);
	for (size_t i = 0; i < countof(more); i++) {
		more[i] = (struct outcome){.lock = PTHREAD_MUTEX_INITIALIZER,
					   .came = PTHREAD_COND_INITIALIZER};
		ask(f, &more[i]);
	}
	for (size_t i = 0; i < countof(more); i++) {
		wait_for(&more[i]);
		assert_int_equal(more[i].r.outcome, UPSTREAM_OK);
		close(more[i].r.fd);
	}
	assert_int_equal(atomic_load(&r->asked), 6);
}

static void a_truncated_body_is_refused(void **state)
{
	struct fixture *f = *state;

	fake_upstream_route(f->first, DEBUGINFO, 200, "hello", 5)->promise = 500;
	start(f);
	fetch(f);
	failed(f, ERR_UPSTREAM, "cut off after 5 bytes");
}

static void a_size_that_was_promised_is_checked(void **state)
{
	struct fixture *f = *state;

	fake_upstream_route(f->first, DEBUGINFO, 200, "hello", 5)->extra = "x-debuginfod-size: 6\r\n";
	start(f);
	fetch(f);
	failed(f, ERR_UPSTREAM, "5 bytes came where X-DEBUGINFOD-SIZE says 6");
}

static void an_empty_body_is_refused(void **state)
{
	struct fixture *f = *state;

	fake_upstream_route(f->first, DEBUGINFO, 200, "", 0);
	start(f);
	fetch(f);
	failed(f, ERR_UPSTREAM, "the answer was empty");
}

static void redirects_stay_with_http(void **state)
{
	struct fixture *f = *state;

	f->urls[1] = NULL;
	fake_upstream_route(f->first, DEBUGINFO, 302, "", 0)->extra = "Location: file:///etc/passwd\r\n";
	start(f);
	fetch(f);
	failed(f, ERR_UPSTREAM, "redirected to something that is not http(s)");
}

static void redirects_are_followed(void **state)
{
	struct fixture *f = *state;

	fake_upstream_route(f->first, DEBUGINFO, 302, "", 0)->extra = "Location: /elsewhere\r\n";
	fake_upstream_route(f->first, "/elsewhere", 200, "here", 4);
	start(f);
	fetch(f);
	assert_int_equal(f->out.r.outcome, UPSTREAM_OK);
	assert_memory_equal(f->out.body, "here", 4);
}

static void redirects_in_a_circle_end(void **state)
{
	struct fixture *f = *state;
	struct fake_route *r = fake_upstream_route(f->first, DEBUGINFO, 302, "", 0);

	r->extra = "Location: " DEBUGINFO "\r\n";
	start(f);
	fetch(f);
	failed(f, ERR_UPSTREAM, "redirects");
	assert_int_equal(atomic_load(&r->asked), 6);
}

static void too_large_a_file_is_refused(void **state)
{
	struct fixture *f = *state;

	f->cfg.max_file_bytes = 4;
	fake_upstream_route(f->first, DEBUGINFO, 200, "hello", 5);
	start(f);
	fetch(f);
	failed(f, ERR_TOO_LARGE, "larger than the 4 bytes allowed");
}

// 100 kB of zeros behind 130 bytes of gzip: the decoded size counts.
static void a_bomb_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	f->cfg.max_file_bytes = 5000;
	assert_int_equal(system("head -c 100000 /dev/zero | gzip -9 >/tmp/unhex-test-bomb.gz"), 0);
	f->packed = BUF_INIT(1 << 20);
	assert_ok(io_read_file("/tmp/unhex-test-bomb.gz", &f->packed, &e));
	unlink("/tmp/unhex-test-bomb.gz");
	fake_upstream_route(f->first, DEBUGINFO, 200, f->packed.p, f->packed.n)->extra =
		"Content-Encoding: gzip\r\n";
	start(f);
	fetch(f);
	failed(f, ERR_TOO_LARGE, "larger than the 5000 bytes allowed");
}

static void a_day_has_its_allowance(void **state)
{
	struct fixture *f = *state;

	f->cfg.max_day_bytes = 8;
	fake_upstream_route(f->first, DEBUGINFO, 200, "hello", 5);
	start(f);
	fetch(f);
	assert_int_equal(f->out.r.outcome, UPSTREAM_OK);
	close(f->out.r.fd);
	f->out.done = false;
	fetch(f);
	failed(f, ERR_QUOTA, "the day's allowance of 8 bytes");
	clock_shift_ms(24 * 3600 * 1000);
	f->out.done = false;
	fetch(f);

	assert_int_equal(f->out.r.outcome, UPSTREAM_OK);
}

static void a_dead_server_is_left_alone_for_a_while(void **state)
{
	struct fixture *f = *state;
	char dead[] = "http://127.0.0.1:1";

	f->urls[0] = dead;
	f->urls[1] = NULL;
	start(f);
	for (unsigned i = 0; i < 5; i++) {
		f->out.done = false;
		fetch(f);
		failed(f, ERR_UPSTREAM, "http://127.0.0.1:1: ");
	}
	f->out.done = false;
	fetch(f);
	failed(f, ERR_UPSTREAM, "is left alone for a while");
	clock_shift_ms(60000);
	f->out.done = false;
	fetch(f);

	failed(f, ERR_UPSTREAM, "onnect");
}

static void stopping_ends_transfers(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct build_id id[2];
	struct upstream_ask a = {.id = id, .artifact = "debuginfo", .done = on_done, .ctx = &f->out};

	assert_int_equal(build_id_parse(STR(ID), id, &e), 1);
	fake_upstream_route(f->first, DEBUGINFO, 200, "slow", 4)->hang = true;
	start(f);
	ask(f, &f->out);
	usleep(20000);
	upstream_stop(f->u);
	assert_true(f->out.done);
	failed(f, ERR_SHUTTING_DOWN, "shutting down");
	assert_int_equal(upstream_fetch(f->u, &a, &e), -1);
	assert_err(&e, ERR_SHUTTING_DOWN, "shutting down");
}

static void urls_are_checked(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct build_id id[2];
	struct upstream_ask a = {.id = id, .artifact = "debuginfo", .done = on_done, .ctx = &f->out};
	char *files[] = {(char *)"file:///srv/debug", NULL};
	char *words[] = {(char *)"ima:enforcing", NULL};

	fake_upstream_start(f->first);
	fake_upstream_start(f->second);
	f->cfg.urls = files;
	assert_int_equal(upstream_new(&f->cfg, &f->u, &e), -1);
	assert_err(&e, ERR_CONFIG, "'file:///srv/debug' is not an http:// or https:// URL");
	f->cfg.urls = words;
	assert_ok(upstream_new(&f->cfg, &f->u, &e));
	assert_false(upstream_configured(f->u));
	assert_int_equal(build_id_parse(STR(ID), id, &e), 1);
	assert_int_equal(upstream_fetch(f->u, &a, &e), -1);
	assert_err(&e, ERR_UNAVAILABLE, "no upstream debuginfod server is configured");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_comes),
		T(nobody_has_it),
		T(the_next_server_is_asked_after_a_no),
		T(a_failure_outweighs_a_no),
		T(a_hanging_server_does_not_hold_up),
		T(a_hanging_server_is_given_up),
		T(busy_servers_are_waited_for_in_line),
		T(a_truncated_body_is_refused),
		T(a_size_that_was_promised_is_checked),
		T(an_empty_body_is_refused),
		T(redirects_stay_with_http),
		T(redirects_are_followed),
		T(redirects_in_a_circle_end),
		T(too_large_a_file_is_refused),
		T(a_bomb_is_refused),
		T(a_day_has_its_allowance),
		T(a_dead_server_is_left_alone_for_a_while),
		T(stopping_ends_transfers),
		T(urls_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
