/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/spool.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BLOCK = 4096, // what a file takes on disk is a multiple of it
	SEQUENCE_DIGITS = 16,
	NAME_SIZE = SEQUENCE_DIGITS + sizeof(".push"),
	PID_TEXT = 32,
	FOLDER_MODE = 0700,
	FILE_MODE = 0600,
};

/* All numbers little-endian. */
struct head {
	char magic[8];
	uint64_t sequence; /* the file's name: a copy under another name is foreign */
	uint64_t size;	   /* of the body, which follows */
	uint64_t samples;
	uint64_t body_sum; /* XXH3 */
	uint64_t head_sum; /* XXH3 of all before */
};

_Static_assert(sizeof(struct head) == 48, "the head has no padding");

static const char magic[8] = {'U', 'N', 'H', 'X', 'S', 'P', 'L', '1'};

struct entry {
	uint64_t sequence;
	uint64_t disk_bytes;
	uint64_t samples;
	bool taken;
};

struct spool {
	int dir;
	int lock_file;
	uint64_t max_bytes;
	pthread_mutex_t mutex; /* guards all below */
	struct entry *entries; /* ascending by sequence */
	size_t n, cap;
	uint64_t reserved; /* bytes of files being written */
	struct spool_stats stats;
};

/* ---- names and heads ------------------------------------------------------------------------- */

static void name_of(uint64_t sequence, const char *suffix, char out[static NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%016llx%s", (unsigned long long)sequence, suffix);
}

/* Sixteen lower-case hexadecimal digits and the suffix, as name_of() writes them. */
static bool parse_name(const char *name, const char *suffix, uint64_t *ret)
{
	char again[NAME_SIZE];

	if (strlen(name) < SEQUENCE_DIGITS ||
	    !str_hex_to_u64((struct str){name, SEQUENCE_DIGITS}, ret))
		return false;
	name_of(*ret, suffix, again);
	return strcmp(name, again) == 0;
}

static uint64_t disk_bytes(uint64_t body_size)
{
	return (body_size + sizeof(struct head) + BLOCK - 1) / BLOCK * BLOCK;
}

static struct head make_head(uint64_t sequence, struct str body, uint64_t samples)
{
	struct head h = {
		.sequence = htole64(sequence),
		.size = htole64(body.n),
		.samples = htole64(samples),
		.body_sum = htole64(xxh3(body.p, body.n)),
	};

	memcpy(h.magic, magic, sizeof(magic));
	h.head_sum = htole64(xxh3(&h, offsetof(struct head, head_sum)));
	return h;
}

/* Is it the head of that file? Then its numbers are in the host's order. */
static bool check_head(struct head *h, uint64_t sequence, uint64_t file_size)
{
	if (memcmp(h->magic, magic, sizeof(magic)) != 0 ||
	    le64toh(h->head_sum) != xxh3(h, offsetof(struct head, head_sum)))
		return false;
	h->sequence = le64toh(h->sequence);
	h->size = le64toh(h->size);
	h->samples = le64toh(h->samples);
	h->body_sum = le64toh(h->body_sum);
	return h->sequence == sequence && h->size <= SPOOL_BODY_MAX &&
	       file_size == sizeof(*h) + h->size;
}

static int open_and_check(const struct spool *s, uint64_t sequence, struct head *h, struct err *e)
{
	char name[NAME_SIZE];
	struct stat st;

	name_of(sequence, ".push", name);

	_cleanup_close_ int fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "opening %s of the spool", name);
	if (!S_ISREG(st.st_mode) || io_pread_all(fd, h, sizeof(*h), 0, e) < 0 ||
	    !check_head(h, sequence, (uint64_t)st.st_size))
		return err_set(e, ERR_CORRUPT, "%s of the spool is not what was written there", name);
	return steal_fd(&fd);
}

/* The file is not to blame, and will be readable: nothing is given up for it. */
static bool may_pass(const struct err *why)
{
	return why->kind == ERR_NOMEM || why->sys == EMFILE || why->sys == ENFILE;
}

static void unlink_sequence(const struct spool *s, uint64_t sequence, const char *suffix)
{
	char name[NAME_SIZE];

	name_of(sequence, suffix, name);
	unlinkat(s->dir, name, 0);
}

/* ---- the index; callers hold the mutex ------------------------------------------------------- */

static size_t position(const struct spool *s, uint64_t sequence)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->entries[mid].sequence < sequence)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct entry *find(struct spool *s, uint64_t sequence)
{
	size_t at = position(s, sequence);

	return at < s->n && s->entries[at].sequence == sequence ? &s->entries[at] : NULL;
}

static int insert(struct spool *s, const struct entry *new, struct err *e)
{
	size_t at;

	if (mem_grow(&s->entries, &s->cap, s->n + 1, sizeof(*s->entries), SPOOL_FILES_MAX) < 0)
		return err_nomem(e);
	at = position(s, new->sequence);
	memmove(&s->entries[at + 1], &s->entries[at], (s->n - at) * sizeof(*s->entries));
	s->entries[at] = *new;
	s->n++;
	s->stats.bytes += new->disk_bytes;
	s->stats.samples += new->samples;
	return 0;
}

