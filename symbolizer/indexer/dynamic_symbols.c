/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dynamic_symbols.h"

#include "base/byte_reader.h"

enum { ENTRIES_MAX = 4096 };

// What of the dynamic section says where the symbols are.
struct addresses {
	uint64_t symbols;
	uint64_t strings;
	uint64_t strings_size;
	uint64_t hash;
	uint64_t gnu_hash;
};

static struct addresses read_addresses(struct str section, const struct dynamic_symbols *d)
{
	struct byte_reader r = byte_reader(section, d->big_endian);
	unsigned word = d->wide ? 8 : 4;
	struct addresses a = {0};

	for (int i = 0; i < ENTRIES_MAX && !byte_reader_done(&r); i++) {
		uint64_t tag = read_uint(&r, word);
		uint64_t value = read_uint(&r, word);

		switch (d->wide ? tag : (uint64_t)(int64_t)(int32_t)tag) {
		case DT_NULL:
			return a;
		case DT_SYMTAB:
			a.symbols = value;
			break;
		case DT_STRTAB:
			a.strings = value;
			break;
		case DT_STRSZ:
			a.strings_size = value;
			break;
		case DT_HASH:
			a.hash = value;
			break;
		case DT_GNU_HASH:
			a.gnu_hash = value;
			break;
		default:
			break;
		}
	}
	return a;
}

// One behind the highest symbol of any chain: buckets hold where a chain starts, the last of each is odd.
static uint64_t count_gnu(struct byte_reader r, bool wide)
{
	uint32_t buckets = (uint32_t)read_uint(&r, 4);
	uint32_t first = (uint32_t)read_uint(&r, 4);
	uint64_t bloom = read_uint(&r, 4) * (wide ? 8 : 4);
	uint32_t last = 0;

	read_uint(&r, 4); // shift
	skip_bytes(&r, bloom);
	for (uint32_t i = 0; i < buckets && !r.failed; i++) {
		uint32_t start = (uint32_t)read_uint(&r, 4);

		last = MAX(last, start);
	}
	if (r.failed || last < first)
		return r.failed ? 0 : first;
	skip_bytes(&r, (uint64_t)(last - first) * 4);
	while (!r.failed && !(read_uint(&r, 4) & 1))
		last++;
	return r.failed ? 0 : (uint64_t)last + 1;
}

static uint64_t count_sysv(struct byte_reader r)
{
	read_uint(&r, 4); // buckets
	return read_uint(&r, 4);
}

// As far as its last string ends.
static struct str terminated(struct str s)
{
	while (s.n && s.p[s.n - 1])
		s.n--;
	return s;
}

bool dynamic_symbols_open(struct dynamic_symbols *d, const struct elf_image *img)
{
	struct dynamic_symbols found = {.wide = img->header.e_ident[EI_CLASS] == ELFCLASS64,
					.big_endian = img->header.e_ident[EI_DATA] == ELFDATA2MSB,
					.at = 1};
	uint64_t vaddr;
	struct addresses a = read_addresses(elf_image_segment(img, PT_DYNAMIC, &vaddr), &found);
	size_t entry = found.wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	uint64_t count = 0;

	if (a.gnu_hash)
		count = count_gnu(byte_reader(elf_image_at(img, a.gnu_hash), found.big_endian), found.wide);
	else if (a.hash)
		count = count_sysv(byte_reader(elf_image_at(img, a.hash), found.big_endian));
	found.table = elf_image_at(img, a.symbols);
	found.strings = elf_image_at(img, a.strings);
	found.strings = terminated((struct str){found.strings.p, MIN(found.strings.n, a.strings_size)});
	found.count = MIN(count, found.table.n / entry);
	if (!a.symbols || found.count <= 1)
		return false;
	*d = found;
	return true;
}

static const char *at_string(const struct dynamic_symbols *d, uint32_t offset)
{
	return offset < d->strings.n ? d->strings.p + offset : "";
}

bool dynamic_symbols_next(struct dynamic_symbols *d, GElf_Sym *ret, const char **ret_name)
{
	size_t entry = d->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	struct byte_reader r;
	GElf_Sym sym = {0};

	if (d->at >= d->count)
		return false;
	r = byte_reader_at(d->table, d->at++ * entry, d->big_endian);
	sym.st_name = (uint32_t)read_uint(&r, 4);
	if (!d->wide) {
		sym.st_value = read_uint(&r, 4);
		sym.st_size = read_uint(&r, 4);
	}
	sym.st_info = read_u8(&r);
	sym.st_other = read_u8(&r);
	sym.st_shndx = (uint16_t)read_uint(&r, 2);
	if (d->wide) {
		sym.st_value = read_uint(&r, 8);
		sym.st_size = read_uint(&r, 8);
	}
	*ret = sym;
	*ret_name = at_string(d, sym.st_name);
	return true;
}
