/* SPDX-License-Identifier: Apache-2.0 */
/* The push thread against a server of a few lines that answers as it is told. */
#include "agent-lite/ship/pusher.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/testing.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
	int fd;
	unsigned port;
	pthread_t thread;
	const int *statuses; /* one for each request; the last one repeats */
	size_t status_count;
	_Atomic unsigned requests;
	char last[8192];   /* the newest request, after stop */
	char taken[4096]; /* bodies answered with 200, each with a space behind */
};

static size_t header_end(const char *p, size_t n)
{
	const char *at = memmem(p, n, "\r\n\r\n", 4);

	return at ? (size_t)(at - p) + 4 : 0;
}

/* Head and body of one request. */
static void read_request(struct server *s, int fd)
{
	size_t n = 0, need = SIZE_MAX;

	while (n < need && n < sizeof(s->last) - 1) {
		ssize_t r = recv(fd, s->last + n, sizeof(s->last) - 1 - n, 0);
		size_t head;

		if (r <= 0)
			break;
		n += (size_t)r;
		s->last[n] = 0;
		head = header_end(s->last, n);
		if (head > 0) {
			const char *length = strcasestr(s->last, "content-length: ");

			need = head + (length ? strtoul(length + 16, NULL, 10) : 0);
		}
	}
	s->last[n] = 0;
}

static void note_taken(struct server *s)
{
	const char *body = s->last + header_end(s->last, strlen(s->last));
	size_t n = strlen(s->taken);

	snprintf(s->taken + n, sizeof(s->taken) - n, "%.20s ", body);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		unsigned i = s->requests;
		int status = s->statuses[MIN(i, s->status_count - 1)];
		char answer[128];
		int n;

		read_request(s, fd);
		n = snprintf(answer, sizeof(answer),
			     "HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			     status);
		if (status == 200)
			note_taken(s);
		send(fd, answer, (size_t)n, MSG_NOSIGNAL);
		s->requests++;
		shutdown(fd, SHUT_RDWR);
		close(fd);
	}
	return NULL;
}

static void server_start_at(struct server *s, unsigned port, const int *statuses, size_t n)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(a);
	int on = 1;

	*s = (struct server){.statuses = statuses, .status_count = n};
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &size), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_start(struct server *s, const int *statuses, size_t n)
{
	server_start_at(s, 0, statuses, n);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static struct pusher *spooling_pusher_to(unsigned port, const char *token_file, const char *spool)
{
	char url[64];
	struct pusher_config config = {
		.server = url,
		.token_file = token_file,
		.spool_dir = spool,
		.spool_bytes = 1 << 20,
		.pause_ms = 20,
	};
	struct pusher *p = NULL;
	struct err e = ERR_INIT;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	assert_ok(pusher_new(&config, &p, &e));
	return p;
}

static struct pusher *pusher_to(unsigned port, const char *token_file)
{
	return spooling_pusher_to(port, token_file, NULL);
}

static void add(struct pusher *p, const char *text)
{
	struct buf b = BUF_INIT(1 << 24);
	struct err e = ERR_INIT;

	buf_puts(&b, text);
	assert_ok(pusher_add(p, &b, strlen(text), &e));
	assert_int_equal(b.n, 0);
}

static struct pusher_stats finish(struct pusher *p, uint64_t grace_ms)
{
	struct pusher_stats stats;

	pusher_stop(p, grace_ms);
	pusher_stats(p, &stats);
	pusher_free(p);
	return stats;
}

/* Pushes the bodies to a server that answers so; it has stopped after. */
static struct pusher_stats push(struct server *s, const int *statuses, size_t n, const char *token,
				const char *const *bodies)
{
	struct pusher_stats stats;
	struct pusher *p;

	server_start(s, statuses, n);
	p = pusher_to(s->port, token);
	for (; *bodies; bodies++)
		add(p, *bodies);
	stats = finish(p, 10000);
	server_stop(s);
	return stats;
}

static void bodies_arrive_with_their_type_and_token(void **state)
{
	static const int ok[] = {200};
	static const char *const bodies[] = {"hello", NULL};
	struct pusher_stats stats;
	struct server s;
	char dir[64], token[128];
	FILE *f;

	(void)state;
	test_dir_make(dir);
	snprintf(token, sizeof(token), "%s/token", dir);
	f = fopen(token, "we");
	fputs("  s3cret\n", f);
	fclose(f);
	stats = push(&s, ok, 1, token, bodies);
	assert_int_equal(stats.pushes, 1);
	assert_int_equal(stats.bytes, 5);
	assert_int_equal(stats.dropped, 0);
	assert_holds(str_from(s.last), "POST /push.v1.PusherService/Push HTTP/1.1");
	assert_holds(str_from(s.last), "Content-Type: application/proto");
	assert_holds(str_from(s.last), "Authorization: Bearer s3cret");
	assert_holds(str_from(s.last), "\r\n\r\nhello");
	test_dir_remove(dir);
}

static void overload_is_retried(void **state)
{
	static const int busy[] = {503, 429, 200};
	static const char *const bodies[] = {"again", NULL};
	struct pusher_stats stats;
	struct server s;

	(void)state;
	stats = push(&s, busy, 3, NULL, bodies);
	assert_int_equal(stats.pushes, 1);
	assert_int_equal(stats.retries, 2);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(s.requests, 3);
}

static void a_refusal_drops_the_body(void **state)
{
	static const int refused[] = {400, 200};
	static const char *const bodies[] = {"one", "two", NULL};
	struct pusher_stats stats;
	struct server s;

	(void)state;
	stats = push(&s, refused, 2, NULL, bodies);
	assert_int_equal(stats.pushes, 1);
	assert_int_equal(stats.dropped, 1);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.dropped_samples, 3);
	assert_int_equal(stats.samples, 3);
	assert_int_equal(stats.retries, 0);
	assert_int_equal(stats.last.kind, ERR_BAD_REQUEST);
}

