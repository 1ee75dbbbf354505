/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/zstd_out.h"

#include "base/io.h"
#include "base/mem.h"

#include <zstd.h>

enum {
	LEVEL = 3,
	WINDOW_LOG = 20, // 1 MiB: memory counts more than the last percent
	CHUNK = 64 << 10,
};

struct zstd_out {
	int fd;
	uint64_t max, size;
	ZSTD_CCtx *ctx;
	char chunk[CHUNK];
};

int zstd_out_new(int fd, uint64_t max, struct zstd_out **ret, struct err *e)
{
	struct zstd_out *z = mem_zalloc(sizeof(*z));

	if (!z)
		return err_nomem(e);
	z->fd = fd;
	z->max = max;
	z->ctx = ZSTD_createCCtx();
	if (!z->ctx) {
		zstd_out_free(z);
		return err_nomem(e);
	}
	ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_windowLog, WINDOW_LOG);
	*ret = z;
	return 0;
}

void zstd_out_free(struct zstd_out *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->ctx);
	free(z);
}

/* One round; *ret_left: what zstd still has to say. */
static int step(struct zstd_out *z, ZSTD_inBuffer *in, ZSTD_EndDirective how, size_t *ret_left,
		struct err *e)
{
	ZSTD_outBuffer out = {z->chunk, sizeof(z->chunk), 0};

	*ret_left = ZSTD_compressStream2(z->ctx, &out, in, how);
	if (ZSTD_isError(*ret_left))
		return err_set(e, ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(*ret_left));
	z->size += out.pos;
	if (z->size > z->max)
		return err_set(e, ERR_TOO_LARGE, "more than %llu bytes, compressed",
			       (unsigned long long)z->max);
	return io_write_all(z->fd, z->chunk, out.pos, e);
}

int zstd_out_write(struct zstd_out *z, struct str bytes, struct err *e)
{
	ZSTD_inBuffer in = {bytes.p, bytes.n, 0};
	size_t left;

	while (in.pos < in.size) {
		if (step(z, &in, ZSTD_e_continue, &left, e) < 0)
			return -1;
	}
	return 0;
}

int zstd_out_zeros(struct zstd_out *z, uint64_t n, struct err *e)
{
	static const char zeros[CHUNK];

	while (n > 0) {
		size_t some = MIN(n, (uint64_t)sizeof(zeros));

		if (zstd_out_write(z, (struct str){zeros, some}, e) < 0)
			return -1;
		n -= some;
	}
	return 0;
}

int zstd_out_finish(struct zstd_out *z, uint64_t *ret_size, struct err *e)
{
	ZSTD_inBuffer none = {NULL, 0, 0};
	size_t left;

	do {
		if (step(z, &none, ZSTD_e_end, &left, e) < 0)
			return -1;
	} while (left > 0);
	*ret_size = z->size;
	return 0;
}
