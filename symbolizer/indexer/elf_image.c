/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_image.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/indexer/elf_inflate.h"
#include "symbolizer/indexer/elf_layout.h"
#include "symbolizer/indexer/elf_notes.h"
#include "symbolizer/indexer/elf_relocate.h"
#include "symbolizer/indexer/elf_sup.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

// libelf's number for "out of memory" is private to it; malloc() and mmap() leave theirs in errno, which
// whoever calls libelf has to set to 0 before.
static int bad(const struct elf_image *img, struct err *e, const char *what)
{
	if (errno == ENOMEM)
		return err_nomem(e);
	return err_set(e, ERR_BAD_ELF, "%s: %s: %s", img->name, what, elf_errmsg(-1));
}

static bool read_magic(const struct elf_image *img, char out[static SELFMAG])
{
	if (img->size < SELFMAG)
		return false;
	if (img->fd < 0) {
		memcpy(out, img->memory.p, SELFMAG);
		return true;
	}
	return pread(img->fd, out, SELFMAG, 0) == SELFMAG;
}

static int check_magic(struct elf_image *img, struct err *e)
{
	char magic[SELFMAG];

	img->size = img->memory.n;
	if (img->fd >= 0 && io_file_size(img->fd, &img->size, e))
		return err_wrap(e, "%s", img->name);
	if (!read_magic(img, magic) || memcmp(magic, ELFMAG, SELFMAG) != 0)
		return err_set(e, ERR_NOT_ELF, "%s: not an ELF file", img->name);
	return 0;
}

static int begin(struct elf_image *img, struct err *e)
{
	elf_version(EV_CURRENT);
	errno = 0;
	// elf_memory() takes a pointer to what may be written, and does not write
	img->elf = img->fd >= 0 ? elf_begin(img->fd, ELF_C_READ_MMAP, NULL)
				: elf_memory((char *)(uintptr_t)img->memory.p, img->memory.n);
	if (!img->elf)
		return bad(img, e, "cannot be read");
	errno = 0; // where a file cannot be mapped, libelf reads it
	if (elf_kind(img->elf) != ELF_K_ELF || !gelf_getehdr(img->elf, &img->header))
		return bad(img, e, "damaged ELF header");
	if (img->header.e_ident[EI_DATA] != ELFDATA2LSB && img->header.e_ident[EI_DATA] != ELFDATA2MSB)
		return err_set(e, ERR_BAD_ELF, "%s: unknown byte order %u in the ELF header",
			       img->name, img->header.e_ident[EI_DATA]);
	return 0;
}

static int check_table(const struct elf_image *img, const char *what, uint64_t off, uint64_t count,
		       size_t entry, struct err *e)
{
	uint64_t bytes;

	if (mul_overflows(count, (uint64_t)entry, &bytes) || !range_fits(off, bytes, img->size))
		return err_set(e, ERR_BAD_ELF,
			       "%s: truncated: the %s table at 0x%" PRIx64 " (%" PRIu64
			       " entries) does not fit into %" PRIu64 " bytes",
			       img->name, what, off, count, img->size);
	return 0;
}

static int check_section(const struct elf_image *img, const struct elf_section *s, struct err *e)
{
	if (s->header.sh_type == SHT_NOBITS || s->header.sh_type == SHT_NULL ||
	    range_fits(s->header.sh_offset, s->header.sh_size, img->size))
		return 0;
	return err_set(e, ERR_BAD_ELF,
		       "%s: truncated: section %s (0x%" PRIx64 " bytes at 0x%" PRIx64
		       ") does not fit into %" PRIu64 " bytes",
		       img->name, s->name, s->header.sh_size, s->header.sh_offset, img->size);
}

static int load_section(struct elf_image *img, Elf_Scn *scn, size_t names, struct err *e)
{
	struct elf_section *s = &img->sections[img->section_count];
	const char *name;

	if (!gelf_getshdr(scn, &s->header))
		return bad(img, e, "damaged section header");
	name = elf_strptr(img->elf, names, s->header.sh_name);
	s->scn = scn;
	s->name = name ? name : "";
	img->section_count++;
	if (s->header.sh_type == SHT_SYMTAB_SHNDX && !img->extended)
		img->extended = img->section_count;
	return check_section(img, s, e);
}

