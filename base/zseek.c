/* SPDX-License-Identifier: Apache-2.0 */
#include "base/zseek.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include <string.h>
#include <zstd.h>

enum {
	LEVEL_MAX = 19,
	SKIPPABLE_HEAD = 8,
	FOOTER = 9,
	ENTRY = 8,
	ENTRY_WITH_CHECKSUM = 12,
	FLAG_CHECKSUM = 0x80,
	FLAGS_RESERVED = 0x7c,
	FRAMES_MAX = 1 << 24, // 4 TiB in frames of ours
	FRAME_MAX = 16 << 20, // of others' files
};

static const uint32_t skippable_magic = 0x184D2A5E;
static const uint32_t footer_magic = 0x8F92EAB1;

static void free_cctx(ZSTD_CCtx *c)
{
	ZSTD_freeCCtx(c);
}

DEFINE_CLEANUP(ZSTD_CCtx *, free_cctx)
DEFINE_CLEANUP(struct zseek *, zseek_free)

static void put_le32(struct buf *b, uint32_t v)
{
	const uint8_t bytes[] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
				 (uint8_t)(v >> 24)};

	buf_append(b, bytes, sizeof(bytes));
}

static uint32_t get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

struct writer {
	ZSTD_CCtx *ctx;
	struct buf *table;
	char *in;  // ZSEEK_FRAME
	char *out; // bound
	size_t bound;
	int out_fd;
	uint64_t stored;
};

static int write_frame(struct writer *w, size_t n, struct err *e)
{
	size_t packed = ZSTD_compress2(w->ctx, w->out, w->bound, w->in, n);

	if (ZSTD_isError(packed))
		return err_set(e, ERR_INTERNAL, "compressing with zstd: %s",
			       ZSTD_getErrorName(packed));
	if (io_write_all(w->out_fd, w->out, packed, e))
		return -1;
	put_le32(w->table, (uint32_t)packed);
	put_le32(w->table, (uint32_t)n);
	w->stored += packed;
	return 0;
}

// Skippable frame: magic, size of the rest, entries, footer (count, descriptor, magic).
static int write_table(struct writer *w, struct err *e)
{
	struct buf head = BUF_INIT(SKIPPABLE_HEAD);
	uint32_t frames = (uint32_t)(w->table->n / ENTRY);
	int rc;

	put_le32(w->table, frames);
	buf_append_c(w->table, 0); // no checksums here: each frame carries its own
	put_le32(w->table, footer_magic);
	put_le32(&head, skippable_magic);
	put_le32(&head, (uint32_t)w->table->n);
	rc = buf_check(w->table, "zstd seek table", e);
	if (!rc)
		rc = buf_check(&head, "zstd seek table", e);
	if (!rc)
		rc = io_write_all(w->out_fd, head.p, head.n, e);
	if (!rc)
		rc = io_write_all(w->out_fd, w->table->p, w->table->n, e);
	w->stored += head.n + w->table->n;
	buf_deinit(&head);
	return rc;
}

static int write_all_frames(struct writer *w, int in_fd, uint64_t size, struct err *e)
{
	for (uint64_t off = 0; off < size; off += ZSEEK_FRAME) {
		size_t n = (size_t)MIN(size - off, (uint64_t)ZSEEK_FRAME);

		if (io_pread_all(in_fd, w->in, n, off, e) || write_frame(w, n, e))
			return -1;
	}
	return write_table(w, e);
}

int zseek_compress(int in_fd, uint64_t size, int out_fd, int level, uint64_t *ret_stored,
		   struct err *e)
{
	size_t bound = ZSTD_compressBound(ZSEEK_FRAME);
	_cleanup_(free_cctxp) ZSTD_CCtx *ctx = ZSTD_createCCtx();
	_cleanup_(buf_deinit) struct buf table = BUF_INIT((size_t)FRAMES_MAX * ENTRY + FOOTER);
	_cleanup_free_ char *in = mem_alloc(ZSEEK_FRAME);
	_cleanup_free_ char *out = mem_alloc(bound);
	struct writer w = {ctx, &table, in, out, bound, out_fd, 0};

