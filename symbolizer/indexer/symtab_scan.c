/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/symtab_scan.h"

#include "base/byte_reader.h"
#include "base/mem.h"
#include "symbolizer/indexer/dynamic_symbols.h"
#include "symbolizer/indexer/layers.h"

void symbols_deinit(struct symbols *s)
{
	free(s->items);
	free(s->spans);
	*s = SYMBOLS_INIT;
}

// What assemblers and linkers mark code and data with: "$x", "$d.12", RISC-V's "$xrv64i2p1" (psABIs "Mapping
// symbols"), labels as ".L12". A function may be called "$dispatch".
static bool is_label(const GElf_Sym *sym, const char *name)
{
	if (strncmp(name, ".L", 2) == 0)
		return true;
	return GELF_ST_TYPE(sym->st_info) == STT_NOTYPE && name[0] == '$' && name[1] &&
	       strchr("adtx", name[1]) && (!name[2] || name[2] == '.' || strncmp(name + 2, "rv", 2) == 0);
}

static bool is_function(const GElf_Sym *sym, const char *name)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || !name[0] || is_label(sym, name))
		return false;
	return type == STT_FUNC || type == STT_GNU_IFUNC || (type == STT_NOTYPE && sym->st_size);
}

// "memcpy@@GLIBC_2.14" is memcpy to whoever reads a profile.
struct str symbol_display_name(const char *name)
{
	struct str s = {name, strnlen(name, SYMBOL_NAME_MAX)};
	const char *at = s.n > 1 ? memchr(s.p + 1, '@', s.n - 1) : NULL;

	if (at)
		s.n = (size_t)(at - s.p);
	return s;
}

// A table of symbols and what it takes to read it.
struct table {
	const struct elf_image *img;
	const struct elf_section *section;
	Elf_Data *data;
	Elf_Data *extended; // section numbers beyond 0xff00; may be NULL
	const struct elf_section *opd; // ppc64, first ABI: function symbols are descriptors in here
	struct str descriptors;
	enum frame_source source;
};

static const struct elf_section *section_of(const struct table *t, const GElf_Sym *sym, Elf32_Word extended)
{
	Elf32_Word number = sym->st_shndx == SHN_XINDEX	    ? extended
			    : sym->st_shndx < SHN_LORESERVE ? sym->st_shndx
							    : 0;

	return number && number <= t->img->section_count ? &t->img->sections[number - 1] : NULL;
}

static uint64_t address_of(const struct elf_image *img, const GElf_Sym *sym, const struct elf_section *in)
{
	uint64_t address = sym->st_value;

	if (img->header.e_type == ET_REL && in)
		address += in->header.sh_addr;
	// The lowest bit of an ARM function says "Thumb".
	return img->header.e_machine == EM_ARM ? address & ~UINT64_C(1) : address;
}

// How far a symbol may reach: to the end of its section, which code_end() knows only roughly where
// sections adjoin. 0: it is not in code.
static uint64_t limit_of(const struct elf_image *img, uint64_t start, const struct elf_section *in)
{
	uint64_t code_end = elf_image_code_end(img, start);

	if (in && start >= in->header.sh_addr && start - in->header.sh_addr < in->header.sh_size)
		return MIN(code_end, in->header.sh_addr + in->header.sh_size);
	return img->header.e_type == ET_REL ? 0 : code_end;
}

// A descriptor begins with the function's address (64-bit PowerPC ELF ABI Supplement 1.9, "Function Descriptors").
static bool follow_descriptor(const struct table *t, uint64_t address, uint64_t *ret)
{
	uint64_t at = address - t->opd->header.sh_addr;

	if (!range_fits(at, 8, t->descriptors.n))
		return false;
	*ret = load_uint((const uint8_t *)t->descriptors.p + at, 8,
			 t->img->header.e_ident[EI_DATA] == ELFDATA2MSB);
	return true;
}

