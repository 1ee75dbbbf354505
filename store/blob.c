/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blob.h"

#include "base/compress.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "store/blob_identity.h"
#include "store/flights.h"
#include "store/folder.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LEVEL = 3, MODE = 0750 };
enum { PUT_STORED, PUT_EXISTS, PUT_FAILED };

static const char *const put_names[] = {"stored", "exists", "failed", NULL};

static struct metric puts_total = {
	.name = "unhex_blob_puts_total",
	.help = "Blobs given to the store.",
	.type = METRIC_COUNTER,
	.label = "result",
	.values = put_names,
};
static struct metric blobs_now = {
	.name = "unhex_blobs",
	.help = "Blobs stored.",
	.type = METRIC_GAUGE,
};
static struct metric stored_now = {
	.name = "unhex_blob_stored_bytes",
	.help = "Bytes of stored blobs, compressed.",
	.type = METRIC_GAUGE,
};

struct blob_store {
	char *dir;
	char *tmp;
	struct blob_limits limits;
	struct identity_cache *identity;
	struct flights flights; // puts and removals of one blob
	int owned;              // the locked folder
	atomic_bool synced[256]; // the folder of this prefix is in the store's for good

	pthread_mutex_t lock; // guards usage
	uint64_t blobs;
	uint64_t stored_bytes;
};

DEFINE_CLEANUP(struct blob_store *, blob_store_close)
DEFINE_CLEANUP(struct zseek *, zseek_free)

// ---- names ----------------------------------------------------------------------------------------

static bool is_sha256(const char *s)
{
	return strspn(s, "0123456789abcdef") == SHA256_HEX - 1 && s[SHA256_HEX - 1] == '\0';
}

// Is it the name of a folder of blobs?
static bool is_prefix(const char *s)
{
	return strlen(s) == 2 && strspn(s, "0123456789abcdef") == 2;
}

static int blob_path(const struct blob_store *s, const char *sha256, char out[static FOLDER_PATH],
		     struct err *e)
{
	if (!is_sha256(sha256))
		return err_set(e, ERR_NOT_FOUND, "'%.80s' is not the SHA-256 of a blob", sha256);
	return folder_path(out, e, s->dir, "%.2s/%s.zst", sha256, sha256);
}

static int open_stored(const struct blob_store *s, const char *sha256, struct err *e)
{
	char path[FOLDER_PATH];
	int fd;

	if (blob_path(s, sha256, path, e))
		return -1;
	fd = io_open_read(path, e);
	return fd < 0 ? err_wrap(e, "blob %s", sha256) : fd;
}

// ---- usage ----------------------------------------------------------------------------------------

static void account(struct blob_store *s, int blobs, int64_t bytes)
{
	pthread_mutex_lock(&s->lock);
	s->blobs += (uint64_t)(int64_t)blobs;
	s->stored_bytes += (uint64_t)bytes;
	metric_set(&blobs_now, 0, (int64_t)s->blobs);
	metric_set(&stored_now, 0, (int64_t)s->stored_bytes);
	pthread_mutex_unlock(&s->lock);
}

static int check_quota(struct blob_store *s, uint64_t more, struct err *e)
{
	uint64_t used;

	pthread_mutex_lock(&s->lock);
	used = s->stored_bytes;
	pthread_mutex_unlock(&s->lock);
	if (!s->limits.quota_bytes || (used <= s->limits.quota_bytes && more <= s->limits.quota_bytes - used))
		return 0;
	return err_set(e, ERR_QUOTA, "the store holds %ju of %ju bytes; %ju more do not fit",
		       (uintmax_t)used, (uintmax_t)s->limits.quota_bytes, (uintmax_t)more);
}

void blob_store_usage(struct blob_store *s, struct blob_usage *ret)
{
	ret->identity_cache_bytes = identity_cache_bytes(s->identity);
	pthread_mutex_lock(&s->lock);
	ret->blobs = s->blobs;
	ret->stored_bytes = s->stored_bytes;
	pthread_mutex_unlock(&s->lock);
}

// ---- opening --------------------------------------------------------------------------------------

static int count_blob(void *ctx, const char *path, const char *name, struct err *e)
{
	struct blob_store *s = ctx;
	struct stat st;

	if (!str_has_suffix(str_from(name), STR(".zst")))
		return 0;
	if (stat(path, &st))
		return err_sys(e, errno, "reading the size of %s", path);
	account(s, 1, st.st_size);
	return 0;
}

// Synced, too: a crash may have come between a blob's rename and the sync of its folder.
static int count_folder(void *ctx, const char *path, const char *name, struct err *e)
{
	if (!is_prefix(name))
		return 0;
	if (folder_each(path, count_blob, ctx, e))
		return -1;
	return folder_sync(path, e);
}

