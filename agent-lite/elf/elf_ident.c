/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_ident.h"

#include "agent-lite/elf/elf_headers.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"

#include <string.h>

enum {
	NT_GO_BUILD_ID = 4, // cmd/internal/buildid/note.go
};

static void collect_loads(const Elf64_Phdr *phdrs, size_t n, struct elf_ident *ident)
{
	for (size_t i = 0; i < n && ident->load_count < ELF_IDENT_LOADS_MAX; i++) {
		const Elf64_Phdr *p = &phdrs[i];

		if (p->p_type != PT_LOAD)
			continue;
		ident->loads[ident->load_count++] = (struct elf_load){
			.offset = p->p_offset,
			.vaddr = p->p_vaddr,
			.filesz = p->p_filesz,
			.memsz = p->p_memsz,
			.flags = p->p_flags,
		};
	}
}

static bool note_id(const Elf64_Nhdr *nh, const char *owner, const uint8_t *desc,
		    struct build_id *ret)
{
	static const struct {
		const char *owner;
		uint32_t size; /* with NUL */
		uint32_t type;
		enum build_id_kind kind;
	} kinds[] = {
		{"GNU", 4, NT_GNU_BUILD_ID, BUILD_ID_GNU},
		{"Go\0", 4, NT_GO_BUILD_ID, BUILD_ID_GO},
	};

	for (size_t i = 0; i < countof(kinds); i++) {
		if (nh->n_namesz == kinds[i].size && nh->n_type == kinds[i].type &&
		    memcmp(owner, kinds[i].owner, kinds[i].size) == 0)
			return build_id_set(ret, kinds[i].kind, desc, nh->n_descsz, NULL) == 0;
	}
	return false;
}

static size_t align_up(size_t n, uint64_t align)
{
	return (n + (align - 1)) & ~(size_t)(align - 1);
}

bool elf_notes_find_id(const void *notes, size_t n, uint64_t align, struct build_id *ret)
{
	const uint8_t *p = notes;
	size_t pos = 0;
	bool found = false;
	struct build_id id;

	align = align == 8 ? 8 : 4;
	while (pos <= n && n - pos >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;

		memcpy(&nh, p + pos, sizeof(nh));
		pos += sizeof(nh);
		if (nh.n_namesz > n - pos)
			break;
		const char *owner = (const char *)p + pos;

		pos = align_up(pos + nh.n_namesz, align);
		if (pos > n || nh.n_descsz > n - pos)
			break;
		if (note_id(&nh, owner, p + pos, &id)) {
			*ret = id;
			found = true;
			if (id.kind == BUILD_ID_GNU)
				break;
		}
		pos = align_up(pos + nh.n_descsz, align);
	}
	return found;
}

/* Looks into one stretch of notes; keeps what is better than *id (GNU before Go). */
static int read_notes(int fd, uint64_t offset, uint64_t len, uint64_t align, struct build_id *id,
		      bool *found, struct err *e)
{
	_cleanup_free_ uint8_t *notes = NULL;
	struct build_id candidate;
	size_t n = MIN(len, (uint64_t)ELF_IDENT_NOTES_MAX);

	notes = mem_alloc(n + 1);
	if (!notes)
		return err_nomem(e);
	if (io_pread_all(fd, notes, n, offset, e) < 0)
		return -1;
	if (!elf_notes_find_id(notes, n, align, &candidate))
		return 0;
	if (!*found || candidate.kind == BUILD_ID_GNU)
		*id = candidate;
	*found = true;
	return 0;
}

static int find_id_in_segments(int fd, const struct elf_headers *h, struct elf_ident *ident,
			       bool *found, struct err *e)
{
	for (size_t i = 0; i < h->header.e_phnum; i++) {
		const Elf64_Phdr *p = &h->phdrs[i];

		if (p->p_type != PT_NOTE || p->p_filesz == 0)
			continue;
		if (!range_fits(p->p_offset, p->p_filesz, h->file_size))
			return err_set(e, ERR_BAD_ELF,
				       "a note segment reaches beyond the end of the file");
		if (read_notes(fd, p->p_offset, p->p_filesz, p->p_align, &ident->id, found, e) < 0)
			return -1;
		if (*found && ident->id.kind == BUILD_ID_GNU)
			break;
	}
	return 0;
}

static int find_id_in_sections(int fd, const struct elf_headers *h, struct elf_ident *ident,
			       bool *found, struct err *e)
{
	_cleanup_free_ Elf64_Shdr *shdrs = NULL;
	size_t n;

	if (elf_headers_sections(fd, h, &shdrs, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const Elf64_Shdr *s = &shdrs[i];

		if (s->sh_type != SHT_NOTE || !range_fits(s->sh_offset, s->sh_size, h->file_size))
			continue;
		if (read_notes(fd, s->sh_offset, s->sh_size, s->sh_addralign, &ident->id, found,
			       e) < 0)
			return -1;
		if (*found && ident->id.kind == BUILD_ID_GNU)
			break;
	}
	return 0;
}

int elf_ident_read(int fd, struct elf_ident *ret, struct err *e)
{
	_cleanup_(elf_headers_deinit) struct elf_headers h = {0};
	struct elf_ident ident = {.load_count = 0};
	bool found = false;

	if (elf_headers_read(fd, &h, e) < 0)
		return -1;
	ident.machine = h.header.e_machine;
	ident.type = h.header.e_type;
	collect_loads(h.phdrs, h.header.e_phnum, &ident);
	if (find_id_in_segments(fd, &h, &ident, &found, e) < 0)
		return -1;
	if ((!found || ident.id.kind != BUILD_ID_GNU) &&
	    find_id_in_sections(fd, &h, &ident, &found, e) < 0)
		return -1;
	if (!found && build_id_htl(fd, &ident.id, e) < 0)
		return -1;
	*ret = ident;
	return 0;
}

/* 2: the exact range of the file holds the offset; 1: only its pages do; 0: no. */
static int load_holds(const struct elf_load *l, uint64_t offset)
{
	uint64_t end, page_end;

	if (add_overflows(l->offset, l->filesz, &end) || end > UINT64_MAX - ELF_PAGE)
		return 0;
	if (offset >= l->offset && offset < end)
		return 2;
	page_end = (end + ELF_PAGE - 1) & ~(uint64_t)(ELF_PAGE - 1);
	return offset >= (l->offset & ~(uint64_t)(ELF_PAGE - 1)) && offset < page_end ? 1 : 0;
}

bool elf_offset_to_vaddr(const struct elf_ident *ident, uint64_t offset, uint64_t *ret)
{
	const struct elf_load *best = NULL;
	int best_score = 0;

	for (size_t i = 0; i < ident->load_count; i++) {
		const struct elf_load *l = &ident->loads[i];
		int score = load_holds(l, offset);

		if (score > 0 && (l->flags & PF_X))
			score += 2;
		if (score > best_score) {
			best = l;
			best_score = score;
		}
	}
	if (!best)
		return false;
	*ret = best->vaddr + (offset - best->offset); // modulo 2^64, as addresses are
	return true;
}
