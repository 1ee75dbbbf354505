/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/http_testing.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { BODY_MAX = 64 * 1024, QUEUE = 2, WORKERS = 2 };

// ---- doors that do one thing each -------------------------------------------------------------

// Doors behind the gate wait until it opens: what a busy worker looks like.
static struct {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool closed;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
static atomic_int at_gate;

static void set_gate(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
}

static int door_hello(struct request *rq, UNUSED struct err *e)
{
	respond_bytes(rq, 200, "text/plain", STR("hello"));
	return DOOR_DONE;
}

static int door_echo(struct request *rq, UNUSED struct err *e)
{
	respond_bytes(rq, 200, "text/plain", buf_str(&rq->body));
	return DOOR_DONE;
}

static int door_gate(struct request *rq, UNUSED struct err *e)
{
	pthread_mutex_lock(&gate.lock);
	atomic_fetch_add(&at_gate, 1);
	while (gate.closed)
		pthread_cond_wait(&gate.opened, &gate.lock);
	atomic_fetch_sub(&at_gate, 1);
	pthread_mutex_unlock(&gate.lock);
	respond_bytes(rq, 200, "text/plain", STR("through"));
	return DOOR_DONE;
}

static void *_Atomic parked_waker;

// Parks once; says how it was woken.
static int door_park(struct request *rq, struct err *e)
{
	if (rq->state) {
		if (rq->woken_with.kind != ERR_NONE) {
			*e = rq->woken_with;
			return -1;
		}
		respond_bytes(rq, 200, "text/plain",
			      request_cancelled(rq) ? STR("cancelled") : STR("woken"));
		return DOOR_DONE;
	}
	if (!request_may_park(rq))
		return err_set(e, ERR_OVERLOADED, "no room to park");
	rq->state = rq;
	if (request_flag(rq, "now")) // the wake comes before the door has returned
		request_wake(request_waker(rq));
	else
		atomic_store(&parked_waker, request_waker(rq));
	return DOOR_PARKED;
}

static int door_fail(struct request *rq, struct err *e)
{
	struct str kind = STR_EMPTY;

	(void)request_arg(rq, "code", &kind);
	char text[64];

	snprintf(text, sizeof(text), STR_FMT, STR_ARG(kind));
	return err_set(e, err_kind_from_code(text), "it failed at /secret/path");
}

static _Atomic uint64_t sunk;
static atomic_int last_pieces;

static int sink_count(UNUSED struct request *rq, struct str piece, bool last, struct err *e)
{
	if (memmem(piece.p, piece.n, "BAD", 3))
		return err_set(e, ERR_NOT_ELF, "bad bytes");
	atomic_fetch_add(&sunk, piece.n);
	atomic_fetch_add(&last_pieces, last);
	return 0;
}

static int door_sunk(struct request *rq, UNUSED struct err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rq->body_bytes);
	respond_bytes(rq, 201, "text/plain", str_from(text));
	return DOOR_DONE;
}

static int precheck_no(struct request *rq, struct err *e)
{
	return request_flag(rq, "no") ? err_set(e, ERR_CONFLICT, "said no") : 0;
}

static int authorize(UNUSED void *app, const struct request *rq, struct principal *ret,
		     struct err *e)
{
	if (rq->route->scope && !str_is(request_header(rq, "authorization"), "Bearer good"))
		return err_set(e, ERR_UNAUTHORIZED, "who are you");
	*ret = (struct principal){.name = "tester"};
	return 0;
}