static int load_sections(struct elf_image *img, struct err *e)
{
	size_t entry = img->header.e_ident[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Shdr)
								   : sizeof(Elf32_Shdr);
	Elf_Scn *scn = NULL;
	size_t count;
	size_t names;

	if (!img->header.e_shoff)
		return 0;
	if (check_table(img, "section header", img->header.e_shoff, MAX(img->header.e_shnum, 1), entry, e))
		return -1;
	if (elf_getshdrnum(img->elf, &count) || elf_getshdrstrndx(img->elf, &names))
		return bad(img, e, "damaged section header table");
	if (count > ELF_SECTIONS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: %zu sections; at most %d are read", img->name,
			       count, ELF_SECTIONS_MAX);
	img->sections = mem_calloc(count ? count : 1, sizeof(*img->sections));
	if (!img->sections)
		return err_nomem(e);
	while (img->section_count + 1 < count && (scn = elf_nextscn(img->elf, scn)))
		if (load_section(img, scn, names, e))
			return -1;
	return 0;
}

static int load_segments(struct elf_image *img, struct err *e)
{
	size_t entry = img->header.e_ident[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Phdr)
								   : sizeof(Elf32_Phdr);
	size_t count;

	if (elf_getphdrnum(img->elf, &count))
		return bad(img, e, "damaged program header table");
	if (count > ELF_SEGMENTS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: %zu program headers; at most %d are read",
			       img->name, count, ELF_SEGMENTS_MAX);
	if (count && check_table(img, "program header", img->header.e_phoff, count, entry, e))
		return -1;
	img->headers = mem_calloc(PROGRAM_HEADERS_MAX, sizeof(*img->headers));
	if (!img->headers)
		return err_nomem(e);
	for (size_t i = 0; i < count && img->header_count < PROGRAM_HEADERS_MAX; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(img->elf, (int)i, &p))
			return bad(img, e, "damaged program header");
		if (p.p_type != PT_LOAD)
			continue;
		img->headers[img->header_count++] = (struct program_header){
			p.p_vaddr, p.p_memsz, p.p_offset, p.p_filesz, p.p_align, p.p_flags, 0};
	}
	return 0;
}

static bool is_debug_name(const char *name)
{
	struct str s = str_from(name);

	return str_has_prefix(s, STR(".debug_")) || str_has_prefix(s, STR(".zdebug_")) ||
	       str_has_prefix(s, STR(".gnu.debuglto_"));
}

static bool segments_have_content(const struct elf_image *img)
{
	for (size_t i = 0; i < img->header_count; i++) {
		const struct program_header *p = &img->headers[i];

		if (p->flags & PF_X && p->filesz && range_fits(p->offset, p->filesz, img->size))
			return true;
	}
	return false;
}

// Section types decide where there are sections: the segments of a debug file written by eu-strip still
// claim offsets and sizes of the file it was split from.
static enum elf_kind kind_of(const struct elf_image *img)
{
	bool content = img->section_count == 0 && segments_have_content(img);
	bool debug = false;

