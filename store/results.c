/* SPDX-License-Identifier: Apache-2.0 */
#include "store/results.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "store/db.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

enum {
	READERS = 8,
	FLUSH_MS = 500,
	BATCH_ENTRIES = 1 << 18,
	BATCH_BYTES = 64 << 20,
	FLUSH_ENTRIES = BATCH_ENTRIES / 8, // early, so that a busy second does not fill the batch
	RECENT = 1 << 16,                  // slots, a power of two
	FRAMES_MAX = 1 << 20,
};

enum { GOT_QUEUED, GOT_STORED, GOT_NONE };
static const char *const got_names[] = {"queued", "stored", "none", NULL};

static struct metric gets_total = {
	.name = "unhex_results_gets_total",
	.help = "Look-ups in the result cache, by where the answer was.",
	.type = METRIC_COUNTER,
	.label = "result",
	.values = got_names,
};
static struct metric queued_now = {
	.name = "unhex_results_queued",
	.help = "Results waiting to be written.",
	.type = METRIC_GAUGE,
};
static struct metric dropped_total = {
	.name = "unhex_results_dropped_total",
	.help = "Results not kept because the queue was full or a write failed.",
	.type = METRIC_COUNTER,
};

struct entry {
	struct result_key key;
	size_t off; // of the frames in the batch's bytes
	size_t n;
};

// What is queued. Two of them: one fills while the other is written.
struct batch {
	struct map64 by_hash; // of the key, to the index in entries
	struct entry *entries;
	size_t n;
	size_t cap;
	struct buf bytes;
};

struct results {
	struct db *db;
	uint64_t seed;
	// Hashes of keys put lately, each in the slot of its low bits; a lost one costs a write.
	_Atomic uint64_t *recent;

	struct thread thread;

	pthread_mutex_t lock; // guards the rest; a batch being written does not change
	pthread_cond_t wake;
	pthread_cond_t written;
	struct batch batches[2];
	struct batch *filling;
	struct batch *writing; // NULL when nothing is
	uint64_t rounds;       // begun
	uint64_t rounds_done;
	struct err last_error; // of the last round
	bool flush;
	bool closing;
};

// ---- keys and batches -----------------------------------------------------------------------------

static uint64_t hash_key(const struct results *r, const struct result_key *key)
{
	const uint64_t words[3] = {(uint64_t)key->binary, key->generation, key->address};

	return xxh3_seeded(words, sizeof(words), r->seed);
}

static bool key_eq(const struct result_key *a, const struct result_key *b)
{
	return a->binary == b->binary && a->generation == b->generation && a->address == b->address;
}

static const struct entry *batch_find(const struct batch *b, uint64_t hash,
				      const struct result_key *key)
{
	uint64_t i;

	if (!b || !map64_get(&b->by_hash, hash, &i) || !key_eq(&b->entries[i].key, key))
		return NULL;
	return &b->entries[i];
}

// False when it does not fit: a cache may forget.
static bool batch_add(struct batch *b, uint64_t hash, const struct result_key *key, struct str frames)
{
	struct entry entry = {*key, b->bytes.n, frames.n};
	uint64_t taken;

	if (map64_get(&b->by_hash, hash, &taken))
		return key_eq(&b->entries[taken].key, key);
	if (mem_grow(&b->entries, &b->cap, b->n + 1, sizeof(*b->entries), BATCH_ENTRIES))
		return false;
	buf_append_str(&b->bytes, frames);
	if (b->bytes.failed) {
		b->bytes.failed = false;
		return false;
	}
	if (map64_set(&b->by_hash, hash, b->n)) {
		b->bytes.n = entry.off;
		return false;
	}
	b->entries[b->n++] = entry;
	return true;
}

static void batch_clear(struct batch *b)
{
	map64_clear(&b->by_hash);
	buf_clear(&b->bytes);
	b->n = 0;
}

static void batch_deinit(struct batch *b)
{
	map64_deinit(&b->by_hash);
	buf_deinit(&b->bytes);
	free(b->entries);
}

// ---- writing --------------------------------------------------------------------------------------

static int by_key(const void *a, const void *b)
{
	const struct result_key *x = &(*(const struct entry *const *)a)->key;
	const struct result_key *y = &(*(const struct entry *const *)b)->key;

	if (x->binary != y->binary)
		return x->binary < y->binary ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return ((int64_t)x->address > (int64_t)y->address) - ((int64_t)x->address < (int64_t)y->address);
}

