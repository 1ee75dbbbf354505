/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/plt_scan.h"

#include "base/mem.h"
#include "symbolizer/indexer/plt_stub.h"
#include <inttypes.h>

enum { SLOTS_MAX = 1 << 24, STUB_BYTES_MAX = 32 };

// A slot of the global offset table and what fills it.
struct slot {
	uint64_t address;
	uint64_t resolver; // 0: see name
	struct str name;
};

struct scan {
	struct elf_image *img;
	const struct symbols *symbols;
	struct uhx_builder *builder;
	struct slot *slots; // sorted by address
	size_t n;
	size_t cap;
	struct slot *lazy; // in the order of .rela.plt, whose numbers the lazy halves of stubs push
	size_t lazy_n;
	size_t lazy_cap;
	struct buf name;
};

enum fills { FILLS_NOTHING, FILLS_SYMBOL, FILLS_RESOLVER };

static enum fills what_fills(unsigned machine, uint64_t type)
{
	static const struct {
		unsigned machine;
		uint32_t jump_slot;
		uint32_t glob_dat;
		uint32_t irelative;
	} known[] = {
		{EM_X86_64, R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT, R_X86_64_IRELATIVE},
		{EM_AARCH64, R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT, R_AARCH64_IRELATIVE},
		{EM_386, R_386_JMP_SLOT, R_386_GLOB_DAT, R_386_IRELATIVE},
	};

	for (size_t i = 0; i < countof(known); i++) {
		if (known[i].machine != machine)
			continue;
		if (type == known[i].irelative)
			return FILLS_RESOLVER;
		return type == known[i].jump_slot || type == known[i].glob_dat ? FILLS_SYMBOL
									       : FILLS_NOTHING;
	}
	return FILLS_NOTHING;
}

// ---- slots -------------------------------------------------------------------------------------

// A section of relocations and the tables they refer to.
struct relocations {
	const struct elf_section *section;
	Elf_Data *data;
	Elf_Data *symbols; // NULL: they refer to none
	size_t strings;
	size_t count;
};

static int open_relocations(struct scan *s, const struct elf_section *section, struct relocations *ret,
			    struct err *e)
{
	Elf_Type type = section->header.sh_type == SHT_RELA ? ELF_T_RELA : ELF_T_REL;
	size_t entry = gelf_fsize(s->img->elf, type, 1, EV_CURRENT);
	Elf_Scn *symbols = section->header.sh_link ? elf_getscn(s->img->elf, section->header.sh_link) : NULL;
	GElf_Shdr header;

	*ret = (struct relocations){.section = section, .data = elf_getdata(section->scn, NULL)};
	if (!ret->data)
		return err_set(e, ERR_BAD_ELF, "%s: section %s: %s", s->img->name, section->name,
			       elf_errmsg(-1));
	ret->count = entry ? MIN(ret->data->d_size / entry, (size_t)INT32_MAX) : 0;
	if (symbols && gelf_getshdr(symbols, &header) &&
	    (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB)) {
		ret->symbols = elf_getdata(symbols, NULL);
		ret->strings = header.sh_link;
	}
	return 0;
}

static bool get_relocation(const struct relocations *r, size_t i, GElf_Rela *ret)
{
	GElf_Rel rel;

	if (r->section->header.sh_type == SHT_RELA)
		return gelf_getrela(r->data, (int)i, ret);
	if (!gelf_getrel(r->data, (int)i, &rel))
		return false;
	*ret = (GElf_Rela){.r_offset = rel.r_offset, .r_info = rel.r_info};
	return true;
}

static struct str symbol_name(const struct scan *s, const struct relocations *r, uint64_t index)
{
	GElf_Sym sym;
	const char *name;

	if (!index || index > INT32_MAX || !r->symbols || !gelf_getsym(r->symbols, (int)index, &sym))
		return STR_EMPTY;
	name = elf_strptr(s->img->elf, r->strings, sym.st_name);
	return name ? symbol_display_name(name) : STR_EMPTY;
}

// Without an addend of its own (REL) the slot itself holds the resolver's address.
static uint64_t resolver_of(const struct scan *s, const struct relocations *r, const GElf_Rela *rela)
{
	struct str word = elf_image_at(s->img, rela->r_offset);
	uint64_t value = 0;

	if (r->section->header.sh_type == SHT_RELA)
		return (uint64_t)rela->r_addend;
	for (size_t i = 4; word.n >= 4 && i-- > 0;) // i386 alone
		value = value << 8 | (uint8_t)word.p[i];
	return value;
}

static struct slot slot_of(const struct scan *s, const struct relocations *r, const GElf_Rela *rela)
{
	struct slot slot = {.address = rela->r_offset, .name = STR_EMPTY};

	switch (what_fills(s->img->header.e_machine, GELF_R_TYPE(rela->r_info))) {
	case FILLS_SYMBOL:
		slot.name = symbol_name(s, r, GELF_R_SYM(rela->r_info));
		break;
	case FILLS_RESOLVER:
		slot.resolver = resolver_of(s, r, rela);
		break;
	case FILLS_NOTHING:
		break;
	}
	return slot;
}

