/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of the exchange share: exchange.c is the I/O thread's side (head, body,
 * answer), exchange_lanes.c the workers' side (lanes, parking, the set's life). Nobody else
 * includes this.
 */
#ifndef SERVER_EXCHANGE_INTERNAL_H
#define SERVER_EXCHANGE_INTERNAL_H

#include "base/queue.h"
#include "server/exchange.h"
#include <pthread.h>
#include <stdatomic.h>

enum stage {
	STAGE_NEW,
	STAGE_BODY,
	STAGE_FEEDING,
	STAGE_RUNNING,
	STAGE_ANSWER,
	STAGE_SENT,
	STAGE_DISCARD,
};

enum park { PARK_RUNNING, PARK_WAITING, PARK_WOKEN, PARK_OVER };

struct exchange {
	struct request rq;
	struct exchanges *set;
	struct MHD_Connection *conn;
	enum stage stage;
	struct err bad_target; /* kept until there is a handler call to say so */
	struct buf piece;      /* of a streamed body, not yet fed */
	bool sunk;	       /* the sink has had its last piece */
	uint64_t charged;      /* of set->body_memory */
	uint64_t body_from_ms;
	uint64_t discard_from_ms;
	uint64_t discarded;

	/* guarded by set->lock */
	enum park park;
	bool cancelled;
	unsigned refs;		      /* the connection's, and one per waker */
	struct exchange *prev, *next; /* in set->parked */
};

struct exchanges {
	struct exchange_config cfg;
	struct pool *lanes[LANE_COUNT];
	atomic_bool draining;
	_Atomic uint64_t body_memory;

	/* guards what follows, and some of each exchange; a lane's lock nests inside */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* active or suspended went down */
	unsigned refs;		/* the owner's, and one per exchange */
	bool stopping;
	struct exchange *parked;
	size_t parked_count;
	size_t active;
	size_t suspended;
};

/*
 * Suspends, and hands over to a worker. A connection is suspended only here, and only in a stage in
 * which it is not, hence never twice. *x is not the caller's any more.
 */
void exchange_hand_over(struct exchange *x, enum stage stage);
void exchange_unref(struct exchange *x);
void exchange_release_body_memory(struct exchange *x);
/* For an answer that is given while the body still comes; the stage is DISCARD after. */
void exchange_answer_early(struct exchange *x);

#endif
