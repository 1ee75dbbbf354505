/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/go_scan.h"

enum {
	TABLE_ALIGN = 8,
	// Segments may overlap, each as large as the file: what is looked at is bounded all the same.
	PLACES_TO_TRY = 1 << 27,
};

static struct str segment_bytes(struct elf_image *img, const struct program_header *p)
{
	size_t size;
	const char *file = elf_rawfile(img->elf, &size);

	if (!file || !range_fits(p->offset, p->filesz, size))
		return STR_EMPTY;
	return (struct str){file + p->offset, p->filesz};
}

static bool section_table(struct elf_image *img, struct gopclntab_input *in)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};

	for (size_t i = 0; i < countof(names); i++) {
		const struct elf_section *s = elf_image_section(img, names[i]);
		struct str bytes;

		if (!s || elf_image_data(img, s, &bytes, NULL) || !gopclntab_probe(bytes))
			continue;
		in->table = bytes;
		in->table_vaddr = s->header.sh_addr;
		return true;
	}
	return false;
}

static bool is_go(const struct elf_image *img)
{
	for (size_t i = 0; i < img->id_count; i++)
		if (img->ids[i].kind == BUILD_ID_GO)
			return true;
	return img->section_count == 0 || elf_image_section(img, ".go.buildinfo");
}

static bool table_in_segment(struct str bytes, size_t *left, size_t *ret_at)
{
	for (size_t at = 0; at + TABLE_ALIGN < bytes.n && *left; at += TABLE_ALIGN, --*left) {
		if (!gopclntab_probe(str_skip(bytes, at)))
			continue;
		*ret_at = at;
		return true;
	}
	return false;
}

static bool segment_table(struct elf_image *img, struct gopclntab_input *in)
{
	size_t left = PLACES_TO_TRY;

	if (img->kind == ELF_KIND_DEBUGINFO || !is_go(img))
		return false;
	for (size_t i = 0; i < img->header_count; i++) {
		const struct program_header *p = &img->headers[i];
		struct str bytes = p->flags & PF_X ? STR_EMPTY : segment_bytes(img, p);
		size_t at;

		if (!table_in_segment(bytes, &left, &at))
			continue;
		in->table = str_skip(bytes, at);
		in->table_vaddr = p->vaddr + at;
		return true;
	}
	return false;
}

static bool find_table(struct elf_image *img, struct gopclntab_input *in)
{
	return section_table(img, in) || segment_table(img, in);
}

bool go_scan_has_table(struct elf_image *img)
{
	struct gopclntab_input in = {0};

	return find_table(img, &in);
}

static void find_text(const struct elf_image *img, struct gopclntab_input *in)
{
	const struct elf_section *text = elf_image_section(img, ".text");

	if (text)
		in->text_vaddr = text->header.sh_addr;
	for (size_t i = 0; i < img->header_count; i++) {
		const struct program_header *p = &img->headers[i];

		if (p->flags & PF_X && (!text || in->text_vaddr - p->vaddr < p->memsz))
			in->text_end = p->vaddr + p->memsz;
	}
}

// "go:func.*" (before Go 1.20 "go.func.*") in an unstripped binary.
static uint64_t gofunc_symbol(struct elf_image *img)
{
	const struct elf_section *s = elf_image_section(img, ".symtab");
	size_t entry = gelf_fsize(img->elf, ELF_T_SYM, 1, EV_CURRENT);
	Elf_Data *data = s ? elf_getdata(s->scn, NULL) : NULL;

	for (size_t i = 0; data && entry && i < data->d_size / entry && i < INT32_MAX; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			break;
		name = elf_strptr(img->elf, s->header.sh_link, sym.st_name);
		if (name && (strcmp(name, "go:func.*") == 0 || strcmp(name, "go.func.*") == 0))
			return sym.st_value;
	}
	return 0;
}

int go_scan(struct elf_image *img, struct uhx_builder *b, struct gopclntab_counts *ret, struct err *e)
{
	struct gopclntab_segment segments[PROGRAM_HEADERS_MAX];
	struct gopclntab_input in = {.segments = segments};

	*ret = (struct gopclntab_counts){0};
	if (!find_table(img, &in))
		return 0;
	find_text(img, &in);
	in.gofunc_vaddr = gofunc_symbol(img);
	for (size_t i = 0; img->kind != ELF_KIND_DEBUGINFO && i < img->header_count; i++) {
		struct str bytes = segment_bytes(img, &img->headers[i]);

		if (bytes.n)
			segments[in.segment_count++] =
				(struct gopclntab_segment){img->headers[i].vaddr, bytes};
	}
	if (gopclntab_index(&in, b, ret, e))
		return err_wrap(e, "%s", img->name);
	return 0;
}