static const struct route routes[] = {
	{.name = "hello",
	 .methods = METHOD_GET,
	 .pattern = "/hello",
	 .door = door_hello,
	 .lane = LANE_IO},
	{.name = "guarded",
	 .methods = METHOD_GET,
	 .pattern = "/guarded",
	 .door = door_hello,
	 .scope = 1,
	 .lane = LANE_IO},
	{.name = "echo",
	 .methods = METHOD_POST,
	 .pattern = "/echo",
	 .door = door_echo,
	 .lane = LANE_WORK,
	 .takes_body = true},
	{.name = "gate",
	 .methods = METHOD_GET,
	 .pattern = "/gate",
	 .door = door_gate,
	 .lane = LANE_WORK},
	{.name = "park",
	 .methods = METHOD_GET,
	 .pattern = "/park",
	 .door = door_park,
	 .lane = LANE_WORK},
	{.name = "fail",
	 .methods = METHOD_GET,
	 .pattern = "/fail",
	 .door = door_fail,
	 .lane = LANE_IO},
	{.name = "sink",
	 .methods = METHOD_PUT,
	 .pattern = "/sink/{*}",
	 .door = door_sunk,
	 .lane = LANE_INGEST,
	 .takes_body = true,
	 .sink = sink_count,
	 .max_body = MIB(8),
	 .precheck = precheck_no},
	{.name = "push",
	 .methods = METHOD_GET,
	 .pattern = "/push.v1/{}",
	 .door = door_fail,
	 .lane = LANE_IO,
	 .style = STYLE_CONNECT},
	{.name = "buildid",
	 .methods = METHOD_GET,
	 .pattern = "/buildid/{}/debuginfo",
	 .door = door_gate,
	 .lane = LANE_WORK,
	 .style = STYLE_PLAIN},
	{0},
};

// ---- fixture ----------------------------------------------------------------------------------

static struct http *server;

static struct http_config config(void)
{
	return (struct http_config){
		.listen = "127.0.0.1:0",
		.io_threads = 2,
		.max_connections = 256,
		.max_connections_per_ip = 256,
		.connection_memory = KIB(64),
		.idle_timeout_ms = 2000,
		.exchange =
			{
				.routes = routes,
				.authorize = authorize,
				.lanes[LANE_WORK] = {WORKERS, QUEUE},
				.lanes[LANE_INGEST] = {WORKERS, 16},
				.max_parked = 8,
				.max_body = BODY_MAX,
				.max_body_memory = MIB(16),
			},
	};
}

static int start_server(UNUSED void **state)
{
	struct http_config cfg = config();
	struct err e = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_ERROR, LOG_LOGFMT);
	set_gate(false);
	atomic_store(&parked_waker, NULL);
	atomic_store(&sunk, 0);
	assert_ok(http_open(&cfg, &server, &e));
	assert_ok(http_start(server, &e));
	return 0;
}

static void end_server(uint64_t drain_ms)
{
	if (server)
		(void)http_drain(server, drain_ms);
	http_stop(server);
	server = NULL;
}

static int stop_server(UNUSED void **state)
{
	set_gate(false);
	end_server(5000);
	return 0;
}

static void ask(const char *request, char answer[static ANSWER_MAX])
{
	int fd = connect_to(server);

	send_text(fd, request);
	assert_int_equal(read_answer(fd, answer, strncmp(request, "HEAD", 4) != 0), 0);
	close(fd);
}

static void get(const char *path, char answer[static ANSWER_MAX])
{
	char request[4096];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	ask(request, answer);
}

static void assert_status(const char *answer, int status)
{
	char want[32];

	snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	if (strncmp(answer, want, strlen(want)) != 0)
		fail_msg("expected %d, got:\n%s", status, answer);
}

static void wait_for(bool (*ready)(void))
{
	for (int i = 0; i < 10000 && !ready(); i++)
		usleep(1000);
	assert_true(ready());
}

static bool somebody_parked(void)
{
	return atomic_load(&parked_waker) != NULL;
}

static bool all_idle(void)
{
	return exchanges_wait_idle(http_exchanges(server), 0);
}

static char answer[ANSWER_MAX];

// ---- the tests --------------------------------------------------------------------------------

