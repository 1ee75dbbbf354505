/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seekable zstd format (zstd contrib/seekable_format, "zstd_seekable_compression_format.md"):
 * independent frames of ZSEEK_FRAME identity bytes, then a seek table in a skippable frame. Any zstd
 * decoder reads the whole; a reader with the table reads any range.
 */
#ifndef BASE_ZSEEK_H
#define BASE_ZSEEK_H

#include "base/base.h"
#include "base/err.h"

enum { ZSEEK_FRAME = 256 * 1024 };

/* Compresses `size` bytes of in_fd from its start, to out_fd at its position. */
int zseek_compress(int in_fd, uint64_t size, int out_fd, int level, uint64_t *ret_stored,
		   struct err *e) MUST_CHECK;

struct zseek;
/* fd stays the caller's and must outlive the reader; the table is validated against the file size. */
int zseek_open(int fd, struct zseek **ret, struct err *e) MUST_CHECK;
uint64_t zseek_size(const struct zseek *z);
/* Exactly n bytes at off of the identity content. Not thread-safe: one reader per thread. */
int zseek_pread(struct zseek *z, void *p, size_t n, uint64_t off, struct err *e) MUST_CHECK;
/* All of it, to out_fd. */
int zseek_extract(struct zseek *z, int out_fd, struct err *e) MUST_CHECK;
void zseek_free(struct zseek *z);

#endif
