/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_inflate.h"

#include "base/cleanup.h"
#include "base/mem.h"
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

static int keep(struct elf_image *img, void *block, struct err *e)
{
	if (mem_grow(&img->inflated, &img->inflated_cap, img->inflated_count + 1, sizeof(void *),
		     ELF_SECTIONS_MAX))
		return err_nomem(e);
	img->inflated[img->inflated_count++] = block;
	return 0;
}

static int inflate_zstd(struct elf_image *img, const struct elf_section *s, const GElf_Chdr *how,
			struct err *e)
{
	size_t head = img->header.e_ident[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Chdr)
								  : sizeof(Elf32_Chdr);
	Elf_Data *data = elf_getdata(s->scn, NULL);
	Elf_Data *raw = elf_rawdata(s->scn, NULL);
	_cleanup_free_ void *out = NULL;
	GElf_Shdr header;
	size_t n;

	if (!data || !raw || raw->d_size < head || !gelf_getshdr(s->scn, &header))
		return bad(img, s, "no compression header", e);
	out = mem_alloc(how->ch_size ? how->ch_size : 1);
	if (!out)
		return err_nomem(e);
	n = ZSTD_decompress(out, how->ch_size, (const char *)raw->d_buf + head, raw->d_size - head);
	if (ZSTD_isError(n) || n != how->ch_size)
		return bad(img, s, ZSTD_isError(n) ? ZSTD_getErrorName(n) : "shorter than announced", e);
	header.sh_flags &= ~(uint64_t)SHF_COMPRESSED;
	header.sh_size = n;
	if (!gelf_update_shdr(s->scn, &header))
		return bad(img, s, elf_errmsg(-1), e);
	if (keep(img, out, e))
		return -1;
	data->d_buf = steal_ptr(out);
	data->d_size = n;
	data->d_type = ELF_T_BYTE;
	return 0;
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
	if (how.ch_type == COMPRESSION_ZSTD)
		return inflate_zstd(img, s, &how, e);
	return elf_compress(s->scn, 0, 0) < 0 ? bad(img, s, elf_errmsg(-1), e) : 0;
}

int elf_inflate_debug(struct elf_image *img, struct err *e)
{
	for (size_t i = 0; i < img->section_count; i++) {
		const struct elf_section *s = &img->sections[i];
		GElf_Shdr now;

		if (str_has_prefix(str_from(s->name), STR(".debug_")) && compressed_now(s, &now) &&
		    elf_inflate_section(img, s, e))
			return -1;
	}
	return 0;
}
