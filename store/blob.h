/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs: the immutable files people upload and we fetch, named by the SHA-256 of their identity bytes,
 * kept as zstd in independent 256 KiB frames with a seek table (base/compress.h), so that a range costs
 * only its frames and a client that accepts zstd gets the stored bytes.
 *
 *   DIR/ab/abcdef….zst      published blobs
 *   DIR/identity/abcdef…    hot identity copies, a bounded LRU; may vanish at any time
 *   DIR/tmp/                staging; emptied on open
 *
 * Published = temp, fsync, rename, fsync of the folder: a blob that can be seen is whole. Thread-safe.
 */
#ifndef STORE_BLOB_H
#define STORE_BLOB_H

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"

struct blob_store;

struct blob_limits {
	uint64_t identity_cache_bytes; /* LRU of identity copies */
	uint64_t quota_bytes;          /* of stored bytes; 0: none. Beyond: ERR_QUOTA */
	int level;                     /* zstd; 0: 3 */
};

int blob_store_open(const char *dir, const struct blob_limits *limits, struct blob_store **ret,
		    struct err *e) MUST_CHECK;
void blob_store_close(struct blob_store *s);

/* An unlinked staging file on the store's file system; fd or -1. */
int blob_staging(struct blob_store *s, struct err *e) MUST_CHECK;

struct blob_info {
	char sha256[SHA256_HEX];
	uint64_t size;        /* identity bytes */
	uint64_t stored_size; /* compressed */
};

/* Stores the identity bytes of fd (from its start). BLOB_EXISTS: it was there already. */
enum { BLOB_EXISTS = 1 };
int blob_put(struct blob_store *s, int fd, struct blob_info *ret, struct err *e) MUST_CHECK;
/*
 * The same, and use(ctx, …) notes elsewhere that the blob is used, before anybody can remove it. When that
 * fails, or says BLOB_UNUSED, a blob that was not there before goes again.
 */
enum { BLOB_USED = 0, BLOB_UNUSED = 1 };
typedef int blob_use(void *ctx, const struct blob_info *info, struct err *e);
int blob_put_used(struct blob_store *s, int fd, blob_use *use, void *ctx, struct blob_info *ret,
		  struct err *e) MUST_CHECK;

/* ERR_NOT_FOUND when it is gone. */
int blob_stat(struct blob_store *s, const char *sha256, struct blob_info *ret, struct err *e) MUST_CHECK;
/* The stored zstd bytes: fd or -1. */
int blob_open_stored(struct blob_store *s, const char *sha256, struct err *e) MUST_CHECK;
/* The identity bytes as a file (made on first use): fd or -1. Stays readable when evicted. */
int blob_open_identity(struct blob_store *s, const char *sha256, struct err *e) MUST_CHECK;
/* The same where a copy is at hand already, so that it takes microseconds; else -1, and nothing is wrong. */
int blob_open_identity_hot(struct blob_store *s, const char *sha256) MUST_CHECK;
/* Exactly n identity bytes at off, without an identity copy. */
int blob_pread(struct blob_store *s, const char *sha256, void *p, size_t n, uint64_t off,
	       struct err *e) MUST_CHECK;
int blob_remove(struct blob_store *s, const char *sha256, struct err *e) MUST_CHECK;
/* The same, where used(ctx, sha256) says BLOB_UNUSED; no blob_put_used() of it comes in between. */
typedef int blob_used(void *ctx, const char *sha256, struct err *e);
int blob_remove_unused(struct blob_store *s, const char *sha256, blob_used *used, void *ctx,
		       struct err *e) MUST_CHECK;
/* blob_remove_unused() of every blob: a crash may have come between a blob and the note of its use. */
int blob_sweep(struct blob_store *s, blob_used *used, void *ctx, struct err *e) MUST_CHECK;

struct blob_usage {
	uint64_t blobs;
	uint64_t stored_bytes;
	uint64_t identity_cache_bytes;
};
void blob_store_usage(struct blob_store *s, struct blob_usage *ret);

#endif
