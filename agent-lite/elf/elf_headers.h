/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of an ELF file, through bounded pread (System V gABI, "ELF Header", "Program Header",
 * "Section Header"). 64-bit little-endian files only.
 *
 * The file is hostile: for the sandboxed child of elf_child.h. No state; thread-safe.
 */
#ifndef AGENT_ELF_HEADERS_H
#define AGENT_ELF_HEADERS_H

#include "base/base.h"
#include "base/err.h"

#include <elf.h>

enum {
	ELF_PHDRS_MAX = 256,
	ELF_SHDRS_MAX = 512, /* of more, the first ones are read */
	ELF_PAGE = 4096,
};

struct elf_headers {
	uint64_t file_size;
	Elf64_Ehdr header;
	Elf64_Phdr *phdrs; /* header.e_phnum */
};

/*
 * The ELF header and the program headers. ERR_NOT_ELF for any other file, ERR_BAD_ELF where the
 * headers contradict themselves or the file is too short for them, ERR_UNSUPPORTED for big-endian
 * and 32-bit files.
 */
int elf_headers_read(int fd, struct elf_headers *ret, struct err *e) MUST_CHECK;
void elf_headers_deinit(struct elf_headers *h);

/*
 * The section headers, to be freed. Sections may be cut away or damaged without harm to a running
 * program: then there are none.
 */
int elf_headers_sections(int fd, const struct elf_headers *h, Elf64_Shdr **ret, size_t *ret_n,
			 struct err *e) MUST_CHECK;

#endif
