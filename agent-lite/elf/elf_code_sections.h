/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the code of a relocatable object (a kernel module) lies when its sections are laid out as the
 * server does it (docs/ADDRESSES.md, "Relocatable objects"): those that are loaded, one behind the
 * other in the order of their headers, from 0, each at the next multiple of its alignment.
 *
 * The file is hostile: for the sandboxed child of elf_child.h. No state; thread-safe.
 */
#ifndef AGENT_ELF_CODE_SECTIONS_H
#define AGENT_ELF_CODE_SECTIONS_H

#include "agent-lite/elf/elf_headers.h"

enum { CODE_SECTIONS_MAX = 16, CODE_SECTION_NAME = 32 };

struct code_sections {
	uint64_t n;
	struct code_section {
		char name[CODE_SECTION_NAME]; /* with its dot; NUL at the end */
		uint64_t address, size;
	} items[CODE_SECTIONS_MAX];
};

/*
 * Errors of elf_headers_read(); ERR_UNSUPPORTED: not relocatable, or more sections than are read.
 * Of more code sections than fit, the first; longer names are left out.
 */
int elf_code_sections(int fd, struct code_sections *ret, struct err *e) MUST_CHECK;
bool code_sections_are_sane(const struct code_sections *c);

#endif
