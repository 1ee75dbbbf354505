/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_section_names.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>

enum { NAMES_MAX = 64 << 10 };

int elf_section_names_read(int fd, const struct elf_headers *h, const Elf64_Shdr *sections, size_t n,
			   struct elf_section_names *ret, struct err *e)
{
	size_t at = h->header.e_shstrndx;
	const Elf64_Shdr *s = at < n ? &sections[at] : NULL;
	struct elf_section_names names = {NULL, 0};

	if (s && range_fits(s->sh_offset, s->sh_size, h->file_size))
		names.size = MIN(s->sh_size, (uint64_t)NAMES_MAX);
	names.text = mem_zalloc(names.size + 1);
	if (!names.text)
		return err_nomem(e);
	if (names.size && io_pread_all(fd, names.text, names.size, s->sh_offset, e) < 0) {
		free(names.text);
		return -1;
	}
	*ret = names;
	return 0;
}

void elf_section_names_deinit(struct elf_section_names *names)
{
	free(names->text);
	*names = (struct elf_section_names){NULL, 0};
}

const char *elf_section_name(const struct elf_section_names *names, const Elf64_Shdr *s)
{
	return s->sh_name < names->size ? names->text + s->sh_name : "";
}
