/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_symbols.h"

#include "agent-lite/elf/elf_section_names.h"
#include "base/cleanup.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct plan {
	int fd;
	struct elf_headers headers;
	Elf64_Shdr *sections;
	size_t section_count;
	struct elf_section_names names;
	struct symbols_plan *to;
	bool worth_it; /* there are names of functions in it */
};

static void plan_deinit(struct plan *p)
{
	elf_headers_deinit(&p->headers);
	free(p->sections);
	elf_section_names_deinit(&p->names);
}

static struct str name_of(const struct plan *p, const Elf64_Shdr *s)
{
	return str_from(elf_section_name(&p->names, s));
}

static int read_headers(struct plan *p, struct err *e)
{
	if (elf_headers_read(p->fd, &p->headers, e) < 0)
		return -1;
	if (p->headers.header.e_type != ET_EXEC && p->headers.header.e_type != ET_DYN &&
	    p->headers.header.e_type != ET_REL)
		return err_set(e, ERR_UNSUPPORTED, "no program, no library, no kernel module");
	if (p->headers.header.e_shnum > ELF_SHDRS_MAX)
		return err_set(e, ERR_UNSUPPORTED, "more than %d sections", ELF_SHDRS_MAX);
	if (elf_headers_sections(p->fd, &p->headers, &p->sections, &p->section_count, e) < 0)
		return -1;
	return elf_section_names_read(p->fd, &p->headers, p->sections, p->section_count, &p->names, e);
}

// ---- what is kept -------------------------------------------------------------------------------

static bool is_debug(struct str name)
{
	return str_has_prefix(name, STR(".debug_")) || str_has_prefix(name, STR(".zdebug_")) ||
	       str_is(name, ".gnu_debugdata") || str_is(name, ".gnu_debuglink") ||
	       str_is(name, ".gnu_debugaltlink");
}

// ".gopclntab", ".data.rel.ro.gopclntab": Go's names and lines, which it needs at run time.
static bool is_go_table(struct str name)
{
	return str_has_suffix(name, STR(".gopclntab"));
}

// A kernel module's debug sections are not finished: what is to be filled in is in others.
static bool is_for_debug(const struct plan *p, const Elf64_Shdr *s)
{
	return p->headers.header.e_type == ET_REL && s->sh_info < p->section_count &&
	       !(p->sections[s->sh_info].sh_flags & SHF_ALLOC) &&
	       is_debug(name_of(p, &p->sections[s->sh_info]));
}

static bool is_kept(const struct plan *p, const Elf64_Shdr *s)
{
	struct str name = name_of(p, s);

	switch (s->sh_type) {
	case SHT_NOTE:
	case SHT_SYMTAB:
	case SHT_DYNSYM:
	case SHT_STRTAB:
	case SHT_SYMTAB_SHNDX:
		return true;
	case SHT_PROGBITS:
		return s->sh_flags & SHF_ALLOC ? is_go_table(name) : is_debug(name);
	case SHT_RELA:
	case SHT_REL:
		return is_for_debug(p, s);
	default:
		return false;
	}
}

static bool names_functions(const struct plan *p, const Elf64_Shdr *s)
{
	struct str name = name_of(p, s);

	return s->sh_type == SHT_SYMTAB || is_go_table(name) || str_is(name, ".debug_info") ||
	       str_is(name, ".zdebug_info") || str_is(name, ".gnu_debugdata");
}

static int keep(struct plan *p, uint64_t start, uint64_t size, struct err *e)
{
	struct symbols_plan *to = p->to;

	if (!range_fits(start, size, p->headers.file_size))
		return err_set(e, ERR_BAD_ELF, "a section lies outside the file");
	if (size == 0)
		return 0;
	if (to->range_count == SYMBOLS_RANGES_MAX)
		return err_set(e, ERR_UNSUPPORTED, "more than %d pieces to keep",
			       SYMBOLS_RANGES_MAX);
	to->ranges[to->range_count++] = (struct symbols_range){start, start + size};
	to->size = MAX(to->size, start + size);
	return 0;
}

/* All but what says how much of a segment is in the file, which stays zero where it is loaded. */
static int keep_program_header(struct plan *p, size_t i, struct err *e)
{
	const size_t before = offsetof(Elf64_Phdr, p_filesz);
	const size_t behind = offsetof(Elf64_Phdr, p_memsz);
	uint64_t at = p->headers.header.e_phoff + i * sizeof(Elf64_Phdr);

	if (p->headers.phdrs[i].p_type != PT_LOAD)
		return keep(p, at, sizeof(Elf64_Phdr), e);
	return keep(p, at, before, e) < 0 ||
			       keep(p, at + behind, sizeof(Elf64_Phdr) - behind, e) < 0
		       ? -1
		       : 0;
}

