/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_client.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/testing.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A server of one thread: answers each connection with the next canned reply, keeps what it was sent,
 * and closes.
 */
struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	const char *const *replies;
	struct buf seen; // all requests one after another
};

static size_t length_of_body(const char *head)
{
	const char *at = strcasestr(head, "\ncontent-length:");

	return at ? strtoul(at + strlen("\ncontent-length:"), NULL, 10) : 0;
}

static void read_request(struct server *s, int fd)
{
	size_t start = s->seen.n;
	size_t want = SIZE_MAX;

	while (s->seen.n - start < want) {
		char chunk[65536];
		ssize_t n = read(fd, chunk, sizeof(chunk));
		const char *end;

		if (n <= 0)
			return;
		buf_append(&s->seen, chunk, (size_t)n);
		end = strstr(s->seen.p + start, "\r\n\r\n");
		if (end && want == SIZE_MAX) {
			want = (size_t)(end + 4 - (s->seen.p + start)) +
			       length_of_body(s->seen.p + start);
			if (strcasestr(s->seen.p + start, "expect: 100"))
				(void)!write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		}
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (const char *const *reply = s->replies; *reply; reply++) {
		int fd = accept(s->fd, NULL, NULL);

		if (fd < 0)
			break;
		read_request(s, fd);
		if (strcmp(*reply, "silence") == 0)
			usleep(700 * 1000);
		else
			(void)!write(fd, *reply, strlen(*reply));
		close(fd);
	}
	return NULL;
}

static void server_start(struct server *s, const char *const *replies)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*s = (struct server){.replies = replies, .seen = BUF_INIT(16 << 20)};
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	s->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	buf_deinit(&s->seen);
}

struct fixture {
	struct server server;
	struct http_client *client;
	struct http_response response;
	struct err err;
	char url[64];
};

// Starts a server with the replies, does the request to it, returns http_do()'s result.
static int exchange(struct fixture *f, struct http_request rq, const char *const *replies)
{
	struct err e = ERR_INIT;

	server_start(&f->server, replies);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/path", f->server.port);
	if (!f->client)
		assert_ok(http_client_new("unit-test/1", 1000, &f->client, &e));
	rq.url = f->url;
	return http_do(f->client, &rq, &f->response, &f->err);
}

static void finish(struct fixture *f)
{
	http_response_deinit(&f->response);
	http_client_free(f->client);
	server_stop(&f->server);
	*f = (struct fixture){.client = NULL};
}

#define REPLIES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nX-Odd:  a b \r\n\r\nhello"

static void a_get_brings_body_and_headers(void **state)
{
	static const char *const headers[] = {"X-Mine: yes", NULL};
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};
	struct err e = ERR_INIT;

	(void)state;
	rq.headers = headers;
	assert_ok(http_client_new("unit-test/1", 1000, &f.client, &e));
	assert_ok(http_client_token(f.client, "t0ken", &e));
	assert_int_equal(exchange(&f, rq, REPLIES(OK_HELLO)), 0);
	assert_int_equal(f.response.status, 200);
	assert_str(buf_str(&f.response.body), "hello");
	assert_string_equal(f.response.content_type, "text/plain");
	assert_str(http_header(&f.response, "x-odd"), "a b");
	assert_str(http_header(&f.response, "absent"), "");
	assert_int_equal(http_status_err(&f.response, f.url, &e), 0);
	assert_holds(buf_str(&f.server.seen), "GET /path HTTP/1.1\r\n");
	assert_holds(buf_str(&f.server.seen), "User-Agent: unit-test/1\r\n");
	assert_holds(buf_str(&f.server.seen), "Authorization: Bearer t0ken\r\n");
	assert_holds(buf_str(&f.server.seen), "X-Mine: yes\r\n");
	assert_int_equal(http_client_token(f.client, "a\nb", &e), -1);
	assert_err(&e, ERR_CONFIG, "the token holds a line break");
	assert_ok(http_client_token(f.client, NULL, &e));
	finish(&f);
}

struct seen_progress {
	uint64_t done;
	uint64_t total;
};

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
	*(struct seen_progress *)ctx = (struct seen_progress){done, total};
}