static int read_relocations(struct scan *s, const struct elf_section *section, struct err *e)
{
	bool lazy = strcmp(section->name, ".rela.plt") == 0 || strcmp(section->name, ".rel.plt") == 0;
	struct relocations r;

	if (open_relocations(s, section, &r, e))
		return -1;
	for (size_t i = 0; i < r.count; i++) {
		GElf_Rela rela;
		struct slot slot;

		if (!get_relocation(&r, i, &rela))
			return err_set(e, ERR_BAD_ELF, "%s: section %s: entry %zu: %s", s->img->name,
				       section->name, i, elf_errmsg(-1));
		slot = slot_of(s, &r, &rela);
		if (lazy) {
			if (mem_grow(&s->lazy, &s->lazy_cap, s->lazy_n + 1, sizeof(slot), SLOTS_MAX))
				return err_nomem(e);
			s->lazy[s->lazy_n++] = slot;
		}
		if (!slot.resolver && !slot.name.n)
			continue;
		if (mem_grow(&s->slots, &s->cap, s->n + 1, sizeof(slot), SLOTS_MAX))
			return err_nomem(e);
		s->slots[s->n++] = slot;
	}
	return 0;
}

static int by_slot_address(const void *a, const void *b)
{
	const struct slot *x = a;
	const struct slot *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->resolver != y->resolver)
		return x->resolver < y->resolver ? -1 : 1;
	return str_cmp(x->name, y->name);
}

static int read_slots(struct scan *s, struct err *e)
{
	for (size_t i = 0; i < s->img->section_count; i++) {
		const struct elf_section *section = &s->img->sections[i];
		uint32_t type = section->header.sh_type;

		if ((type == SHT_RELA || type == SHT_REL) && section->header.sh_flags & SHF_ALLOC &&
		    read_relocations(s, section, e))
			return -1;
	}
	if (s->n > 1)
		qsort(s->slots, s->n, sizeof(*s->slots), by_slot_address);
	return 0;
}

static const struct slot *find_slot(const struct scan *s, const struct plt_stub *stub)
{
	size_t low = 0;
	size_t high = s->n;

	if (stub->is_index)
		return stub->slot < s->lazy_n ? &s->lazy[stub->slot] : NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->slots[mid].address < stub->slot)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && s->slots[low].address == stub->slot ? &s->slots[low] : NULL;
}

// ---- stubs -------------------------------------------------------------------------------------

static bool make_name(struct scan *s, const struct slot *slot)
{
	const struct symbol *resolver;

	buf_clear(&s->name);
	if (slot->name.n)
		buf_append_str(&s->name, slot->name);
	else if (slot->resolver && symbols_at(s->symbols, slot->resolver, &resolver))
		buf_append_str(&s->name, resolver->name);
	else if (slot->resolver)
		buf_printf(&s->name, "*ABS*+0x%" PRIx64, slot->resolver);
	else
		return false;
	buf_puts(&s->name, "@plt");
	return !s->name.failed;
}

static void add_stub(struct scan *s, const struct plt_stub *stub)
{
	const struct slot *slot = find_slot(s, stub);
	uhx_id function;
	uhx_id scope;

	if (!slot || !make_name(s, slot))
		return;
	function = uhx_builder_function(s->builder, &(struct uhx_function){.linkage = buf_str(&s->name)});
	scope = uhx_builder_scope(s->builder,
				  &(struct uhx_scope){.function = function, .source = SOURCE_PLT});
	uhx_builder_row(s->builder,
			&(struct uhx_row){.start = stub->start, .end = stub->end, .scope = scope});
}

// Padding behind a stub is counted to it, up to the next one.
static void add_section(struct scan *s, const struct plt_code *code)
{
	uint64_t section_end = code->vaddr + code->bytes.n;
	struct plt_stub stub;
	struct plt_stub next;
	size_t at = 0;
	bool more = plt_stub_next(code, &at, &stub);

	while (more) {
		uint64_t limit = section_end;

		more = plt_stub_next(code, &at, &next);
		if (more)
			limit = next.start;
		stub.end = MAX(stub.end, MIN(limit, stub.start + STUB_BYTES_MAX));
		add_stub(s, &stub);
		stub = next;
	}
}

// ".plt", ".plt.sec", ".plt.got", ".plt.bnd"; lld puts resolvers' stubs into ".iplt".
static bool is_plt(const struct elf_section *section)
{
	return section->header.sh_type == SHT_PROGBITS && section->header.sh_flags & SHF_EXECINSTR &&
	       (strcmp(section->name, ".iplt") == 0 || strcmp(section->name, ".plt") == 0 ||
		str_has_prefix(str_from(section->name), STR(".plt.")));
}

static uint64_t got_of(const struct elf_image *img)
{
	const struct elf_section *got = elf_image_section(img, ".got.plt");

	if (!got)
		got = elf_image_section(img, ".got");
	return got ? got->header.sh_addr : 0;
}

static int scan(struct scan *s, struct err *e)
{
	struct plt_code code = {.machine = s->img->header.e_machine, .got = got_of(s->img)};

	if (read_slots(s, e))
		return -1;
	for (size_t i = 0; i < s->img->section_count; i++) {
		const struct elf_section *section = &s->img->sections[i];

		if (!is_plt(section))
			continue;
		if (elf_image_data(s->img, section, &code.bytes, e))
			return -1;
		code.vaddr = section->header.sh_addr;
		add_section(s, &code);
	}
	return 0;
}

int plt_scan(struct elf_image *img, const struct symbols *symbols, struct uhx_builder *b, struct err *e)
{
	struct scan s = {.img = img, .symbols = symbols, .builder = b, .name = BUF_INIT(KIB(64))};
	int rc;

	if (!plt_stub_machine(img->header.e_machine) ||
	    (img->header.e_type != ET_EXEC && img->header.e_type != ET_DYN))
		return 0;
	rc = scan(&s, e);
	free(s.slots);
	free(s.lazy);
	buf_deinit(&s.name);
	return rc;
}