static int write_entry(struct query *q, const struct batch *b, const struct entry *entry, struct err *e)
{
	query_i64(q, entry->key.binary);
	query_i64(q, entry->key.generation);
	query_i64(q, (int64_t)entry->key.address);
	query_blob(q, buf_str(&b->bytes).p + entry->off, entry->n);
	return query_run(q, e);
}

// In the order of the table, which touches each of its pages once.
static int write_batch(struct sql *c, void *ctx, struct err *e)
{
	const struct batch *b = ctx;
	_cleanup_free_ const struct entry **order = mem_calloc(b->n, sizeof(*order));
	_cleanup_(query_end) struct query q =
		query(c, "INSERT OR IGNORE INTO result(binary, generation, address, frames)"
			 " VALUES(?, ?, ?, ?)");

	if (!order)
		return err_nomem(e);
	for (size_t i = 0; i < b->n; i++)
		order[i] = &b->entries[i];
	qsort(order, b->n, sizeof(*order), by_key);
	for (size_t i = 0; i < b->n; i++) {
		if (write_entry(&q, b, order[i], e))
			return -1;
	}
	return 0;
}

static void forget_recent(struct results *r)
{
	for (size_t i = 0; i < RECENT; i++)
		atomic_store_explicit(&r->recent[i], 0, memory_order_relaxed);
}

static bool work_waits(const struct results *r)
{
	return r->flush || r->closing || r->filling->n >= FLUSH_ENTRIES;
}

// The lock is held, and held again on return. False when all is written and the cache closes.
static bool wait_for_work(struct results *r)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += FLUSH_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!work_waits(r)) {
		if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			break;
	}
	return r->filling->n || r->flush || !r->closing;
}

// The lock is held; not during the write.
static void write_round(struct results *r)
{
	struct batch *b = r->filling;
	struct err e = ERR_INIT;
	int rc = 0;

	r->flush = false;
	r->writing = b;
	r->filling = b == &r->batches[0] ? &r->batches[1] : &r->batches[0];
	r->rounds++;
	pthread_mutex_unlock(&r->lock);
	if (b->n)
		rc = db_write(r->db, write_batch, b, &e);
	if (rc < 0) {
		metric_add(&dropped_total, 0, b->n);
		forget_recent(r);
	}
	pthread_mutex_lock(&r->lock);
	batch_clear(b);
	r->writing = NULL;
	r->rounds_done = r->rounds;
	r->last_error = rc < 0 ? e : ERR_INIT;
	metric_set(&queued_now, 0, (int64_t)r->filling->n);
	pthread_cond_broadcast(&r->written);
}

