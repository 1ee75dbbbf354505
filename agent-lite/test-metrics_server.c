/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/metrics_server.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "base/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct metrics_server *start(void)
{
	struct metrics_server *s = NULL;
	struct err e = ERR_INIT;

	assert_ok(metrics_server_new("127.0.0.1:0", &s, &e));
	return s;
}

static int connect_to(const struct metrics_server *s)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)metrics_server_port(s)),
				      .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* What comes until the connection ends. */
static struct buf answer_to(const struct metrics_server *s, const char *request)
{
	struct buf b = BUF_INIT(1 << 20);
	int fd = connect_to(s);
	ssize_t n;

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	do {
		char *to = buf_reserve(&b, 4096);

		assert_non_null(to);
		n = recv(fd, to, 4096, 0);
		if (n > 0)
			buf_commit(&b, (size_t)n);
	} while (n > 0);
	close(fd);
	return b;
}

static void assert_answer(const struct metrics_server *s, const char *request, const char *begins,
			  const char *holds)
{
	struct buf b = answer_to(s, request);

	if (!str_has_prefix(buf_str(&b), str_from(begins)))
		fail_msg("'%s' was answered by '" STR_FMT "'", request, STR_ARG(buf_str(&b)));
	assert_holds(buf_str(&b), holds);
	buf_deinit(&b);
}

static void scrapers_get_their_text(void **state)
{
	static struct metric m = {.name = "unhex_test_total", .help = "A test.", .type = METRIC_COUNTER};
	struct metrics_server *s = start();

	(void)state;
	metric_register(&m);
	metric_add(&m, 0, 42);
	assert_answer(s, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n",
		      "\nunhex_test_total 42\n");
	assert_answer(s, "GET /metrics?a=b HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
		      "text/plain; version=0.0.4");
	metrics_server_free(s);
}

static void others_get_what_they_deserve(void **state)
{
	struct metrics_server *s = start();
	struct buf b;

	(void)state;
	assert_answer(s, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "GET /metrics");
	assert_answer(s, "GET /metricsx HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "GET /metrics");
	assert_answer(s, "POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ", "GET /metrics");
	assert_answer(s, "GET /metrics\r\n\r\n", "HTTP/1.1 400 ", "not an HTTP/1");
	assert_answer(s, "GET /metrics HTTP/2\r\n\r\n", "HTTP/1.1 400 ", "not an HTTP/1");
	assert_answer(s, "\r\n\r\n", "HTTP/1.1 400 ", "not an HTTP/1");
	b = answer_to(s, "HEAD /metrics HTTP/1.1\r\n\r\n");
	assert_true(str_has_prefix(buf_str(&b), STR("HTTP/1.1 200 OK\r\n")));
	assert_true(str_has_suffix(buf_str(&b), STR("\r\n\r\n")));
	buf_deinit(&b);
	metrics_server_free(s);
}

/* One that says nothing, one that never ends, one that goes: the next is served all the same. */
static void bad_clients_do_not_stop_it(void **state)
{
	struct metrics_server *s = start();
	char much[8192];
	int silent = connect_to(s), gone = connect_to(s);
	uint64_t begin = clock_mono_ms();

	(void)state;
	close(gone);
	assert_answer(s, "GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "unhex_");
	assert_true(clock_mono_ms() - begin < 20000);
	memset(much, 'x', sizeof(much));
	gone = connect_to(s);
	send(gone, much, sizeof(much), MSG_NOSIGNAL);
	assert_answer(s, "GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "unhex_");
	close(gone);
	close(silent);
	metrics_server_free(s);
}

/* It does not wait for a client that says nothing. */
static void it_ends_at_once(void **state)
{
	struct metrics_server *s = start();
	uint64_t begin = clock_mono_ms();
	int fd = connect_to(s);

	(void)state;
	usleep(20000);
	metrics_server_free(s);
	assert_true(clock_mono_ms() - begin < 1500);
	close(fd);
}

static void addresses(void **state)
{
	static const char *const bad[] = {"", "9102", "127.0.0.1", "127.0.0.1:x", "::1:9102", "127.0.0.1:70000",
					  "no.such.host.invalid:1"};
	struct metrics_server *s = start(), *second;
	char taken[64];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		assert_int_equal(metrics_server_new(bad[i], &second, &e), -1);
		assert_err(&e, ERR_USAGE, "--metrics ");
	}
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", metrics_server_port(s));
	assert_int_equal(metrics_server_new(taken, &second, &e), -1);
	assert_err(&e, ERR_IO, taken);
	metrics_server_free(s);
	assert_ok(metrics_server_new(":0", &s, &e));
	metrics_server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scrapers_get_their_text),
		cmocka_unit_test(others_get_what_they_deserve),
		cmocka_unit_test(bad_clients_do_not_stop_it),
		cmocka_unit_test(it_ends_at_once),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests_name("metrics_server", tests, NULL, NULL);
}