static int keep_headers(struct plan *p, struct err *e)
{
	if (keep(p, 0, sizeof(Elf64_Ehdr), e) < 0)
		return -1;
	for (size_t i = 0; i < p->headers.header.e_phnum; i++) {
		if (keep_program_header(p, i, e) < 0)
			return -1;
	}
	p->to->sections = p->headers.header.e_shoff;
	return keep(p, p->headers.header.e_shoff, p->section_count * sizeof(Elf64_Shdr), e);
}

static int keep_sections(struct plan *p, struct err *e)
{
	for (size_t i = 1; i < p->section_count; i++) {
		const Elf64_Shdr *s = &p->sections[i];

		if (is_kept(p, s)) {
			if (keep(p, s->sh_offset, s->sh_size, e) < 0)
				return -1;
			p->worth_it |= names_functions(p, s);
		} else if (s->sh_flags & SHF_ALLOC) {
			p->to->nobits[i / 64] |= UINT64_C(1) << (i % 64);
		}
	}
	return 0;
}

// ---- that it fits -------------------------------------------------------------------------------

static int by_start(const void *a, const void *b)
{
	const struct symbols_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorts, and makes one of those that touch. */
static void join_ranges(struct symbols_plan *to)
{
	size_t n = 0;

	qsort(to->ranges, to->range_count, sizeof(*to->ranges), by_start);
	for (size_t i = 1; i < to->range_count; i++) {
		if (to->ranges[i].start <= to->ranges[n].end)
			to->ranges[n].end = MAX(to->ranges[n].end, to->ranges[i].end);
		else
			to->ranges[++n] = to->ranges[i];
	}
	to->range_count = n + 1;
}

static bool overlap(uint64_t start, uint64_t size, const struct symbols_range *r)
{
	return size > 0 && start < r->end && (start >= r->start || size > r->start - start);
}

static int overlaps(struct err *e)
{
	return err_set(e, ERR_BAD_ELF, "sections that are given overlap others");
}

/* A section may claim to be a symbol table and lie in .text: then nothing of the file is given. */
static int check_apart(const struct plan *p, struct err *e)
{
	for (size_t i = 1; i < p->section_count; i++) {
		const Elf64_Shdr *s = &p->sections[i];

		if (is_kept(p, s) || s->sh_type == SHT_NOBITS)
			continue;
		for (size_t k = 0; k < p->to->range_count; k++) {
			if (overlap(s->sh_offset, s->sh_size, &p->to->ranges[k]))
				return overlaps(e);
		}
	}
	return 0;
}

/* No section may tell of the .text it lies in: then the segments do. */
static int check_not_loaded(const struct plan *p, struct err *e)
{
	for (size_t i = 1; i < p->section_count; i++) {
		const Elf64_Shdr *s = &p->sections[i];
		const struct symbols_range at = {s->sh_offset, s->sh_offset + s->sh_size};

		if (!is_kept(p, s) || (s->sh_flags & SHF_ALLOC) || !s->sh_size)
			continue;
		for (size_t k = 0; k < p->headers.header.e_phnum; k++) {
			const Elf64_Phdr *ph = &p->headers.phdrs[k];

			if (ph->p_type == PT_LOAD && overlap(ph->p_offset, ph->p_filesz, &at))
				return overlaps(e);
		}
	}
	return 0;
}

static int make(struct plan *p, struct err *e)
{
	if (read_headers(p, e) < 0 || keep_headers(p, e) < 0 || keep_sections(p, e) < 0)
		return -1;
	if (!p->worth_it)
		return err_set(e, ERR_UNSUPPORTED, "stripped: it has no names of functions");
	join_ranges(p->to);
	return check_apart(p, e) < 0 || check_not_loaded(p, e) < 0 ? -1 : 0;
}

int elf_symbols_plan(int fd, struct symbols_plan *ret, struct err *e)
{
	struct symbols_plan to = {.size = 0};
	_cleanup_(plan_deinit) struct plan p = {.fd = fd, .to = &to};

	if (make(&p, e) < 0)
		return -1;
	*ret = to;
	return 0;
}

bool symbols_plan_is_sane(const struct symbols_plan *p, uint64_t file_size)
{
	uint64_t at = 0;

	if (p->size > file_size || p->range_count == 0 || p->range_count > SYMBOLS_RANGES_MAX ||
	    !range_fits(p->sections, ELF_SHDRS_MAX * sizeof(Elf64_Shdr), UINT64_MAX))
		return false;
	for (size_t i = 0; i < p->range_count; i++) {
		const struct symbols_range *r = &p->ranges[i];

		if (r->start < at || r->end <= r->start || r->end > p->size)
			return false;
		at = r->end;
	}
	return true;
}