static void *flush_loop(void *arg)
{
	struct results *r = arg;

	pthread_mutex_lock(&r->lock);
	while (wait_for_work(r)) {
		if (r->filling->n || r->flush)
			write_round(r);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

// A round that began before may have missed the latest puts: the next one has them.
int results_flush(struct results *r, struct err *e)
{
	uint64_t round;
	struct err last;

	pthread_mutex_lock(&r->lock);
	round = r->rounds + 1;
	r->flush = true;
	pthread_cond_signal(&r->wake);
	while (r->rounds_done < round)
		pthread_cond_wait(&r->written, &r->lock);
	last = r->last_error;
	pthread_mutex_unlock(&r->lock);
	if (!last.kind)
		return 0;
	if (e)
		*e = last;
	return -1;
}

// ---- putting and getting --------------------------------------------------------------------------

static bool is_recent(struct results *r, uint64_t hash)
{
	return atomic_load_explicit(&r->recent[hash & (RECENT - 1)], memory_order_relaxed) == hash;
}

void results_put(struct results *r, const struct result_key *key, struct str frames)
{
	uint64_t hash = hash_key(r, key);
	bool kept;
	size_t n;

	if (is_recent(r, hash))
		return;
	pthread_mutex_lock(&r->lock);
	kept = batch_find(r->writing, hash, key) ||
	       (frames.n <= FRAMES_MAX && batch_add(r->filling, hash, key, frames));
	n = r->filling->n;
	if (n == FLUSH_ENTRIES)
		pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	metric_set(&queued_now, 0, (int64_t)n);
	if (kept)
		atomic_store_explicit(&r->recent[hash & (RECENT - 1)], hash, memory_order_relaxed);
	else
		metric_inc(&dropped_total);
}

static bool get_queued(struct results *r, const struct result_key *key, struct buf *out)
{
	uint64_t hash = hash_key(r, key);
	const struct batch *b;
	const struct entry *entry;

	pthread_mutex_lock(&r->lock);
	b = r->filling;
	entry = batch_find(b, hash, key);
	if (!entry) {
		b = r->writing;
		entry = batch_find(b, hash, key);
	}
	if (entry)
		buf_append(out, buf_str(&b->bytes).p + entry->off, entry->n);
	pthread_mutex_unlock(&r->lock);
	return entry != NULL;
}

static int get_stored(struct results *r, const struct result_key *key, struct buf *out, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader reader = db_reader(r->db);
	_cleanup_(query_end) struct query q =
		query(reader.sql, "SELECT frames FROM result WHERE binary = ? AND generation = ?"
				  " AND address = ?");
	int rc;

	query_i64(&q, key->binary);
	query_i64(&q, key->generation);
	query_i64(&q, (int64_t)key->address);
	rc = query_step(&q, e);
	if (rc > 0)
		buf_append_str(out, query_col_str(&q));
	return rc < 0 ? -1 : rc ? 0 : RESULTS_NOT_FOUND;
}

int results_get(struct results *r, const struct result_key *key, struct buf *out, struct err *e)
{
	int rc;

	if (get_queued(r, key, out)) {
		metric_add(&gets_total, GOT_QUEUED, 1);
		return buf_check(out, "stored frames", e);
	}
	rc = get_stored(r, key, out, e);
	if (rc < 0)
		return -1;
	metric_add(&gets_total, rc ? GOT_NONE : GOT_STORED, 1);
	return rc ? rc : buf_check(out, "stored frames", e);
}

static int delete_binary(struct sql *c, void *ctx, struct err *e)
{
	const int64_t *binary = ctx;
	_cleanup_(query_end) struct query q = query(c, "DELETE FROM result WHERE binary = ?");

	query_i64(&q, *binary);
	return query_run(&q, e);
}

int results_delete_binary(struct results *r, int64_t binary, struct err *e)
{
	if (results_flush(r, e) || db_write(r->db, delete_binary, &binary, e))
		return -1;
	forget_recent(r);
	return 0;
}

// ---- opening and closing --------------------------------------------------------------------------

static const char *const migrations[] = {
	"CREATE TABLE result("
	"  binary INTEGER NOT NULL,"
	"  generation INTEGER NOT NULL,"
	"  address INTEGER NOT NULL," // the 64 bits, as a signed number
	"  frames BLOB NOT NULL,"
	"  PRIMARY KEY(binary, generation, address)) STRICT, WITHOUT ROWID;",
	NULL,
};

static void init_locks(struct results *r)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, &monotonic);
	pthread_cond_init(&r->written, NULL);
	pthread_condattr_destroy(&monotonic);
}

int results_open(const char *path, struct results **ret, struct err *e)
{
	struct db_config cfg = {
		.path = path,
		.name = DB_RESULTS,
		.migrations = migrations,
		.readers = READERS,
	};
	struct results *r = mem_zalloc(sizeof(*r));

	if (!r)
		return err_nomem(e);
	init_locks(r);
	for (size_t i = 0; i < countof(r->batches); i++)
		r->batches[i].bytes = BUF_INIT(BATCH_BYTES);
	r->filling = &r->batches[0];
	if (getrandom(&r->seed, sizeof(r->seed), GRND_NONBLOCK) != sizeof(r->seed))
		r->seed = clock_mono_ns();
	metric_register(&gets_total);
	metric_register(&queued_now);
	metric_register(&dropped_total);
	r->recent = mem_calloc(RECENT, sizeof(*r->recent));
	if (!r->recent)
		err_nomem(e);
	if (!r->recent || db_open(&cfg, &r->db, e) ||
	    thread_start(&r->thread, "results", flush_loop, r, e)) {
		results_close(r);
		return err_wrap(e, "opening the result cache");
	}
	*ret = r;
	return 0;
}

void results_close(struct results *r)
{
	if (!r)
		return;
	if (r->thread.started) {
		pthread_mutex_lock(&r->lock);
		r->closing = true;
		pthread_cond_signal(&r->wake);
		pthread_mutex_unlock(&r->lock);
		thread_join(&r->thread);
	}
	db_close(r->db);
	for (size_t i = 0; i < countof(r->batches); i++)
		batch_deinit(&r->batches[i]);
	pthread_cond_destroy(&r->written);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r->recent);
	free(r);
}
