/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers GET /metrics with what base/metrics.h has, one connection after the other, from a thread of
 * its own without any capability. As little HTTP/1.1 as a scraper needs: a request's head within two
 * seconds and 4 KiB, one answer, and the connection ends. (libmicrohttpd would do it too, and bring
 * TLS libraries and 3 MB of memory into a privileged process.)
 */
#ifndef AGENT_METRICS_SERVER_H
#define AGENT_METRICS_SERVER_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct metrics_server;

/* address: "127.0.0.1:9102", "[::1]:9102", ":9102" (all addresses). ERR_USAGE, ERR_IO. */
int metrics_server_new(const char *address, struct metrics_server **ret, struct err *e) MUST_CHECK;
unsigned metrics_server_port(const struct metrics_server *s);
void metrics_server_free(struct metrics_server *s); /* accepts NULL */

/* The whole answer to a request's head, which ends with an empty line or is cut off. */
void metrics_answer(struct str head, struct buf *out);

#endif
