/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/metrics_server.h"

#include "agent-lite/rights/rights.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/thread.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEAD_MAX = 4096,
	ANSWER_MAX = 1 << 20,
	CLIENT_MS = 2000, // for the head, and again for the answer
	BACKLOG = 16,
	ADDRESS_MAX = 256,
};

struct metrics_server {
	struct thread thread;
	int listener;
	int stop; /* eventfd */
};

/* ---- answering ------------------------------------------------------------------------------- */

static void put_answer(struct buf *out, const char *status, const char *type, struct str body,
		       bool with_body)
{
	buf_printf(out,
		   "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		   "Connection: close\r\n\r\n",
		   status, type, body.n);
	if (with_body)
		buf_append_str(out, body);
}

static void put_plain(struct buf *out, const char *status, struct str text)
{
	put_answer(out, status, "text/plain; charset=utf-8", text, true);
}

void metrics_answer(struct str head, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(ANSWER_MAX);
	struct str line, method, path, path_only;
	bool is_head;

	if (!str_next(&head, '\n', &line) || !head.p || !str_next(&line, ' ', &method) ||
	    !str_next(&line, ' ', &path) || !str_has_prefix(line, STR("HTTP/1."))) {
		put_plain(out, "400 Bad Request", STR("not an HTTP/1 request\n"));
		return;
	}
	is_head = str_is(method, "HEAD");
	if (!str_next(&path, '?', &path_only))
		path_only = path;
	if (!is_head && !str_is(method, "GET")) {
		put_plain(out, "405 Method Not Allowed", STR("GET /metrics\n"));
	} else if (!str_is(path_only, "/metrics")) {
		put_plain(out, "404 Not Found", STR("GET /metrics\n"));
	} else {
		metrics_write(&text, UNHEX_VERSION);
		put_answer(out, "200 OK", "text/plain; version=0.0.4; charset=utf-8",
			   buf_str(&text), !is_head);
	}
}

/* ---- one client ------------------------------------------------------------------------------ */

/* False: too late, or told to stop. */
static bool wait_for(const struct metrics_server *s, int fd, short events, uint64_t deadline)
{
	struct pollfd fds[] = {{fd, events, 0}, {s->stop, POLLIN, 0}};
	uint64_t now = clock_mono_ms();

	return now < deadline && poll(fds, countof(fds), (int)(deadline - now)) > 0 &&
	       !fds[1].revents;
}

/* False: no whole head came. */
static bool read_head(const struct metrics_server *s, int fd, char head[static HEAD_MAX],
		      size_t *ret_n)
{
	uint64_t deadline = clock_mono_ms() + CLIENT_MS;
	size_t n = 0;

	while (n < HEAD_MAX && wait_for(s, fd, POLLIN, deadline)) {
		ssize_t got = recv(fd, head + n, HEAD_MAX - n, MSG_DONTWAIT);

		if (got <= 0)
			return false;
		n += (size_t)got;
		if (memmem(head, n, "\r\n\r\n", 4)) {
			*ret_n = n;
			return true;
		}
	}
	return false;
}

static void write_answer(const struct metrics_server *s, int fd, struct str answer)
{
	uint64_t deadline = clock_mono_ms() + CLIENT_MS;

	while (answer.n > 0 && wait_for(s, fd, POLLOUT, deadline)) {
		ssize_t put = send(fd, answer.p, answer.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put < 0 && errno != EAGAIN)
			return;
		answer = str_skip(answer, (size_t)MAX(put, (ssize_t)0));
	}
	shutdown(fd, SHUT_WR);
}

static void serve(const struct metrics_server *s, int fd)
{
	_cleanup_(buf_deinit) struct buf answer = BUF_INIT(ANSWER_MAX + HEAD_MAX);
	char head[HEAD_MAX];
	size_t n;

	if (!read_head(s, fd, head, &n))
		return;
	metrics_answer((struct str){head, n}, &answer);
	if (!answer.failed)
		write_answer(s, fd, buf_str(&answer));
}

static void *run(void *arg)
{
	const struct metrics_server *s = arg;
	struct pollfd fds[] = {{s->listener, POLLIN, 0}, {s->stop, POLLIN, 0}};
	struct err err = ERR_INIT;

	if (rights_keep(RIGHTS_FOR_NOTHING, &err) < 0)
		log_err(LOG_WARN, "rights_kept", &err, NULL);
	while (poll(fds, countof(fds), -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			break;
		_cleanup_close_ int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			serve(s, fd);
		else
			usleep(10 * 1000); // no descriptors left, say: not in a tight loop
	}
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* "[::1]:9102" into host and port; an empty host means all. */
static bool split(const char *address, char host[static ADDRESS_MAX], const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;
	uint64_t port;

	if (!colon || n >= ADDRESS_MAX || !str_to_u64(str_from(colon + 1), UINT16_MAX, &port))
		return false;
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (memchr(address, ':', n)) {
		return false; // an IPv6 address without brackets, whose last part is no port
	}
	memcpy(host, address, n);
	host[n] = 0;
	*ret_port = colon + 1;
	return true;
}

static int listen_at(const struct addrinfo *a)
{
	_cleanup_close_ int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
					a->ai_protocol);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -1;
	return steal_fd(&fd);
}

static int open_listener(const char *address, int *ret, struct err *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char host[ADDRESS_MAX];
	const char *port;
	int fd, r;

	if (!split(address, host, &port))
		return err_set(e, ERR_USAGE, "--metrics %s: give it as ADDRESS:PORT", address);
	r = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (r != 0)
		return err_set(e, ERR_USAGE, "--metrics %s: %s", address, gai_strerror(r));
	fd = listen_at(found);
	r = errno;
	freeaddrinfo(found);
	if (fd < 0)
		return err_sys(e, r, "--metrics %s", address);
	*ret = fd;
	return 0;
}

int metrics_server_new(const char *address, struct metrics_server **ret, struct err *e)
{
	struct metrics_server *s = mem_zalloc(sizeof(*s));

	if (!s)
		return err_nomem(e);
	s->listener = -1;
	s->stop = eventfd(0, EFD_CLOEXEC);
	if (s->stop < 0)
		err_sys(e, errno, "eventfd");
	if (s->stop < 0 || open_listener(address, &s->listener, e) < 0 ||
	    thread_start(&s->thread, "metrics", run, s, e) < 0) {
		metrics_server_free(s);
		return -1;
	}
	*ret = s;
	return 0;
}

unsigned metrics_server_port(const struct metrics_server *s)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof(a);

	if (getsockname(s->listener, (struct sockaddr *)&a, &size) < 0)
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

void metrics_server_free(struct metrics_server *s)
{
	if (!s)
		return;
	if (s->stop >= 0 && s->thread.started && eventfd_write(s->stop, 1) == 0)
		thread_join(&s->thread);
	if (s->listener >= 0)
		close(s->listener);
	if (s->stop >= 0)
		close(s->stop);
	free(s);
}
