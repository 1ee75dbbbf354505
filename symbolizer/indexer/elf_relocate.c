/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_relocate.h"

#include "base/byte_reader.h"
#include "base/mem.h"

enum operation { SET, PC_RELATIVE, ADD, SUB, SET_6, SUB_6, SET_ULEB, SUB_ULEB };

static const struct kind {
	uint16_t machine;
	uint8_t operation;
	uint8_t size;
	uint32_t type;
} kinds[] = {
	{EM_X86_64, SET, 8, R_X86_64_64},
	{EM_X86_64, SET, 4, R_X86_64_32},
	{EM_X86_64, SET, 4, R_X86_64_32S},
	{EM_X86_64, SET, 2, R_X86_64_16},
	{EM_X86_64, SET, 1, R_X86_64_8},
	{EM_X86_64, PC_RELATIVE, 4, R_X86_64_PC32},
	{EM_X86_64, PC_RELATIVE, 8, R_X86_64_PC64},
	{EM_AARCH64, SET, 8, R_AARCH64_ABS64},
	{EM_AARCH64, SET, 4, R_AARCH64_ABS32},
	{EM_AARCH64, SET, 2, R_AARCH64_ABS16},
	{EM_AARCH64, PC_RELATIVE, 8, R_AARCH64_PREL64},
	{EM_AARCH64, PC_RELATIVE, 4, R_AARCH64_PREL32},
	{EM_386, SET, 4, R_386_32},
	{EM_386, SET, 2, R_386_16},
	{EM_386, SET, 1, R_386_8},
	{EM_386, PC_RELATIVE, 4, R_386_PC32},
	{EM_ARM, SET, 4, R_ARM_ABS32},
	{EM_ARM, SET, 2, R_ARM_ABS16},
	{EM_ARM, SET, 1, R_ARM_ABS8},
	{EM_ARM, PC_RELATIVE, 4, R_ARM_REL32},
	{EM_S390, SET, 8, R_390_64},
	{EM_S390, SET, 4, R_390_32},
	{EM_S390, SET, 2, R_390_16},
	{EM_S390, PC_RELATIVE, 8, R_390_PC64},
	{EM_S390, PC_RELATIVE, 4, R_390_PC32},
	{EM_PPC64, SET, 8, R_PPC64_ADDR64},
	{EM_PPC64, SET, 8, R_PPC64_UADDR64},
	{EM_PPC64, SET, 4, R_PPC64_ADDR32},
	{EM_PPC64, SET, 4, R_PPC64_UADDR32},
	{EM_PPC64, PC_RELATIVE, 8, R_PPC64_REL64},
	{EM_PPC64, PC_RELATIVE, 4, R_PPC64_REL32},
	{EM_PPC, SET, 4, R_PPC_ADDR32},
	{EM_PPC, SET, 4, R_PPC_UADDR32},
	{EM_PPC, PC_RELATIVE, 4, R_PPC_REL32},
	{EM_MIPS, SET, 4, R_MIPS_32},
	{EM_MIPS, SET, 8, R_MIPS_64},
	{EM_MIPS, PC_RELATIVE, 4, 248}, // R_MIPS_PC32
	{EM_SPARCV9, SET, 8, R_SPARC_64},
	{EM_SPARCV9, SET, 8, R_SPARC_UA64},
	{EM_SPARCV9, SET, 4, R_SPARC_32},
	{EM_SPARCV9, SET, 4, R_SPARC_UA32},
	{EM_SPARCV9, PC_RELATIVE, 4, R_SPARC_DISP32},
	{EM_RISCV, SET, 8, R_RISCV_64},
	{EM_RISCV, SET, 4, R_RISCV_32},
	{EM_RISCV, PC_RELATIVE, 4, R_RISCV_32_PCREL},
	{EM_RISCV, ADD, 1, R_RISCV_ADD8},
	{EM_RISCV, ADD, 2, R_RISCV_ADD16},
	{EM_RISCV, ADD, 4, R_RISCV_ADD32},
	{EM_RISCV, ADD, 8, R_RISCV_ADD64},
	{EM_RISCV, SUB, 1, R_RISCV_SUB8},
	{EM_RISCV, SUB, 2, R_RISCV_SUB16},
	{EM_RISCV, SUB, 4, R_RISCV_SUB32},
	{EM_RISCV, SUB, 8, R_RISCV_SUB64},
	{EM_RISCV, SET_6, 1, R_RISCV_SET6},
	{EM_RISCV, SUB_6, 1, R_RISCV_SUB6},
	{EM_RISCV, SET, 1, R_RISCV_SET8},
	{EM_RISCV, SET, 2, R_RISCV_SET16},
	{EM_RISCV, SET, 4, R_RISCV_SET32},
	{EM_RISCV, SET_ULEB, 1, 60}, // R_RISCV_SET_ULEB128, newer than Debian 12's elf.h
	{EM_RISCV, SUB_ULEB, 1, 61},
	{258, SET, 4, 1}, // LoongArch: R_LARCH_32, _64, _ADD and _SUB
	{258, SET, 8, 2},
	{258, ADD, 1, 47},
	{258, ADD, 2, 48},
	{258, ADD, 4, 50},
	{258, ADD, 8, 51},
	{258, SUB, 1, 52},
	{258, SUB, 2, 53},
	{258, SUB, 4, 55},
	{258, SUB, 8, 56},
};

