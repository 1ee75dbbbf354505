/* SPDX-License-Identifier: Apache-2.0 */
#include "server/flights.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/queue.h"
#include "server/binaries_internal.h"
#include "server/binaries_metrics.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum { INTAKE_THREADS = 4, KEY_MAX = BUILD_ID_TEXT };

struct flight_key {
	struct flight_key *next;
	char text[];
};

struct flight_waiter {
	struct flight_waiter *next;
	struct waiter *waiter;
	enum binaries_until until;
};

struct flights {
	struct binaries *binaries;
	struct pool *intake;
	struct pool *indexers;
	atomic_bool closing; // set under the lock
	pthread_mutex_t lock; // guards what follows, and what struct flight says
	pthread_cond_t idle;
	struct map by_key;
	size_t count;
};

// ---- keys; the lock is held -------------------------------------------------------------------------------

static void row_key(int64_t binary, char out[static KEY_MAX])
{
	snprintf(out, KEY_MAX, "#%" PRId64, binary);
}

static struct flight *find(const struct flights *fs, const struct build_id *ids, size_t n,
			   int64_t binary)
{
	char text[KEY_MAX];
	struct flight *f = NULL;

	if (binary) {
		row_key(binary, text);
		f = map_get(&fs->by_key, str_from(text));
	}
	for (size_t i = 0; i < n && !f; i++) {
		build_id_text(&ids[i], text);
		f = map_get(&fs->by_key, str_from(text));
	}
	return f;
}

// Without memory the flight is not found under this key: another one may start, no more.
static void add_key(struct flight *f, const char *text)
{
	struct map *map = &f->flights->by_key;
	size_t n = strlen(text);
	struct flight_key *k;

	if (map_get(map, str_from(text)))
		return;
	k = mem_alloc(sizeof(*k) + n + 1);
	if (!k)
		return;
	memcpy(k->text, text, n + 1);
	if (map_set(map, str_from(text), f, NULL)) {
		free(k);
		return;
	}
	k->next = f->keys;
	f->keys = k;
}

static void add_id_keys(struct flight *f)
{
	char text[KEY_MAX];

	for (size_t i = 0; i < f->id_count; i++) {
		build_id_text(&f->ids[i], text);
		add_key(f, text);
	}
}

static void add_row_key(struct flight *f)
{
	char text[KEY_MAX];

	if (!f->binary)
		return;
	row_key(f->binary, text);
	add_key(f, text);
}

static void drop_keys(struct flight *f)
{
	struct flight_key *k;

	while ((k = f->keys)) {
		f->keys = k->next;
		map_del(&f->flights->by_key, str_from(k->text));
		free(k);
	}
}

// ---- waiters ------------------------------------------------------------------------------------------------

enum { FOR_FILES = 1 << UNTIL_FILES, FOR_INDEX = 1 << UNTIL_INDEXED };

// The lock is held: takes those of these kinds out of the flight.
static struct flight_waiter *take_waiters(struct flight *f, unsigned kinds)
{
	struct flight_waiter **at = &f->waiters;
	struct flight_waiter *taken = NULL;

