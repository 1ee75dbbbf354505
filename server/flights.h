/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flights: what is under way for a binary that is wanted or has new files. There is one per binary; who
 * comes later joins. A flight is a state machine: a step runs on a pool thread (intake: deciding, probing,
 * storing; index: building indexes) or is out with the upstream thread, and ends by starting the next one;
 * at any time exactly one thread, or the upstream fetch, owns it. flight_steps.c has the steps.
 *
 * A flight is known under the texts of the IDs it was asked by, and under "#ROW" once its row is known;
 * only the holder of "#ROW" indexes that binary. When two turn out to be about the same row, one takes in
 * the other.
 *
 * Waiters are woken when what they wait for cannot get nearer: UNTIL_FILES when no more files will come,
 * UNTIL_INDEXED when an index over the files known when they came was published, or could not be.
 *
 * Thread-safe. The lock (struct flights) is taken before that of waiters, and held for map operations.
 */
#ifndef SERVER_FLIGHTS_H
#define SERVER_FLIGHTS_H

#include "base/build_id.h"
#include "base/err.h"
#include "base/json.h"
#include "debuginfod/protocol.h"
#include "debuginfod/upstream.h"
#include "server/binaries.h"
#include "server/waiters.h"
#include <stdatomic.h>

enum flight_want {
	FLIGHT_INDEX = 1,      /* files have come: index them, before anything else */
	FLIGHT_NAMES = 2,      /* fetch what names or program headers are lacking, index */
	FLIGHT_DEBUGINFO = 4,  /* this very file */
	FLIGHT_EXECUTABLE = 8, /* this very file */
	FLIGHT_RETRY = 16,     /* index although it failed before */
};

enum { FLIGHT_IDS_MAX = 16, FLIGHTS_MAX = 8192 };

struct flights;

int flights_new(struct binaries *b, unsigned index_workers, struct flights **ret, struct err *e)
	MUST_CHECK;
/*
 * Starts no more; those under way settle at their next step: the caller ends fetches and indexers
 * meanwhile. flights_free() waits for them. Accepts NULL.
 */
void flights_close(struct flights *fs);
void flights_free(struct flights *fs);

struct flight_ask {
	const struct build_id *ids; /* 1 to FLIGHT_IDS_MAX */
	size_t n;
	int64_t binary; /* 0: not known */
	unsigned wants;
	const char *forwarded; /* X-Forwarded-For to pass on upstream; NULL: none */
};
/* Starts a flight, or joins one. ERR_OVERLOADED, ERR_SHUTTING_DOWN. */
int flights_join(struct flights *fs, const struct flight_ask *ask, struct err *e) MUST_CHECK;

/* Is one under way that has still to do for `until`? */
bool flights_under_way(struct flights *fs, const struct build_id *ids, size_t n, int64_t binary,
		       enum binaries_until until);
/* Then it holds the waiter until that is done. False: there is nothing to wait for. */
bool flights_attach(struct flights *fs, const struct build_id *ids, size_t n, int64_t binary,
		    enum binaries_until until, struct waiter *w);

/* "flight": {"state","since_ms","waiters"}, or nothing where none is under way. */
void flights_json(struct flights *fs, const struct build_id *ids, size_t n, int64_t binary,
		  struct json_out *j);

/* ---- for the steps ------------------------------------------------------------------------------------ */

enum flight_state {
	FLIGHT_QUEUED,
	FLIGHT_FETCHING_DEBUGINFO,
	FLIGHT_FETCHING_EXECUTABLE,
	FLIGHT_TAKING_IN,
	FLIGHT_WAITING_FOR_INDEXER,
	FLIGHT_INDEXING,
};

struct flight_key;
struct flight_waiter;

/* A fetch that is out. It outlives its flight's interest: `flight` is then NULL. */
struct flight_fetch {
	struct flights *flights;
	struct flight *flight; /* guarded by the lock of flights */
	enum file_type type;
	struct upstream_result result;
};

struct flight {
	struct flights *flights;
	struct binaries *binaries;

	/* Guarded by the lock. */
	unsigned wants;       /* asked for since the last plan */
	unsigned asked;       /* asked for in all; written by the owner */
	bool files_settled;
	struct flight_key *keys;
	struct flight_waiter *waiters;
	struct flight_fetch *fetch; /* out with the upstream thread */

	_Atomic int state; /* enum flight_state */
	uint64_t began_ms;

	/* The owner's. */
	void (*step)(struct flight *f);
	struct build_id ids[FLIGHT_IDS_MAX];
	size_t id_count;
	int64_t binary; /* 0: not known */
	char forwarded[DEBUGINFOD_FORWARDED_MAX];
	unsigned tried; /* 1 << enum file_type: asked of upstream */
	bool index_tried;
	struct flight_fetch *fetched;
	struct err why; /* the last thing that went wrong */
};

/* The first step of every flight, and the one to go back to after each other (flight_steps.c). */
void flight_plan(struct flight *f);

/* Moves fresh wants to f->asked and returns them. */
unsigned flight_take_wants(struct flight *f);
/* False: another flight is about this row; it has taken this one in, which is gone. */
bool flight_bind(struct flight *f, int64_t binary);
bool flight_closing(const struct flight *f);
void flight_to_intake(struct flight *f, void (*step)(struct flight *f));
void flight_to_indexers(struct flight *f, void (*step)(struct flight *f));
void flight_files_settled(struct flight *f);
/* An index was published, or could not be. */
void flight_indexed(struct flight *f);
/* Wakes the waiters and ends the flight; false when more was asked for meanwhile. */
bool flight_settle(struct flight *f);

/*
 * Before asking upstream: from then on the flight is no more the caller's. NULL: out of memory. Whoever has
 * the answer calls flight_fetch_returned(), also where asking failed at once.
 */
struct flight_fetch *flight_fetch_out(struct flight *f, enum file_type type) MUST_CHECK;
/* The flight, which the caller owns now, with f->fetched set; NULL: it did not wait, *fetch is freed. */
struct flight *flight_fetch_returned(struct flight_fetch *fetch, const struct upstream_result *r);
void flight_fetch_free(struct flight_fetch *fetch); /* closes the file, too; accepts NULL */

#endif