static const struct kind *find_kind(uint16_t machine, uint32_t type)
{
	for (size_t i = 0; i < countof(kinds); i++)
		if (kinds[i].machine == machine && kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

// ---- one place ---------------------------------------------------------------------------------

static void store(uint8_t *p, unsigned size, bool big, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		p[big ? size - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

// A ULEB128 keeps its length: what is behind it stays in place.
static void combine_uleb(uint8_t *p, const uint8_t *end, bool subtract, uint64_t operand)
{
	const uint8_t *last = p;
	uint64_t value = 0;

	for (unsigned shift = 0; last < end; last++, shift += 7) {
		if (shift < 64)
			value |= (uint64_t)(*last & 0x7f) << shift;
		if (!(*last & 0x80))
			break;
	}
	if (last == end)
		return;
	value = subtract ? value - operand : operand;
	for (; p <= last; p++, value >>= 7)
		*p = (uint8_t)((*p & 0x80) | (value & 0x7f));
}

struct place {
	uint8_t *p;
	const uint8_t *end;
	bool big;
	uint64_t address;
	uint64_t operand; // symbol and addend
};

static void apply(const struct kind *k, const struct place *at)
{
	uint64_t old = load_uint(at->p, k->size, at->big);

	switch ((enum operation)k->operation) {
	case SET:
		store(at->p, k->size, at->big, at->operand);
		break;
	case PC_RELATIVE:
		store(at->p, k->size, at->big, at->operand - at->address);
		break;
	case ADD:
		store(at->p, k->size, at->big, old + at->operand);
		break;
	case SUB:
		store(at->p, k->size, at->big, old - at->operand);
		break;
	case SET_6:
		*at->p = (uint8_t)((old & 0xc0) | (at->operand & 0x3f));
		break;
	case SUB_6:
		*at->p = (uint8_t)((old & 0xc0) | ((old - at->operand) & 0x3f));
		break;
	case SET_ULEB:
	case SUB_ULEB:
		combine_uleb(at->p, at->end, k->operation == SUB_ULEB, at->operand);
		break;
	}
}

// ---- one section of relocations ----------------------------------------------------------------

struct job {
	const struct elf_image *img;
	const struct elf_section *target;
	const struct elf_section *from;
	Elf_Data *entries;
	Elf_Data *symbols;
	Elf_Data *extended; // section numbers beyond 0xff00; may be NULL
	uint8_t *bytes;
	size_t n;
};

static uint64_t symbol_value(const struct job *j, uint32_t index)
{
	GElf_Sym sym;
	Elf32_Word section = 0;

	if (!index || index > INT32_MAX ||
	    !gelf_getsymshndx(j->symbols, j->extended, (int)index, &sym, &section))
		return 0;
	if (sym.st_shndx != SHN_XINDEX)
		section = sym.st_shndx < SHN_LORESERVE ? sym.st_shndx : 0;
	if (!section || section > j->img->section_count)
		return sym.st_shndx == SHN_ABS ? sym.st_value : 0;
	return sym.st_value + j->img->sections[section - 1].header.sh_addr;
}

// MIPS64 packs symbol and type differently, which shows on little-endian machines only.
static void split_info(const struct elf_image *img, uint64_t info, uint32_t *ret_symbol, uint32_t *ret_type)
{
	bool packed = img->header.e_machine == EM_MIPS && img->header.e_ident[EI_CLASS] == ELFCLASS64;

	if (packed && img->header.e_ident[EI_DATA] == ELFDATA2LSB) {
		*ret_symbol = (uint32_t)info;
		*ret_type = (uint32_t)(info >> 56);
	} else {
		*ret_symbol = (uint32_t)GELF_R_SYM(info);
		*ret_type = (uint32_t)GELF_R_TYPE(info) & (packed ? 0xff : UINT32_MAX);
	}
}

static void relocate(const struct job *j, const GElf_Rela *r, bool has_addend)
{
	uint32_t symbol;
	uint32_t type;
	const struct kind *k;
	struct place at = {.end = j->bytes + j->n,
			   .big = j->img->header.e_ident[EI_DATA] == ELFDATA2MSB,
			   .address = j->target->header.sh_addr + r->r_offset};

	split_info(j->img, r->r_info, &symbol, &type);
	k = find_kind(j->img->header.e_machine, type);
	if (!k || !range_fits(r->r_offset, k->size, j->n))
		return;
	at.p = j->bytes + r->r_offset;
	at.operand = symbol_value(j, symbol) +
		     (has_addend ? (uint64_t)r->r_addend : load_uint(at.p, k->size, at.big));
	apply(k, &at);
}

static bool open_job(struct job *j)
{
	Elf_Scn *symbols = elf_getscn(j->img->elf, j->from->header.sh_link);
	GElf_Shdr header;

	j->entries = elf_getdata(j->from->scn, NULL);
	if (!j->entries || !symbols || !gelf_getshdr(symbols, &header) || header.sh_type != SHT_SYMTAB)
		return false;
	j->symbols = elf_getdata(symbols, NULL);
	j->extended = elf_image_extended(j->img, symbols);
	return j->symbols != NULL;
}

static void relocate_from(struct job *j)
{
	bool has_addend = j->from->header.sh_type == SHT_RELA;
	size_t entry = gelf_fsize(j->img->elf, has_addend ? ELF_T_RELA : ELF_T_REL, 1, EV_CURRENT);

	if (!entry || !open_job(j))
		return;
	for (size_t i = 0; i < j->entries->d_size / entry && i < INT32_MAX; i++) {
		GElf_Rela rela = {0};
		GElf_Rel rel;

		if (has_addend ? !gelf_getrela(j->entries, (int)i, &rela)
			       : !gelf_getrel(j->entries, (int)i, &rel))
			return;
		if (!has_addend)
			rela = (GElf_Rela){.r_offset = rel.r_offset, .r_info = rel.r_info};
		relocate(j, &rela, has_addend);
	}
}

// What has been inflated just now is ours already; a mapped file is not to be written to.
static uint8_t *writable(const struct elf_image *img, const Elf_Data *data, bool *ret_copied)
{
	*ret_copied = !img->replaced_count || img->replaced[img->replaced_count - 1] != data->d_buf;
	return *ret_copied ? mem_dup(data->d_buf, data->d_size) : data->d_buf;
}

static bool is_due(const struct elf_image *img, const struct elf_section *s)
{
	return img->header.e_type == ET_REL && s->relocations && !s->relocated &&
	       s->header.sh_type != SHT_RELA && s->header.sh_type != SHT_REL;
}

int elf_relocate_section(struct elf_image *img, const struct elf_section *s, struct err *e)
{
	struct job job = {.img = img, .target = s};
	Elf_Data *data = is_due(img, s) ? elf_getdata(s->scn, NULL) : NULL;
	bool copied;

	if (!data || !data->d_buf || !data->d_size)
		return 0; // NOBITS
	job.bytes = writable(img, data, &copied);
	job.n = data->d_size;
	if (!job.bytes)
		return err_nomem(e);
	for (uint32_t i = s->relocations; i; i = img->sections[i - 1].relocations) {
		job.from = &img->sections[i - 1];
		relocate_from(&job);
	}
	if (copied && elf_image_replace(img, s, job.bytes, job.n, e))
		return -1;
	img->sections[s - img->sections].relocated = true;
	return 0;
}
