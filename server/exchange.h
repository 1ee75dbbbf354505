/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of a request through threads. I/O threads (libmicrohttpd's pool) read and write sockets
 * and run LANE_IO doors; every other door runs on a worker of its lane, with the connection
 * suspended, so that no I/O thread ever waits. A door that has to wait for something parks: no
 * thread is held, a waker brings the request back to its lane.
 *
 *   NEW ─▶ BODY ⇄ FEEDING        the body: buffered, or handed to the sink in pieces (suspended)
 *           └──▶ RUNNING ⇄ parked  the door (suspended)
 *                  └──▶ ANSWER ─▶ SENT
 *   NEW, BODY, FEEDING ─▶ DISCARD  answered early; what still comes of the body is thrown away
 *
 * Who owns a request: the I/O thread, until it suspends the connection and pushes the request to a
 * lane; the worker, until it parks or resumes it; then the I/O thread again. Each hand-over goes
 * through a lock (the lane's queue, ours, libmicrohttpd's), which is what makes plain fields safe.
 * While a connection is suspended, libmicrohttpd neither times it out nor looks at its socket: a
 * client that has gone is found out when the answer is sent. The request's memory is given back in
 * the completion callback, and its shell when the last waker has come back.
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "base/err.h"
#include "server/request.h"
#include <microhttpd.h>

struct exchanges;

struct lane_config {
	unsigned threads;
	size_t queue; /* requests that may wait for a worker; beyond: ERR_OVERLOADED */
};

struct exchange_config {
	const struct route *routes; /* ends with a NULL name; at most METRIC_ROUTES_MAX */
	void *app;
	/*
	 * Fills *ret or refuses (ERR_UNAUTHORIZED, ERR_FORBIDDEN). I/O thread: quick. NULL: all
	 * may.
	 */
	int (*authorize)(void *app, const struct request *rq, struct principal *ret, struct err *e);
	struct lane_config lanes[LANE_COUNT]; /* LANE_IO's is ignored */
	size_t max_parked;
	uint64_t max_body;	  /* of one buffered body */
	uint64_t max_body_memory; /* of all bodies in memory together; beyond: ERR_OVERLOADED */
};

enum { METRIC_ROUTES_MAX = 31 };

int exchanges_new(const struct exchange_config *cfg, struct exchanges **ret,
		  struct err *e) MUST_CHECK;
/* After MHD_stop_daemon(). Wakers still out stay valid; each frees its shell. */
void exchanges_free(struct exchanges *set);

/* From now on answers say Connection: close. */
void exchanges_drain(struct exchanges *set);
bool exchanges_draining(const struct exchanges *set);
/* Waits until no request is under way, at most so long. False when some still are. */
bool exchanges_wait_idle(struct exchanges *set, uint64_t timeout_ms);
/*
 * Parked requests are woken, none may park any more. True when no connection is suspended, which
 * MHD_stop_daemon() insists on; false when a worker has had one until the time was over. Call again.
 */
bool exchanges_stop(struct exchanges *set, uint64_t timeout_ms);
/* Sets the gauges; for /metrics. */
void exchanges_measure(struct exchanges *set);

/* ---- libmicrohttpd's callbacks; cls is struct exchanges * ---------------------------------- */

void *exchange_on_target(void *cls, const char *target, struct MHD_Connection *c);
enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *c, const char *url,
				    const char *method, const char *version, const char *data,
				    size_t *data_size, void **con_cls);
void exchange_on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
			   enum MHD_RequestTerminationCode how);

/* ---- for doors ----------------------------------------------------------------------------- */

/* May this request wait now? Not while the server stops, nor when too many do. */
bool request_may_park(struct request *rq);
/*
 * The same for a wait of milliseconds (a disk), for which there is room when long waits have filled
 * theirs.
 */
bool request_may_park_briefly(struct request *rq);
/*
 * What to give to whoever shall wake the request, with request_wake() or request_wake_with(); a
 * reference that must come back exactly once, by a wake or by request_waker_drop(). The door then
 * returns DOOR_PARKED; a wake that comes before that is not lost.
 */
void *request_waker(struct request *rq);
void request_waker_drop(void *waker);
void request_wake(void *waker);
void request_wake_with(void *waker, const struct err *failure /* NULL: none */);
/* Woken because the server stops, not because what it waited for has come. */
bool request_cancelled(const struct request *rq);

#endif
