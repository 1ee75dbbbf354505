/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends request bodies to the server from a thread of its own, so that a slow server never keeps
 * the ring buffer from being read. The queue is bounded in bytes: when it is full the oldest body
 * is dropped and counted. Failures worth a retry (no connection, 429, 5xx) are retried with
 * growing, jittered pauses; others (a refused token, a malformed request) drop the body and are
 * logged.
 *
 * pusher_add() and pusher_stats() may be called from one other thread.
 */
#ifndef AGENT_PUSHER_H
#define AGENT_PUSHER_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { PUSHER_QUEUE_BYTES = 8 << 20 };

struct pusher_config {
	const char *server;	/* "http://host:8002", copied */
	const char *token_file; /* NULL: none; read once, now */
};

struct pusher_stats {
	uint64_t pushes; /* accepted by the server */
	uint64_t retries;
	uint64_t dropped; /* bodies given up: queue full, refused, or left at the end */
	uint64_t bytes;	  /* accepted */
	uint64_t waiting; /* bodies in the queue now */
	struct err last;  /* the newest failure; kind ERR_NONE when there was none */
};

struct pusher;

int pusher_new(const struct pusher_config *config, struct pusher **ret, struct err *e) MUST_CHECK;
/* Takes the bytes of body, which is empty after. */
int pusher_add(struct pusher *p, struct buf *body, struct err *e) MUST_CHECK;
void pusher_stats(struct pusher *p, struct pusher_stats *ret);
/* Waits up to grace_ms for the queue to empty, then stops; what is left counts as dropped. */
void pusher_stop(struct pusher *p, uint64_t grace_ms);
void pusher_free(struct pusher *p); /* stops it if that was not done; accepts NULL */

#endif
