/* SPDX-License-Identifier: Apache-2.0 */
#include "store/push_log.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "store/folder.h"
#include "store/push_log_file.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	QUEUE_BYTES = 64 << 20,
	QUEUE_RECORDS = 1 << 14,
	KEPT_BYTES = 4 << 20, // of memory, between groups
	ROLL_BYTES = 64 << 20,
	RELEASED_MAX = 32, // bytes of the file
	ID_BYTES = 16,
	ID_MAX = 2 * ID_BYTES + 1,
	FILES_MAX = 1 << 16,
};

static const double sync_bounds[] = {0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1};

static struct metric queued_now = {
	.name = "unhex_push_log_queued_bytes",
	.help = "Bytes of records waiting to be written to the push log.",
	.type = METRIC_GAUGE,
};
static struct metric records_total = {
	.name = "unhex_push_log_records_total",
	.help = "Records on disk.",
	.type = METRIC_COUNTER,
};
static struct metric failures_total = {
	.name = "unhex_push_log_failures_total",
	.help = "Records refused or not written.",
	.type = METRIC_COUNTER,
};
static struct metric sync_seconds = {
	.name = "unhex_push_log_commit_seconds",
	.help = "Time of one group's write and fsync.",
	.type = METRIC_HISTOGRAM,
	.buckets = sync_bounds,
	.bucket_count = countof(sync_bounds),
};
static struct metric files_now = {
	.name = "unhex_push_log_files",
	.help = "Files of the push log.",
	.type = METRIC_GAUGE,
};

struct waiter {
	push_log_done *done;
	void *ctx;
	uint64_t position;
};

// Records in their form on disk and who waits for them. Two: one fills while the other is written.
struct group {
	struct buf bytes;
	struct waiter *waiters;
	size_t n;
	size_t cap;
};

struct push_log {
	char *dir;
	char id[ID_MAX];
	int owned; // the locked folder
	struct log_damage damage;

	// The log thread's after opening.
	struct log_file *files; // ascending; the last one is written to
	size_t file_count;
	size_t file_cap;
	int fd;        // of the last one; -1: none
	bool distrust; // an fsync failed: go on in a new file
	uint64_t released_saved;

	struct thread thread;

	pthread_mutex_t lock; // guards the rest; a group being written does not change
	pthread_cond_t wake;
	struct group groups[2];
	struct group *filling;
	uint64_t next_position;
	uint64_t released;
	bool closing;
};

// ---- files; log thread ------------------------------------------------------------------------------

static struct log_file *current_file(struct push_log *l)
{
	return l->file_count ? &l->files[l->file_count - 1] : NULL;
}

// A file that could not be begun leaves nothing behind.
static int begin_file(struct push_log *l, uint64_t first, struct err *e)
{
	struct log_file file = {.first = first};
	int fd;

	if (mem_grow(&l->files, &l->file_cap, l->file_count + 1, sizeof(*l->files), FILES_MAX))
		return err_nomem(e);
	fd = log_file_create(l->dir, &file, e);
	if (fd < 0)
		return -1;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->files[l->file_count++] = file;
	l->distrust = false;
	metric_set(&files_now, 0, (int64_t)l->file_count);
	return 0;
}

static bool must_roll(struct push_log *l, uint64_t released)
{
	const struct log_file *f = current_file(l);

	if (!f || l->fd < 0 || l->distrust || f->size >= ROLL_BYTES)
		return true;
	// All of it is released: a new file lets this one go.
	return f->size >= ROLL_BYTES / 64 && f->last <= released;
}

static struct log_file *file_to_write(struct push_log *l, uint64_t first, uint64_t released,
				      struct err *e)
{
	if (must_roll(l, released) && begin_file(l, first, e))
		return NULL;
	return current_file(l);
}

static int write_group(struct push_log *l, const struct group *g, uint64_t released, struct err *e)
{
	struct log_file *f = file_to_write(l, g->waiters[0].position, released, e);

	if (!f)
		return -1;
	if (io_pwrite_all(l->fd, g->bytes.p, g->bytes.n, f->size, e) || io_fsync(l->fd, e)) {
		// What the disk holds now is unknown: take it back if possible, and go on elsewhere.
		(void)!ftruncate(l->fd, (off_t)f->size);
		l->distrust = true;
		return err_wrap(e, "push log");
	}
	f->size += g->bytes.n;
	f->last = g->waiters[g->n - 1].position;
	return 0;
}

static void finish_group(struct group *g, int rc, const struct err *e)
{
	metric_add(rc ? &failures_total : &records_total, 0, g->n);
	for (size_t i = 0; i < g->n; i++)
		g->waiters[i].done(g->waiters[i].ctx, g->waiters[i].position, rc ? e : NULL);
	g->n = 0;
	if (g->bytes.cap > KEPT_BYTES)
		buf_deinit(&g->bytes); // a burst is over
	else
		buf_clear(&g->bytes);
}

