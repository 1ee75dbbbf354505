/* SPDX-License-Identifier: Apache-2.0 */
#include "base/compress.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include <libdeflate.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
	GZIP_LEVEL_MAX = 12,
	GZIP_FIRST_GUESS = 64 * 1024,
	DEFLATE_RATIO_MAX = 1032, // no deflate stream expands more
	ZSTD_LEVEL_MAX = 19,      // the highest whose window is no larger than 8 MiB
	ZSTD_WINDOW_LOG_MAX = 27, // of what we read: 128 MiB of memory
	ZSTD_CHUNK = 128 * 1024,
	// A size announced is believed up to there, and beyond it in proportion to what came in.
	ZSTD_BELIEVED = 16 * 1024 * 1024,
	ZSTD_RATIO_BELIEVED = 64,
};

enum encoding encoding_sniff(struct str bytes)
{
	if (str_has_prefix(bytes, STR("\x1f\x8b")))
		return ENCODING_GZIP;
	if (str_has_prefix(bytes, STR("\x28\xb5\x2f\xfd")))
		return ENCODING_ZSTD;
	// Skippable frames: 0x184D2A50 to 0x184D2A5F, little-endian (RFC 8878, 3.1.2).
	if (bytes.n >= 4 && ((unsigned char)bytes.p[0] & 0xf0) == 0x50 &&
	    str_has_prefix(str_skip(bytes, 1), STR("\x2a\x4d\x18")))
		return ENCODING_ZSTD;
	return ENCODING_IDENTITY;
}

static size_t room_of(const struct buf *out)
{
	return out->max - MIN(out->n, out->max);
}

static int beyond_cap(const struct buf *out, const char *format, struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "%s data decompresses to more than the limit of %zu bytes",
		       format, out->max);
}

static int packed_beyond_cap(const struct buf *out, const char *format, struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "compressed %s data is larger than the limit of %zu bytes",
		       format, out->max);
}

DEFINE_CLEANUP(struct libdeflate_decompressor *, libdeflate_free_decompressor)
DEFINE_CLEANUP(struct libdeflate_compressor *, libdeflate_free_compressor)

// ISIZE, the last four bytes (RFC 1952), is but a hint: modulo 2^32, of the last member, and forgeable.
static size_t guess_size(struct str in, size_t room)
{
	const unsigned char *p = (const unsigned char *)in.p + in.n - 4;
	uint64_t isize = p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
	uint64_t possible = (uint64_t)in.n * DEFLATE_RATIO_MAX;

	isize = MAX(MIN(isize, possible), (uint64_t)GZIP_FIRST_GUESS);
	return (size_t)MIN(isize, (uint64_t)room);
}

// One member from the start of *in, cut off it. libdeflate wants all of the output to fit: retry, larger.
static int gunzip_member(struct libdeflate_decompressor *d, struct str *in, struct buf *out,
			 struct err *e)
{
	size_t room = room_of(out);
	size_t size = guess_size(*in, room);

	for (;;) {
		char *to = buf_reserve(out, size);
		enum libdeflate_result result;
		size_t used;
		size_t got;

		if (!to)
			return buf_check(out, "decompressed gzip data", e);
		result = libdeflate_gzip_decompress_ex(d, in->p, in->n, to, size, &used, &got);
		if (result == LIBDEFLATE_SUCCESS) {
			buf_commit(out, got);
			*in = str_skip(*in, used);
			return 0;
		}
		if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
			return err_set(e, ERR_BAD_ENCODING, "gzip data is damaged or cut off");
		if (size == room)
			return beyond_cap(out, "gzip", e);
		size = size > room / 2 ? room : size * 2;
	}
}

// What tapes and block devices leave behind; gzip(1) passes over it too.
static bool is_padding(struct str s)
{
	while (s.n && s.p[0] == '\0')
		s = str_skip(s, 1);
	return s.n == 0;
}

int gzip_decompress(struct str in, struct buf *out, struct err *e)
{
	enum { MEMBER_MIN = 18 };
	_cleanup_(libdeflate_free_decompressorp) struct libdeflate_decompressor *d =
		libdeflate_alloc_decompressor();

	if (!d)
		return err_nomem(e);
	do {
		if (in.n < MEMBER_MIN)
			return err_set(e, ERR_BAD_ENCODING, "gzip data is cut off");
		if (gunzip_member(d, &in, out, e))
			return -1;
	} while (!is_padding(in));
	return 0;
}

