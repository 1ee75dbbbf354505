/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of an ELF file's sections, the first 64 KiB of them. The file is hostile: a name that
 * lies elsewhere is empty. Owned by one thread.
 */
#ifndef AGENT_ELF_SECTION_NAMES_H
#define AGENT_ELF_SECTION_NAMES_H

#include "agent-lite/elf/elf_headers.h"

struct elf_section_names {
	char *text; /* NUL at the end */
	size_t size;
};

int elf_section_names_read(int fd, const struct elf_headers *h, const Elf64_Shdr *sections, size_t n,
			   struct elf_section_names *ret, struct err *e) MUST_CHECK;
void elf_section_names_deinit(struct elf_section_names *names);
/* Never NULL; lives as long as the names. */
const char *elf_section_name(const struct elf_section_names *names, const Elf64_Shdr *s);

#endif
