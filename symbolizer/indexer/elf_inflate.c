/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_inflate.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/mem.h"
#include "symbolizer/indexer/elf_relocate.h"
#include <zstd.h>

enum { COMPRESSION_ZSTD = 2 }; // ELFCOMPRESS_ZSTD, newer than Debian 12's elf.h

static int bad(const struct elf_image *img, const struct elf_section *s, const char *why, struct err *e)
{
	return err_set(e, ERR_BAD_ELF, "%s: compressed section %s: %s", img->name, s->name, why);
}

// The section header as it is now: an earlier call may have inflated the section.
static bool compressed_now(const struct elf_section *s, GElf_Shdr *ret)
{
	return gelf_getshdr(s->scn, ret) && ret->sh_flags & SHF_COMPRESSED;
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

// Not by elf_compress(), whose zlib alone takes more than a quarter of the time of indexing.
static int inflate_section(struct elf_image *img, const struct elf_section *s, const GElf_Chdr *how,
			   struct err *e)
{
	size_t head = img->header.e_ident[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Chdr)
								  : sizeof(Elf32_Chdr);
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
	return elf_image_replace(img, s, steal_ptr(out), how->ch_size, e);
}

int elf_inflate_section(struct elf_image *img, const struct elf_section *s, struct err *e)
{
	GElf_Shdr now;
	GElf_Chdr how;

	if (!compressed_now(s, &now) || now.sh_type == SHT_NOBITS)
		return 0;
	if (!gelf_getchdr(s->scn, &how))
		return bad(img, s, elf_errmsg(-1), e);
	if (how.ch_size > ELF_INFLATE_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: section %s inflates to %llu bytes; at most %llu are read",
			       img->name, s->name, (unsigned long long)how.ch_size,
			       (unsigned long long)ELF_INFLATE_MAX);
	return inflate_section(img, s, &how, e);
}

int elf_inflate_debug(struct elf_image *img, struct err *e)
{
	for (size_t i = 0; i < img->section_count; i++) {
		const struct elf_section *s = &img->sections[i];

		if (str_has_prefix(str_from(s->name), STR(".debug_")) &&
		    (elf_inflate_section(img, s, e) || elf_relocate_section(img, s, e)))
			return -1;
	}
	return 0;
}