	for (size_t i = 0; i < img->section_count; i++) {
		const struct elf_section *s = &img->sections[i];

		if (s->header.sh_type == SHT_PROGBITS && s->header.sh_size &&
		    s->header.sh_flags & SHF_EXECINSTR)
			content = true;
		if (s->header.sh_type != SHT_NOBITS && s->header.sh_size && is_debug_name(s->name))
			debug = true;
	}
	if (content)
		return debug ? ELF_KIND_BOTH : ELF_KIND_EXECUTABLE;
	return segments_have_content(img) && !debug ? ELF_KIND_EXECUTABLE : ELF_KIND_DEBUGINFO;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct addr_range *x = a;
	const struct addr_range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void add_code(struct elf_image *img, uint64_t start, uint64_t size)
{
	uint64_t end;

	if (size && !add_overflows(start, size, &end))
		img->code[img->code_count++] = (struct addr_range){start, end};
}

static void merge_code(struct elf_image *img)
{
	size_t kept = 0;

	qsort(img->code, img->code_count, sizeof(*img->code), compare_ranges);
	for (size_t i = 0; i < img->code_count; i++) {
		if (kept && img->code[i].start <= img->code[kept - 1].end)
			img->code[kept - 1].end = MAX(img->code[kept - 1].end, img->code[i].end);
		else
			img->code[kept++] = img->code[i];
	}
	img->code_count = kept;
}

// Sections where there are any: an executable segment may begin with headers and read-only data.
static int find_code(struct elf_image *img, struct err *e)
{
	img->code = mem_calloc(img->section_count + img->header_count + 1, sizeof(*img->code));
	if (!img->code)
		return err_nomem(e);
	for (size_t i = 0; i < img->section_count; i++) {
		const GElf_Shdr *h = &img->sections[i].header;

		if (h->sh_flags & SHF_ALLOC && h->sh_flags & SHF_EXECINSTR)
			add_code(img, h->sh_addr, h->sh_size);
	}
	for (size_t i = 0; !img->code_count && i < img->header_count; i++)
		if (img->headers[i].flags & PF_X)
			add_code(img, img->headers[i].vaddr, img->headers[i].memsz);
	merge_code(img);
	return 0;
}

static int load(struct elf_image *img, struct err *e)
{
	if (check_magic(img, e) || begin(img, e) || load_sections(img, e) || load_segments(img, e) ||
	    elf_layout_assign(img, e) || find_code(img, e))
		return -1;
	img->kind = kind_of(img);
	img->headers_trusted = img->kind != ELF_KIND_DEBUGINFO && segments_have_content(img);
	return elf_notes_ids(img, e);
}

static int open_image(struct elf_image *img, struct err *e)
{
	int rc = load(img, e);

	if (rc)
		elf_image_close(img);
	return rc;
}

int elf_image_open(struct elf_image *img, int fd, const char *name, struct err *e)
{
	*img = ELF_IMAGE_INIT;
	img->fd = fd;
	img->name = name;
	return open_image(img, e);
}

int elf_image_open_bytes(struct elf_image *img, struct str bytes, const char *name, struct err *e)
{
	*img = ELF_IMAGE_INIT;
	img->memory = bytes;
	img->name = name;
	return open_image(img, e);
}

void elf_image_drop_contents(struct elf_image *img)
{
	if (img->elf)
		elf_end(img->elf);
	img->elf = NULL;
	for (size_t i = 0; i < img->replaced_count; i++)
		free(img->replaced[i]);
	free(img->replaced);
	img->replaced = NULL;
	img->replaced_count = img->replaced_cap = 0;
	free(img->sections);
	img->sections = NULL;
	img->section_count = 0;
}

void elf_image_close(struct elf_image *img)
{
	elf_image_drop_contents(img);
	free(img->headers);
	free(img->code);
	*img = ELF_IMAGE_INIT;
}

const char *elf_image_machine(const struct elf_image *img, char spare[static 32])
{
	static const struct {
		uint16_t number;
		const char *name;
	} known[] = {
		{EM_X86_64, "x86_64"}, {EM_AARCH64, "aarch64"}, {EM_386, "i386"},
		{EM_ARM, "arm"},       {EM_RISCV, "riscv"},	{EM_PPC64, "ppc64"},
		{EM_PPC, "ppc"},       {EM_S390, "s390"},	{EM_MIPS, "mips"},
		{EM_SPARCV9, "sparc64"}, {258, "loongarch"},
	};

	for (size_t i = 0; i < countof(known); i++)
		if (known[i].number == img->header.e_machine)
			return known[i].name;
	snprintf(spare, 32, "machine-%u", img->header.e_machine);
	return spare;
}

struct program_headers elf_image_headers(const struct elf_image *img)
{
	return (struct program_headers){img->headers, img->header_count, img->headers_trusted};
}

static const struct elf_section *find_section(const struct elf_image *img, const char *name)
{
	for (size_t i = 0; i < img->section_count; i++)
		if (strcmp(img->sections[i].name, name) == 0)
			return &img->sections[i];
	return NULL;
}

const struct elf_section *elf_image_section(const struct elf_image *img, const char *name)
{
	const struct elf_section *s = find_section(img, name);
	char twin[64];

	if (s || !str_has_prefix(str_from(name), STR(".debug_")))
		return s;
	snprintf(twin, sizeof(twin), ".z%s", name + 1);
	return find_section(img, twin);
}

static bool has_content(const struct elf_section *s)
{
	return s && s->header.sh_type != SHT_NOBITS && s->header.sh_size;
}

bool elf_image_has(const struct elf_image *img, const char *name)
{
	return has_content(elf_image_section(img, name));
}

int elf_image_data(struct elf_image *img, const struct elf_section *s, struct str *ret, struct err *e)
{
	Elf_Data *data;

	if (elf_inflate_section(img, s, e) || elf_relocate_section(img, s, e))
		return -1;
	errno = 0;
	data = elf_getdata(s->scn, NULL);
	if (!data)
		return bad(img, e, s->name);
	*ret = data->d_buf ? (struct str){data->d_buf, data->d_size} : STR_EMPTY;
	return 0;
}

int elf_image_replace(struct elf_image *img, const struct elf_section *s, void *bytes, size_t n,
		      struct err *e)
{
	_cleanup_free_ void *block = bytes;
	Elf_Data *data;
	GElf_Shdr header;