uint32_t crc32_update(uint32_t crc, struct str bytes)
{
	return libdeflate_crc32(crc, bytes.p, bytes.n);
}

int zlib_decompress(struct str in, void *out, size_t n, struct err *e)
{
	_cleanup_(libdeflate_free_decompressorp) struct libdeflate_decompressor *d =
		libdeflate_alloc_decompressor();

	if (!d)
		return err_nomem(e);
	switch (libdeflate_zlib_decompress(d, in.p, in.n, out, n, NULL)) {
	case LIBDEFLATE_SUCCESS:
		return 0;
	case LIBDEFLATE_SHORT_OUTPUT:
		return err_set(e, ERR_BAD_ENCODING, "zlib data is shorter than the %zu bytes announced", n);
	case LIBDEFLATE_INSUFFICIENT_SPACE:
		return err_set(e, ERR_BAD_ENCODING, "zlib data is longer than the %zu bytes announced", n);
	case LIBDEFLATE_BAD_DATA:
		break;
	}
	return err_set(e, ERR_BAD_ENCODING, "zlib data is damaged or cut off");
}

int gzip_compress(struct str in, int level, struct buf *out, struct err *e)
{
	_cleanup_(libdeflate_free_compressorp) struct libdeflate_compressor *c =
		libdeflate_alloc_compressor(MAX(1, MIN(level, GZIP_LEVEL_MAX)));
	size_t size;
	char *to;
	size_t n;

	if (!c)
		return err_nomem(e);
	size = MIN(libdeflate_gzip_compress_bound(c, in.n), room_of(out));
	to = buf_reserve(out, size);
	if (!to)
		return buf_check(out, "compressed gzip data", e);
	n = libdeflate_gzip_compress(c, in.p, in.n, to, size);
	if (!n)
		return packed_beyond_cap(out, "gzip", e);
	buf_commit(out, n);
	return 0;
}

static void free_dctx(ZSTD_DCtx *d)
{
	ZSTD_freeDCtx(d);
}

static void free_cctx(ZSTD_CCtx *c)
{
	ZSTD_freeCCtx(c);
}

DEFINE_CLEANUP(ZSTD_DCtx *, free_dctx)
DEFINE_CLEANUP(ZSTD_CCtx *, free_cctx)

static ZSTD_DCtx *new_dctx(void)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();

	if (d)
		ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	return d;
}

static int bad_zstd(size_t code, struct err *e)
{
	return err_set(e, ERR_BAD_ENCODING, "zstd data is damaged: %s", ZSTD_getErrorName(code));
}

/*
 * What a frame says of its size (RFC 8878, 3.1.1.1.4) is but a hint, and forgeable. Where all of it fits
 * into the output and lies in the input, libzstd decodes it in place instead of through a window.
 */
static size_t guess_frame(const ZSTD_inBuffer *in)
{
	size_t left = in->size - in->pos;
	unsigned long long size =
		ZSTD_getFrameContentSize((const char *)in->src + in->pos, left);

	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ||
	    (size > ZSTD_BELIEVED && size / ZSTD_RATIO_BELIEVED > left))
		return ZSTD_CHUNK;
	return MAX((size_t)size, (size_t)1);
}

/*
 * One step of decompression onto the end of out. At the maximum one byte of scratch finds out whether
 * anything more comes. *hint: 0 when a frame is complete and flushed, as it is before the first.
 */
static int unzstd_step(ZSTD_DCtx *d, ZSTD_inBuffer *in, struct buf *out, size_t *hint,
		       struct err *e)
{
	size_t room = MIN(room_of(out), *hint ? (size_t)ZSTD_CHUNK : guess_frame(in));
	char scratch[1];
	char *to = room ? buf_reserve(out, room) : scratch;
	ZSTD_outBuffer o = {to, room ? room : sizeof(scratch), 0};