	while (*at) {
		struct flight_waiter *w = *at;

		if (!(kinds & (1u << w->until))) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

// Without the lock, for it wakes.
static void release_waiters(struct flight_waiter *w)
{
	while (w) {
		struct flight_waiter *next = w->next;

		waiter_release(w->waiter);
		free(w);
		w = next;
	}
}

static bool still_to_do(const struct flight *f, enum binaries_until until)
{
	return f && !(until == UNTIL_FILES && f->files_settled);
}

bool flights_under_way(struct flights *fs, const struct build_id *ids, size_t n, int64_t binary,
		       enum binaries_until until)
{
	bool yes;

	pthread_mutex_lock(&fs->lock);
	yes = still_to_do(find(fs, ids, n, binary), until);
	pthread_mutex_unlock(&fs->lock);
	return yes;
}

bool flights_attach(struct flights *fs, const struct build_id *ids, size_t n, int64_t binary,
		    enum binaries_until until, struct waiter *w)
{
	struct flight_waiter *fw = mem_zalloc(sizeof(*fw));
	struct flight *f;

	if (!fw)
		return false;
	fw->waiter = w;
	fw->until = until;
	pthread_mutex_lock(&fs->lock);
	f = find(fs, ids, n, binary);
	if (still_to_do(f, until)) {
		waiter_hold(w);
		fw->next = f->waiters;
		f->waiters = fw;
		fw = NULL;
	}
	pthread_mutex_unlock(&fs->lock);
	if (!fw)
		return true;
	free(fw);
	return false;
}

// ---- starting and joining -----------------------------------------------------------------------------------

static void run_step(void *task, void *ctx)
{
	struct flight *f = task;

	metric_gauge_add(&metric_queue_waiting, (unsigned)(uintptr_t)ctx, -1);
	f->step(f);
}

// The pools are deep enough for all flights, and outlive them.
static void push(struct flight *f, struct pool *p, enum binaries_queue queue,
		 void (*step)(struct flight *f))
{
	f->step = step;
	metric_gauge_add(&metric_queue_waiting, queue, 1);
	if (pool_push(p, f))
		return;
	metric_gauge_add(&metric_queue_waiting, queue, -1);
	step(f);
}

void flight_to_intake(struct flight *f, void (*step)(struct flight *f))
{
	push(f, f->flights->intake, QUEUE_INTAKE, step);
}

void flight_to_indexers(struct flight *f, void (*step)(struct flight *f))
{
	push(f, f->flights->indexers, QUEUE_INDEX, step);
}

bool flight_closing(const struct flight *f)
{
	return atomic_load(&f->flights->closing);
}

// The lock is held.
static struct flight *start(struct flights *fs, const struct flight_ask *ask)
{
	struct flight *f = mem_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->flights = fs;
	f->binaries = fs->binaries;
	f->wants = ask->wants;
	f->began_ms = clock_mono_ms();
	f->id_count = MIN(ask->n, (size_t)FLIGHT_IDS_MAX);
	memcpy(f->ids, ask->ids, f->id_count * sizeof(f->ids[0]));
	f->binary = ask->binary;
	f->why = ERR_INIT;
	if (ask->forwarded)
		snprintf(f->forwarded, sizeof(f->forwarded), "%s", ask->forwarded);
	add_id_keys(f);
	add_row_key(f);
	fs->count++;
	metric_gauge_add(&metric_flights, 0, 1);
	return f;
}

/*
 * The lock is held. What is being seen to already is not asked for again, or a stream of askers could keep
 * a flight from ever settling; new files are always news. They do not wait for a fetch, either: true when
 * the flight was called back from one, and is the caller's.
 */
static bool join(struct flight *f, unsigned wants)
{
	unsigned fresh = wants & (~f->asked | FLIGHT_INDEX | FLIGHT_RETRY);

	f->wants |= fresh;
	if (fresh)
		f->files_settled = false;
	if (!(fresh & FLIGHT_INDEX) || !f->fetch)
		return false;
	f->fetch->flight = NULL;
	f->fetch = NULL;
	return true;
}

// ERR_NONE when *ret_mine, if not NULL, is to be set going.
static enum err_kind start_or_join(struct flights *fs, const struct flight_ask *ask,
				   struct flight **ret_mine)
{
	struct flight *f = find(fs, ask->ids, ask->n, ask->binary);

	if (atomic_load(&fs->closing))
		return ERR_SHUTTING_DOWN;
	if (f) {
		*ret_mine = join(f, ask->wants) ? f : NULL;
		return ERR_NONE;
	}
	if (fs->count >= FLIGHTS_MAX)
		return ERR_OVERLOADED;
	*ret_mine = start(fs, ask);
	return *ret_mine ? ERR_NONE : ERR_NOMEM;
}

int flights_join(struct flights *fs, const struct flight_ask *ask, struct err *e)
{
	struct flight *mine = NULL;
	enum err_kind refused;

	pthread_mutex_lock(&fs->lock);
	refused = start_or_join(fs, ask, &mine);
	pthread_mutex_unlock(&fs->lock);
	if (refused == ERR_NOMEM)
		return err_nomem(e);
	if (refused)
		return err_set(e, refused, "%s", refused == ERR_OVERLOADED
							 ? "too many binaries are being fetched or indexed"
							 : "the server is shutting down");
	if (mine) {
		atomic_store(&mine->state, FLIGHT_QUEUED);
		flight_to_intake(mine, flight_plan);
	}
	return 0;
}

// ---- while under way ------------------------------------------------------------------------------------------

unsigned flight_take_wants(struct flight *f)
{
	unsigned fresh;

	pthread_mutex_lock(&f->flights->lock);
	fresh = f->wants;
	f->asked |= fresh;
	f->wants = 0;
	pthread_mutex_unlock(&f->flights->lock);
	return fresh;
}

// The lock is held. Everything of f becomes other's.
static void take_in(struct flight *other, struct flight *f)
{
	struct flight_waiter **end = &other->waiters;
	struct flight_key **last = &other->keys;

	for (const struct flight_key *k = f->keys; k; k = k->next) {
		void *old;
		int rc = map_set(&f->flights->by_key, str_from(k->text), other, &old);

		(void)rc; // replacing needs no memory
	}
	while (*last)
		last = &(*last)->next;
	*last = steal_ptr(f->keys);
	while (*end)
		end = &(*end)->next;
	*end = steal_ptr(f->waiters);
}

// The lock is held.
static void forget(struct flight *f)
{
	struct flights *fs = f->flights;

	drop_keys(f);
	fs->count--;
	metric_gauge_add(&metric_flights, 0, -1);
	if (!fs->count)
		pthread_cond_broadcast(&fs->idle);
}

static void free_flight(struct flight *f)
{
	flight_fetch_free(f->fetched);
	free(f);
}

bool flight_bind(struct flight *f, int64_t binary)
{
	struct flights *fs = f->flights;
	char text[KEY_MAX];
	bool called_back = false;
	struct flight *other;
	bool ours;

	row_key(binary, text);
	pthread_mutex_lock(&fs->lock);
	other = map_get(&fs->by_key, str_from(text));
	ours = !other || other == f;
	if (ours) {
		f->binary = binary;
		add_row_key(f);
	} else {
		called_back = join(other, f->asked | f->wants | FLIGHT_INDEX);
		take_in(other, f);
		forget(f);
	}
	pthread_mutex_unlock(&fs->lock);
	if (called_back)
		flight_to_intake(other, flight_plan);
	if (!ours)
		free_flight(f);
	return ours;
}

void flight_files_settled(struct flight *f)
{
	struct flight_waiter *taken = NULL;

	pthread_mutex_lock(&f->flights->lock);
	if (!f->wants) {
		f->files_settled = true;
		taken = take_waiters(f, FOR_FILES);
	}
	pthread_mutex_unlock(&f->flights->lock);
	release_waiters(taken);
}

void flight_indexed(struct flight *f)
{
	struct flight_waiter *taken = NULL;

	pthread_mutex_lock(&f->flights->lock);
	if (!(f->wants & FLIGHT_INDEX))
		taken = take_waiters(f, FOR_INDEX);
	pthread_mutex_unlock(&f->flights->lock);
	release_waiters(taken);
}

bool flight_settle(struct flight *f)
{
	struct flight_waiter *taken = NULL;
	bool more;

	pthread_mutex_lock(&f->flights->lock);
	more = f->wants && !atomic_load(&f->flights->closing);
	if (!more) {
		taken = take_waiters(f, FOR_FILES | FOR_INDEX);
		drop_keys(f);
	}
	pthread_mutex_unlock(&f->flights->lock);
	if (more)
		return false;
	release_waiters(taken);
	// Counted until its waiters are woken, for flights_free() then frees what they need.
	pthread_mutex_lock(&f->flights->lock);
	forget(f);
	pthread_mutex_unlock(&f->flights->lock);
	free_flight(f);
	return true;
}

// ---- fetches ---------------------------------------------------------------------------------------------------

struct flight_fetch *flight_fetch_out(struct flight *f, enum file_type type)
{
	struct flight_fetch *fetch = mem_zalloc(sizeof(*fetch));

	if (!fetch)
		return NULL;
	fetch->flights = f->flights;
	fetch->flight = f;
	fetch->type = type;
	fetch->result.fd = -1;
	pthread_mutex_lock(&f->flights->lock);
	f->fetch = fetch;
	pthread_mutex_unlock(&f->flights->lock);
	return fetch;
}

struct flight *flight_fetch_returned(struct flight_fetch *fetch, const struct upstream_result *r)
{
	struct flights *fs = fetch->flights;
	struct flight *f;

	fetch->result = *r;
	pthread_mutex_lock(&fs->lock);
	f = fetch->flight;
	if (f)
		f->fetch = NULL;
	pthread_mutex_unlock(&fs->lock);
	if (!f) {
		flight_fetch_free(fetch);
		return NULL;
	}
	f->fetched = fetch;
	return f;
}

void flight_fetch_free(struct flight_fetch *fetch)
{
	if (!fetch)
		return;
	if (fetch->result.fd >= 0)
		close(fetch->result.fd);
	free(fetch);
}

// ---- telling -----------------------------------------------------------------------------------------------------

static size_t count_waiters(const struct flight *f)
{
	size_t n = 0;

	for (const struct flight_waiter *w = f->waiters; w; w = w->next)
		n++;
	return n;
}

void flights_json(struct flights *fs, const struct build_id *ids, size_t n, int64_t binary,
		  struct json_out *j)
{
	static const char *const states[] = {
		[FLIGHT_QUEUED] = "queued",
		[FLIGHT_FETCHING_DEBUGINFO] = "fetching debuginfo",
		[FLIGHT_FETCHING_EXECUTABLE] = "fetching executable",
		[FLIGHT_TAKING_IN] = "checking and storing a file",
		[FLIGHT_WAITING_FOR_INDEXER] = "waiting for an indexer",
		[FLIGHT_INDEXING] = "indexing",
	};
	const struct flight *f;
	uint64_t began_ms = 0;
	size_t waiters = 0;
	int state = -1;

	pthread_mutex_lock(&fs->lock);
	f = find(fs, ids, n, binary);
	if (f) {
		state = atomic_load(&f->state);
		began_ms = f->began_ms;
		waiters = count_waiters(f);
	}
	pthread_mutex_unlock(&fs->lock);
	if (state < 0)
		return;
	json_key(j, "flight");
	json_obj(j);
	json_kv_cstr(j, "state", states[state]);
	json_kv_u64(j, "since_ms", clock_mono_ms() - began_ms);
	json_kv_u64(j, "waiters", waiters);
	json_end_obj(j);
}

// ---- beginning and end ---------------------------------------------------------------------------------------------

int flights_new(struct binaries *b, unsigned index_workers, struct flights **ret, struct err *e)
{
	struct flights *fs = mem_zalloc(sizeof(*fs));

	if (!fs)
		return err_nomem(e);
	fs->binaries = b;
	fs->by_key = MAP_INIT;
	pthread_mutex_init(&fs->lock, NULL);
	pthread_cond_init(&fs->idle, NULL);
	if (pool_new("intake", INTAKE_THREADS, FLIGHTS_MAX, run_step, (void *)QUEUE_INTAKE, &fs->intake,
		     e) ||
	    pool_new("indexers", MAX(index_workers, 1u), FLIGHTS_MAX, run_step, (void *)QUEUE_INDEX,
		     &fs->indexers, e)) {
		flights_free(fs);
		return -1;
	}
	*ret = fs;
	return 0;
}

void flights_close(struct flights *fs)
{
	pthread_mutex_lock(&fs->lock);
	atomic_store(&fs->closing, true);
	pthread_mutex_unlock(&fs->lock);
}

void flights_free(struct flights *fs)
{
	if (!fs)
		return;
	pthread_mutex_lock(&fs->lock);
	while (fs->count)
		pthread_cond_wait(&fs->idle, &fs->lock);
	pthread_mutex_unlock(&fs->lock);
	pool_free(fs->intake);
	pool_free(fs->indexers);
	map_deinit(&fs->by_key);
	pthread_cond_destroy(&fs->idle);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}
