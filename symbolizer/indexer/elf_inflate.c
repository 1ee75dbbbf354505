/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_inflate.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/mem.h"
#include <endian.h>
#include <zstd.h>

enum {
	COMPRESSION_ZSTD = 2, // ELFCOMPRESS_ZSTD, newer than Debian 12's elf.h
	ZDEBUG_HEAD = 12,
};

static int bad(const struct elf_image *img, const struct elf_section *s, const char *why, struct err *e)
{
	return err_set(e, ERR_BAD_ELF, "%s: compressed section %s: %s", img->name, s->name, why);
}

// The section header as it is now: an earlier call may have inflated the section.
static bool compressed_now(const struct elf_section *s, GElf_Shdr *ret)
{
	return gelf_getshdr(s->scn, ret) && ret->sh_flags & SHF_COMPRESSED;
}

static int keep(struct elf_image *img, void *block, struct err *e)
{
	if (mem_grow(&img->inflated, &img->inflated_cap, img->inflated_count + 1, sizeof(void *),
		     ELF_SECTIONS_MAX))
		return err_nomem(e);
	img->inflated[img->inflated_count++] = block;
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

static int inflate(const GElf_Chdr *how, struct str in, void *out, struct err *e)
{
	switch (how->ch_type) {
	case ELFCOMPRESS_ZLIB:
		return zlib_decompress(in, out, how->ch_size, e);
	case COMPRESSION_ZSTD:
		return inflate_zstd(in, out, how->ch_size, e);
	default:
		return err_set(e, ERR_BAD_ENCODING, "unknown compression %u", how->ch_type);
	}
}

// From here on libelf sees the section as if it had never been compressed.
static int replace(struct elf_image *img, const struct elf_section *s, void *bytes, size_t n,
		   struct err *e)
{
	Elf_Data *data = elf_getdata(s->scn, NULL);
	GElf_Shdr header;

	if (!data || !gelf_getshdr(s->scn, &header))
		return bad(img, s, elf_errmsg(-1), e);
	header.sh_flags &= ~(uint64_t)SHF_COMPRESSED;
	header.sh_size = n;
	if (!gelf_update_shdr(s->scn, &header))
		return bad(img, s, elf_errmsg(-1), e);
	data->d_buf = bytes;
	data->d_size = n;
	data->d_type = ELF_T_BYTE;
	return 0;
}

// Not by elf_compress(), whose zlib alone takes more than a quarter of the time of indexing.
static int inflate_section(struct elf_image *img, const struct elf_section *s, const GElf_Chdr *how,
			   size_t head, struct err *e)
{
	Elf_Data *raw = elf_rawdata(s->scn, NULL);
	_cleanup_free_ void *out = NULL;
	struct err why = ERR_INIT;

	if (!raw || raw->d_size < head)
		return bad(img, s, "no compression header", e);
	out = mem_alloc(how->ch_size ? how->ch_size : 1);
	if (!out)
		return err_nomem(e);
	if (inflate(how, (struct str){(const char *)raw->d_buf + head, raw->d_size - head}, out, &why))
		return why.kind == ERR_NOMEM ? err_nomem(e) : bad(img, s, why.msg, e);
	if (keep(img, out, e))
		return -1;
	return replace(img, s, steal_ptr(out), how->ch_size, e);
}

// The way before SHF_COMPRESSED: ".zdebug_", "ZLIB", the size in eight bytes from the highest to the lowest.
static bool zdebug_now(const struct elf_section *s, GElf_Chdr *ret)
{
	Elf_Data *data = str_has_prefix(str_from(s->name), STR(".zdebug_")) ? elf_getdata(s->scn, NULL) : NULL;
	Elf_Data *raw = data ? elf_rawdata(s->scn, NULL) : NULL;
	uint64_t size;

	if (!raw || !data->d_buf || data->d_buf != raw->d_buf || data->d_size < ZDEBUG_HEAD ||
	    memcmp(data->d_buf, "ZLIB", 4) != 0)
		return false;
	memcpy(&size, (const char *)data->d_buf + 4, sizeof(size));
	*ret = (GElf_Chdr){.ch_type = ELFCOMPRESS_ZLIB, .ch_size = be64toh(size), .ch_addralign = 1};
	return true;
}

int elf_inflate_section(struct elf_image *img, const struct elf_section *s, struct err *e)
{
	size_t head = img->header.e_ident[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Chdr)
								  : sizeof(Elf32_Chdr);
	GElf_Shdr now;
	GElf_Chdr how;

	if (zdebug_now(s, &how))
		head = ZDEBUG_HEAD;
	else if (!compressed_now(s, &now) || now.sh_type == SHT_NOBITS)
		return 0;
	else if (!gelf_getchdr(s->scn, &how))
		return bad(img, s, elf_errmsg(-1), e);
	if (how.ch_size > ELF_INFLATE_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: section %s inflates to %llu bytes; at most %llu are read",
			       img->name, s->name, (unsigned long long)how.ch_size,
			       (unsigned long long)ELF_INFLATE_MAX);
	return inflate_section(img, s, &how, head, e);
}