static void a_file_is_streamed_up(void **state)
{
	const size_t size = 3 << 20;
	_cleanup_free_ char *content = malloc(size);
	_cleanup_close_ int fd = io_tmpfile("/tmp", NULL);
	struct http_request rq = HTTP_REQUEST_INIT;
	struct seen_progress seen = {0, 0};
	struct fixture f = {.client = NULL};
	struct err e = ERR_INIT;

	(void)state;
	memset(content, 'z', size);
	assert_ok(io_write_all(fd, content, size, &e));
	rq.method = "PUT";
	rq.body_fd = fd;
	rq.body_size = size;
	rq.progress = note_progress;
	rq.progress_ctx = &seen;
	// The redirect makes it send all of it again.
	assert_int_equal(exchange(&f, rq,
				  REPLIES("HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\n"
					  "Content-Length: 0\r\n\r\n",
					  OK_HELLO)),
			 0);
	assert_int_equal(f.response.status, 200);
	assert_holds(buf_str(&f.server.seen), "PUT /path HTTP/1.1\r\n");
	assert_holds(buf_str(&f.server.seen), "PUT /other HTTP/1.1\r\n");
	assert_holds(buf_str(&f.server.seen), "Content-Length: 3145728\r\n");
	assert_int_equal(f.server.seen.p[f.server.seen.n - 1], 'z');
	assert_int_equal(seen.done, size);
	finish(&f);
}

static void a_body_in_memory_is_posted(void **state)
{
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};

	(void)state;
	rq.method = "POST";
	rq.body = STR("{\"a\":1}");
	assert_int_equal(exchange(&f, rq, REPLIES("HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")), 0);
	assert_int_equal(f.response.status, 201);
	assert_holds(buf_str(&f.server.seen), "POST /path HTTP/1.1\r\n");
	assert_holds(buf_str(&f.server.seen), "\r\n\r\n{\"a\":1}");
	finish(&f);
	rq.body = STR_EMPTY;
	assert_int_equal(exchange(&f, rq, REPLIES(OK_HELLO)), 0);
	assert_holds(buf_str(&f.server.seen), "Content-Length: 0\r\n");
	finish(&f);
}

static void a_body_can_go_to_a_file(void **state)
{
	_cleanup_close_ int fd = io_tmpfile("/tmp", NULL);
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};
	struct err e = ERR_INIT;
	uint64_t size = 0;

	(void)state;
	rq.out_fd = fd;
	assert_int_equal(exchange(&f, rq, REPLIES(OK_HELLO)), 0);
	assert_ok(io_file_size(fd, &size, &e));
	assert_int_equal(size, 5);
	assert_int_equal(f.response.body.n, 0);
	finish(&f);
	// An error's body is for the message, not for the file.
	assert_int_equal(
		exchange(&f, rq, REPLIES("HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone")), 0);
	assert_str(buf_str(&f.response.body), "gone");
	assert_ok(io_file_size(fd, &size, &e));
	assert_int_equal(size, 5);
	finish(&f);
}

static void bodies_have_a_limit(void **state)
{
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};
	char reply[2000];

	(void)state;
	memset(reply, 'x', sizeof(reply));
	memcpy(reply, "HTTP/1.0 200 OK\r\n\r\n", 19);
	reply[sizeof(reply) - 1] = '\0';
	assert_int_equal(exchange(&f, rq, REPLIES(reply)), -1);
	assert_err(&f.err, ERR_TOO_LARGE, "the response is larger than the limit of 1000 bytes");
	assert_err(&f.err, ERR_TOO_LARGE, "GET http://127.0.0.1:");
	finish(&f);
}

static void redirects_end(void **state)
{
	static const char *const again =
		"HTTP/1.1 302 Found\r\nLocation: /again\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};

	(void)state;
	assert_int_equal(exchange(&f, rq, REPLIES(again, again, again, again, again, again)), -1);
	assert_err(&f.err, ERR_UNAVAILABLE, "Maximum (5) redirects followed");
	finish(&f);
	assert_int_equal(exchange(&f, rq,
				  REPLIES("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
					  "Content-Length: 0\r\n\r\n")),
			 -1);
	assert_err(&f.err, ERR_USAGE, "Protocol \"file\" not supported");
	finish(&f);
}

static void silence_times_out(void **state)
{
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};

	(void)state;
	rq.timeout_ms = 200;
	assert_int_equal(exchange(&f, rq, REPLIES("silence")), -1);
	assert_err(&f.err, ERR_TIMEOUT, "timed out");
	finish(&f);
}

