/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load PORT CONNECTIONS SECONDS < REQUEST
 *
 * Sends one HTTP/1.1 request again and again to 127.0.0.1 over CONNECTIONS kept-alive connections, one
 * thread and one request in flight each, for SECONDS, at most SENT_MAX times. Where the request holds
 * MARK, its last twelve digits are counted up, so that each push has an ID of its own. Prints what came
 * back as JSON: anything but a 200 with a Content-Length is a failure, and ends its connection.
 */
#include "base/clock.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARK "00000000-0000-4000-8000-000000000000"

enum {
	CONNECTIONS_MAX = 64,
	SECONDS_MAX = 60,
	SENT_MAX = 1 << 20,
	REQUEST_MAX = 8 << 20,
	HEAD_MAX = 16 << 10,
	DIGITS = 12,
	PATIENCE_S = 20,
};

static char request[REQUEST_MAX];
static size_t request_size;
static size_t mark_at; // of its last digits; 0: none
static uint16_t port;
static uint64_t deadline;
static atomic_uint_fast64_t counter;

struct worker {
	pthread_t thread;
	uint64_t answered;
	uint64_t bytes;
	const char *failure;
	int status; // of the failure, if it was an answer
};

static uint32_t *latencies; // µs, of all workers, in the order of their counter
static struct worker workers[CONNECTIONS_MAX];

static int dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static bool send_request(int fd, uint64_t number)
{
	char digits[DIGITS + 1];

	if (!mark_at)
		return send_all(fd, request, request_size);
	snprintf(digits, sizeof(digits), "%0*llu", DIGITS, (unsigned long long)number);
	return send_all(fd, request, mark_at) && send_all(fd, digits, DIGITS) &&
	       send_all(fd, request + mark_at + DIGITS, request_size - mark_at - DIGITS);
}

// The head and whatever of the body came with it; 0 when the connection broke first.
static size_t read_head(int fd, char head[static HEAD_MAX], const char **ret_end)
{
	size_t n = 0;

	while (n < HEAD_MAX - 1) {
		ssize_t got = recv(fd, head + n, HEAD_MAX - 1 - n, 0);

		if (got <= 0)
			return 0;
		n += (size_t)got;
		head[n] = 0;
		*ret_end = strstr(head, "\r\n\r\n");
		if (*ret_end)
			return n;
	}
	return 0;
}

static bool skip_body(int fd, size_t n)
{
	char sink[32 << 10];

	while (n) {
		ssize_t got = recv(fd, sink, n < sizeof(sink) ? n : sizeof(sink), 0);

		if (got <= 0)
			return false;
		n -= (size_t)got;
	}
	return true;
}

static bool read_answer(int fd, struct worker *w)
{
	static const char length_name[] = "\r\nContent-Length: ";
	char head[HEAD_MAX];
	const char *end = NULL, *length;
	size_t got = read_head(fd, head, &end), body, here;
	uint64_t n;

	w->failure = "the connection broke";
	if (!got)
		return false;
	w->failure = "not a 200";
	w->status = (head[9] - '0') * 100 + (head[10] - '0') * 10 + head[11] - '0';
	if (w->status != 200)
		return false;
	w->failure = "no Content-Length";
	length = strcasestr(head, length_name);
	if (!length || length > end)
		return false;
	length += sizeof(length_name) - 1;
	if (!str_to_u64((struct str){length, strcspn(length, "\r")}, UINT32_MAX, &n))
		return false;
	w->failure = "the body broke off";
	body = (size_t)n;
	here = got - (size_t)(end + 4 - head);
	if (here > body || !skip_body(fd, body - here))
		return false;
	w->bytes += body;
	w->failure = NULL;
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int fd = dial();

	if (fd < 0) {
		w->failure = "cannot connect";
		return NULL;
	}
	while (clock_mono_ns() < deadline) {
		uint64_t number = atomic_fetch_add(&counter, 1);
		uint64_t start = clock_mono_ns();

		if (number >= SENT_MAX)
			break;
		w->failure = "cannot send";
		if (!send_request(fd, number) || !read_answer(fd, w))
			break;
		latencies[number] = (uint32_t)((clock_mono_ns() - start) / 1000) + 1;
		w->answered++;
	}
	close(fd);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(uint64_t connections, double seconds)
{
	uint64_t answered = 0, failed = 0, bytes = 0;
	const struct worker *bad = NULL;
	uint32_t *ms;

	for (uint64_t i = 0; i < connections; i++) {
		answered += workers[i].answered;
		bytes += workers[i].bytes;
		failed += workers[i].failure != NULL;
		bad = workers[i].failure ? &workers[i] : bad;
	}
	// Zeros, the requests that failed, sort to the front.
	qsort(latencies, SENT_MAX, sizeof(*latencies), compare);
	ms = latencies + SENT_MAX - answered;
	printf("{\"answered\":%llu,\"failed\":%llu,\"failure\":\"%s\",\"status\":%d,\"seconds\":%.6f,"
	       "\"bytes\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
	       (unsigned long long)answered, (unsigned long long)failed, bad ? bad->failure : "",
	       bad ? bad->status : 0, seconds, (unsigned long long)bytes,
	       answered ? ms[answered / 2] / 1e3 : 0, answered ? ms[answered * 99 / 100] / 1e3 : 0,
	       answered ? ms[answered - 1] / 1e3 : 0);
}

static bool read_request(void)
{
	const char *mark;

	request_size = fread(request, 1, sizeof(request), stdin);
	mark = memmem(request, request_size, MARK, sizeof(MARK) - 1);
	mark_at = mark ? (size_t)(mark - request) + sizeof(MARK) - 1 - DIGITS : 0;
	return request_size > 0 && request_size < sizeof(request);
}

int main(int argc, char **argv)
{
	uint64_t port_number, connections, seconds, start;

	if (argc != 4 || !str_to_u64(str_from(argv[1]), UINT16_MAX, &port_number) ||
	    !str_to_u64(str_from(argv[2]), CONNECTIONS_MAX, &connections) ||
	    !str_to_u64(str_from(argv[3]), SECONDS_MAX, &seconds) || !read_request()) {
		fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS < REQUEST\n");
		return 2;
	}
	latencies = calloc(SENT_MAX, sizeof(*latencies));
	if (!latencies)
		return 1;
	port = (uint16_t)port_number;
	start = clock_mono_ns();
	deadline = start + seconds * 1000000000u;
	for (uint64_t i = 0; i < connections; i++) {
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	for (uint64_t i = 0; i < connections; i++)
		pthread_join(workers[i].thread, NULL);
	report(connections, (double)(clock_mono_ns() - start) / 1e9);
	free(latencies);
	return 0;
}
