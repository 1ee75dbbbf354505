/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push bodies in memory, oldest first. A plain list; its owner locks.
 */
#ifndef AGENT_PUSH_QUEUE_H
#define AGENT_PUSH_QUEUE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

struct push_body {
	struct push_body *next;
	char *bytes;
	size_t n;
	uint64_t sequence; /* grows with age; 0 is none */
	uint64_t samples;  /* what is lost with it */
	bool on_disk;	   /* in the spool, too */
};

struct push_queue {
	struct push_body *first, *last;
	size_t count;
	size_t bytes;
};

/* Takes the bytes of body, which is empty after. */
int push_body_new(struct buf *body, uint64_t samples, struct push_body **ret, struct err *e)
	MUST_CHECK;
void push_body_free(struct push_body *b); /* accepts NULL */
DEFINE_CLEANUP(struct push_body *, push_body_free)

/* The body is the queue's after these. */
void push_queue_put_first(struct push_queue *q, struct push_body *b);
void push_queue_put_last(struct push_queue *q, struct push_body *b);
/* The oldest, which is the caller's then; NULL: empty. */
struct push_body *push_queue_take(struct push_queue *q);

#endif
