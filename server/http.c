/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, URL_MAX = 80, MHD_MEMORY_STEP = 16 * 1024, LAST_WORDS_MS = 1000, END_WAITS_MS = 3000 };

struct http {
	struct MHD_Daemon *daemon;
	struct exchanges *exchanges;
	struct http_config cfg; // what http_start() needs; its strings are not kept
	int fd;			// the listening socket; -1 once given back
	bool drained;
	uint16_t port;
	char url[URL_MAX];
};

// "[::1]:8002" → host, port; brackets optional where there is one colon.
static int split_listen(const char *listen, char host[static 64], char port[static 8],
			struct err *e)
{
	struct str s = str_from(listen);
	const char *colon = strrchr(listen, ':');
	struct str h = {listen, colon ? (size_t)(colon - listen) : 0};
	uint64_t n;

	if (!colon || !str_to_u64(str_skip(s, h.n + 1), UINT16_MAX, &n))
		return err_set(e, ERR_CONFIG, "listen '%s' is not ADDR:PORT", listen);
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = (struct str){h.p + 1, h.n - 2};
	if (!h.n)
		h = STR("::");
	if (str_is(h, "localhost"))
		h = STR("127.0.0.1");
	if (str_is(h, "*"))
		h = STR("::");
	if (h.n >= 64)
		return err_set(e, ERR_CONFIG, "listen '%s': the address is too long", listen);
	memcpy(host, h.p, h.n);
	host[h.n] = '\0';
	snprintf(port, 8, "%u", (unsigned)n);
	return 0;
}

// Numeric addresses only: a name that resolves differently tomorrow is no place to listen on.
static int resolve_listen(const char *listen, struct addrinfo **ret, struct err *e)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	char host[64];
	char port[8];
	int rc;

	if (split_listen(listen, host, port, e))
		return -1;
	rc = getaddrinfo(host, port, &hints, ret);
	if (rc)
		return err_set(e, ERR_CONFIG, "listen '%s': %s (a numeric address is needed)",
			       listen, gai_strerror(rc));
	return 0;
}

static bool is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

int http_listen_is_loopback(const char *listen, bool *ret, struct err *e)
{
	struct addrinfo *list;
	bool all = true;

	if (resolve_listen(listen, &list, e))
		return -1;
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		all = all && is_loopback(a->ai_addr);
	freeaddrinfo(list);
	*ret = all;
	return 0;
}

static int bind_to(const struct addrinfo *a, const char *listen_text, struct err *e)
{
	_cleanup_close_ int fd =
		socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int off = 0;

	if (fd < 0)
		return err_sys(e, errno, "making a socket for %s", listen_text);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, a->ai_addr, a->ai_addrlen))
		return err_sys(e, errno, "listening on %s", listen_text);
	if (listen(fd, BACKLOG))
		return err_sys(e, errno, "listening on %s", listen_text);
	return steal_fd(&fd);
}

static int open_socket(struct http *h, const char *listen_text, struct err *e)
{
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof(ss);
	struct addrinfo *list;
	char host[NI_MAXHOST];
	char port[NI_MAXSERV];

	if (resolve_listen(listen_text, &list, e))
		return -1;
	h->fd = bind_to(list, listen_text, e);
	freeaddrinfo(list);
	if (h->fd < 0)
		return -1;
	if (getsockname(h->fd, (struct sockaddr *)&ss, &n) ||
	    getnameinfo((struct sockaddr *)&ss, n, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return err_sys(e, errno, "asking for the address of the listening socket");
	h->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
						 : ((struct sockaddr_in *)&ss)->sin_port);
	snprintf(h->url, sizeof(h->url),
		 ss.ss_family == AF_INET6 ? "http://[%.46s]:%u" : "http://%.46s:%u", host, h->port);
	return 0;
}

// libmicrohttpd's own complaints are about clients that vanish or talk nonsense.
static void PRINTF(2, 0) log_mhd(UNUSED void *cls, const char *fmt, va_list ap)
{
	char text[512];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n > 0)
		LOG(LOG_DEBUG, "libmicrohttpd", {"msg", LOG_STR(str_trim(str_from(text)))});
}

// Paths and arguments are decoded by server/target.h alone.
static size_t leave_escaped(UNUSED void *cls, UNUSED struct MHD_Connection *c, char *s)
{
	return strlen(s);
}

int http_start(struct http *h, struct err *e)
{
	const struct http_config *cfg = &h->cfg;
	const struct MHD_OptionItem options[] = {
		{MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_mhd,
		 NULL}, // first: the others may complain
		{MHD_OPTION_LISTEN_SOCKET, h->fd, NULL},
		{MHD_OPTION_THREAD_POOL_SIZE, cfg->io_threads, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, cfg->max_connections, NULL},
		{MHD_OPTION_PER_IP_CONNECTION_LIMIT, cfg->max_connections_per_ip, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)cfg->connection_memory, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_INCREMENT, MHD_MEMORY_STEP, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)((cfg->idle_timeout_ms + 999) / 1000),
		 NULL},
		{MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
		{MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
		{MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_escaped, NULL},
		{MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)exchange_on_target, h->exchanges},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)exchange_on_completed, h->exchanges},
		{MHD_OPTION_END, 0, NULL},
	};

	h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
					     MHD_USE_ERROR_LOG,
				     0, NULL, NULL, exchange_on_request, h->exchanges,
				     MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (!h->daemon)
		return err_set(e, ERR_CONFIG,
			       "libmicrohttpd did not start on %s with %u threads and "
			       "%u connections",
			       h->url, cfg->io_threads, cfg->max_connections);
	return 0;
}

int http_open(const struct http_config *cfg, struct http **ret, struct err *e)
{
	struct http *h = mem_zalloc(sizeof(*h));

	if (!h)
		return err_nomem(e);
	h->fd = -1;
	h->cfg = *cfg;
	h->cfg.listen = NULL;
	if (open_socket(h, cfg->listen, e) || exchanges_new(&cfg->exchange, &h->exchanges, e)) {
		http_stop(h);
		return -1;
	}
	*ret = h;
	return 0;
}

const char *http_url(const struct http *h)
{
	return h->url;
}

uint16_t http_port(const struct http *h)
{
	return h->port;
}

struct exchanges *http_exchanges(struct http *h)
{
	return h->exchanges;
}

bool http_drain(struct http *h, uint64_t drain_ms)
{
	exchanges_drain(h->exchanges);
	h->drained = true;
	h->fd = MHD_quiesce_daemon(h->daemon);
	// Whoever comes now is refused. It stays open: a worker may be about to take it out of its epoll
	// set, and ends the program where that fails.
	if (h->fd >= 0)
		shutdown(h->fd, SHUT_RDWR);
	if (!exchanges_wait_idle(h->exchanges, drain_ms))
		LOG(LOG_WARN, "drain_timeout", {"drain_ms", LOG_U(drain_ms)});
	return exchanges_stop(h->exchanges, END_WAITS_MS);
}

// The daemon closes connections that are idle or still sending; it must not see a suspended one.
static void stop_daemon(struct http *h)
{
	if (!h->drained)
		(void)http_drain(h, 0);
	while (!exchanges_stop(h->exchanges, END_WAITS_MS))
		LOG(LOG_WARN, "worker_busy_at_stop");
	// Those whose wait was ended have an answer now; give it the time to leave.
	(void)exchanges_wait_idle(h->exchanges, LAST_WORDS_MS);
	MHD_stop_daemon(h->daemon);
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	if (h->daemon)
		stop_daemon(h);
	if (h->fd >= 0)
		close(h->fd);
	exchanges_free(h->exchanges);
	free(h);
}
