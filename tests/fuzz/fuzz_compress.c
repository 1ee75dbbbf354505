/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression under caps. The first byte of the input chooses what: 0 gzip, 1 zstd, 2 the seekable
 * file, 3 zstd in pieces, 4 packing and unpacking again.
 */
#include "base/compress.h"

#include "base/io.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kind(const struct err *e)
{
	if (e->kind != ERR_BAD_ENCODING && e->kind != ERR_TOO_LARGE && e->kind != ERR_CORRUPT)
		abort();
}

static void unpack(int (*codec)(struct str, struct buf *, struct err *), struct str in)
{
	struct buf out = BUF_INIT(OUT_MAX);
	struct err e = ERR_INIT;

	if (codec(in, &out, &e))
		check_kind(&e);
	if (out.n > OUT_MAX)
		abort();
	buf_deinit(&out);
}

static void read_all(struct zseek *z)
{
	static char window[100000];
	struct err e = ERR_INIT;
	uint64_t size = MIN(zseek_size(z), (uint64_t)OUT_MAX);

	for (uint64_t off = 0; off < size; off += sizeof(window)) {
		if (zseek_pread(z, window, (size_t)MIN(size - off, (uint64_t)sizeof(window)), off, &e)) {
			check_kind(&e);
			return;
		}
	}
}

static int memory_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

static void seek(struct str in)
{
	int fd = memory_file();
	struct err e = ERR_INIT;
	struct zseek *z;

	if (io_pwrite_all(fd, in.p, in.n, 0, &e))
		abort();
	if (zseek_open(fd, &z, &e) == 0) {
		read_all(z);
		zseek_free(z);
	} else {
		check_kind(&e);
	}
	close(fd);
}

static void feed(struct str in)
{
	int fd = memory_file();
	struct err e = ERR_INIT;
	struct zstd_in *z;
	uint64_t total;
	int rc = 0;

	if (zstd_in_new(fd, OUT_MAX, &z, &e))
		abort();
	for (size_t step = 1; in.n && !rc; step++) {
		size_t n = MIN(in.n, step);

		rc = zstd_in_feed(z, (struct str){in.p, n}, &e);
		in = str_skip(in, n);
	}
	if (rc || zstd_in_finish(z, &total, &e))
		check_kind(&e);
	else if (total > OUT_MAX)
		abort();
	zstd_in_free(z);
	close(fd);
}

static void round_trip(struct str in)
{
	struct buf packed = BUF_INIT(OUT_MAX * 2);
	struct buf out = BUF_INIT(OUT_MAX * 2);
	struct err e = ERR_INIT;

	if (gzip_compress(in, 1, &packed, &e) || decompress_any(buf_str(&packed), &out, &e) ||
	    !str_eq(buf_str(&out), in))
		abort();
	buf_clear(&packed);
	buf_clear(&out);
	if (zstd_compress(in, 1, &packed, &e) || decompress_any(buf_str(&packed), &out, &e) ||
	    !str_eq(buf_str(&out), in))
		abort();
	buf_deinit(&packed);
	buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	unsigned char what;

	if (!size)
		return 0;
	what = data[0];
	in = str_skip(in, 1);
	if (what == 0)
		unpack(gzip_decompress, in);
	else if (what == 1)
		unpack(zstd_decompress, in);
	else if (what == 2)
		seek(in);
	else if (what == 3)
		feed(in);
	else
		round_trip(in);
	return 0;
}
