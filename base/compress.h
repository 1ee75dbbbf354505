/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole-buffer and streaming (de)compression with output caps: gzip through libdeflate, zstd through
 * libzstd. A bomb is ERR_TOO_LARGE, damage is ERR_BAD_ENCODING. Thread-safe (no shared state).
 */
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum encoding { ENCODING_IDENTITY, ENCODING_GZIP, ENCODING_ZSTD };

/* By magic number. */
enum encoding encoding_sniff(struct str bytes);
const char *encoding_name(enum encoding enc); /* as in Content-Encoding */

/* Appends to out, whose max is the cap. Multi-member gzip and multi-frame zstd are read to the end. */
int gzip_decompress(struct str in, struct buf *out, struct err *e) MUST_CHECK;
int gzip_compress(struct str in, int level, struct buf *out, struct err *e) MUST_CHECK;
int zstd_decompress(struct str in, struct buf *out, struct err *e) MUST_CHECK;
int zstd_compress(struct str in, int level, struct buf *out, struct err *e) MUST_CHECK;
/* Decompress by magic, or copy. */
int decompress_any(struct str in, struct buf *out, struct err *e) MUST_CHECK;

/* Streaming zstd decompression (uploads): feed input as it arrives, write output to fd. */
struct zstd_in;
int zstd_in_new(int out_fd, uint64_t max_out, struct zstd_in **ret, struct err *e) MUST_CHECK;
int zstd_in_feed(struct zstd_in *z, struct str in, struct err *e) MUST_CHECK;
/* ERR_BAD_ENCODING when the stream ended inside a frame. */
int zstd_in_finish(struct zstd_in *z, uint64_t *ret_out, struct err *e) MUST_CHECK;
void zstd_in_free(struct zstd_in *z);

/*
 * The seekable zstd format (zstd contrib/seekable_format, "zstd_seekable_compression_format.md"):
 * independent frames of ZSEEK_FRAME identity bytes, then a seek table in a skippable frame. Any zstd
 * decoder reads the whole; a reader with the table reads any range.
 */
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
