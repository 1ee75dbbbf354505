/* SPDX-License-Identifier: Apache-2.0 */
/* Program headers of a compiled test program, by a minimal reader that only tests use. Header-only. */
#ifndef TESTS_UNIT_ELF_HEADERS_H
#define TESTS_UNIT_ELF_HEADERS_H

#include "symbolizer/program_header.h"
#include "tests/unit/toolbox.h"
#include <elf.h>

/* The PT_LOADs of a 64-bit file in the toolbox's folder; valid until the next call. */
UNUSED static struct program_headers elf_headers(const char *name, bool trusted)
{
	static struct program_header space[PROGRAM_HEADERS_MAX];
	size_t n = 0;
	size_t count = 0;
	char *bytes = toolbox_read(name, &n);
	Elf64_Ehdr eh;

	assert_true(n >= sizeof(eh));
	memcpy(&eh, bytes, sizeof(eh));
	for (size_t i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;

		assert_true(range_fits(eh.e_phoff + i * sizeof(ph), sizeof(ph), n));
		memcpy(&ph, bytes + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_type != PT_LOAD)
			continue;
		space[count++] = (struct program_header){
			.vaddr = ph.p_vaddr,
			.memsz = ph.p_memsz,
			.offset = ph.p_offset,
			.filesz = ph.p_filesz,
			.align = ph.p_align,
			.flags = ph.p_flags,
		};
	}
	free(bytes);
	assert_true(count > 0);
	return (struct program_headers){space, count, trusted};
}

#endif