static void commit_group(struct push_log *l, struct group *g, uint64_t released)
{
	uint64_t began = clock_mono_ns();
	struct err e = ERR_INIT;
	int rc = write_group(l, g, released, &e);

	metric_observe(&sync_seconds, 0, (double)(clock_mono_ns() - began) / 1e9);
	finish_group(g, rc, &e);
}

// The current file stays: its name keeps the positions growing when all else is gone.
static void remove_released(struct push_log *l, uint64_t released)
{
	size_t n = 0;

	while (n + 1 < l->file_count && l->files[n].last <= released &&
	       log_file_remove(l->dir, &l->files[n]))
		n++;
	memmove(l->files, l->files + n, (l->file_count - n) * sizeof(*l->files));
	l->file_count -= n;
	metric_set(&files_now, 0, (int64_t)l->file_count);
}

// Failing is no loss: what has been released may be replayed once more.
static void save_released(struct push_log *l, uint64_t released)
{
	char path[FOLDER_PATH];
	char text[RELEASED_MAX];
	int n = snprintf(text, sizeof(text), "%ju\n", (uintmax_t)released);

	if (released == l->released_saved)
		return;
	l->released_saved = released;
	if (folder_path(path, NULL, l->dir, "released") == 0)
		(void)!io_write_file(path, text, (size_t)n, 0600, NULL);
	remove_released(l, released);
}

static void *write_loop(void *arg)
{
	struct push_log *l = arg;
	struct group *g;
	uint64_t released;
	bool closing;

	do {
		pthread_mutex_lock(&l->lock);
		while (!l->filling->n && l->released == l->released_saved && !l->closing)
			pthread_cond_wait(&l->wake, &l->lock);
		g = l->filling->n ? l->filling : NULL;
		if (g)
			l->filling = g == &l->groups[0] ? &l->groups[1] : &l->groups[0];
		released = l->released;
		closing = l->closing;
		metric_set(&queued_now, 0, (int64_t)l->filling->bytes.n);
		pthread_mutex_unlock(&l->lock);
		if (g)
			commit_group(l, g, released);
		save_released(l, released);
	} while (!closing);
	return NULL;
}

// ---- appending and releasing ------------------------------------------------------------------------

// The lock is held. All or nothing.
static int add_to_group(struct push_log *l, struct str record, struct waiter w, struct err *e)
{
	struct group *g = l->filling;
	uint8_t header[LOG_RECORD_HEADER];
	size_t need = sizeof(header) + record.n;

	if (g->n >= QUEUE_RECORDS || (g->n && g->bytes.n + need > QUEUE_BYTES))
		return err_set(e, ERR_OVERLOADED,
			       "push log: %zu records of %zu bytes are waiting to be written; try again",
			       g->n, g->bytes.n);
	if (mem_grow(&g->waiters, &g->cap, g->n + 1, sizeof(*g->waiters), QUEUE_RECORDS) ||
	    !buf_reserve(&g->bytes, need)) {
		g->bytes.failed = false;
		return err_nomem(e);
	}
	w.position = l->next_position++;
	log_record_header(record, w.position, header);
	buf_append(&g->bytes, header, sizeof(header));
	buf_append_str(&g->bytes, record);
	g->waiters[g->n++] = w;
	metric_set(&queued_now, 0, (int64_t)g->bytes.n);
	return 0;
}

int push_log_append(struct push_log *l, struct str record, push_log_done *done, void *ctx,
		    struct err *e)
{
	int rc;

	if (record.n > LOG_RECORD_MAX)
		return err_set(e, ERR_TOO_LARGE, "push log: a record of %zu bytes is larger than %d",
			       record.n, LOG_RECORD_MAX);
	pthread_mutex_lock(&l->lock);
	if (l->closing)
		rc = err_set(e, ERR_SHUTTING_DOWN, "push log: closing");
	else
		rc = add_to_group(l, record, (struct waiter){done, ctx, 0}, e);
	if (!rc)
		pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	if (rc)
		metric_inc(&failures_total);
	return rc;
}

