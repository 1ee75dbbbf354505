/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_code_sections.h"

#include "agent-lite/elf/elf_section_names.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* False: it cannot be placed. */
static bool place(const Elf64_Shdr *s, uint64_t *end, uint64_t *ret_at)
{
	uint64_t mask = s->sh_addralign ? s->sh_addralign - 1 : 0;
	uint64_t at;

	if (mask & s->sh_addralign || add_overflows(*end, mask, &at))
		return false;
	at &= ~mask;
	*ret_at = at;
	return !add_overflows(at, s->sh_size, end);
}

static void note(const Elf64_Shdr *s, const char *name, uint64_t at, struct code_sections *to)
{
	struct code_section *c = &to->items[to->n];
	size_t n = strlen(name);

	if (!(s->sh_flags & SHF_EXECINSTR) || !s->sh_size || !n || n >= sizeof(c->name) ||
	    to->n == CODE_SECTIONS_MAX)
		return;
	memcpy(c->name, name, n + 1);
	c->address = at;
	c->size = s->sh_size;
	to->n++;
}

static int lay_out(const Elf64_Shdr *sections, size_t n, const struct elf_section_names *names,
		   struct code_sections *to, struct err *e)
{
	uint64_t end = 0;

	for (size_t i = 1; i < n; i++) {
		uint64_t at;

		if (!(sections[i].sh_flags & SHF_ALLOC))
			continue;
		if (sections[i].sh_addr)
			return err_set(e, ERR_UNSUPPORTED, "its sections have addresses");
		if (!place(&sections[i], &end, &at))
			return err_set(e, ERR_BAD_ELF, "a section's size or alignment is impossible");
		note(&sections[i], elf_section_name(names, &sections[i]), at, to);
	}
	return 0;
}

int elf_code_sections(int fd, struct code_sections *ret, struct err *e)
{
	_cleanup_(elf_headers_deinit) struct elf_headers h = {0};
	_cleanup_(elf_section_names_deinit) struct elf_section_names names = {0};
	_cleanup_free_ Elf64_Shdr *sections = NULL;
	struct code_sections to = {.n = 0};
	size_t n;

	if (elf_headers_read(fd, &h, e) < 0)
		return -1;
	if (h.header.e_type != ET_REL || h.header.e_shnum > ELF_SHDRS_MAX)
		return err_set(e, ERR_UNSUPPORTED, "not a kernel module");
	if (elf_headers_sections(fd, &h, &sections, &n, e) < 0 ||
	    elf_section_names_read(fd, &h, sections, n, &names, e) < 0 ||
	    lay_out(sections, n, &names, &to, e) < 0)
		return -1;
	*ret = to;
	return 0;
}

bool code_sections_are_sane(const struct code_sections *c)
{
	if (c->n > CODE_SECTIONS_MAX)
		return false;
	for (size_t i = 0; i < c->n; i++) {
		if (!memchr(c->items[i].name, 0, sizeof(c->items[i].name)) ||
		    !range_fits(c->items[i].address, c->items[i].size, UINT64_MAX))
			return false;
	}
	return true;
}