static int open_folders(struct blob_store *s, const char *dir, struct err *e)
{
	char tmp[FOLDER_PATH];
	char identity[FOLDER_PATH];

	s->owned = folder_own(dir, e);
	if (s->owned < 0 || folder_path(tmp, e, dir, "tmp") ||
	    folder_path(identity, e, dir, "identity") || io_mkdirs(tmp, MODE, e) ||
	    io_mkdirs(identity, MODE, e) || folder_empty(tmp, e))
		return -1;
	s->dir = mem_strdup(dir);
	s->tmp = mem_strdup(tmp);
	if (!s->dir || !s->tmp)
		return err_nomem(e);
	return identity_cache_open(identity, tmp, s->limits.identity_cache_bytes, &s->identity, e);
}

int blob_store_open(const char *dir, const struct blob_limits *limits, struct blob_store **ret,
		    struct err *e)
{
	_cleanup_(blob_store_closep) struct blob_store *s = mem_zalloc(sizeof(*s));

	if (!s)
		return err_nomem(e);
	s->owned = -1;
	s->limits = *limits;
	if (!s->limits.level)
		s->limits.level = LEVEL;
	flights_init(&s->flights);
	pthread_mutex_init(&s->lock, NULL);
	metric_register(&puts_total);
	metric_register(&blobs_now);
	metric_register(&stored_now);
	if (open_folders(s, dir, e) || folder_each(dir, count_folder, s, e))
		return err_wrap(e, "opening the blob store");
	*ret = steal_ptr(s);
	return 0;
}

void blob_store_close(struct blob_store *s)
{
	if (!s)
		return;
	identity_cache_close(s->identity);
	if (s->owned >= 0)
		close(s->owned);
	pthread_mutex_destroy(&s->lock);
	flights_deinit(&s->flights);
	free(s->tmp);
	free(s->dir);
	free(s);
}

// ---- storing --------------------------------------------------------------------------------------

int blob_staging(struct blob_store *s, struct err *e)
{
	return io_tmpfile(s->tmp, e);
}

static atomic_bool *prefix_synced(struct blob_store *s, const char *sha256)
{
	uint8_t prefix = 0;
	size_t n;

	(void)hex_decode((struct str){sha256, 2}, &prefix, sizeof(prefix), &n);
	return &s->synced[prefix];
}

/*
 * The folder of a prefix is itself published by a sync of the store's. Who finds it there may be ahead of
 * whoever made it, or that sync may have failed: it has to have been seen to succeed.
 */
static int make_folder_of(struct blob_store *s, const char *sha256, struct err *e)
{
	atomic_bool *synced = prefix_synced(s, sha256);
	char path[FOLDER_PATH];

	if (folder_path(path, e, s->dir, "%.2s", sha256) || io_mkdirs(path, MODE, e))
		return -1;
	if (atomic_load(synced))
		return 0;
	if (folder_sync(s->dir, e))
		return -1;
	atomic_store(synced, true);
	return 0;
}

// Published or nothing: where the last sync fails, the name goes again.
static int publish(struct blob_store *s, const char *sha256, struct io_pending *f, struct err *e)
{
	char path[FOLDER_PATH];

	if (blob_path(s, sha256, path, e) || make_folder_of(s, sha256, e))
		return -1;
	if (io_publish(f, path, e) == 0)
		return 0;
	unlink(path);
	return -1;
}

// The caller holds the blob's flight.
static int store(struct blob_store *s, int fd, struct blob_info *info, struct err *e)
{
	_cleanup_(io_pending_deinit) struct io_pending f = IO_PENDING_INIT;

	if (check_quota(s, 0, e) || io_pending_open(&f, s->tmp, e) ||
	    zseek_compress(fd, info->size, f.fd, s->limits.level, &info->stored_size, e) ||
	    check_quota(s, info->stored_size, e) || publish(s, info->sha256, &f, e))
		return -1;
	account(s, 1, (int64_t)info->stored_size);
	return 0;
}

static int stored_size(struct blob_store *s, struct blob_info *info)
{
	char path[FOLDER_PATH];
	struct stat st;

	if (blob_path(s, info->sha256, path, NULL) || stat(path, &st))
		return -1;
	info->stored_size = (uint64_t)st.st_size;
	return 0;
}

static int remove_stored(struct blob_store *s, const char *sha256, struct err *e)
{
	char path[FOLDER_PATH];
	struct stat st;

	if (blob_path(s, sha256, path, e))
		return -1;
	if (stat(path, &st) || unlink(path))
		return err_sys(e, errno, "removing blob %s", sha256);
	account(s, -1, -(int64_t)st.st_size);
	return 0;
}

struct user {
	blob_use *use; // NULL: none
	void *ctx;
};

// The caller holds the blob's flight.
static int put_held(struct blob_store *s, int fd, const struct user *user, struct blob_info *info,
		    struct err *e)
{
	int rc = stored_size(s, info) == 0 ? BLOB_EXISTS : store(s, fd, info, e);
	int used;

