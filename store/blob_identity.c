/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blob_identity.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "store/flights.h"
#include "store/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { GOT_HIT, GOT_MADE, GOT_PASSED };

static const char *const got_names[] = {"hit", "made", "passed", NULL};

static struct metric gets_total = {
	.name = "unhex_blob_identity_gets_total",
	.help = "Identity copies asked for: found, made, or too large to be kept.",
	.type = METRIC_COUNTER,
	.label = "result",
	.values = got_names,
};
static struct metric bytes_now = {
	.name = "unhex_blob_identity_bytes",
	.help = "Bytes of identity copies on disk.",
	.type = METRIC_GAUGE,
};
static struct metric evictions_total = {
	.name = "unhex_blob_identity_evictions_total",
	.help = "Identity copies removed to make room.",
	.type = METRIC_COUNTER,
};

struct copy {
	char sha256[SHA256_HEX];
	uint64_t size;
	struct copy *newer;
	struct copy *older;
};

struct identity_cache {
	char *dir;
	char *tmp_dir;
	uint64_t max_bytes;
	struct flights making;

	pthread_mutex_t lock; // guards the rest
	struct map copies;
	struct copy *newest;
	struct copy *oldest;
	uint64_t bytes;
};

// ---- the list; the lock is held -------------------------------------------------------------------

static void unlink_copy(struct identity_cache *c, struct copy *k)
{
	*(k->newer ? &k->newer->older : &c->newest) = k->older;
	*(k->older ? &k->older->newer : &c->oldest) = k->newer;
	k->newer = k->older = NULL;
}

static void link_newest(struct identity_cache *c, struct copy *k)
{
	k->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = k;
	c->newest = k;
}

static void forget(struct identity_cache *c, struct copy *k)
{
	unlink_copy(c, k);
	map_del(&c->copies, str_from(k->sha256));
	c->bytes -= k->size;
	metric_set(&bytes_now, 0, (int64_t)c->bytes);
	free(k);
}

// ---- files ----------------------------------------------------------------------------------------

static void remove_copy_file(const struct identity_cache *c, const char *sha256)
{
	char path[FOLDER_PATH];

	if (folder_path(path, NULL, c->dir, "%s", sha256) == 0)
		unlink(path); // open descriptors keep reading
}

// Takes the oldest off the list until `size` fits; their files are removed without the lock.
static void make_room(struct identity_cache *c, uint64_t size)
{
	char victim[SHA256_HEX];

	for (;;) {
		pthread_mutex_lock(&c->lock);
		if (c->bytes + size <= c->max_bytes || !c->oldest) {
			pthread_mutex_unlock(&c->lock);
			return;
		}
		memcpy(victim, c->oldest->sha256, sizeof(victim));
		forget(c, c->oldest);
		pthread_mutex_unlock(&c->lock);
		remove_copy_file(c, victim);
		metric_inc(&evictions_total);
	}
}

