/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole-buffer and streaming (de)compression with output caps: gzip and zlib through libdeflate (and
 * ISA-L, which only writes), zstd through libzstd. A bomb is ERR_TOO_LARGE, damage is ERR_BAD_ENCODING. Thread-safe (no shared state).
 */
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/zseek.h"

enum encoding { ENCODING_IDENTITY, ENCODING_GZIP, ENCODING_ZSTD };

/* By magic number. */
enum encoding encoding_sniff(struct str bytes);

/* Appends to out, whose max is the cap. Multi-member gzip and multi-frame zstd are read to the end. */
int gzip_decompress(struct str in, struct buf *out, struct err *e) MUST_CHECK;
int gzip_compress(struct str in, int level, struct buf *out, struct err *e) MUST_CHECK;
/* For an answer that is waited for: several times faster than gzip_compress(), a tenth larger. */
int gzip_compress_fast(struct str in, struct buf *out, struct err *e) MUST_CHECK;
int zstd_decompress(struct str in, struct buf *out, struct err *e) MUST_CHECK;
int zstd_compress(struct str in, int level, struct buf *out, struct err *e) MUST_CHECK;
/* One zlib stream (RFC 1950) that gives exactly the n bytes at out; else ERR_BAD_ENCODING. */
int zlib_decompress(struct str in, void *out, size_t n, struct err *e) MUST_CHECK;
/* The CRC of gzip, zlib and .gnu_debuglink, continued from `crc`; 0 to begin with. */
uint32_t crc32_update(uint32_t crc, struct str bytes);
/* Decompress by magic, or copy. */
int decompress_any(struct str in, struct buf *out, struct err *e) MUST_CHECK;

/* Streaming zstd decompression (uploads): feed input as it arrives, write output to fd. */
struct zstd_in;
int zstd_in_new(int out_fd, uint64_t max_out, struct zstd_in **ret, struct err *e) MUST_CHECK;
int zstd_in_feed(struct zstd_in *z, struct str in, struct err *e) MUST_CHECK;
/* ERR_BAD_ENCODING when the stream ended inside a frame. */
int zstd_in_finish(struct zstd_in *z, uint64_t *ret_out, struct err *e) MUST_CHECK;
void zstd_in_free(struct zstd_in *z);

#endif