static void requests_find_their_doors(UNUSED void **state)
{
	get("/hello", answer);
	assert_status(answer, 200);
	assert_holds(str_from(answer), "hello");
	get("http://somewhere/hello?x=1", answer);
	assert_status(answer, 200);
	ask("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n", answer);
	assert_status(answer, 200);
	assert_holds(str_from(answer), "Content-Length: 5");
	get("/nowhere", answer);
	assert_status(answer, 404);
	assert_holds(str_from(answer), "Content-Type: application/problem+json");
	assert_holds(str_from(answer), "\"status\":404,\"code\":\"not_found\"");
	ask("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n", answer);
	assert_status(answer, 405);
	assert_holds(str_from(answer), "Allow: GET, HEAD\r\n");
	assert_holds(str_from(answer), "method_not_allowed");
}

static void paths_that_climb_are_refused(UNUSED void **state)
{
	static const char *const paths[] = {
		"/buildid/../../etc/passwd",
		"/buildid/%2e%2e/debuginfo",
		"/buildid/%2E./debuginfo",
		"/sink/a/../b",
		"/hello%00/x",
		"/hello%zz",
		"/hello%2",
	};

	for (size_t i = 0; i < countof(paths); i++) {
		get(paths[i], answer);
		assert_status(answer, 400);
	}
}

static void errors_take_the_form_of_their_route(UNUSED void **state)
{
	get("/fail?code=bad_pprof", answer);
	assert_status(answer, 400);
	assert_holds(str_from(answer), "\"detail\":\"it failed at /secret/path\"");
	get("/fail?code=io", answer);
	assert_status(answer, 500);
	assert_holds(str_from(answer), "\"code\":\"io\"");
	assert_null(strstr(answer, "/secret/path"));
	get("/push.v1/x?code=bad_pprof", answer);
	assert_status(answer, 400);
	assert_holds(str_from(answer), "{\"code\":\"invalid_argument\",\"message\":\"it failed");
	get("/push.v1/x?code=rate_limited", answer);
	assert_status(answer, 429);
	assert_holds(str_from(answer), "resource_exhausted");
	assert_holds(str_from(answer), "Retry-After: 2");
	get("/buildid/x/nothing", answer);
	assert_status(answer, 404);
	assert_holds(str_from(answer), "Content-Type: text/plain");
}

static void request_ids_are_taken_over_or_made(UNUSED void **state)
{
	ask("GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1.2_Z\r\n\r\n", answer);
	assert_holds(str_from(answer), "X-Request-Id: abc-1.2_Z\r\n");
	ask("GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: a b\"c\r\n\r\n", answer);
	assert_null(strstr(answer, "a b\"c"));
	assert_holds(str_from(answer), "X-Request-Id: ");
}

static void callers_without_the_right_are_refused(UNUSED void **state)
{
	get("/guarded", answer);
	assert_status(answer, 401);
	assert_holds(str_from(answer), "WWW-Authenticate: Bearer");
	ask("GET /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n", answer);
	assert_status(answer, 200);
}

static void a_connection_carries_many_requests(UNUSED void **state)
{
	int fd = connect_to(server);

	for (int i = 0; i < 3; i++) {
		send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
			      "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_int_equal(read_answer(fd, answer, true), 0);
		assert_status(answer, 200);
		assert_holds(str_from(answer), "\r\n\r\nabc");
		assert_int_equal(read_answer(fd, answer, true), 0);
		assert_holds(str_from(answer), "\r\n\r\nhello");
	}
	close(fd);
}

static void bodies_that_are_too_large_are_refused_early(UNUSED void **state)
{
	int fd = connect_to(server);

	// Announced: refused before a byte of it.
	send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 413);
	assert_holds(str_from(answer), "too_large");
	assert_holds(str_from(answer), "Connection: close");
	close(fd);

	fd = connect_to(server);
	send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
		      "Expect: 100-continue\r\n\r\n");
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 413);
	close(fd);

	// Not announced: refused when it has grown too large, while the client still sends.
	fd = connect_to(server);
	send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		static char chunk[8192 + 16];

		memcpy(chunk, "2000\r\n", 6);
		memset(chunk + 6, 'x', 8192);
		memcpy(chunk + 6 + 8192, "\r\n", 3);
		send_text(fd, chunk);
	}
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 413);
	close(fd);

	// A client that reads only after it has sent all gets its answer, too.
	fd = connect_to(server);
	send_text(fd, "PUT /sink/x?no HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n\r\n");
	for (int i = 0; i < 64; i++) {
		static char piece[65537];

		memset(piece, 'y', 65536);
		send_text(fd, piece);
	}
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 409);
	assert_int_equal(recv(fd, answer, 1, 0), 0);
	close(fd);
	assert_int_equal(atomic_load(&sunk), 0);
}

