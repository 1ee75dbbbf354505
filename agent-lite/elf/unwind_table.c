/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/unwind_table.h"

#include "agent-lite/elf/cfi_places.h"
#include "agent-lite/elf/cfi_section.h"
#include "agent-lite/elf/elf_headers.h"
#include "agent-lite/elf/unwind_rows.h"
#include "base/cleanup.h"

#include <string.h>

enum { CODE_MAX = 16 }; // executable segments; of more, the first ones are looked at

struct builder {
	uint16_t machine; /* EM_… */
	struct cfi_reach reach;
	struct cfi_code code[CODE_MAX];
	struct cfi_cies cies;
	struct cfi_places places;
	struct unwind_rows rows;
	struct cfi_program program;
};

static int registers_of(const Elf64_Ehdr *eh, struct cfi_registers *ret, struct err *e)
{
	if (eh->e_type != ET_DYN && eh->e_type != ET_EXEC)
		return err_set(e, ERR_UNSUPPORTED, "an ELF file of type %u is not run", eh->e_type);
	switch (eh->e_machine) {
	case EM_X86_64: // x86-64 psABI, figure 3.36
		*ret = (struct cfi_registers){.sp = 7, .fp = 6, .ra = 16};
		return 0;
	case EM_AARCH64: // DWARF for the Arm 64-bit Architecture, 4.1
		*ret = (struct cfi_registers){.sp = 31, .fp = 29, .ra = 30};
		return 0;
	default:
		return err_set(e, ERR_UNSUPPORTED, "stacks of ELF machine %u cannot be walked",
			       eh->e_machine);
	}
}

/* Where code is, and the page of the lowest segment. */
static void find_code(const struct elf_headers *h, struct builder *b)
{
	uint64_t lowest = UINT64_MAX;

	for (size_t i = 0; i < h->header.e_phnum; i++) {
		const Elf64_Phdr *p = &h->phdrs[i];
		struct cfi_code code = {.start = p->p_vaddr};

		if (p->p_type != PT_LOAD || add_overflows(p->p_vaddr, p->p_memsz, &code.end))
			continue;
		lowest = MIN(lowest, p->p_vaddr);
		if (p->p_flags & PF_X && b->reach.n < CODE_MAX)
			b->code[b->reach.n++] = code;
	}
	b->reach.code = b->code;
	b->reach.base = lowest & ~(uint64_t)(ELF_PAGE - 1);
}

/* Rows for what the FDE says from `from` on, an offset to the base. Returns where it ends. */
static uint64_t add_fde(struct builder *b, const struct cfi_cie *cie, const struct eh_fde *fde,
			uint64_t from)
{
	struct cfi_program *p = &b->program;
	uint64_t end = fde->end - b->reach.base;
	uint64_t at;

	if (!cfi_program_start(p, b->cies.frame, &cie->cie, fde, b->cies.registers, &cie->initial))
		return from;
	while (!b->rows.full && cfi_program_step(p, &at)) {
		struct unwind_row row = {.rules = UNWIND_CFA_SIGNAL};

		at -= b->reach.base;
		if (!cie->cie.is_signal)
			row = unwind_row_of(b->machine, &p->state);
		unwind_rows_add(&b->rows, (uint32_t)MAX(at, from), row);
	}
	unwind_rows_add(&b->rows, (uint32_t)end, (struct unwind_row){.rules = UNWIND_CFA_NONE});
	return end;
}

/* Where FDEs overlap, the first one holds. */
static int add_all(struct builder *b, struct err *e)
{
	uint64_t done = 0;

	for (size_t i = 0; i < b->places.n; i++) {
		const struct cfi_place *place = &b->places.place[i];
		const struct cfi_cie *cie;
		struct eh_fde fde;

		if (cfi_place_read(&b->cies, &b->reach, place->at, &cie, &fde) &&
		    fde.end - b->reach.base > done)
			done = add_fde(b, cie, &fde, MAX((uint64_t)place->pc, done));
		if (b->rows.full)
			return err_set(e, ERR_TOO_LARGE,
				       "an unwind table of more than %zu rows", b->rows.max);
	}
	return 0;
}

static int build(struct builder *b, uint64_t *slots, size_t slot_max, struct unwind_table *ret,
		 struct err *e)
{
	size_t pages;

	if (cfi_places_find(&b->cies, &b->reach, slot_max, &b->places, e) < 0)
		return -1;
	pages = (size_t)(b->places.end >> UNWIND_PAGE_SHIFT) + 1;
	if (pages > slot_max)
		return err_set(e, ERR_TOO_LARGE, "code of %zu pages; at most %zu are read", pages,
			       slot_max);
	b->rows = (struct unwind_rows){
		.row = (struct unwind_row *)(slots + pages),
		.max = slot_max - pages,
	};
	if (add_all(b, e) < 0)
		return -1;
	unwind_rows_pages(&b->rows, (struct unwind_page *)slots, pages);
	*ret = (struct unwind_table){.base = b->reach.base,
				     .pages = b->rows.n ? (uint32_t)pages : 0,
				     .rows = (uint32_t)b->rows.n};
	return 0;
}

static int build_from(int fd, const struct elf_headers *h, uint64_t *slots, size_t slot_max,
		      struct unwind_table *ret, struct err *e)
{
	_cleanup_(cfi_section_deinit) struct cfi_section section = {.memory = NULL};
	struct builder b = {.machine = h->header.e_machine};
	int r;

	if (registers_of(&h->header, &b.cies.registers, e) < 0 ||
	    cfi_section_load(fd, h, &section, e) < 0)
		return -1;
	find_code(h, &b);
	b.cies.frame = &section.frame;
	r = build(&b, slots, slot_max, ret, e);
	cfi_places_deinit(&b.places);
	return r;
}

int unwind_table_build(int fd, uint64_t *slots, size_t slot_max, struct unwind_table *ret,
		       struct err *e)
{
	_cleanup_(elf_headers_deinit) struct elf_headers h = {.phdrs = NULL};

	if (elf_headers_read(fd, &h, e) < 0)
		return -1;
	return build_from(fd, &h, slots, MIN(slot_max, (size_t)UNWIND_SLOTS_MAX), ret, e);
}