	if (!ctx || !in || !out)
		return err_nomem(e);
	if (size / ZSEEK_FRAME >= FRAMES_MAX)
		return err_set(e, ERR_TOO_LARGE, "a file of %ju bytes is too large to store",
			       (uintmax_t)size);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, MIN(level, LEVEL_MAX));
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	if (write_all_frames(&w, in_fd, size, e))
		return -1;
	*ret_stored = w.stored;
	return 0;
}

struct zseek {
	int fd;
	size_t frames;
	uint64_t *stored;  // [frames + 1]: offset of each frame in the file, and the end
	uint64_t *content; // [frames + 1]: offset of its content, and the size of all
	ZSTD_DCtx *ctx;
	char *in;  // the largest frame as stored
	char *out; // the content of frame `loaded`
	size_t in_size;
	size_t out_size;
	size_t loaded; // SIZE_MAX: none
};

static int bad_table(const char *why, struct err *e)
{
	return err_set(e, ERR_BAD_ENCODING, "zstd seek table: %s", why);
}

struct footer {
	size_t frames;
	size_t entry;
	uint64_t start; // of the skippable frame
	uint64_t rest;  // its size without its head
};

static int read_footer(int fd, uint64_t size, struct footer *ret, struct err *e)
{
	struct footer f;
	uint8_t p[FOOTER];

	if (size < SKIPPABLE_HEAD + FOOTER)
		return bad_table("the file is too small to hold one", e);
	if (io_pread_all(fd, p, sizeof(p), size - FOOTER, e))
		return -1;
	if (get_le32(p + 5) != footer_magic)
		return bad_table("not found at the end of the file", e);
	if (p[4] & FLAGS_RESERVED)
		return bad_table("reserved flags are set", e);
	f.frames = get_le32(p);
	f.entry = p[4] & FLAG_CHECKSUM ? ENTRY_WITH_CHECKSUM : ENTRY;
	if (f.frames > FRAMES_MAX)
		return bad_table("too many frames", e);
	f.rest = (uint64_t)f.frames * f.entry + FOOTER;
	if (f.rest > size - SKIPPABLE_HEAD)
		return bad_table("larger than the file", e);
	f.start = size - SKIPPABLE_HEAD - f.rest;
	*ret = f;
	return 0;
}

static int check_head(const uint8_t *p, const struct footer *f, struct err *e)
{
	if (get_le32(p) != skippable_magic || get_le32(p + 4) != f->rest)
		return bad_table("its two ends disagree", e);
	return 0;
}

// Sums up the entries; the frames must fill the file up to the table, none too large to hold.
static int take_entries(struct zseek *z, const uint8_t *p, const struct footer *f, struct err *e)
{
	for (size_t i = 0; i < f->frames; i++, p += f->entry) {
		uint32_t stored = get_le32(p);
		uint32_t content = get_le32(p + 4);

		if (content > FRAME_MAX || stored > ZSTD_compressBound(FRAME_MAX) || !stored)
			return bad_table("a frame has an impossible size", e);
		z->stored[i + 1] = z->stored[i] + stored;
		z->content[i + 1] = z->content[i] + content;
		z->in_size = MAX(z->in_size, (size_t)stored);
		z->out_size = MAX(z->out_size, (size_t)content);
	}
	if (z->stored[f->frames] != f->start)
		return bad_table("the frames do not fill the file", e);
	return 0;
}

static int read_table(struct zseek *z, struct err *e)
{
	_cleanup_free_ uint8_t *table = NULL;
	struct footer f = {0};
	uint64_t size;

	if (io_file_size(z->fd, &size, e) || read_footer(z->fd, size, &f, e))
		return -1;
	table = mem_alloc(SKIPPABLE_HEAD + f.rest);
	z->stored = mem_calloc(f.frames + 1, sizeof(*z->stored));
	z->content = mem_calloc(f.frames + 1, sizeof(*z->content));
	if (!table || !z->stored || !z->content)
		return err_nomem(e);
	z->frames = f.frames;
	if (io_pread_all(z->fd, table, SKIPPABLE_HEAD + f.rest, f.start, e) ||
	    check_head(table, &f, e))
		return -1;
	return take_entries(z, table + SKIPPABLE_HEAD, &f, e);
}