// A file that has vanished is forgotten. fd, or -1 where there is none.
static int open_known(struct identity_cache *c, const char *sha256)
{
	char path[FOLDER_PATH];
	struct copy *k;
	int fd = -1;

	pthread_mutex_lock(&c->lock);
	k = map_get(&c->copies, str_from(sha256));
	if (k) {
		unlink_copy(c, k);
		link_newest(c, k);
	}
	pthread_mutex_unlock(&c->lock);
	if (k && folder_path(path, NULL, c->dir, "%s", sha256) == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (k && fd < 0 && errno == ENOENT)
		identity_cache_drop(c, sha256);
	return fd;
}

// The caller holds the flight of this key, so nobody else adds it.
static int remember(struct identity_cache *c, const char *sha256, uint64_t size, struct err *e)
{
	struct copy *k = mem_zalloc(sizeof(*k));
	int rc;

	if (!k)
		return err_nomem(e);
	snprintf(k->sha256, sizeof(k->sha256), "%s", sha256);
	k->size = size;
	pthread_mutex_lock(&c->lock);
	rc = map_set(&c->copies, str_from(sha256), k, NULL);
	if (!rc) {
		link_newest(c, k);
		c->bytes += size;
		metric_set(&bytes_now, 0, (int64_t)c->bytes);
	}
	pthread_mutex_unlock(&c->lock);
	if (rc) {
		free(k);
		return err_nomem(e);
	}
	return 0;
}

// Renamed without fsync: a copy is not to survive a crash.
static int keep(struct identity_cache *c, const char *sha256, uint64_t size, struct io_pending *f,
		struct err *e)
{
	char path[FOLDER_PATH];

	if (folder_path(path, e, c->dir, "%s", sha256))
		return -1;
	if (rename(f->tmp, path))
		return err_sys(e, errno, "renaming %s to %s", f->tmp, path);
	f->tmp[0] = '\0';
	if (remember(c, sha256, size, e)) {
		unlink(path);
		return -1;
	}
	make_room(c, 0); // others, who made theirs meanwhile, counted on the same room
	return steal_fd(&f->fd);
}

static int make_kept(struct identity_cache *c, const char *sha256, struct zseek *z, struct err *e)
{
	_cleanup_(io_pending_deinit) struct io_pending f = IO_PENDING_INIT;

	make_room(c, zseek_size(z));
	if (io_pending_open(&f, c->tmp_dir, e) || zseek_extract(z, f.fd, e))
		return -1;
	metric_add(&gets_total, GOT_MADE, 1);
	return keep(c, sha256, zseek_size(z), &f, e);
}

static int make_unkept(struct identity_cache *c, struct zseek *z, struct err *e)
{
	_cleanup_close_ int fd = io_tmpfile(c->tmp_dir, e);

	if (fd < 0 || zseek_extract(z, fd, e))
		return -1;
	metric_add(&gets_total, GOT_PASSED, 1);
	return steal_fd(&fd);
}

DEFINE_CLEANUP(struct zseek *, zseek_free)

static int make(struct identity_cache *c, const char *sha256, int stored_fd, struct err *e)
{
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	int fd;

	if (zseek_open(stored_fd, &z, e))
		return -1;
	if (zseek_size(z) > c->max_bytes)
		fd = make_unkept(c, z, e);
	else
		fd = make_kept(c, sha256, z, e);
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return err_sys(e, errno, "rewinding the identity copy of blob %s", sha256);
	}
	return fd;
}

int identity_cache_get_hot(struct identity_cache *c, const char *sha256)
{
	int fd = open_known(c, sha256);

	if (fd >= 0)
		metric_add(&gets_total, GOT_HIT, 1);
	return fd;
}

int identity_cache_get(struct identity_cache *c, const char *sha256, int stored_fd, struct err *e)
{
	int fd = open_known(c, sha256);

	if (fd < 0) {
		if (flights_enter(&c->making, str_from(sha256), e))
			return -1;
		fd = open_known(c, sha256); // somebody else may have made it
		if (fd < 0) {
			fd = make(c, sha256, stored_fd, e);
			flights_leave(&c->making, str_from(sha256));
			return fd;
		}
		flights_leave(&c->making, str_from(sha256));
	}
	metric_add(&gets_total, GOT_HIT, 1);
	return fd;
}

void identity_cache_drop(struct identity_cache *c, const char *sha256)
{
	struct copy *k;

	pthread_mutex_lock(&c->lock);
	k = map_get(&c->copies, str_from(sha256));
	if (k)
		forget(c, k);
	pthread_mutex_unlock(&c->lock);
	remove_copy_file(c, sha256);
}

uint64_t identity_cache_bytes(struct identity_cache *c)
{
	uint64_t bytes;

	pthread_mutex_lock(&c->lock);
	bytes = c->bytes;
	pthread_mutex_unlock(&c->lock);
	return bytes;
}

int identity_cache_open(const char *dir, const char *tmp_dir, uint64_t max_bytes,
			struct identity_cache **ret, struct err *e)
{
	struct identity_cache *c;

	if (folder_empty(dir, e))
		return -1;
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return err_nomem(e);
	flights_init(&c->making);
	pthread_mutex_init(&c->lock, NULL);
	c->max_bytes = max_bytes;
	c->dir = mem_strdup(dir);
	c->tmp_dir = mem_strdup(tmp_dir);
	if (!c->dir || !c->tmp_dir) {
		identity_cache_close(c);
		return err_nomem(e);
	}
	metric_register(&gets_total);
	metric_register(&bytes_now);
	metric_register(&evictions_total);
	*ret = c;
	return 0;
}

void identity_cache_close(struct identity_cache *c)
{
	if (!c)
		return;
	while (c->oldest)
		forget(c, c->oldest);
	map_deinit(&c->copies);
	pthread_mutex_destroy(&c->lock);
	flights_deinit(&c->making);
	free(c->tmp_dir);
	free(c->dir);
	free(c);
}