static struct entry remove_entry(struct spool *s, struct entry *gone)
{
	struct entry copy = *gone;
	size_t at = (size_t)(gone - s->entries);

	s->n--;
	memmove(gone, gone + 1, (s->n - at) * sizeof(*gone));
	s->stats.bytes -= copy.disk_bytes;
	s->stats.samples -= copy.samples;
	return copy;
}

/* The oldest that is not being sent at this moment. */
static struct entry *oldest_idle(struct spool *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->entries[i].taken)
			return &s->entries[i];
	}
	return NULL;
}

/* *ret: whom to remove from disk. False: there is room, and it is reserved. */
static bool must_drop(struct spool *s, uint64_t need, struct entry *ret)
{
	struct entry *oldest;
	bool full = s->stats.bytes + s->reserved + need > s->max_bytes || s->n >= SPOOL_FILES_MAX;

	oldest = full ? oldest_idle(s) : NULL;
	if (!oldest) {
		s->reserved += need;
		return false;
	}
	*ret = remove_entry(s, oldest);
	s->stats.dropped_files++;
	s->stats.dropped_bytes += ret->disk_bytes;
	s->stats.dropped_samples += ret->samples;
	return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* A file of ours from a former run: into the index, or away with it. */
static int adopt(struct spool *s, uint64_t sequence, struct err *e)
{
	struct err why = ERR_INIT;
	struct head h;
	_cleanup_close_ int fd = open_and_check(s, sequence, &h, &why);
	const struct entry found = {sequence, fd < 0 ? 0 : disk_bytes(h.size),
				    fd < 0 ? 0 : h.samples, false};

	if (fd >= 0 && s->n < SPOOL_FILES_MAX)
		return insert(s, &found, e);
	if (fd < 0 && may_pass(&why)) {
		*e = why;
		return -1;
	}
	unlink_sequence(s, sequence, ".push");
	s->stats.damaged_files++;
	return 0;
}

static int find_files(struct spool *s, struct err *e)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *file;
	int r = 0;

	if (!dir) {
		err_sys(e, errno, "reading the spool's folder");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r == 0 && (file = readdir(dir))) {
		uint64_t sequence;

		if (parse_name(file->d_name, ".push", &sequence))
			r = adopt(s, sequence, e);
		else if (parse_name(file->d_name, ".tmp", &sequence))
			unlinkat(s->dir, file->d_name, 0); // its writer was killed
	}
	closedir(dir);
	return r;
}

/* The lock goes with its holder, however that ends. The PID in it is for people. */
static int take_lock(struct spool *s, const char *dir, struct err *e)
{
	char pid[PID_TEXT] = "";
	int n;

	s->lock_file = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (s->lock_file < 0)
		return err_sys(e, errno, "creating %s/lock", dir);
	if (flock(s->lock_file, LOCK_EX | LOCK_NB) < 0) {
		if (read(s->lock_file, pid, sizeof(pid) - 1) < 0)
			pid[0] = 0;
		return err_set(e, ERR_CONFLICT,
			       "%s is the spool of another unhex-agent that runs%s%s; give each its "
			       "own",
			       dir, pid[0] ? ", PID " : "", pid);
	}
	n = snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (ftruncate(s->lock_file, 0) < 0 || pwrite(s->lock_file, pid, (size_t)n, 0) < 0)
		errno = 0; // a full disk, say; the lock holds all the same
	return 0;
}

static int open_folder(struct spool *s, const char *dir, struct err *e)
{
	if (io_mkdirs(dir, FOLDER_MODE, e) < 0)
		return -1;
	s->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return err_sys(e, errno, "opening %s", dir);
	if (take_lock(s, dir, e) < 0)
		return -1;
	return find_files(s, e);
}

int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret, struct err *e)
{
	struct spool *s = mem_zalloc(sizeof(*s));

	if (!s)
		return err_nomem(e);
	s->dir = s->lock_file = -1;
	s->max_bytes = max_bytes;
	pthread_mutex_init(&s->mutex, NULL);
	if (open_folder(s, dir, e) < 0) {
		spool_close(s);
		return err_wrap(e, "--spool-dir");
	}
	*ret = s;
	return 0;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	if (s->lock_file >= 0)
		close(s->lock_file);
	if (s->dir >= 0)
		close(s->dir);
	pthread_mutex_destroy(&s->mutex);
	free(s->entries);
	free(s);
}

/* ---- use ------------------------------------------------------------------------------------- */

static void make_room(struct spool *s, uint64_t need)
{
	struct entry gone;
	bool dropped;

	do {
		pthread_mutex_lock(&s->mutex);
		dropped = must_drop(s, need, &gone);
		pthread_mutex_unlock(&s->mutex);
		if (dropped)
			unlink_sequence(s, gone.sequence, ".push");
	} while (dropped);
}

