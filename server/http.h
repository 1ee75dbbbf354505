/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP listener: a socket, libmicrohttpd 0.9.75 with an epoll thread pool on it, and the
 * exchanges (server/exchange.h) that its callbacks drive. HTTP/1.1 without TLS. Start and stop on
 * one thread.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "base/err.h"
#include "server/exchange.h"

struct http;

struct http_config {
	const char *listen; /* ADDR:PORT, [ADDR]:PORT; port 0: any free one */
	unsigned io_threads;
	unsigned max_connections;
	unsigned max_connections_per_ip;
	size_t connection_memory; /* bytes of buffer per connection */
	uint64_t idle_timeout_ms; /* a connection without progress for so long is closed */
	struct exchange_config exchange;
};

/* Is every address that ADDR:PORT stands for a loopback one? ERR_CONFIG where it does not parse. */
int http_listen_is_loopback(const char *listen, bool *ret, struct err *e) MUST_CHECK;

/* Binds the socket and starts the lanes: clients may connect, and wait. */
int http_open(const struct http_config *cfg, struct http **ret, struct err *e) MUST_CHECK;
/* Requests run from now on, and may use *h. */
int http_start(struct http *h, struct err *e) MUST_CHECK;
/* "http://127.0.0.1:8002" */
const char *http_url(const struct http *h);
uint16_t http_port(const struct http *h);
struct exchanges *http_exchanges(struct http *h);
/*
 * Stops accepting, lets requests under way finish for at most drain_ms, then ends the waits of parked
 * ones. False when a worker still has a request: end what it is busy with before http_stop(), which
 * waits for it.
 */
bool http_drain(struct http *h, uint64_t drain_ms);
/* Ends connections, joins, frees. Drains without patience where that was not done. Accepts NULL. */
void http_stop(struct http *h);

#endif