static void ambiguous_framing_is_refused(UNUSED void **state)
{
	ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: "
	    "3\r\n\r\n"
	    "0\r\n\r\n",
	    answer);
	assert_status(answer, 400);
	ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", answer);
	assert_status(answer, 400);
}

static void a_client_that_sends_half_a_body_harms_nobody(UNUSED void **state)
{
	int sleeper = connect_to(server);
	int gone = connect_to(server);
	uint64_t from;

	send_text(sleeper, "PUT /sink/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf");
	send_text(gone, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf");
	close(gone);
	for (int i = 0; i < 5; i++) {
		get("/hello", answer);
		assert_status(answer, 200);
	}
	from = clock_mono_ms();
	assert_int_equal(read_answer(sleeper, answer, true), 1000); // closed by the idle timeout
	assert_in_range(clock_mono_ms() - from, 500, 10000);
	close(sleeper);
	wait_for(all_idle);
	assert_int_equal(atomic_load(&sunk), 0);
}

static void streamed_bodies_reach_the_sink_whole(UNUSED void **state)
{
	static char piece[65537];
	int fd = connect_to(server);

	atomic_store(&last_pieces, 0);
	memset(piece, 'z', 65536);
	send_text(fd, "PUT /sink/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 3145728\r\n\r\n");
	for (int i = 0; i < 48; i++)
		send_text(fd, piece);
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 201);
	assert_holds(str_from(answer), "3145728");
	assert_int_equal(atomic_load(&sunk), 3145728);
	assert_int_equal(atomic_load(&last_pieces), 1);

	send_text(fd, "PUT /sink/empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 201);
	assert_int_equal(atomic_load(&last_pieces), 2);
	close(fd);
}

static void a_failing_sink_answers_while_the_body_comes(UNUSED void **state)
{
	static char piece[65537];
	int fd = connect_to(server);

	memset(piece, 'z', 65536);
	memcpy(piece + 100, "BAD", 3);
	send_text(fd, "PUT /sink/a HTTP/1.1\r\nHost: x\r\nContent-Length: 6291456\r\n\r\n");
	for (int i = 0; i < 5; i++)
		send_text(fd, piece);
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 415);
	assert_holds(str_from(answer), "bad bytes");
	close(fd);
	wait_for(all_idle);
}

