/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/probe.h"

#include "symbolizer/indexer/dwarf_probe.h"
#include "symbolizer/indexer/dynamic_symbols.h"
#include "symbolizer/indexer/eh_frame_scan.h"
#include "symbolizer/indexer/go_scan.h"

static bool has_symbols(struct elf_image *img, uint32_t type)
{
	size_t entry = gelf_fsize(img->elf, ELF_T_SYM, 1, EV_CURRENT);

	for (size_t i = 0; i < img->section_count; i++) {
		const GElf_Shdr *h = &img->sections[i].header;

		if (h->sh_type == type && h->sh_size > entry) // the first is the null symbol
			return true;
	}
	return false;
}

static bool has_dynamic_symbols(struct elf_image *img)
{
	struct dynamic_symbols d;

	return has_symbols(img, SHT_DYNSYM) || (!img->section_count && dynamic_symbols_open(&d, img));
}

static enum quality best_quality(const struct probe_facts *f, const struct dwarf_facts *d)
{
	if (f->dwarf && f->lines)
		return d->types ? QUALITY_DWARF : QUALITY_G1;
	if (f->gopclntab)
		return QUALITY_GOPCLNTAB;
	if (f->symtab || f->debugdata)
		return QUALITY_SYMTAB;
	if (f->dynsym)
		return QUALITY_DYNSYM;
	return f->eh_frame ? QUALITY_EH_FRAME : QUALITY_NONE;
}

struct probe_facts probe_facts(struct elf_image *img)
{
	struct dwarf_facts d = dwarf_probe(img);
	struct probe_facts f = {
		.dwarf = d.info,
		.lines = d.lines,
		.split = d.split,
		.symtab = has_symbols(img, SHT_SYMTAB),
		.dynsym = has_dynamic_symbols(img),
		.gopclntab = go_scan_has_table(img),
		.eh_frame = eh_frame_scan_has(img),
		.debugdata = elf_image_has(img, ".gnu_debugdata"),
		.text = elf_image_has(img, ".text"),
	};

	f.quality = best_quality(&f, &d);
	return f;
}

void probe_write_ids(const struct build_id *ids, size_t n, struct json_out *j)
{
	json_key(j, "ids");
	json_arr(j);
	for (size_t i = 0; i < n; i++) {
		char text[BUILD_ID_TEXT];

		build_id_text(&ids[i], text);
		json_obj(j);
		json_kv_cstr(j, "kind", build_id_kind_name(ids[i].kind));
		json_kv_cstr(j, "text", text);
		json_end_obj(j);
	}
	json_end_arr(j);
}

static const char *type_name(const struct elf_image *img)
{
	switch (img->header.e_type) {
	case ET_EXEC:
		return "EXEC";
	case ET_DYN:
		return "DYN";
	case ET_REL:
		return "REL";
	case ET_CORE:
		return "CORE";
	default:
		return "NONE";
	}
}

static const char *kind_name(enum elf_kind kind)
{
	static const char *const names[] = {
		[ELF_KIND_EXECUTABLE] = "executable",
		[ELF_KIND_DEBUGINFO] = "debuginfo",
		[ELF_KIND_BOTH] = "both",
	};

	return names[kind];
}

static void write_identity(const struct elf_image *img, struct json_out *j)
{
	char spare[32];

	json_kv_cstr(j, "format", "unhex-probe/1");
	probe_write_ids(img->ids, img->id_count, j);
	json_kv_u64(j, "class", img->header.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32);
	json_kv_cstr(j, "endian", img->header.e_ident[EI_DATA] == ELFDATA2LSB ? "little" : "big");
	json_kv_cstr(j, "machine", elf_image_machine(img, spare));
	json_kv_cstr(j, "type", type_name(img));
	json_kv_cstr(j, "kind", kind_name(img->kind));
}

static void write_headers(const struct elf_image *img, struct json_out *j)
{
	json_kv_bool(j, "program_headers_trusted", img->headers_trusted);
	json_key(j, "program_headers");
	json_arr(j);
	for (size_t i = 0; i < img->header_count; i++) {
		const struct program_header *p = &img->headers[i];

		json_obj(j);
		json_kv_cstr(j, "type", "LOAD");
		json_kv_u64(j, "flags", p->flags);
		json_kv_address(j, "offset", p->offset);
		json_kv_address(j, "vaddr", p->vaddr);
		json_kv_address(j, "filesz", p->filesz);
		json_kv_address(j, "memsz", p->memsz);
		json_kv_address(j, "align", p->align);
		json_end_obj(j);
	}
	json_end_arr(j);
}

static void write_sections(const struct elf_image *img, struct json_out *j)
{
	json_key(j, "sections");
	json_arr(j);
	for (size_t i = 0; i < img->section_count && i < PROBE_SECTIONS_MAX; i++) {
		const struct elf_section *s = &img->sections[i];

		json_obj(j);
		json_kv_cstr(j, "name", s->name);
		json_kv_u64(j, "type", s->header.sh_type);
		json_kv_address(j, "flags", s->header.sh_flags);
		json_kv_address(j, "addr", s->header.sh_addr);
		json_kv_address(j, "offset", s->header.sh_offset);
		json_kv_address(j, "size", s->header.sh_size);
		json_end_obj(j);
	}
	json_end_arr(j);
}

static void write_facts(const struct probe_facts *f, struct json_out *j)
{
	json_key(j, "has");
	json_obj(j);
	json_kv_bool(j, "dwarf", f->dwarf);
	json_kv_bool(j, "lines", f->lines);
	json_kv_bool(j, "symtab", f->symtab);
	json_kv_bool(j, "dynsym", f->dynsym);
	json_kv_bool(j, "gopclntab", f->gopclntab);
	json_kv_bool(j, "eh_frame", f->eh_frame);
	json_kv_bool(j, "debugdata", f->debugdata);
	json_kv_bool(j, "text", f->text);
	json_end_obj(j);
	json_kv_cstr(j, "quality", quality_name(f->quality));
}

static void write_needs(struct elf_image *img, const struct probe_facts *f, struct json_out *j)
{
	struct build_id alt;
	struct str path;
	bool needs_alt = elf_image_altlink(img, &path, &alt);

	if (needs_alt) {
		char text[BUILD_ID_TEXT];

		build_id_text(&alt, text);
		json_kv_cstr(j, "alt_id", text);
	}
	json_key(j, "needs");
	json_arr(j);
	if (f->quality < QUALITY_G1)
		json_str_(j, STR("debuginfo"));
	if (img->kind == ELF_KIND_DEBUGINFO)
		json_str_(j, STR("executable"));
	if (needs_alt)
		json_str_(j, STR("alt"));
	if (f->split)
		json_str_(j, STR("dwp"));
	json_end_arr(j);
}

void probe_write(struct elf_image *img, struct json_out *j)
{
	struct probe_facts f = probe_facts(img);
	struct str link;
	uint32_t crc;

	json_obj(j);
	write_identity(img, j);
	write_headers(img, j);
	write_sections(img, j);
	write_facts(&f, j);
	if (elf_image_debuglink(img, &link, &crc))
		json_kv_str(j, "debuglink", link);
	write_needs(img, &f, j);
	json_kv_u64(j, "size", img->size);
	json_end_obj(j);
}