static int add_symbol(struct symbols *s, const struct table *t, const GElf_Sym *sym, const char *name,
		      const struct elf_section *in, struct err *e)
{
	uint64_t start = address_of(t->img, sym, in);
	uint64_t limit;
	uint64_t end;

	if (in && in == t->opd)
		limit = follow_descriptor(t, start, &start) ? elf_image_code_end(t->img, start) : 0;
	else
		limit = limit_of(t->img, start, in);

	if (add_overflows(start, sym->st_size, &end) || end > limit || start >= limit)
		return 0;
	if (!sym->st_size)
		end = t->source == SOURCE_DYNSYM ? start + 1 : start + MIN(limit - start, SYMBOL_GUESS_MAX);
	if (mem_grow(&s->items, &s->cap, s->n + 1, sizeof(*s->items), SYMBOLS_MAX))
		return err_nomem(e);
	s->items[s->n++] = (struct symbol){
		.start = start,
		.end = end,
		.name = symbol_display_name(name),
		.binding = (uint8_t)GELF_ST_BIND(sym->st_info),
		.source = t->source,
		.guessed = !sym->st_size,
	};
	return 0;
}

static int read_entries(struct symbols *s, const struct table *t, size_t count, struct err *e)
{
	for (size_t i = 1; i < count && i < INT32_MAX; i++) {
		Elf32_Word extended = 0;
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsymshndx(t->data, t->extended, (int)i, &sym, &extended))
			return err_set(e, ERR_BAD_ELF, "%s: section %s: entry %zu: %s", t->img->name,
				       t->section->name, i, elf_errmsg(-1));
		name = elf_strptr(t->img->elf, t->section->header.sh_link, sym.st_name);
		if (name && is_function(&sym, name) &&
		    add_symbol(s, t, &sym, name, section_of(t, &sym, extended), e))
			return -1;
	}
	return 0;
}

static int read_table(struct symbols *s, struct elf_image *img, const struct elf_section *section,
		      enum frame_source source, struct err *e)
{
	size_t entry = gelf_fsize(img->elf, ELF_T_SYM, 1, EV_CURRENT);
	struct table t = {.img = img, .section = section, .source = source};
	struct str bytes;

	if (elf_image_data(img, section, &bytes, e))
		return -1;
	t.data = elf_getdata(section->scn, NULL);
	if (!t.data || !bytes.n || !entry)
		return 0; // NOBITS: the table is in the other file
	t.extended = elf_image_extended(img, section->scn);
	if (img->header.e_machine == EM_PPC64)
		t.opd = elf_image_section(img, ".opd");
	if (t.opd && elf_image_data(img, t.opd, &t.descriptors, e))
		return -1;
	return read_entries(s, &t, t.data->d_size / entry, e);
}

static int read_dynamic(struct symbols *s, struct elf_image *img, struct err *e)
{
	struct table t = {.img = img, .source = SOURCE_DYNSYM};
	struct dynamic_symbols d;
	GElf_Sym sym;
	const char *name;

	if (!dynamic_symbols_open(&d, img))
		return 0;
	while (dynamic_symbols_next(&d, &sym, &name))
		if (is_function(&sym, name) && add_symbol(s, &t, &sym, name, NULL, e))
			return -1;
	return 0;
}

static int check_type(const struct elf_image *img, struct err *e)
{
	if (img->header.e_type != ET_CORE)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
		       "%s: a core file has no names; index the programs and libraries that it was dumped from",
		       img->name);
}

int symbols_read(struct symbols *s, struct elf_image *img, struct err *e)
{
	if (check_type(img, e))
		return -1;
	if (!img->section_count)
		return read_dynamic(s, img, e);
	for (size_t i = 0; i < img->section_count; i++) {
		const struct elf_section *section = &img->sections[i];

		if (section->header.sh_type == SHT_SYMTAB &&
		    read_table(s, img, section, SOURCE_SYMTAB, e))
			return -1;
		if (section->header.sh_type == SHT_DYNSYM &&
		    read_table(s, img, section, SOURCE_DYNSYM, e))
			return -1;
	}
	return 0;
}

static unsigned binding_rank(uint8_t binding)
{
	return binding == STB_LOCAL ? 2 : binding == STB_WEAK ? 1 : 0;
}

