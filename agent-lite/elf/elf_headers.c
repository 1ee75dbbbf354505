/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_headers.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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

	if (n > ELF_PHDRS_MAX)
		return err_set(e, ERR_BAD_ELF, "%zu program headers; at most %d are read", n,
			       ELF_PHDRS_MAX);
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

int elf_headers_read(int fd, struct elf_headers *ret, struct err *e)
{
	struct elf_headers h = {0};

	if (io_file_size(fd, &h.file_size, e) < 0 || read_header(fd, h.file_size, &h.header, e) < 0 ||
	    read_phdrs(fd, h.file_size, &h.header, &h.phdrs, e) < 0)
		return -1;
	*ret = h;
	return 0;
}

void elf_headers_deinit(struct elf_headers *h)
{
	free(h->phdrs);
	h->phdrs = NULL;
}

int elf_headers_sections(int fd, const struct elf_headers *h, Elf64_Shdr **ret, size_t *ret_n,
			 struct err *e)
{
	_cleanup_free_ Elf64_Shdr *shdrs = NULL;
	size_t n = MIN((size_t)h->header.e_shnum, (size_t)ELF_SHDRS_MAX);

	if (h->header.e_shentsize != sizeof(Elf64_Shdr) ||
	    !range_fits(h->header.e_shoff, n * sizeof(Elf64_Shdr), h->file_size))
		n = 0;
	shdrs = mem_calloc(n + 1, sizeof(*shdrs));
	if (!shdrs)
		return err_nomem(e);
	if (n > 0 && io_pread_all(fd, shdrs, n * sizeof(*shdrs), h->header.e_shoff, e) < 0)
		return -1;
	*ret = steal_ptr(shdrs);
	*ret_n = n;
	return 0;
}
