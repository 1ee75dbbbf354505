/* SPDX-License-Identifier: Apache-2.0 */
#include "server/waiting.h"

#include "base/clock.h"
#include "server/exchange.h"

static bool may_wait(struct request *rq, uint64_t deadline_ms)
{
	return clock_mono_ms() < deadline_ms && request_may_park(rq);
}

static struct binaries_waiting waiting(struct request *rq, uint64_t deadline_ms)
{
	uint64_t now = clock_mono_ms();

	return (struct binaries_waiting){
		.wait_ms = deadline_ms > now ? deadline_ms - now : 0,
		.wake = request_wake,
		.ctx = request_waker(rq),
	};
}

// Only an accepted wait uses the waker.
static int settle(const struct binaries_waiting *w, int rc)
{
	if (rc == 0)
		return DOOR_PARKED;
	request_waker_drop(w->ctx);
	return rc < 0 ? -1 : DOOR_DONE;
}

int wait_for_view(struct request *rq, struct binaries *b, const struct binaries_view *v,
		  uint64_t deadline_ms, struct err *e)
{
	struct binaries_waiting w;

	if (!binaries_view_pending(v) || !may_wait(rq, deadline_ms))
		return DOOR_DONE;
	w = waiting(rq, deadline_ms);
	return settle(&w, binaries_wait(b, v, &w, e));
}

int wait_for_binary(struct request *rq, struct binaries *b, const struct wait_binary *wb,
		    struct err *e)
{
	struct binaries_waiting w;

	if (!may_wait(rq, wb->deadline_ms))
		return DOOR_DONE;
	w = waiting(rq, wb->deadline_ms);
	return settle(&w, binaries_wait_id(b, wb->ids, wb->n, wb->until, &w, e));
}

int wait_for_profiles(struct request *rq, struct profiles *p, uint64_t deadline_ms, struct err *e)
{
	struct binaries_waiting w;

	if (!request_may_park_briefly(rq))
		return DOOR_DONE;
	w = waiting(rq, deadline_ms);
	return settle(&w, profiles_wait(p, &w, e));
}