static size_t leading_underscores(struct str name)
{
	size_t n = 0;

	while (n < name.n && name.p[n] == '_')
		n++;
	return n;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

// .symtab before .dynsym: the higher-ranked table owns the address anyway.
static int by_address_and_merit(const void *a, const void *b)
{
	const struct symbol *x = a;
	const struct symbol *y = b;
	int c = compare_u64(x->start, y->start);

	if (!c)
		c = compare_u64(y->source, x->source);
	if (!c)
		c = compare_u64(binding_rank(x->binding), binding_rank(y->binding));
	if (!c)
		c = compare_u64(leading_underscores(x->name), leading_underscores(y->name));
	if (!c)
		c = compare_u64(y->end, x->end);
	return c ? c : str_cmp(x->name, y->name);
}

// A symbol without size ends where the next one starts, at the latest.
static void clip_guesses(struct symbols *s)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = s->n; i-- > 0;) {
		struct symbol *sym = &s->items[i];

		if (i + 1 < s->n && s->items[i + 1].start > sym->start)
			next = s->items[i + 1].start;
		if (sym->guessed)
			sym->end = MIN(sym->end, next);
	}
}

struct span_list {
	struct symbols *s;
	bool failed;
};

static void add_span(void *ctx, uint64_t start, uint64_t end, uint32_t symbol)
{
	struct span_list *list = ctx;
	struct symbols *s = list->s;

	if (list->failed || mem_grow(&s->spans, &s->span_cap, s->span_count + 1, sizeof(*s->spans),
				     2 * (size_t)SYMBOLS_MAX)) {
		list->failed = true;
		return;
	}
	s->spans[s->span_count++] = (struct symbol_span){start, end, symbol};
}

// Later starts lie on top of earlier ones; at one address the best is added last.
static int cut_spans(struct symbols *s, struct layers *layers, struct err *e)
{
	struct span_list list = {s, false};

	for (size_t i = 0; i < s->n;) {
		size_t end = i + 1;

		while (end < s->n && s->items[end].start == s->items[i].start)
			end++;
		for (size_t k = end; k-- > i;)
			if (layers_add(layers, s->items[k].start, s->items[k].end, (uint32_t)k, e))
				return -1;
		i = end;
	}
	if (layers_flatten(layers, add_span, &list, e))
		return -1;
	return list.failed ? err_nomem(e) : 0;
}

int symbols_finish(struct symbols *s, struct err *e)
{
	struct layers layers = LAYERS_INIT;
	int result;

	if (s->n > 1)
		qsort(s->items, s->n, sizeof(*s->items), by_address_and_merit);
	clip_guesses(s);
	result = cut_spans(s, &layers, e);
	layers_deinit(&layers);
	return result;
}

size_t symbols_at(const struct symbols *s, uint64_t address, const struct symbol **ret)
{
	size_t low = 0;
	size_t high = s->n;
	size_t end;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->items[mid].start < address)
			low = mid + 1;
		else
			high = mid;
	}
	for (end = low; end < s->n && s->items[end].start == address; end++)
		;
	*ret = s->items + low;
	return end - low;
}

size_t symbols_span_from(const struct symbols *s, uint64_t address)
{
	size_t low = 0;
	size_t high = s->span_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->spans[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

// The other names of where `sym` starts.
static void add_aliases(const struct symbols *s, const struct symbol *sym, struct uhx_builder *b, uhx_id function)
{
	const struct symbol *first;
	size_t n = symbols_at(s, sym->start, &first);

	for (size_t i = 0; i < MIN(n, (size_t)SYMBOL_ALIASES_MAX); i++)
		if (!str_eq(first[i].name, sym->name))
			uhx_builder_alias(b, function, first[i].name);
}

void symbols_add_rows(const struct symbols *s, struct uhx_builder *b)
{
	for (size_t i = 0; i < s->span_count; i++) {
		const struct symbol_span *span = &s->spans[i];
		const struct symbol *sym = &s->items[span->symbol];
		uhx_id function = uhx_builder_function(b, &(struct uhx_function){.linkage = sym->name});
		uhx_id scope = uhx_builder_scope(
			b, &(struct uhx_scope){.function = function, .source = sym->source});

		add_aliases(s, sym, b, function);
		uhx_builder_row(b, &(struct uhx_row){.start = span->start, .end = span->end, .scope = scope});
	}
}
