/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends request bodies to the server from a thread of its own, in order, so that a slow server never
 * keeps the ring buffer from being read. As long as the server takes them they wait in memory alone;
 * once it does not, they go to the spool (if there is one), and a new body never overtakes an older
 * one. Where the disk refuses too, they stay in memory, up to PUSHER_QUEUE_BYTES; then the oldest is
 * dropped and counted.
 *
 * A failure is retried with growing, jittered pauses (or after Retry-After), whatever it is, save
 * answers that say that this very body will never be taken (400, 413, 415, 422, …): these drop it. A
 * refused token (401, 403) or a wrong path (404) is the operator's to mend, on either side, so the
 * bodies wait for that; the token file is read again each time.
 *
 * pusher_add() and pusher_stats() may be called from one other thread.
 */
#ifndef AGENT_PUSHER_H
#define AGENT_PUSHER_H

#include "agent-lite/ship/spool.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	PUSHER_QUEUE_BYTES = 8 << 20,
	PUSHER_SPILL_BYTES = 512 << 10, /* in memory, while the server is well; beyond, to the spool */
};

struct pusher_config {
	const char *server;	/* "http://host:8002", copied */
	const char *token_file; /* NULL: none; copied */
	const char *spool_dir;	/* NULL: none */
	uint64_t spool_bytes;	/* at most, on disk */
	uint64_t pause_ms;	/* after the first failure; 0: 500. Grows to 120 times that */
};

struct pusher_stats {
	uint64_t pushes;  /* accepted by the server */
	uint64_t bytes;	  /* of these */
	uint64_t samples; /* of these */
	uint64_t retries;
	uint64_t replayed;	  /* of the pushes: from the spool */
	uint64_t refused;	  /* bodies that the server will never take */
	uint64_t dropped;	  /* bodies given up: refused, queue full, or left at the end */
	uint64_t dropped_bytes;	  /* of these */
	uint64_t dropped_samples; /* of these */
	uint64_t disk_failures;	  /* bodies that stayed in memory since the disk did not take them */
	uint64_t waiting;	  /* bodies in memory now */
	uint64_t waiting_bytes;
	struct spool_stats spool; /* zeros without one */
	struct err last;	  /* the newest failure; kind ERR_NONE when there was none */
};

struct pusher;

int pusher_new(const struct pusher_config *config, struct pusher **ret, struct err *e) MUST_CHECK;
/* Takes the bytes of body, which is empty after. samples: in it, for the counts. */
int pusher_add(struct pusher *p, struct buf *body, uint64_t samples, struct err *e) MUST_CHECK;
void pusher_stats(struct pusher *p, struct pusher_stats *ret);
/*
 * Waits up to grace_ms for everything to be sent, not longer than it takes to see that it cannot be;
 * then stops. What is left goes to the spool; without one it counts as dropped.
 */
void pusher_stop(struct pusher *p, uint64_t grace_ms);
void pusher_free(struct pusher *p); /* stops it if that was not done; accepts NULL */

#endif