static void nobody_there_is_unavailable(void **state)
{
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response r;
	struct http_client *c;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(http_client_new("unit-test/1", 1000, &c, &e));
	rq.url = "http://127.0.0.1:1/";
	assert_int_equal(http_do(c, &rq, &r, &e), -1);
	assert_err(&e, ERR_UNAVAILABLE, "GET http://127.0.0.1:1/: Failed to connect");
	rq.url = "ftp://127.0.0.1/";
	assert_int_equal(http_do(c, &rq, &r, &e), -1);
	assert_err(&e, ERR_USAGE, "GET ftp://127.0.0.1/: Protocol \"ftp\" not supported");
	http_client_free(c);
	http_client_free(NULL);
}

static void urls_are_checked_before_use(void **state)
{
	static const char *const good[] = {"http://x", "https://x/", "http://127.0.0.1:8002/a/b",
					   "http://[::1]:80", "https://me:secret@h:443"};
	static const char *const bad[] = {"",	       "x",	   "x:80",     "ftp://x",
					  "http://",   "http:///", "http:///x", "https:///x",
					  "http://:80", "http://a b", "http://x:99999"};
	struct http_client *c;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(http_client_new("unit-test/1", 1000, &c, &e));
	for (size_t i = 0; i < countof(good); i++)
		assert_true(http_url_is_valid(c, good[i]));
	for (size_t i = 0; i < countof(bad); i++)
		assert_false(http_url_is_valid(c, bad[i]));
	http_client_free(c);
}

static void check_status(long status, const char *type, const char *body, enum err_kind kind,
			 const char *part)
{
	struct http_response r = {.status = status, .body = BUF_INIT(1000)};
	struct err e = ERR_INIT;

	snprintf(r.content_type, sizeof(r.content_type), "%s", type);
	buf_puts(&r.body, body);
	assert_int_equal(http_status_err(&r, "http://h/x", &e), -1);
	assert_err(&e, kind, part);
	buf_deinit(&r.body);
}

static void statuses_become_errors(void **state)
{
	static const char *const problem = "application/problem+json";

	(void)state;
	check_status(415, problem, "{\"code\":\"build_id_mismatch\",\"detail\":\"other bytes\"}",
		     ERR_ID_MISMATCH, "http://h/x: HTTP 415: other bytes");
	check_status(500, problem, "{\"code\":\"internal\",\"title\":\"Oops\"}", ERR_INTERNAL,
		     "HTTP 500: Oops");
	check_status(409, problem, "{\"code\":\"from the future\"}", ERR_CONFLICT, "HTTP 409");
	check_status(401, "application/json",
		     "{\"code\":\"unauthenticated\",\"message\":\"no such token\"}",
		     ERR_UNAUTHORIZED, "HTTP 401: no such token");
	check_status(404, problem, "not json", ERR_NOT_FOUND, "http://h/x: HTTP 404");
	check_status(401, "text/html", "", ERR_UNAUTHORIZED, "HTTP 401");
	check_status(403, "", "", ERR_FORBIDDEN, "HTTP 403");
	check_status(413, "", "", ERR_TOO_LARGE, "HTTP 413");
	check_status(429, "", "", ERR_RATE_LIMITED, "HTTP 429");
	check_status(502, "", "", ERR_UNAVAILABLE, "HTTP 502");
	check_status(418, "", "", ERR_BAD_REQUEST, "HTTP 418");
}

static void retry_after_is_told(void **state)
{
	struct http_request rq = HTTP_REQUEST_INIT;
	struct fixture f = {.client = NULL};

	(void)state;
	assert_int_equal(exchange(&f, rq,
				  REPLIES("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n"
					  "Content-Length: 0\r\n\r\n")),
			 0);
	assert_int_equal(f.response.retry_after_s, 7);
	assert_int_equal(f.response.status, 503);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_get_brings_body_and_headers),
		cmocka_unit_test(a_file_is_streamed_up),
		cmocka_unit_test(a_body_in_memory_is_posted),
		cmocka_unit_test(a_body_can_go_to_a_file),
		cmocka_unit_test(bodies_have_a_limit),
		cmocka_unit_test(redirects_end),
		cmocka_unit_test(silence_times_out),
		cmocka_unit_test(nobody_there_is_unavailable),
		cmocka_unit_test(urls_are_checked_before_use),
		cmocka_unit_test(statuses_become_errors),
		cmocka_unit_test(retry_after_is_told),
	};

	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
