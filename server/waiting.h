/* SPDX-License-Identifier: Apache-2.0 */
/* Parking a request until binaries have settled: the ?wait= of the interface; or profiles are taken in. */
#ifndef SERVER_WAITING_H
#define SERVER_WAITING_H

#include "server/binaries.h"
#include "server/profiles.h"
#include "server/request.h"

/*
 * DOOR_PARKED: return that; the door is called again when what is pending has settled or the
 * deadline (clock_mono_ms()) is reached. DOOR_DONE: there is nothing to wait for, no time or no
 * room left, or the server stops: answer with what there is.
 */
int wait_for_view(struct request *rq, struct binaries *b, const struct binaries_view *v,
		  uint64_t deadline_ms, struct err *e) MUST_CHECK;

struct wait_binary {
	const struct build_id *ids;
	size_t n;
	enum binaries_until until;
	uint64_t deadline_ms;
};
int wait_for_binary(struct request *rq, struct binaries *b, const struct wait_binary *w,
		    struct err *e) MUST_CHECK;

/* The same until what was pushed before is in what profiles_query() sees. */
int wait_for_profiles(struct request *rq, struct profiles *p, uint64_t deadline_ms,
		      struct err *e) MUST_CHECK;

#endif
