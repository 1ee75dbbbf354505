/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_layout.h"

// Has somebody laid the file out before (a module out of a running kernel)? Then addresses stay.
static bool has_addresses(const struct elf_image *img)
{
	for (size_t i = 0; i < img->section_count; i++)
		if (img->sections[i].header.sh_flags & SHF_ALLOC && img->sections[i].header.sh_addr)
			return true;
	return false;
}

static bool align_up(uint64_t at, uint64_t alignment, uint64_t *ret)
{
	uint64_t mask = alignment ? alignment - 1 : 0;

	if (alignment & mask || add_overflows(at, mask, ret))
		return false;
	*ret &= ~mask;
	return true;
}

static int place_sections(struct elf_image *img, struct err *e)
{
	uint64_t end = 0;

	for (size_t i = 0; i < img->section_count; i++) {
		struct elf_section *s = &img->sections[i];

		if (!(s->header.sh_flags & SHF_ALLOC))
			continue;
		if (!align_up(end, s->header.sh_addralign, &s->header.sh_addr) ||
		    add_overflows(s->header.sh_addr, s->header.sh_size, &end))
			return err_set(e, ERR_BAD_ELF, "%s: section %s: size or alignment is impossible",
				       img->name, s->name);
		if (!gelf_update_shdr(s->scn, &s->header))
			return err_set(e, ERR_BAD_ELF, "%s: section %s: %s", img->name, s->name,
				       elf_errmsg(-1));
	}
	return 0;
}

static void note_relocations(struct elf_image *img)
{
	for (size_t i = 0; i < img->section_count; i++) {
		struct elf_section *s = &img->sections[i];
		uint32_t target = s->header.sh_info;

		if ((s->header.sh_type != SHT_RELA && s->header.sh_type != SHT_REL) || !target ||
		    target > img->section_count || target == i + 1)
			continue;
		s->relocations = img->sections[target - 1].relocations;
		img->sections[target - 1].relocations = (uint32_t)i + 1;
	}
}

int elf_layout_assign(struct elf_image *img, struct err *e)
{
	if (img->header.e_type != ET_REL)
		return 0;
	note_relocations(img);
	if (has_addresses(img))
		return 0;
	img->laid_out = true;
	return place_sections(img, e);
}