static void write_token(const char *path, const char *token)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(token, f);
	fclose(f);
}

static void wait_for_retries(struct pusher *p, uint64_t n)
{
	struct pusher_stats stats;
	uint64_t deadline = clock_mono_ms() + 10000;

	do {
		usleep(2000);
		pusher_stats(p, &stats);
	} while (stats.retries < n && clock_mono_ms() < deadline);
	assert_true(stats.retries >= n);
}

/* It may be mended on either side: nothing is dropped, and a new token is found in its file. */
static void a_refused_token_is_waited_for(void **state)
{
	static const int refused[] = {401, 403, 404, 200};
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;
	char dir[64], token[128];

	(void)state;
	test_dir_make(dir);
	snprintf(token, sizeof(token), "%s/token", dir);
	write_token(token, "old");
	server_start(&s, refused, 4);
	p = pusher_to(s.port, token);
	add(p, "one");
	add(p, "two");
	wait_for_retries(p, 1);
	write_token(token, "new");
	wait_for_retries(p, 3);
	for (int i = 0; i < 1000 && s.requests < 5; i++)
		usleep(5000);
	stats = finish(p, 10000);
	server_stop(&s);
	assert_int_equal(stats.pushes, 2);
	assert_int_equal(stats.dropped, 0);
	assert_string_equal(s.taken, "one two ");
	assert_holds(str_from(s.last), "Authorization: Bearer new");
	test_dir_remove(dir);
}

/* Told to stop while it is refused: no use in waiting. */
static void a_refusal_does_not_delay_the_end(void **state)
{
	static const int refused[] = {403};
	static const char *const bodies[] = {"one", NULL};
	struct pusher_stats stats;
	struct server s;
	uint64_t start = clock_mono_ms();

	(void)state;
	stats = push(&s, refused, 1, NULL, bodies);
	assert_true(clock_mono_ms() - start < 5000);
	assert_int_equal(stats.dropped, 1);
	assert_int_equal(stats.last.kind, ERR_FORBIDDEN);
}

/* A body that makes the server fail each time is given up in the end, for those behind it. */
static void a_body_that_breaks_the_server_is_given_up(void **state)
{
	int broken[21];
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;

	(void)state;
	for (size_t i = 0; i < countof(broken); i++)
		broken[i] = i < 20 ? 500 : 200;
	server_start(&s, broken, countof(broken));
	{
		char url[64];
		const struct pusher_config config = {.server = url, .pause_ms = 1};
		struct err e = ERR_INIT;

		snprintf(url, sizeof(url), "http://127.0.0.1:%u", s.port);
		assert_ok(pusher_new(&config, &p, &e));
	}
	add(p, "poison");
	add(p, "good");
	stats = finish(p, 30000);
	server_stop(&s);
	assert_int_equal(stats.retries, 19);
	assert_int_equal(stats.dropped, 1);
	assert_int_equal(stats.pushes, 1);
	assert_string_equal(s.taken, "good ");
}

/* The server goes, comes back on the same port: all arrives, in order, by way of the disk. */
static void an_absent_server_gets_all_in_order(void **state)
{
	static const int ok[] = {200};
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;
	unsigned port;
	char dir[64], spool[128];

	(void)state;
	test_dir_make(dir);
	snprintf(spool, sizeof(spool), "%s/spool", dir);
	server_start(&s, ok, 1);
	server_stop(&s);
	port = s.port;
	p = spooling_pusher_to(port, NULL, spool);
	add(p, "1");
	add(p, "2");
	wait_for_retries(p, 2);
	add(p, "3");
	pusher_stats(p, &stats);
	assert_int_equal(stats.spool.files, 3);
	assert_int_equal(stats.waiting, 0);
	server_start_at(&s, port, ok, 1);
	for (int i = 0; i < 2000 && s.requests < 3; i++)
		usleep(5000);
	add(p, "4");
	stats = finish(p, 10000);
	server_stop(&s);
	assert_string_equal(s.taken, "1 2 3 4 ");
	assert_int_equal(stats.pushes, 4);
	assert_in_range(stats.replayed, 3, 4);
	assert_int_equal(stats.samples, 4);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(stats.spool.files, 0);
	test_dir_remove(dir);
}

