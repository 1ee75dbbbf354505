/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity copies of blobs: an LRU of uncompressed files, bounded in bytes, for what is asked for again
 * and again. The order of use is kept in memory and the folder is emptied on open, for copies are not
 * synced and a crash may leave them damaged. Only blob.c includes this. Thread-safe.
 */
#ifndef STORE_BLOB_IDENTITY_H
#define STORE_BLOB_IDENTITY_H

#include "base/digest.h"
#include "base/err.h"

struct identity_cache;

/* dir and tmp_dir exist, on one file system. */
int identity_cache_open(const char *dir, const char *tmp_dir, uint64_t max_bytes,
			struct identity_cache **ret, struct err *e) MUST_CHECK;
void identity_cache_close(struct identity_cache *c);

/*
 * The copy as a file: fd or -1. It is made from stored_fd's zstd on first use, by one thread while others
 * that want the same one wait. A copy larger than the whole cache is not kept.
 */
int identity_cache_get(struct identity_cache *c, const char *sha256, int stored_fd, struct err *e) MUST_CHECK;
/* The copy if there is one, else -1. */
int identity_cache_get_hot(struct identity_cache *c, const char *sha256) MUST_CHECK;
void identity_cache_drop(struct identity_cache *c, const char *sha256);
uint64_t identity_cache_bytes(struct identity_cache *c);

#endif