	if (!to)
		return buf_check(out, "decompressed zstd data", e);
	*hint = ZSTD_decompressStream(d, &o, in);
	if (ZSTD_isError(*hint))
		return bad_zstd(*hint, e);
	if (room)
		buf_commit(out, o.pos);
	else if (o.pos)
		return beyond_cap(out, "zstd", e);
	return o.pos > 0;
}

int zstd_decompress(struct str in, struct buf *out, struct err *e)
{
	_cleanup_(free_dctxp) ZSTD_DCtx *d = new_dctx();
	ZSTD_inBuffer i = {in.p, in.n, 0};
	size_t hint = 0;
	int wrote;

	if (!d)
		return err_nomem(e);
	do {
		wrote = unzstd_step(d, &i, out, &hint, e);
		if (wrote < 0)
			return -1;
	} while (i.pos < i.size || (hint && wrote));
	return hint ? err_set(e, ERR_BAD_ENCODING, "zstd data is cut off") : 0;
}

int zstd_compress(struct str in, int level, struct buf *out, struct err *e)
{
	_cleanup_(free_cctxp) ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t size = MIN(ZSTD_compressBound(in.n), room_of(out));
	char *to;
	size_t n;

	if (!c)
		return err_nomem(e);
	to = buf_reserve(out, size);
	if (!to)
		return buf_check(out, "compressed zstd data", e);
	n = ZSTD_compressCCtx(c, to, size, in.p, in.n, MIN(level, ZSTD_LEVEL_MAX));
	if (ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
		return packed_beyond_cap(out, "zstd", e);
	if (ZSTD_isError(n))
		return err_set(e, ERR_INTERNAL, "compressing with zstd: %s", ZSTD_getErrorName(n));
	buf_commit(out, n);
	return 0;
}

int decompress_any(struct str in, struct buf *out, struct err *e)
{
	switch (encoding_sniff(in)) {
	case ENCODING_GZIP:
		return gzip_decompress(in, out, e);
	case ENCODING_ZSTD:
		return zstd_decompress(in, out, e);
	default:
		buf_append_str(out, in);
		return buf_check(out, "data", e);
	}
}

struct zstd_in {
	ZSTD_DCtx *d;
	int out_fd;
	uint64_t max_out;
	uint64_t out;
	size_t hint; // 0: between frames
	char chunk[ZSTD_CHUNK];
};

int zstd_in_new(int out_fd, uint64_t max_out, struct zstd_in **ret, struct err *e)
{
	struct zstd_in *z = mem_zalloc(sizeof(*z));

	if (!z)
		return err_nomem(e);
	z->d = new_dctx();
	if (!z->d) {
		free(z);
		return err_nomem(e);
	}
	z->out_fd = out_fd;
	z->max_out = max_out;
	z->hint = 1;
	*ret = z;
	return 0;
}

static int write_out(struct zstd_in *z, size_t n, struct err *e)
{
	if (n > z->max_out - z->out)
		return err_set(e, ERR_TOO_LARGE,
			       "zstd data decompresses to more than the limit of %ju bytes",
			       (uintmax_t)z->max_out);
	if (io_write_all(z->out_fd, z->chunk, n, e))
		return -1;
	z->out += n;
	return 0;
}

int zstd_in_feed(struct zstd_in *z, struct str in, struct err *e)
{
	ZSTD_inBuffer i = {in.p, in.n, 0};
	ZSTD_outBuffer o;

	if (!in.n)
		return 0;
	do {
		o = (ZSTD_outBuffer){z->chunk, sizeof(z->chunk), 0};
		z->hint = ZSTD_decompressStream(z->d, &o, &i);
		if (ZSTD_isError(z->hint))
			return bad_zstd(z->hint, e);
		if (write_out(z, o.pos, e))
			return -1;
	} while (i.pos < i.size || (z->hint && o.pos == o.size));
	return 0;
}

int zstd_in_finish(struct zstd_in *z, uint64_t *ret_out, struct err *e)
{
	if (z->hint)
		return err_set(e, ERR_BAD_ENCODING, "zstd data is cut off after %ju bytes of content",
			       (uintmax_t)z->out);
	*ret_out = z->out;
	return 0;
}

void zstd_in_free(struct zstd_in *z)
{
	if (!z)
		return;
	ZSTD_freeDCtx(z->d);
	free(z);
}