int zseek_open(int fd, struct zseek **ret, struct err *e)
{
	_cleanup_(zseek_freep) struct zseek *z = mem_zalloc(sizeof(*z));

	if (!z)
		return err_nomem(e);
	z->fd = fd;
	z->loaded = SIZE_MAX;
	if (read_table(z, e))
		return -1;
	*ret = steal_ptr(z);
	return 0;
}

// Made on the first read: who only asks for the size, as most do, need not pay for it.
static int make_decoder(struct zseek *z, struct err *e)
{
	if (z->ctx)
		return 0;
	if (!z->in)
		z->in = mem_alloc(z->in_size);
	if (!z->out)
		z->out = mem_alloc(z->out_size);
	if (!z->in || !z->out)
		return err_nomem(e);
	z->ctx = ZSTD_createDCtx();
	return z->ctx ? 0 : err_nomem(e);
}

uint64_t zseek_size(const struct zseek *z)
{
	return z->content[z->frames];
}

static size_t content_size(const struct zseek *z, size_t frame)
{
	return (size_t)(z->content[frame + 1] - z->content[frame]);
}

static int load(struct zseek *z, size_t frame, struct err *e)
{
	size_t stored = (size_t)(z->stored[frame + 1] - z->stored[frame]);
	size_t n;

	if (z->loaded == frame)
		return 0;
	z->loaded = SIZE_MAX;
	if (make_decoder(z, e) || io_pread_all(z->fd, z->in, stored, z->stored[frame], e))
		return -1;
	n = ZSTD_decompressDCtx(z->ctx, z->out, z->out_size, z->in, stored);
	if (ZSTD_isError(n))
		return err_set(e, ERR_BAD_ENCODING, "zstd frame %zu is damaged: %s", frame,
			       ZSTD_getErrorName(n));
	if (n != content_size(z, frame))
		return err_set(e, ERR_BAD_ENCODING,
			       "zstd frame %zu holds %zu bytes where the seek table says %zu", frame,
			       n, content_size(z, frame));
	z->loaded = frame;
	return 0;
}

// The last frame that starts at or before off: of several only the last is not empty.
static size_t frame_at(const struct zseek *z, uint64_t off)
{
	size_t lo = 0;
	size_t hi = z->frames;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (z->content[mid] <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

int zseek_pread(struct zseek *z, void *p, size_t n, uint64_t off, struct err *e)
{
	char *to = p;

	if (!range_fits(off, n, zseek_size(z)))
		return err_set(e, ERR_CORRUPT, "%zu bytes at offset %ju lie beyond the %ju there are",
			       n, (uintmax_t)off, (uintmax_t)zseek_size(z));
	for (size_t frame = n ? frame_at(z, off) : 0; n; frame++) {
		size_t skip = (size_t)(off - z->content[frame]);
		size_t take = MIN(n, content_size(z, frame) - skip);

		if (load(z, frame, e))
			return -1;
		memcpy(to, z->out + skip, take);
		to += take;
		off += take;
		n -= take;
	}
	return 0;
}

int zseek_extract(struct zseek *z, int out_fd, struct err *e)
{
	for (size_t frame = 0; frame < z->frames; frame++) {
		if (load(z, frame, e) || io_write_all(out_fd, z->out, content_size(z, frame), e))
			return -1;
	}
	return 0;
}

void zseek_free(struct zseek *z)
{
	if (!z)
		return;
	ZSTD_freeDCtx(z->ctx);
	free(z->stored);
	free(z->content);
	free(z->in);
	free(z->out);
	free(z);
}