static void parked_requests_hold_no_thread(UNUSED void **state)
{
	int fds[WORKERS * 2];

	for (size_t i = 0; i < countof(fds); i++) {
		atomic_store(&parked_waker, NULL);
		fds[i] = connect_to(server);
		send_text(fds[i], "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
		wait_for(somebody_parked);
		if (i + 1 < countof(fds)) {
			get("/gate", answer); // the workers are free
			assert_status(answer, 200);
			request_wake(atomic_load(&parked_waker));
			assert_int_equal(read_answer(fds[i], answer, true), 0);
			assert_holds(str_from(answer), "\r\n\r\nwoken");
		}
	}
	request_wake_with(atomic_load(&parked_waker),
			  &(struct err){ERR_NO_SPACE, 0, "disk is full"});
	assert_int_equal(read_answer(fds[countof(fds) - 1], answer, true), 0);
	assert_status(answer, 507);
	assert_holds(str_from(answer), "disk is full");
	for (size_t i = 0; i < countof(fds); i++)
		close(fds[i]);
	get("/park?now=1", answer);
	assert_holds(str_from(answer), "\r\n\r\nwoken");
}

static void a_client_may_leave_while_parked(UNUSED void **state)
{
	int fd = connect_to(server);

	send_text(fd, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(somebody_parked);
	close(fd);
	get("/hello", answer);
	assert_status(answer, 200);
	request_wake(atomic_load(&parked_waker));
	wait_for(all_idle);
}

static bool workers_at_gate(void)
{
	return atomic_load(&at_gate) == WORKERS;
}

static void overload_is_said_or_reset(UNUSED void **state)
{
	int fds[WORKERS + QUEUE];
	int fd;

	set_gate(true);
	for (size_t i = 0; i < countof(fds); i++) {
		fds[i] = connect_to(server);
		send_text(fds[i], "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
		if (i + 1 == WORKERS)
			wait_for(workers_at_gate);
	}
	usleep(100 * 1000); // the rest is in the queue

	get("/gate", answer);
	assert_status(answer, 503);
	assert_holds(str_from(answer), "\"code\":\"overloaded\"");
	assert_holds(str_from(answer), "Retry-After: 2");

	fd = connect_to(server);
	send_text(fd, "GET /buildid/ab/debuginfo HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(read_answer(fd, answer, true), ECONNRESET);
	close(fd);

	get("/hello", answer); // I/O threads are not concerned
	assert_status(answer, 200);
	set_gate(false);
	for (size_t i = 0; i < countof(fds); i++) {
		assert_int_equal(read_answer(fds[i], answer, true), 0);
		assert_status(answer, 200);
		close(fds[i]);
	}
}

static void body_memory_is_bounded(UNUSED void **state)
{
	struct http_config cfg = config();
	struct err e = ERR_INIT;
	int holder;

	end_server(1000);
	cfg.exchange.max_body_memory = 10000;
	assert_ok(http_open(&cfg, &server, &e));
	assert_ok(http_start(server, &e));
	holder = connect_to(server);
	send_text(holder, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n");
	for (int i = 0; i < 8; i++) {
		char kib[1001];

		memset(kib, 'k', 1000);
		kib[1000] = '\0';
		send_text(holder, kib);
	}
	usleep(100 * 1000);
	{
		static char big[4200];
		int n = snprintf(big, sizeof(big),
				 "POST /echo HTTP/1.1\r\nHost: x\r\n"
				 "Content-Length: 4000\r\n\r\n%04000d",
				 1);

		assert_true(n > 4000);
		ask(big, answer);
	}
	assert_status(answer, 503);
	assert_holds(str_from(answer), "memory");
	close(holder);
	wait_for(all_idle);
	ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok", answer);
	assert_status(answer, 200);
}

static void stopping_ends_waits(UNUSED void **state)
{
	int fd = connect_to(server);
	uint64_t from = clock_mono_ms();
	void *waker;

	send_text(fd, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(somebody_parked);
	waker = atomic_load(&parked_waker);
	end_server(200);
	assert_true(clock_mono_ms() - from < 5000);
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_holds(str_from(answer), "\r\n\r\ncancelled");
	assert_holds(str_from(answer), "Connection: close");
	close(fd);
	request_wake(waker); // late, and harmless
}

static void *open_gate_later(UNUSED void *arg)
{
	usleep(300 * 1000);
	set_gate(false);
	return NULL;
}

static bool one_at_gate(void)
{
	return atomic_load(&at_gate) == 1;
}

static void finishing_requests_are_waited_for(UNUSED void **state)
{
	int fd = connect_to(server);
	pthread_t opener;

	set_gate(true);
	send_text(fd, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(one_at_gate);
	assert_int_equal(pthread_create(&opener, NULL, open_gate_later, NULL), 0);
	end_server(5000);
	pthread_join(opener, NULL);
	assert_int_equal(read_answer(fd, answer, true), 0);
	assert_status(answer, 200);
	close(fd);
}

// ---- many at once -----------------------------------------------------------------------------

static void *hammer(void *arg)
{
	static const char *const requests[] = {
		"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd",
		"GET /park?now=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /sink/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		"chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET /buildid/ab/debuginfo HTTP/1.1\r\nHost: x\r\n\r\n",
	};
	unsigned seed = (unsigned)(uintptr_t)arg;
	char *own = malloc(ANSWER_MAX);

	assert_non_null(own);
	for (int i = 0; i < 150; i++) {
		int fd = connect_to(server);

		send_text(fd, requests[rand_r(&seed) % countof(requests)]);
		if (rand_r(&seed) % 3)
			(void)read_answer(fd, own, true);
		close(fd);
	}
	free(own);
	return NULL;
}

static void many_clients_come_and_go(UNUSED void **state)
{
	pthread_t threads[6];

	for (size_t i = 0; i < countof(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
	for (size_t i = 0; i < countof(threads); i++)
		pthread_join(threads[i], NULL);
	wait_for(all_idle);
	get("/hello", answer);
	assert_status(answer, 200);
}

static void running_out_of_memory_costs_one_request(UNUSED void **state)
{
	static const char *const requests[] = {
		"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd",
		"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
	};

	for (size_t i = 0; i < countof(requests); i++) {
		for (unsigned long nth = 1; nth < 40; nth++) {
			int fd = connect_to(server);

			mem_fault_at(nth, 1);
			send_text(fd, requests[i]);
			(void)read_answer(fd, answer, true); // an answer, or the connection closed
			close(fd);
			if (!mem_fault_off())
				break;
		}
		get("/hello", answer);
		assert_status(answer, 200);
	}
}

static void listen_addresses_are_told_apart(UNUSED void **state)
{
	static const struct {
		const char *listen;
		bool loopback;
	} good[] = {
		{"127.0.0.1:8002", true}, {"[::1]:0", true},	 {"localhost:1", true},
		{"0.0.0.0:8002", false},  {":8002", false},	 {"[::]:8002", false},
		{"*:1", false},		  {"10.1.2.3:5", false}, {"127.9.9.9:1", true},
	};
	static const char *const bad[] = {"8002", "127.0.0.1", "127.0.0.1:99999", "example.org:80",
					  "x:y"};
	struct err e = ERR_INIT;
	bool loopback;

	for (size_t i = 0; i < countof(good); i++) {
		assert_ok(http_listen_is_loopback(good[i].listen, &loopback, &e));
		assert_int_equal(loopback, good[i].loopback);
	}
	for (size_t i = 0; i < countof(bad); i++) {
		assert_int_equal(http_listen_is_loopback(bad[i], &loopback, &e), -1);
		assert_err(&e, ERR_CONFIG, bad[i]);
	}
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(requests_find_their_doors),
		WITH_SERVER(paths_that_climb_are_refused),
		WITH_SERVER(errors_take_the_form_of_their_route),
		WITH_SERVER(request_ids_are_taken_over_or_made),
		WITH_SERVER(callers_without_the_right_are_refused),
		WITH_SERVER(a_connection_carries_many_requests),
		WITH_SERVER(bodies_that_are_too_large_are_refused_early),
		WITH_SERVER(ambiguous_framing_is_refused),
		WITH_SERVER(a_client_that_sends_half_a_body_harms_nobody),
		WITH_SERVER(streamed_bodies_reach_the_sink_whole),
		WITH_SERVER(a_failing_sink_answers_while_the_body_comes),
		WITH_SERVER(parked_requests_hold_no_thread),
		WITH_SERVER(a_client_may_leave_while_parked),
		WITH_SERVER(overload_is_said_or_reset),
		WITH_SERVER(body_memory_is_bounded),
		WITH_SERVER(stopping_ends_waits),
		WITH_SERVER(finishing_requests_are_waited_for),
		WITH_SERVER(many_clients_come_and_go),
		WITH_SERVER(running_out_of_memory_costs_one_request),
		cmocka_unit_test(listen_addresses_are_told_apart),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
