/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/cfi_section.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"

enum {
	NAMES_MAX = 64 * 1024, // bytes of section names that are looked at
	HEADER_MAX = 64,       // bytes of .eh_frame_hdr before its table: 4, and two numbers
};

#ifndef SHT_X86_64_UNWIND
#define SHT_X86_64_UNWIND 0x70000001 // x86-64 psABI, "Section Types"
#endif

static int read_bytes_at(int fd, uint64_t offset, uint64_t n, void **ret, struct err *e)
{
	_cleanup_free_ void *p = mem_alloc(n + 1);

	if (!p)
		return err_nomem(e);
	if (io_pread_all(fd, p, n, offset, e) < 0)
		return -1;
	*ret = steal_ptr(p);
	return 0;
}

static int load(int fd, const struct elf_headers *h, uint64_t offset, uint64_t n, uint64_t vaddr,
		struct cfi_section *ret, struct err *e)
{
	void *bytes;

	if (!range_fits(offset, n, h->file_size))
		return err_set(e, ERR_BAD_ELF, ".eh_frame reaches beyond the end of the file");
	if (n > CFI_SECTION_MAX)
		return err_set(e, ERR_TOO_LARGE, ".eh_frame of %llu bytes; at most %llu are read",
			       (unsigned long long)n, (unsigned long long)CFI_SECTION_MAX);
	if (read_bytes_at(fd, offset, n, &bytes, e) < 0)
		return -1;
	*ret = (struct cfi_section){
		.frame = {.bytes = {bytes, n}, .vaddr = vaddr, .address_size = 8},
		.memory = bytes,
	};
	return 0;
}

// ---- by section header -------------------------------------------------------------------------

static bool may_be_frame(const Elf64_Shdr *s)
{
	return (s->sh_type == SHT_PROGBITS || s->sh_type == SHT_X86_64_UNWIND) &&
	       s->sh_flags & SHF_ALLOC && s->sh_size > 0;
}

/* NULL: none of that name, or the names cannot be read. */
static const Elf64_Shdr *find_section(const Elf64_Shdr *shdrs, size_t n, struct str names)
{
	static const char wanted[] = ".eh_frame";

	for (size_t i = 0; i < n; i++) {
		uint64_t at = shdrs[i].sh_name;

		if (may_be_frame(&shdrs[i]) && range_fits(at, sizeof(wanted), names.n) &&
		    memcmp(names.p + at, wanted, sizeof(wanted)) == 0)
			return &shdrs[i];
	}
	return NULL;
}

/* 1: not found. */
static int load_by_section(int fd, const struct elf_headers *h, struct cfi_section *ret,
			   struct err *e)
{
	_cleanup_free_ Elf64_Shdr *shdrs = NULL;
	_cleanup_free_ void *names = NULL;
	const Elf64_Shdr *found;
	size_t n, names_n;

	if (elf_headers_sections(fd, h, &shdrs, &n, e) < 0)
		return -1;
	if (h->header.e_shstrndx >= n)
		return 1;
	found = &shdrs[h->header.e_shstrndx];
	names_n = MIN(found->sh_size, (uint64_t)NAMES_MAX);
	if (!range_fits(found->sh_offset, names_n, h->file_size))
		return 1;
	if (read_bytes_at(fd, found->sh_offset, names_n, &names, e) < 0)
		return -1;
	found = find_section(shdrs, n, (struct str){names, names_n});
	if (!found)
		return 1;
	return load(fd, h, found->sh_offset, found->sh_size, found->sh_addr, ret, e);
}

// ---- by program header -------------------------------------------------------------------------

static const Elf64_Phdr *find_segment(const struct elf_headers *h, uint32_t type)
{
	for (size_t i = 0; i < h->header.e_phnum; i++) {
		if (h->phdrs[i].p_type == type)
			return &h->phdrs[i];
	}
	return NULL;
}

/* Nothing says where it ends but its terminator: up to the end of the segment that holds it. */
static int load_at_vaddr(int fd, const struct elf_headers *h, uint64_t vaddr,
			 struct cfi_section *ret, struct err *e)
{
	for (size_t i = 0; i < h->header.e_phnum; i++) {
		const Elf64_Phdr *p = &h->phdrs[i];
		uint64_t into = vaddr - p->p_vaddr;

		if (p->p_type != PT_LOAD || vaddr < p->p_vaddr || into >= p->p_filesz)
			continue;
		if (!range_fits(p->p_offset, p->p_filesz, h->file_size))
			return err_set(e, ERR_BAD_ELF,
				       "the segment of .eh_frame reaches beyond the end of the file");
		return load(fd, h, p->p_offset + into, MIN(p->p_filesz - into, CFI_SECTION_MAX),
			    vaddr, ret, e);
	}
	return err_set(e, ERR_BAD_ELF, ".eh_frame_hdr leads to no segment");
}

static int load_by_segment(int fd, const struct elf_headers *h, struct cfi_section *ret,
			   struct err *e)
{
	const Elf64_Phdr *p = find_segment(h, PT_GNU_EH_FRAME);
	char bytes[HEADER_MAX];
	struct eh_frame frame = {.address_size = 8};
	struct eh_frame_hdr hdr;

	if (!p)
		return 0;
	frame.vaddr = frame.data_base = p->p_vaddr;
	frame.bytes = (struct str){bytes, MIN(p->p_filesz, sizeof(bytes))};
	if (!range_fits(p->p_offset, frame.bytes.n, h->file_size))
		return err_set(e, ERR_BAD_ELF, ".eh_frame_hdr reaches beyond the end of the file");
	if (io_pread_all(fd, bytes, frame.bytes.n, p->p_offset, e) < 0 ||
	    eh_frame_hdr_read(&frame, &hdr, e) < 0)
		return -1;
	return hdr.frame_vaddr ? load_at_vaddr(fd, h, hdr.frame_vaddr, ret, e) : 0;
}

int cfi_section_load(int fd, const struct elf_headers *h, struct cfi_section *ret, struct err *e)
{
	struct cfi_section s = {.frame = {.bytes = STR_EMPTY}};
	int r = load_by_section(fd, h, &s, e);

	if (r > 0)
		r = load_by_segment(fd, h, &s, e);
	if (r < 0)
		return -1;
	*ret = s;
	return 0;
}

void cfi_section_deinit(struct cfi_section *s)
{
	free(s->memory);
	s->memory = NULL;
}