	errno = 0;
	data = elf_getdata(s->scn, NULL);
	if (mem_grow(&img->replaced, &img->replaced_cap, img->replaced_count + 1, sizeof(void *),
		     ELF_SECTIONS_MAX))
		return err_nomem(e);
	img->replaced[img->replaced_count++] = steal_ptr(block);
	if (!data || !gelf_getshdr(s->scn, &header))
		return bad(img, e, s->name);
	header.sh_flags &= ~(uint64_t)SHF_COMPRESSED;
	header.sh_size = n;
	if (!gelf_update_shdr(s->scn, &header))
		return bad(img, e, s->name);
	data->d_buf = bytes;
	data->d_size = n;
	data->d_type = ELF_T_BYTE;
	return 0;
}

// elf_scnshndx() of elfutils 0.188 finds none in files that need it.
Elf_Data *elf_image_extended(const struct elf_image *img, Elf_Scn *symbols)
{
	const struct elf_section *s = img->extended ? &img->sections[img->extended - 1] : NULL;

	return s && s->header.sh_link == elf_ndxscn(symbols) ? elf_getdata(s->scn, NULL) : NULL;
}

struct str elf_image_at(const struct elf_image *img, uint64_t address)
{
	size_t size;
	const char *file = img->kind == ELF_KIND_DEBUGINFO ? NULL : elf_rawfile(img->elf, &size);

	for (size_t i = 0; file && i < img->header_count; i++) {
		const struct program_header *p = &img->headers[i];

		if (range_fits(p->offset, p->filesz, size) && address >= p->vaddr &&
		    address - p->vaddr < p->filesz)
			return str_skip((struct str){file + p->offset, p->filesz}, address - p->vaddr);
	}
	return STR_EMPTY;
}

struct str elf_image_segment(const struct elf_image *img, uint32_t type, uint64_t *ret_vaddr)
{
	size_t count;

	*ret_vaddr = 0;
	if (elf_getphdrnum(img->elf, &count))
		return STR_EMPTY;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(img->elf, (int)i, &p) || p.p_type != type)
			continue;
		*ret_vaddr = p.p_vaddr;
		return elf_image_at(img, p.p_vaddr);
	}
	return STR_EMPTY;
}

uint64_t elf_image_code_end(const struct elf_image *img, uint64_t address)
{
	size_t low = 0;
	size_t high = img->code_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (img->code[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low < img->code_count && img->code[low].start <= address ? img->code[low].end : 0;
}

// Both sections begin with a NUL-terminated name ("The GNU debuglink section" in the binutils manual).
static bool link_name(struct elf_image *img, const char *section, struct str *ret, struct str *ret_rest)
{
	const struct elf_section *s = elf_image_section(img, section);
	struct str data;
	const char *nul;

	if (!has_content(s) || elf_image_data(img, s, &data, NULL))
		return false;
	nul = memchr(data.p, '\0', data.n);
	if (!nul || nul == data.p)
		return false;
	*ret = (struct str){data.p, (size_t)(nul - data.p)};
	*ret_rest = str_skip(data, ret->n + 1);
	return true;
}

// Behind the name, padded to four bytes, is the checksum in the file's byte order.
bool elf_image_debuglink(struct elf_image *img, struct str *ret_name, uint32_t *ret_crc)
{
	bool big = img->header.e_ident[EI_DATA] == ELFDATA2MSB;
	struct str name;
	struct str rest;
	uint32_t crc = 0;

	if (!link_name(img, ".gnu_debuglink", &name, &rest))
		return false;
	rest = str_skip(rest, -(name.n + 1) & 3);
	if (rest.n < sizeof(crc))
		return false;
	for (size_t i = 0; i < sizeof(crc); i++)
		crc = crc << 8 | (uint8_t)rest.p[big ? i : sizeof(crc) - 1 - i];
	*ret_name = name;
	*ret_crc = crc;
	return true;
}

bool elf_image_altlink(struct elf_image *img, struct str *ret_path, struct build_id *ret_id)
{
	struct elf_sup sup;
	struct str rest;

	if (link_name(img, ".gnu_debugaltlink", ret_path, &rest))
		return build_id_set(ret_id, BUILD_ID_GNU, rest.p, rest.n, NULL) == 0;
	if (!elf_sup_read(img, &sup) || sup.is_supplementary || !sup.path.n)
		return false;
	*ret_path = sup.path;
	*ret_id = sup.id;
	return true;
}

static bool has_build_id(const struct elf_image *x)
{
	for (size_t i = 0; i < x->id_count; i++)
		if (x->ids[i].kind != BUILD_ID_HTL)
			return true;
	return false;
}

bool elf_image_other_build(const struct elf_image *a, const struct elf_image *b)
{
	for (size_t i = 0; i < a->id_count; i++)
		for (size_t j = 0; j < b->id_count; j++)
			if (a->ids[i].kind != BUILD_ID_HTL && build_id_eq(&a->ids[i], &b->ids[j]))
				return false;
	return has_build_id(a) && has_build_id(b);
}