int push_log_release(struct push_log *l, uint64_t position, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	if (position >= l->next_position) {
		rc = err_set(e, ERR_INTERNAL, "push log: position %ju is released before it was given",
			     (uintmax_t)position);
	} else if (position > l->released) {
		l->released = position;
		pthread_cond_signal(&l->wake);
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

void push_log_skip(struct push_log *l, uint64_t position)
{
	pthread_mutex_lock(&l->lock);
	l->next_position = MAX(l->next_position, position + 1);
	l->released = MAX(l->released, position);
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

const char *push_log_id(const struct push_log *l)
{
	return l->id;
}

// ---- opening, replaying, closing --------------------------------------------------------------------

static int make_id(struct push_log *l, const char *path, struct err *e)
{
	uint8_t random[ID_BYTES];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_sys(e, errno, "getting random bytes");
	hex_encode(random, sizeof(random), l->id);
	return io_write_file(path, l->id, strlen(l->id), 0600, e);
}

static int read_id(struct push_log *l, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(ID_MAX);
	struct err why = ERR_INIT;
	char path[FOLDER_PATH];

	if (folder_path(path, e, l->dir, "id"))
		return -1;
	if (io_read_file(path, &text, &why) == 0 && text.n == ID_MAX - 1) {
		memcpy(l->id, text.p, text.n);
		return 0;
	}
	if (why.kind == ERR_NONE || why.kind == ERR_NOT_FOUND)
		return make_id(l, path, e);
	*e = why;
	return -1;
}

static int read_released(struct push_log *l, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(RELEASED_MAX);
	struct err why = ERR_INIT;
	char path[FOLDER_PATH];

	if (folder_path(path, e, l->dir, "released"))
		return -1;
	if (io_read_file(path, &text, &why)) {
		if (why.kind == ERR_NOT_FOUND)
			return 0;
		if (e)
			*e = why;
		return -1;
	}
	// Written whole or not at all; whatever else it says, replaying more is the safe side.
	if (!str_to_u64(str_trim(buf_str(&text)), INT64_MAX, &l->released))
		l->released = 0;
	l->released_saved = l->released;
	return 0;
}

// Cuts torn and damaged ends off and finds the last position.
static int mend_files(struct push_log *l, struct err *e)
{
	size_t n = 0;
	uint64_t last = l->released;

	if (log_file_list(l->dir, &l->files, &l->file_count, e))
		return -1;
	l->file_cap = l->file_count;
	for (size_t i = 0; i < l->file_count; i++) {
		struct log_file f = l->files[i];
		int rc = log_file_mend(l->dir, &f, &l->damage, e);

		if (rc < 0)
			return -1;
		last = MAX(last, f.last);
		if (rc != LOG_FILE_GONE)
			l->files[n++] = f;
	}
	l->file_count = n;
	l->next_position = last + 1;
	metric_set(&files_now, 0, (int64_t)n);
	if (!n)
		return 0;
	l->fd = log_file_open(l->dir, current_file(l), e);
	return l->fd < 0 ? -1 : 0;
}

bool push_log_damaged(const struct push_log *l, struct err *ret)
{
	if (!l->damage.damaged_bytes)
		return false;
	err_set(ret, ERR_CORRUPT,
		"push log: %ju bytes are damaged and were left out; they are kept as %s",
		(uintmax_t)l->damage.damaged_bytes, l->damage.file);
	return true;
}

struct replay {
	push_log_fn *fn;
	void *ctx;
	uint64_t after;
	uint64_t end;
};

static int replay_record(void *ctx, uint64_t position, struct str record, struct err *e)
{
	const struct replay *r = ctx;

	return position > r->after && position < r->end ? r->fn(r->ctx, position, record, e) : 0;
}

// Goes by the files on disk: l->files is the log thread's, which may remove some meanwhile.
int push_log_replay(struct push_log *l, push_log_fn *fn, void *ctx, struct err *e)
{
	_cleanup_free_ struct log_file *files = NULL;
	struct replay r = {.fn = fn, .ctx = ctx};
	size_t n = 0;

	pthread_mutex_lock(&l->lock);
	r.after = l->released;
	r.end = l->next_position;
	pthread_mutex_unlock(&l->lock);
	if (log_file_list(l->dir, &files, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (log_file_read(l->dir, &files[i], replay_record, &r, e))
			return -1;
	}
	return 0;
}

static int open_log(struct push_log *l, const char *dir, struct err *e)
{
	l->dir = mem_strdup(dir);
	if (!l->dir)
		return err_nomem(e);
	l->owned = folder_own(dir, e);
	if (l->owned < 0 || read_id(l, e) || read_released(l, e) || mend_files(l, e))
		return -1;
	return thread_start(&l->thread, "push-log", write_loop, l, e);
}

int push_log_open(const char *dir, struct push_log **ret, struct err *e)
{
	struct push_log *l = mem_zalloc(sizeof(*l));

	if (!l)
		return err_nomem(e);
	l->owned = -1;
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	for (size_t i = 0; i < countof(l->groups); i++)
		l->groups[i].bytes = BUF_INIT((size_t)LOG_RECORD_MAX + QUEUE_BYTES);
	l->filling = &l->groups[0];
	metric_register(&queued_now);
	metric_register(&records_total);
	metric_register(&failures_total);
	metric_register(&sync_seconds);
	metric_register(&files_now);
	if (open_log(l, dir, e)) {
		push_log_close(l);
		return err_wrap(e, "opening the push log");
	}
	*ret = l;
	return 0;
}

void push_log_close(struct push_log *l)
{
	if (!l)
		return;
	if (l->thread.started) {
		pthread_mutex_lock(&l->lock);
		l->closing = true;
		pthread_cond_signal(&l->wake);
		pthread_mutex_unlock(&l->lock);
		thread_join(&l->thread);
	}
	for (size_t i = 0; i < countof(l->groups); i++) {
		buf_deinit(&l->groups[i].bytes);
		free(l->groups[i].waiters);
	}
	if (l->fd >= 0)
		close(l->fd);
	if (l->owned >= 0)
		close(l->owned);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	free(l->files);
	free(l->dir);
	free(l);
}