/* Stopped while the server is away: at once, and the next run sends what was left, then its own. */
static void the_next_run_sends_what_was_left(void **state)
{
	static const int ok[] = {200};
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;
	uint64_t start;
	char dir[64];

	(void)state;
	test_dir_make(dir);
	server_start(&s, ok, 1);
	server_stop(&s);
	p = spooling_pusher_to(s.port, NULL, dir);
	add(p, "1");
	add(p, "2");
	start = clock_mono_ms();
	stats = finish(p, 20000);
	assert_true(clock_mono_ms() - start < 10000);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(stats.spool.files, 2);
	server_start(&s, ok, 1);
	p = spooling_pusher_to(s.port, NULL, dir);
	add(p, "3");
	stats = finish(p, 10000);
	server_stop(&s);
	assert_string_equal(s.taken, "1 2 3 ");
	assert_int_equal(stats.spool.files, 0);
	test_dir_remove(dir);
}

/* A disk that takes nothing: memory has to do, one message, and nothing is lost. */
static void a_full_disk_leaves_memory(void **state)
{
	static const int ok[] = {200};
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;
	unsigned port;
	char dir[64];

	(void)state;
	test_dir_make(dir);
	server_start(&s, ok, 1);
	server_stop(&s);
	port = s.port;
	p = spooling_pusher_to(port, NULL, dir);
	io_fault_at(1, ENOSPC);
	add(p, "1");
	wait_for_retries(p, 1);
	for (int i = 0; i < 20; i++) {
		io_fault_at(1, ENOSPC);
		add(p, "x");
	}
	pusher_stats(p, &stats);
	assert_true(stats.disk_failures > 0);
	// One may be in the thread's hands.
	assert_in_range(stats.waiting + stats.spool.files, 20, 21);
	io_fault_off();
	server_start_at(&s, port, ok, 1);
	for (int i = 0; i < 4000 && s.requests < 21; i++)
		usleep(5000);
	stats = finish(p, 10000);
	server_stop(&s);
	assert_int_equal(stats.pushes, 21);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(strncmp(s.taken, "1 x x ", 6), 0);
	test_dir_remove(dir);
}

static void nobody_there_is_given_up_in_time(void **state)
{
	static const int ok[] = {200};
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;
	uint64_t start;

	(void)state;
	server_start(&s, ok, 1);
	server_stop(&s); // its port is free now
	p = pusher_to(s.port, NULL);
	add(p, "lost");
	start = clock_mono_ms();
	stats = finish(p, 700);
	assert_in_range(clock_mono_ms() - start, 500, 5000);
	assert_int_equal(stats.dropped, 1);
	assert_int_equal(stats.last.kind, ERR_UNAVAILABLE);
}

static void the_queue_is_bounded_in_bytes(void **state)
{
	static const int ok[] = {200};
	struct pusher_stats stats;
	struct server s;
	struct pusher *p;
	struct err e = ERR_INIT;

	(void)state;
	server_start(&s, ok, 1);
	server_stop(&s);
	p = pusher_to(s.port, NULL);
	for (int i = 0; i < 12; i++) {
		struct buf b = BUF_INIT(1 << 20);
		char *room = buf_reserve(&b, 1 << 20);

		memset(room, 'x', 1 << 20);
		buf_commit(&b, 1 << 20);
		assert_ok(pusher_add(p, &b, 1, &e));
	}
	pusher_stats(p, &stats);
	assert_in_range(stats.waiting, 7, 8); // one may be in the thread's hands
	assert_in_range(stats.dropped, 3, 4);
	finish(p, 0);
}

static void mistakes_are_named(void **state)
{
	static const char *const servers[] = {"ftp://x", "x:8002", "http://", "http://x:99999"};
	const struct pusher_config token = {.server = "http://x",
					    .token_file = "/nonexistent/token"};
	struct pusher *p;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < countof(servers); i++) {
		const struct pusher_config config = {.server = servers[i]};

		assert_int_equal(pusher_new(&config, &p, &e), -1);
		assert_err(&e, ERR_USAGE, servers[i]);
	}
	assert_int_equal(pusher_new(&token, &p, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "--token-file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_arrive_with_their_type_and_token),
		cmocka_unit_test(overload_is_retried),
		cmocka_unit_test(a_refusal_drops_the_body),
		cmocka_unit_test(a_refused_token_is_waited_for),
		cmocka_unit_test(a_refusal_does_not_delay_the_end),
		cmocka_unit_test(a_body_that_breaks_the_server_is_given_up),
		cmocka_unit_test(an_absent_server_gets_all_in_order),
		cmocka_unit_test(the_next_run_sends_what_was_left),
		cmocka_unit_test(a_full_disk_leaves_memory),
		cmocka_unit_test(nobody_there_is_given_up_in_time),
		cmocka_unit_test(the_queue_is_bounded_in_bytes),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests_name("pusher", tests, NULL, NULL);
}
