/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/extract.h"

#include "symbolizer/indexer/probe.h"

struct copy {
	struct elf_image *img;
	Elf *out;
	uint64_t at; // where the next content goes
};

static int elf_failed(const struct copy *c, const char *what, struct err *e)
{
	return err_set(e, ERR_IO, "%s: writing the debug file: %s: %s", c->img->name, what, elf_errmsg(-1));
}

static bool is_kept(const struct elf_section *s)
{
	static const char *const go[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo",
					 ".note.go.buildid"};

	if (!(s->header.sh_flags & SHF_ALLOC) || s->header.sh_type == SHT_NOTE)
		return true;
	for (size_t i = 0; i < countof(go); i++)
		if (strcmp(s->name, go[i]) == 0)
			return true;
	return false;
}

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	uint64_t mask = MIN(MAX(alignment, 1), UINT64_C(4096)) - 1;

	return (value + mask) & ~mask;
}

static bool is_power_of_two(uint64_t n)
{
	return (n & (n - 1)) == 0;
}

static int add_content(struct copy *c, const struct elf_section *s, Elf_Scn *scn, struct err *e)
{
	Elf_Data *from = elf_rawdata(s->scn, NULL);
	Elf_Data *to;

	if (!s->header.sh_size)
		return 0;
	if (!from || from->d_size != s->header.sh_size)
		return err_set(e, ERR_BAD_ELF, "%s: section %s: %s", c->img->name, s->name, elf_errmsg(-1));
	to = elf_newdata(scn);
	if (!to)
		return elf_failed(c, s->name, e);
	to->d_buf = from->d_buf;
	to->d_size = from->d_size;
	to->d_type = ELF_T_BYTE; // in the byte order of the file already
	to->d_align = 1;
	to->d_version = EV_CURRENT;
	return 0;
}

// Sections keep their numbers: symbols and links refer to them.
static int copy_section(struct copy *c, const struct elf_section *s, struct err *e)
{
	bool content = s->header.sh_type != SHT_NOBITS && is_kept(s);
	GElf_Shdr header = s->header;
	Elf_Scn *scn = elf_newscn(c->out);

	if (!scn)
		return elf_failed(c, s->name, e);
	if (c->img->laid_out)
		header.sh_addr = 0; // ours, not the file's
	if (!is_power_of_two(header.sh_addralign))
		header.sh_addralign = 1;
	if (!content && header.sh_type != SHT_NULL)
		header.sh_type = SHT_NOBITS;
	if (content)
		c->at = align_up(c->at, header.sh_addralign);
	header.sh_offset = c->at;
	if (content) {
		if (add_content(c, s, scn, e))
			return -1;
		c->at += header.sh_size;
	}
	return gelf_update_shdr(scn, &header) ? 0 : elf_failed(c, s->name, e);
}

static int copy_sections(struct copy *c, struct err *e)
{
	for (size_t i = 0; i < c->img->section_count; i++)
		if (copy_section(c, &c->img->sections[i], e))
			return -1;
	return 0;
}

// Program headers and notes are in the copy still, the latter where their section went.
static void place_segment(const struct copy *c, GElf_Phdr *p)
{
	uint64_t vaddr = p->p_vaddr;

	p->p_offset = p->p_type == PT_PHDR ? gelf_fsize(c->out, ELF_T_EHDR, 1, EV_CURRENT) : 0;
	p->p_filesz = p->p_type == PT_PHDR ? p->p_filesz : 0;
	if (p->p_type != PT_NOTE)
		return;
	for (size_t i = 0; i < c->img->section_count; i++) {
		const struct elf_section *s = &c->img->sections[i];
		GElf_Shdr now;

		if (s->header.sh_type != SHT_NOTE || s->header.sh_addr != vaddr ||
		    !gelf_getshdr(elf_getscn(c->out, i + 1), &now))
			continue;
		p->p_offset = now.sh_offset;
		p->p_filesz = now.sh_size;
		return;
	}
}