static int write_file(struct spool *s, const struct head *h, struct str body, const char *tmp,
		      const char *name, struct err *e)
{
	_cleanup_close_ int fd =
		openat(s->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0)
		return err_sys(e, errno, "creating %s in the spool", tmp);
	if (io_write_all(fd, h, sizeof(*h), e) < 0 || io_write_all(fd, body.p, body.n, e) < 0)
		return -1;
	if (renameat(s->dir, tmp, s->dir, name) < 0)
		return err_sys(e, errno, "renaming %s in the spool", tmp);
	return 0;
}

static int write_body(struct spool *s, uint64_t sequence, struct str body, uint64_t samples,
		      struct err *e)
{
	const struct head h = make_head(sequence, body, samples);
	char tmp[NAME_SIZE], name[NAME_SIZE];

	name_of(sequence, ".tmp", tmp);
	name_of(sequence, ".push", name);
	if (write_file(s, &h, body, tmp, name, e) < 0) {
		unlinkat(s->dir, tmp, 0);
		return -1;
	}
	return 0;
}

int spool_put(struct spool *s, uint64_t sequence, struct str body, uint64_t samples, struct err *e)
{
	const struct entry new = {sequence, disk_bytes(body.n), samples, false};
	int r;

	if (new.disk_bytes > s->max_bytes || body.n > SPOOL_BODY_MAX)
		return err_set(e, ERR_TOO_LARGE,
			       "a batch of %zu bytes is larger than the spool (--spool-size)", body.n);
	make_room(s, new.disk_bytes);
	r = write_body(s, sequence, body, samples, e);
	pthread_mutex_lock(&s->mutex);
	s->reserved -= new.disk_bytes;
	if (r == 0)
		r = insert(s, &new, e);
	pthread_mutex_unlock(&s->mutex);
	if (r < 0)
		unlink_sequence(s, sequence, ".push");
	return r;
}

uint64_t spool_oldest(struct spool *s)
{
	uint64_t sequence;

	pthread_mutex_lock(&s->mutex);
	sequence = s->n ? s->entries[0].sequence : 0;
	pthread_mutex_unlock(&s->mutex);
	return sequence;
}

uint64_t spool_newest(struct spool *s)
{
	uint64_t sequence;

	pthread_mutex_lock(&s->mutex);
	sequence = s->n ? s->entries[s->n - 1].sequence : 0;
	pthread_mutex_unlock(&s->mutex);
	return sequence;
}

static int read_body(struct spool *s, uint64_t sequence, struct buf *body, uint64_t *ret_samples,
		     struct err *e)
{
	struct head h;
	_cleanup_close_ int fd = open_and_check(s, sequence, &h, e);
	char *to;

	if (fd < 0)
		return -1;
	buf_clear(body);
	to = buf_reserve(body, h.size);
	if (!to)
		return err_nomem(e);
	if (io_pread_all(fd, to, h.size, sizeof(h), e) < 0)
		return -1;
	if (xxh3(to, h.size) != h.body_sum)
		return err_set(e, ERR_CORRUPT, "a batch in the spool is damaged");
	buf_commit(body, h.size);
	*ret_samples = h.samples;
	return 0;
}

/* False: it was dropped to make room. */
static bool mark_taken(struct spool *s, uint64_t sequence)
{
	struct entry *found;

	pthread_mutex_lock(&s->mutex);
	found = find(s, sequence);
	if (found)
		found->taken = true;
	pthread_mutex_unlock(&s->mutex);
	return found != NULL;
}

int spool_take(struct spool *s, uint64_t sequence, struct buf *body, uint64_t *ret_samples,
	       struct err *e)
{
	int r;

	if (!mark_taken(s, sequence))
		return err_set(e, ERR_NOT_FOUND, "no longer in the spool");
	r = read_body(s, sequence, body, ret_samples, e);
	if (r == 0)
		return 0;
	if (!may_pass(e)) {
		pthread_mutex_lock(&s->mutex);
		s->stats.damaged_files++;
		pthread_mutex_unlock(&s->mutex);
	}
	spool_release(s, sequence, !may_pass(e));
	return -1;
}

void spool_release(struct spool *s, uint64_t sequence, bool remove)
{
	struct entry *found;

	if (remove)
		unlink_sequence(s, sequence, ".push");
	pthread_mutex_lock(&s->mutex);
	found = find(s, sequence);
	if (found && remove)
		remove_entry(s, found);
	else if (found)
		found->taken = false;
	pthread_mutex_unlock(&s->mutex);
}

void spool_stats(struct spool *s, struct spool_stats *ret)
{
	pthread_mutex_lock(&s->mutex);
	s->stats.files = s->n;
	*ret = s->stats;
	pthread_mutex_unlock(&s->mutex);
}
