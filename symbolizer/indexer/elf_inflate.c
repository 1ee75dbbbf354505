/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_inflate.h"

#include "base/byte_reader.h"
#include "base/cleanup.h"
#include "base/compress.h"
#include "base/mem.h"
#include <zstd.h>

enum {
	COMPRESSION_ZSTD = 2,   // ELFCOMPRESS_ZSTD, newer than Debian 12's elf.h
	ZLIB_RATIO_MAX = 1032, // what deflate makes of the longest runs; more is a lie
};

// What is to be inflated, and into how much.
struct compressed {
	unsigned how; // ELFCOMPRESS_*
	uint64_t size;
	struct str bytes;
};

static int bad(const struct elf_image *img, const struct elf_section *s, const char *why, struct err *e)
{
	return err_set(e, ERR_BAD_ELF, "%s: compressed section %s: %s", img->name, s->name, why);
}

static bool is_zdebug(const struct elf_section *s)
{
	return str_has_prefix(str_from(s->name), STR(".zdebug_"));
}

// Read here and not by gelf_getchdr(): the header may lie at any place.
static void read_header(const struct elf_image *img, struct byte_reader *r, struct compressed *ret)
{
	bool wide = img->header.e_ident[EI_CLASS] == ELFCLASS64;

	ret->how = (unsigned)read_uint(r, 4);
	if (wide)
		read_uint(r, 4); // ch_reserved
	ret->size = read_uint(r, wide ? 8 : 4);
	read_uint(r, wide ? 8 : 4); // ch_addralign
}

static void read_zdebug(struct byte_reader *r, struct compressed *ret)
{
	r->big_endian = true; // on every machine
	r->failed |= !str_is(read_bytes(r, 4), "ZLIB");
	ret->how = ELFCOMPRESS_ZLIB;
	ret->size = read_uint(r, 8);
}

static int open_section(const struct elf_image *img, const struct elf_section *s, struct compressed *ret,
			struct err *e)
{
	Elf_Data *raw = elf_rawdata(s->scn, NULL);
	struct byte_reader r;

	if (!raw || !raw->d_buf)
		return bad(img, s, "no compression header", e);
	r = byte_reader((struct str){raw->d_buf, raw->d_size},
			img->header.e_ident[EI_DATA] == ELFDATA2MSB);
	if (is_zdebug(s))
		read_zdebug(&r, ret);
	else
		read_header(img, &r, ret);
	if (r.failed)
		return bad(img, s, "no compression header", e);
	ret->bytes = (struct str){(const char *)r.p, byte_reader_left(&r)};
	return 0;
}

static int check_size(const struct elf_image *img, const struct elf_section *s, const struct compressed *c,
		      struct err *e)
{
	if (c->size > ELF_INFLATE_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: section %s inflates to %llu bytes; at most %llu are read",
			       img->name, s->name, (unsigned long long)c->size,
			       (unsigned long long)ELF_INFLATE_MAX);
	if (c->how == ELFCOMPRESS_ZLIB && c->size / ZLIB_RATIO_MAX > c->bytes.n)
		return bad(img, s, "zlib data is shorter than its size says", e);
	return 0;
}

static int inflate_zstd(struct str in, void *out, size_t n, struct err *e)
{
	size_t got = ZSTD_decompress(out, n, in.p, in.n);

	if (ZSTD_isError(got) || got != n)
		return err_set(e, ERR_BAD_ENCODING, "zstd data: %s",
			       ZSTD_isError(got) ? ZSTD_getErrorName(got) : "shorter than announced");
	return 0;
}

static int inflate(const struct compressed *c, void *out, struct err *e)
{
	switch (c->how) {
	case ELFCOMPRESS_ZLIB:
		return zlib_decompress(c->bytes, out, c->size, e);
	case COMPRESSION_ZSTD:
		return inflate_zstd(c->bytes, out, c->size, e);
	default:
		return err_set(e, ERR_BAD_ENCODING, "unknown compression %u", c->how);
	}
}

// Not by elf_compress(), whose zlib alone takes more than a quarter of the time of indexing.
int elf_inflate_section(struct elf_image *img, const struct elf_section *s, struct err *e)
{
	_cleanup_free_ void *out = NULL;
	struct err why = ERR_INIT;
	struct compressed c;

	if (s->inflated || s->header.sh_type == SHT_NOBITS || !s->header.sh_size ||
	    !(s->header.sh_flags & SHF_COMPRESSED || is_zdebug(s)))
		return 0;
	if (open_section(img, s, &c, e) || check_size(img, s, &c, e))
		return -1;
	out = mem_alloc(c.size ? c.size : 1);
	if (!out)
		return err_nomem(e);
	if (inflate(&c, out, &why))
		return why.kind == ERR_NOMEM ? err_nomem(e) : bad(img, s, why.msg, e);
	if (elf_image_replace(img, s, steal_ptr(out), c.size, e))
		return -1;
	img->sections[s - img->sections].inflated = true;
	return 0;
}