static int copy_segments(struct copy *c, size_t count, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(c->img->elf, (int)i, &p))
			return err_set(e, ERR_BAD_ELF, "%s: damaged program header", c->img->name);
		place_segment(c, &p);
		if (!gelf_update_phdr(c->out, (int)i, &p))
			return elf_failed(c, "program header", e);
	}
	return 0;
}

static int begin_output(struct copy *c, int out_fd, size_t segments, struct err *e)
{
	int class = c->img->header.e_ident[EI_CLASS];

	c->out = elf_begin(out_fd, ELF_C_WRITE, NULL);
	if (!c->out || !gelf_newehdr(c->out, class))
		return elf_failed(c, "header", e);
	elf_flagelf(c->out, ELF_C_SET, ELF_F_LAYOUT);
	if (segments && !gelf_newphdr(c->out, segments))
		return elf_failed(c, "program headers", e);
	c->at = gelf_fsize(c->out, ELF_T_EHDR, 1, EV_CURRENT) +
		gelf_fsize(c->out, ELF_T_PHDR, segments, EV_CURRENT);
	return 0;
}

static int finish_output(struct copy *c, size_t segments, struct err *e)
{
	GElf_Ehdr header = c->img->header;

	header.e_phoff = segments ? gelf_fsize(c->out, ELF_T_EHDR, 1, EV_CURRENT) : 0;
	header.e_shoff = align_up(c->at, 8);
	if (!gelf_update_ehdr(c->out, &header))
		return elf_failed(c, "header", e);
	if (elf_update(c->out, ELF_C_WRITE) < 0)
		return elf_failed(c, "content", e);
	return 0;
}

static int write_copy(struct elf_image *img, int out_fd, struct err *e)
{
	struct copy c = {.img = img};
	size_t segments;
	int rc;

	if (elf_getphdrnum(img->elf, &segments))
		return err_set(e, ERR_BAD_ELF, "%s: damaged program headers", img->name);
	rc = begin_output(&c, out_fd, segments, e) || copy_sections(&c, e) || copy_segments(&c, segments, e)
		     ? -1
		     : finish_output(&c, segments, e);
	if (c.out)
		elf_end(c.out);
	return rc;
}

// A relocatable object with a build ID is a kernel module.
static bool is_linked(const struct elf_image *img)
{
	return img->header.e_type == ET_EXEC || img->header.e_type == ET_DYN ||
	       (img->header.e_type == ET_REL && img->ids[0].kind == BUILD_ID_GNU);
}

static int check_input(struct elf_image *img, struct err *e)
{
	if (!is_linked(img))
		return err_set(e, ERR_UNSUPPORTED, "%s: debug information is extracted from executables, "
			       "shared libraries and kernel modules only", img->name);
	if (img->section_count >= SHN_LORESERVE)
		return err_set(e, ERR_UNSUPPORTED, "%s: more than %u sections", img->name, SHN_LORESERVE);
	if (elf_image_has(img, ".symtab") || elf_image_has(img, ".debug_info") ||
	    elf_image_has(img, ".gopclntab"))
		return 0;
	return err_set(e, ERR_NOT_FOUND, "%s: stripped: neither debug information nor symbols to extract",
		       img->name);
}

int extract_run(struct elf_image *img, int out_fd, struct json_out *report, struct err *e)
{
	struct elf_image copy;

	if (check_input(img, e) || write_copy(img, out_fd, e))
		return -1;
	if (elf_image_open(&copy, out_fd, img->name, e))
		return err_wrap(e, "the debug file just written");
	json_obj(report);
	json_kv_cstr(report, "format", "unhex-extract/1");
	// the file hash is that of the file people run
	probe_write_ids(img->ids, img->id_count, report);
	json_kv_cstr(report, "quality", quality_name(probe_facts(&copy).quality));
	json_kv_u64(report, "bytes", copy.size);
	json_end_obj(report);
	elf_image_close(&copy);
	return 0;
}
