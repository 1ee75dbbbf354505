/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf_ident.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"

#include <elf.h>
#include <string.h>

enum {
	PAGE = 4096,
	NT_GO_BUILD_ID = 4, // cmd/internal/buildid/note.go
	SHDRS_MAX = 512,
};

static int read_header(int fd, uint64_t size, Elf64_Ehdr *eh, struct err *e)
{
	if (size < EI_NIDENT)
		return err_set(e, ERR_NOT_ELF, "not an ELF file: %llu bytes long",
			       (unsigned long long)size);
	if (io_pread_all(fd, eh, EI_NIDENT, 0, e) < 0)
		return -1;
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return err_set(e, ERR_NOT_ELF, "not an ELF file: wrong magic number");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return err_set(e, ERR_UNSUPPORTED, "not a 64-bit little-endian ELF file");
	if (size < sizeof(*eh))
		return err_set(e, ERR_BAD_ELF, "ELF header cut off at byte %llu",
			       (unsigned long long)size);
	return io_pread_all(fd, eh, sizeof(*eh), 0, e);
}

static int read_phdrs(int fd, uint64_t size, const Elf64_Ehdr *eh, Elf64_Phdr **ret, struct err *e)
{
	_cleanup_free_ Elf64_Phdr *phdrs = NULL;
	size_t n = eh->e_phnum;

	if (n > ELF_IDENT_PHDRS_MAX)
		return err_set(e, ERR_BAD_ELF, "%zu program headers; at most %d are read", n,
			       ELF_IDENT_PHDRS_MAX);
	if (n > 0 && eh->e_phentsize != sizeof(Elf64_Phdr))
		return err_set(e, ERR_BAD_ELF, "program header entries of %u bytes, not %zu",
			       eh->e_phentsize, sizeof(Elf64_Phdr));
	if (!range_fits(eh->e_phoff, n * sizeof(Elf64_Phdr), size))
		return err_set(e, ERR_BAD_ELF, "program headers reach beyond the end of the file");
	phdrs = mem_calloc(n + 1, sizeof(*phdrs));
	if (!phdrs)
		return err_nomem(e);
	if (io_pread_all(fd, phdrs, n * sizeof(*phdrs), eh->e_phoff, e) < 0)
		return -1;
	*ret = steal_ptr(phdrs);
	return 0;
}

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

static int find_id_in_segments(int fd, uint64_t size, const Elf64_Phdr *phdrs, size_t n,
			       struct elf_ident *ident, bool *found, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const Elf64_Phdr *p = &phdrs[i];

		if (p->p_type != PT_NOTE || p->p_filesz == 0)
			continue;
		if (!range_fits(p->p_offset, p->p_filesz, size))
			return err_set(e, ERR_BAD_ELF,
				       "a note segment reaches beyond the end of the file");
		if (read_notes(fd, p->p_offset, p->p_filesz, p->p_align, &ident->id, found, e) < 0)
			return -1;
		if (*found && ident->id.kind == BUILD_ID_GNU)
			break;
	}
	return 0;
}

/*
 * Section headers may be cut away or damaged without harm to a running program: then there are
 * none.
 */
static int find_id_in_sections(int fd, uint64_t size, const Elf64_Ehdr *eh, struct elf_ident *ident,
			       bool *found, struct err *e)
{
	_cleanup_free_ Elf64_Shdr *shdrs = NULL;
	size_t n = MIN((size_t)eh->e_shnum, (size_t)SHDRS_MAX);

	if (n == 0 || eh->e_shentsize != sizeof(Elf64_Shdr) ||
	    !range_fits(eh->e_shoff, n * sizeof(Elf64_Shdr), size))
		return 0;
	shdrs = mem_calloc(n, sizeof(*shdrs));
	if (!shdrs)
		return err_nomem(e);
	if (io_pread_all(fd, shdrs, n * sizeof(*shdrs), eh->e_shoff, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const Elf64_Shdr *s = &shdrs[i];

		if (s->sh_type != SHT_NOTE || !range_fits(s->sh_offset, s->sh_size, size))
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
	_cleanup_free_ Elf64_Phdr *phdrs = NULL;
	struct elf_ident ident = {.load_count = 0};
	Elf64_Ehdr eh;
	uint64_t size;
	bool found = false;

	if (io_file_size(fd, &size, e) < 0 || read_header(fd, size, &eh, e) < 0 ||
	    read_phdrs(fd, size, &eh, &phdrs, e) < 0)
		return -1;
	ident.machine = eh.e_machine;
	ident.type = eh.e_type;
	collect_loads(phdrs, eh.e_phnum, &ident);
	if (find_id_in_segments(fd, size, phdrs, eh.e_phnum, &ident, &found, e) < 0)
		return -1;
	if ((!found || ident.id.kind != BUILD_ID_GNU) &&
	    find_id_in_sections(fd, size, &eh, &ident, &found, e) < 0)
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

	if (add_overflows(l->offset, l->filesz, &end) || end > UINT64_MAX - PAGE)
		return 0;
	if (offset >= l->offset && offset < end)
		return 2;
	page_end = (end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	return offset >= (l->offset & ~(uint64_t)(PAGE - 1)) && offset < page_end ? 1 : 0;
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
