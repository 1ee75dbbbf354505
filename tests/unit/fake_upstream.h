/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server for unit tests, on a free port of the loopback: answers paths as a table says, one
 * thread per connection, one request per connection; counts what was asked. It can be slow, cut answers
 * off, promise what it does not send, redirect, hang. Header-only.
 */
#ifndef TESTS_UNIT_FAKE_UPSTREAM_H
#define TESTS_UNIT_FAKE_UPSTREAM_H

#include "base/base.h"
#include "base/testing.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAKE_ROUTES_MAX = 16, FAKE_REQUEST_MAX = 8192 };

struct fake_route {
	const char *path; /* "/buildid/…" */
	int status;
	const void *body;
	size_t size;
	size_t promise;    /* Content-Length, where it is not `size` */
	const char *extra; /* further header lines, each with \r\n */
	unsigned delay_ms; /* before the answer */
	bool hang;         /* no answer until the server stops */
	atomic_uint asked;
};

struct fake_upstream {
	int fd;
	pthread_t thread;
	char url[64];
	struct fake_route routes[FAKE_ROUTES_MAX];
	unsigned route_count;
	atomic_uint unknown; /* requests for other paths: 404 */
	atomic_uint busy;    /* connections */
	atomic_bool stopping;
	pthread_mutex_t lock;
	char last_request[FAKE_REQUEST_MAX]; /* guarded by the lock */
};

struct fake_connection {
	struct fake_upstream *server;
	int fd;
};

UNUSED static void fake_sleep(struct fake_upstream *s, unsigned ms)
{
	for (unsigned slept = 0; slept < ms && !atomic_load(&s->stopping); slept += 10)
		usleep(10000);
}

static bool fake_read(int fd, char *text)
{
	size_t n = 0;

	while (n < FAKE_REQUEST_MAX - 1) {
		ssize_t got = read(fd, text + n, FAKE_REQUEST_MAX - 1 - n);

		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = '\0';
		if (strstr(text, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void fake_send(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		at += sent;
		n -= (size_t)sent;
	}
}

static struct fake_route *fake_find(struct fake_upstream *s, const char *request)
{
	for (unsigned i = 0; i < s->route_count; i++) {
		size_t n = strlen(s->routes[i].path);

		if (strncmp(request, "GET ", 4) == 0 &&
		    strncmp(request + 4, s->routes[i].path, n) == 0 && request[4 + n] == ' ')
			return &s->routes[i];
	}
	return NULL;
}

static void fake_answer(struct fake_upstream *s, int fd, const char *request)
{
	static const char absent[] =
		"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found";
	struct fake_route *r = fake_find(s, request);
	char head[1024];
	int n;

	if (!r) {
		atomic_fetch_add(&s->unknown, 1);
		fake_send(fd, absent, sizeof(absent) - 1);
		return;
	}
	atomic_fetch_add(&r->asked, 1);
	fake_sleep(s, r->hang ? UINT32_MAX : r->delay_ms);
	if (r->hang)
		return;
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", r->status,
		     r->promise ? r->promise : r->size, r->extra ? r->extra : "");
	fake_send(fd, head, (size_t)n);
	fake_send(fd, r->body, r->size);
}

static void *fake_serve_one(void *arg)
{
	struct fake_connection *c = arg;
	char request[FAKE_REQUEST_MAX];

	if (fake_read(c->fd, request)) {
		pthread_mutex_lock(&c->server->lock);
		snprintf(c->server->last_request, FAKE_REQUEST_MAX, "%s", request);
		pthread_mutex_unlock(&c->server->lock);
		fake_answer(c->server, c->fd, request);
	}
	close(c->fd);
	atomic_fetch_sub(&c->server->busy, 1);
	free(c);
	return NULL;
}

static void *fake_serve(void *arg)
{
	struct fake_upstream *s = arg;

	while (!atomic_load(&s->stopping)) {
		struct pollfd p = {s->fd, POLLIN, 0};
		struct fake_connection *c;
		pthread_t thread;
		int fd;

		if (poll(&p, 1, 20) <= 0)
			continue;
		fd = accept(s->fd, NULL, NULL);
		if (fd < 0)
			continue;
		c = calloc(1, sizeof(*c));
		*c = (struct fake_connection){s, fd};
		atomic_fetch_add(&s->busy, 1);
		pthread_create(&thread, NULL, fake_serve_one, c);
		pthread_detach(thread);
	}
	return NULL;
}

UNUSED static struct fake_upstream *fake_upstream_new(void)
{
	struct fake_upstream *s = calloc(1, sizeof(*s));
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pthread_mutex_init(&s->lock, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(listen(s->fd, 64), 0);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(at.sin_port));
	return s;
}

/* All routes are added before fake_upstream_start(). Strings and bodies are borrowed. */
UNUSED static struct fake_route *fake_upstream_route(struct fake_upstream *s, const char *path,
						     int status, const void *body, size_t size)
{
	struct fake_route *r = &s->routes[s->route_count++];

	r->path = path;
	r->status = status;
	r->body = body;
	r->size = size;
	return r;
}

UNUSED static void fake_upstream_start(struct fake_upstream *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, fake_serve, s), 0);
}

UNUSED static void fake_upstream_free(struct fake_upstream *s)
{
	atomic_store(&s->stopping, true);
	pthread_join(s->thread, NULL);
	while (atomic_load(&s->busy))
		usleep(5000);
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

#endif
