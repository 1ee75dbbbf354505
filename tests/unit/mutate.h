/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of bad input: copies of an ELF file, damaged in ways that a case number decides, so that a
 * case can be repeated. A third is cut short, a third has bytes flipped anywhere, a third where it
 * hurts: in headers, and at the start of sections that are parsed. Header-only.
 */
#ifndef TESTS_UNIT_MUTATE_H
#define TESTS_UNIT_MUTATE_H

#include "base/base.h"
#include <elf.h>
#include <gelf.h>
#include <string.h>

enum { MUTATE_AREAS = 256, MUTATE_PAGE = 4096, MUTATE_HEAD = 64, MUTATE_FLIPS = 48 };

struct mutate_area {
	uint64_t start;
	uint64_t size;
};

struct mutate_file {
	const char *bytes;
	size_t n;
	struct mutate_area areas[MUTATE_AREAS]; /* headers, starts of sections, whole small ones */
	size_t area_count;
};

UNUSED static void mutate_add_area(struct mutate_file *f, uint64_t start, uint64_t size)
{
	if (size && f->area_count < MUTATE_AREAS && start < f->n)
		f->areas[f->area_count++] = (struct mutate_area){start, MIN(size, f->n - start)};
}

/* The file is well-formed here; what libelf says of it is believed. */
UNUSED static void mutate_begin(struct mutate_file *f, char *bytes, size_t n)
{
	Elf *elf;
	GElf_Ehdr header;
	Elf_Scn *scn = NULL;

	*f = (struct mutate_file){.bytes = bytes, .n = n};
	elf_version(EV_CURRENT);
	elf = elf_memory(bytes, n);
	if (!elf || !gelf_getehdr(elf, &header))
		return;
	mutate_add_area(f, 0, sizeof(Elf64_Ehdr));
	mutate_add_area(f, header.e_phoff, (uint64_t)header.e_phnum * header.e_phentsize);
	mutate_add_area(f, header.e_shoff, (uint64_t)header.e_shnum * header.e_shentsize);
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr s;

		if (!gelf_getshdr(scn, &s) || s.sh_type == SHT_NOBITS)
			continue;
		mutate_add_area(f, s.sh_offset, MIN(s.sh_size, (uint64_t)MUTATE_HEAD));
		if (!(s.sh_flags & SHF_ALLOC) || s.sh_size < MUTATE_PAGE)
			mutate_add_area(f, s.sh_offset, s.sh_size);
	}
	elf_end(elf);
}

/* xorshift64* (Vigna 2016), seeded by the case. */
UNUSED static uint64_t mutate_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

UNUSED static void mutate_flip(char *bytes, size_t n, const struct mutate_area *a, uint64_t *state)
{
	static const uint64_t values[] = {0,	      UINT64_MAX, 0x7fffffff,	      0x80000000,
					  0xffffffff, 1,	  0x7fffffffffffffff, 0xfffffffffffffff0};
	uint64_t at = a->start + mutate_random(state) % a->size;
	uint64_t value = values[mutate_random(state) % countof(values)];
	size_t width = (size_t)1 << mutate_random(state) % 4;

	width = MIN(width, n - at);
	switch (mutate_random(state) % 3) {
	case 0:
		bytes[at] = (char)(bytes[at] ^ (1 << mutate_random(state) % 8));
		break;
	case 1:
		bytes[at] = (char)mutate_random(state);
		break;
	default:
		memcpy(bytes + at, &value, width);
	}
}

/* Damages `copy`, which holds the file; how many bytes are left of it. */
UNUSED static size_t mutate_case(const struct mutate_file *f, char *copy, uint64_t number)
{
	uint64_t state = (number + 1) * 0x9e3779b97f4a7c15ULL;
	const struct mutate_area whole = {0, f->n};
	const struct mutate_area *area = &whole;
	uint64_t flips = 1 + mutate_random(&state) % MUTATE_FLIPS;
	size_t pages = f->n / MUTATE_PAGE + 1;

	if (number % 3 == 0)
		return number / 3 < pages ? number / 3 * MUTATE_PAGE : mutate_random(&state) % f->n;
	if (number % 3 == 1 && f->area_count) {
		area = &f->areas[mutate_random(&state) % f->area_count];
		flips = 1 + flips % 4;
	}
	while (flips--)
		mutate_flip(copy, f->n, area, &state);
	return f->n;
}

#endif
