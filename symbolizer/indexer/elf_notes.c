/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_notes.h"

#include "symbolizer/indexer/elf_sup.h"

enum {
	NOTES_MAX = 4096,
	NOTE_GO_BUILD_ID = 4, // cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG
};

struct found {
	struct build_id gnu;
	struct build_id go;
	bool has_gnu;
	bool has_go;
};

// An owner is stored with its NUL, and Go pads it to four bytes within the size.
static bool owned_by(const Elf_Data *data, const GElf_Nhdr *note, size_t at, const char *owner)
{
	size_t n = strlen(owner);
	const char *name = (const char *)data->d_buf + at;

	if (note->n_namesz < n || !range_fits(at, note->n_namesz, data->d_size))
		return false;
	if (memcmp(name, owner, n) != 0)
		return false;
	for (size_t i = n; i < note->n_namesz; i++)
		if (name[i])
			return false;
	return true;
}

static void read_notes(Elf_Data *data, struct found *f)
{
	GElf_Nhdr note;
	size_t name;
	size_t desc;
	size_t at = 0;

	for (int i = 0; i < NOTES_MAX && (at = gelf_getnote(data, at, &note, &name, &desc)) > 0; i++) {
		const char *bytes = (const char *)data->d_buf + desc;

		if (!range_fits(desc, note.n_descsz, data->d_size))
			return;
		if (note.n_type == NT_GNU_BUILD_ID && !f->has_gnu && owned_by(data, &note, name, "GNU"))
			f->has_gnu = build_id_set(&f->gnu, BUILD_ID_GNU, bytes, note.n_descsz, NULL) == 0;
		if (note.n_type == NOTE_GO_BUILD_ID && !f->has_go && owned_by(data, &note, name, "Go"))
			f->has_go = build_id_set(&f->go, BUILD_ID_GO, bytes, note.n_descsz, NULL) == 0;
	}
}

// Kernels align .notes to 8 bytes, and the notes in it to 4 all the same.
static void read_as_packed(struct elf_image *img, const struct elf_section *s, struct found *f)
{
	Elf_Data *data = elf_getdata_rawchunk(img->elf, (int64_t)s->header.sh_offset, s->header.sh_size,
					      ELF_T_NHDR);

	if (data && data->d_buf)
		read_notes(data, f);
}

static void read_note_sections(struct elf_image *img, struct found *f)
{
	for (size_t i = 0; i < img->section_count; i++) {
		const struct elf_section *s = &img->sections[i];
		Elf_Data *data = s->header.sh_type == SHT_NOTE ? elf_getdata(s->scn, NULL) : NULL;

		if (!data || !data->d_buf)
			continue;
		read_notes(data, f);
		if (!f->has_gnu && s->header.sh_addralign == 8)
			read_as_packed(img, s, f);
	}
}

// For files without section headers.
static void read_note_segments(struct elf_image *img, struct found *f)
{
	size_t count;

	if (elf_getphdrnum(img->elf, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr p;
		Elf_Data *data;

		if (!gelf_getphdr(img->elf, (int)i, &p) || p.p_type != PT_NOTE ||
		    !range_fits(p.p_offset, p.p_filesz, img->size))
			continue;
		data = elf_getdata_rawchunk(img->elf, (int64_t)p.p_offset, p.p_filesz,
					    p.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		if (data && data->d_buf)
			read_notes(data, f);
	}
}

// A file that others share entries of has no note, but an ID that they know.
static void read_sup(struct elf_image *img, struct found *f)
{
	struct elf_sup sup;

	f->has_gnu = elf_sup_read(img, &sup) && sup.is_supplementary;
	if (f->has_gnu)
		f->gnu = sup.id;
}

int elf_notes_ids(struct elf_image *img, struct err *e)
{
	struct found f = {0};

	read_note_sections(img, &f);
	if (!f.has_gnu && !f.has_go && img->kind != ELF_KIND_DEBUGINFO)
		read_note_segments(img, &f);
	if (!f.has_gnu && !f.has_go)
		read_sup(img, &f);
	if (f.has_gnu)
		img->ids[img->id_count++] = f.gnu;
	if (f.has_go)
		img->ids[img->id_count++] = f.go;
	if (img->fd < 0)
		return 0;
	if (build_id_htl(img->fd, &img->ids[img->id_count], e))
		return err_wrap(e, "%s", img->name);
	img->id_count++;
	return 0;
}