	if (rc < 0)
		return err_wrap(e, "storing blob %s", info->sha256);
	used = user->use ? user->use(user->ctx, info, e) : BLOB_USED;
	if (used != BLOB_USED && rc != BLOB_EXISTS)
		(void)!remove_stored(s, info->sha256, NULL);
	return used < 0 ? -1 : rc;
}

static int put(struct blob_store *s, int fd, const struct user *user, struct blob_info *ret,
	       struct err *e)
{
	struct blob_info info = {0};
	int rc;

	if (io_file_size(fd, &info.size, e) || sha256_fd_hex(fd, info.sha256, e) ||
	    flights_enter(&s->flights, str_from(info.sha256), e))
		return err_wrap(e, "storing a blob");
	rc = put_held(s, fd, user, &info, e);
	flights_leave(&s->flights, str_from(info.sha256));
	if (rc >= 0)
		*ret = info;
	return rc;
}

int blob_put_used(struct blob_store *s, int fd, blob_use *use, void *ctx, struct blob_info *ret,
		  struct err *e)
{
	int rc = put(s, fd, &(struct user){use, ctx}, ret, e);

	metric_add(&puts_total, rc < 0 ? PUT_FAILED : rc == BLOB_EXISTS ? PUT_EXISTS : PUT_STORED, 1);
	return rc;
}

int blob_put(struct blob_store *s, int fd, struct blob_info *ret, struct err *e)
{
	return blob_put_used(s, fd, NULL, NULL, ret, e);
}

// ---- reading --------------------------------------------------------------------------------------

int blob_stat(struct blob_store *s, const char *sha256, struct blob_info *ret, struct err *e)
{
	_cleanup_close_ int fd = open_stored(s, sha256, e);
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	struct blob_info info = {0};

	if (fd < 0 || zseek_open(fd, &z, e) || io_file_size(fd, &info.stored_size, e))
		return -1;
	info.size = zseek_size(z);
	memcpy(info.sha256, sha256, sizeof(info.sha256));
	*ret = info;
	return 0;
}

int blob_open_stored(struct blob_store *s, const char *sha256, struct err *e)
{
	return open_stored(s, sha256, e);
}

int blob_open_identity(struct blob_store *s, const char *sha256, struct err *e)
{
	_cleanup_close_ int stored = open_stored(s, sha256, e);
	int fd;

	if (stored < 0)
		return -1;
	fd = identity_cache_get(s->identity, sha256, stored, e);
	return fd < 0 ? err_wrap(e, "blob %s", sha256) : fd;
}

int blob_open_identity_hot(struct blob_store *s, const char *sha256)
{
	return identity_cache_get_hot(s->identity, sha256);
}

int blob_pread(struct blob_store *s, const char *sha256, void *p, size_t n, uint64_t off,
	       struct err *e)
{
	_cleanup_close_ int fd = open_stored(s, sha256, e);
	_cleanup_(zseek_freep) struct zseek *z = NULL;

	if (fd < 0)
		return -1;
	if (zseek_open(fd, &z, e) || zseek_pread(z, p, n, off, e))
		return err_wrap(e, "blob %s", sha256);
	return 0;
}

int blob_remove_unused(struct blob_store *s, const char *sha256, blob_used *used, void *ctx,
		       struct err *e)
{
	int rc = BLOB_UNUSED;

	if (flights_enter(&s->flights, str_from(sha256), e))
		return -1;
	if (used)
		rc = used(ctx, sha256, e);
	if (rc == BLOB_UNUSED) {
		rc = remove_stored(s, sha256, e);
		if (is_sha256(sha256))
			identity_cache_drop(s->identity, sha256);
	}
	flights_leave(&s->flights, str_from(sha256));
	return rc;
}

int blob_remove(struct blob_store *s, const char *sha256, struct err *e)
{
	return blob_remove_unused(s, sha256, NULL, NULL, e);
}

// ---- sweeping -------------------------------------------------------------------------------------

struct sweep {
	struct blob_store *store;
	blob_used *used;
	void *ctx;
};

static int sweep_blob(void *ctx, UNUSED const char *path, const char *name, struct err *e)
{
	const struct sweep *w = ctx;
	char sha256[SHA256_HEX];

	if (!str_has_suffix(str_from(name), STR(".zst")))
		return 0;
	snprintf(sha256, sizeof(sha256), "%.*s", (int)(strlen(name) - strlen(".zst")), name);
	return is_sha256(sha256) ? blob_remove_unused(w->store, sha256, w->used, w->ctx, e) : 0;
}

static int sweep_folder(void *ctx, const char *path, const char *name, struct err *e)
{
	return is_prefix(name) ? folder_each(path, sweep_blob, ctx, e) : 0;
}

int blob_sweep(struct blob_store *s, blob_used *used, void *ctx, struct err *e)
{
	struct sweep w = {s, used, ctx};

	return folder_each(s->dir, sweep_folder, &w, e) ? err_wrap(e, "sweeping the blob store") : 0;
}
