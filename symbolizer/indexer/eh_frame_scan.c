/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/eh_frame_scan.h"

#include "base/eh_frame.h"
#include <inttypes.h>

struct scan {
	const struct elf_image *img;
	const struct symbols *symbols;
	struct uhx_builder *builder;
	uint64_t found;
	bool broken; // the walk ended before its time
};

static bool has_symbol(const struct symbols *s, uint64_t start, uint64_t end)
{
	size_t i = symbols_span_from(s, start);

	return i < s->span_count && s->spans[i].start <= start && s->spans[i].end >= end;
}

static int add_function(void *ctx, uint64_t start, uint64_t end)
{
	struct scan *s = ctx;
	uint64_t code_end = elf_image_code_end(s->img, start);
	char name[32];
	struct uhx_function function;
	struct uhx_scope scope = {.source = SOURCE_EH_FRAME};

	s->found++;
	if (start >= end || end > code_end || has_symbol(s->symbols, start, end))
		return 0;
	snprintf(name, sizeof(name), "fun_0x%" PRIx64, start);
	function = (struct uhx_function){.linkage = str_from(name)};
	scope.function = uhx_builder_function(s->builder, &function);
	uhx_builder_row(s->builder, &(struct uhx_row){.start = start,
						      .end = end,
						      .scope = uhx_builder_scope(s->builder, &scope)});
	return 0;
}

// Out of the sorted table alone, where the last function has no end.
static int add_start(void *ctx, uint64_t start, uint64_t end)
{
	struct scan *s = ctx;
	uint64_t code_end = elf_image_code_end(s->img, start);

	if (end <= start || end > code_end)
		end = MIN(code_end, start + SYMBOL_GUESS_MAX);
	return add_function(ctx, start, end);
}

static uint64_t base_of(const struct elf_image *img, const char *section, const char *or_else)
{
	const struct elf_section *s = elf_image_section(img, section);

	if (!s && or_else)
		s = elf_image_section(img, or_else);
	return s ? s->header.sh_addr : 0;
}

static struct eh_frame frame_of(const struct elf_image *img)
{
	return (struct eh_frame){
		.big_endian = img->header.e_ident[EI_DATA] == ELFDATA2MSB,
		.address_size = img->header.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4,
		.text_base = base_of(img, ".text", NULL),
		.data_base = base_of(img, ".got.plt", ".got"),
	};
}

static bool is_frame(const struct elf_section *s, bool *ret_debug)
{
	*ret_debug = strcmp(s->name, ".debug_frame") == 0 || strcmp(s->name, ".zdebug_frame") == 0;
	return (*ret_debug || strcmp(s->name, ".eh_frame") == 0) && s->header.sh_type != SHT_NOBITS &&
	       s->header.sh_size;
}

static int read_sections(struct scan *s, struct elf_image *img, struct err *e)
{
	struct eh_frame f = frame_of(img);

	for (size_t i = 0; i < img->section_count; i++) {
		const struct elf_section *section = &img->sections[i];

		if (!is_frame(section, &f.is_debug_frame))
			continue;
		if (elf_image_data(img, section, &f.bytes, e))
			return -1;
		f.vaddr = section->header.sh_addr;
		if (eh_frame_read(&f, add_function, s, e))
			return err_wrap(e, "%s", img->name);
	}
	return 0;
}

// ---- without section headers -------------------------------------------------------------------

// Nothing says where .eh_frame ends but its terminator; without one the walk ends where records stop to
// make sense, which is no error here.
static int read_segment(struct scan *s, struct err *e)
{
	struct eh_frame f = frame_of(s->img);
	struct eh_frame_hdr h;

	f.bytes = elf_image_segment(s->img, PT_GNU_EH_FRAME, &f.vaddr);
	f.data_base = f.vaddr;
	if (!f.bytes.n)
		return 0;
	if (eh_frame_hdr_read(&f, &h, e))
		return err_wrap(e, "%s", s->img->name);
	if (h.frame_vaddr) {
		struct eh_frame frame = f;

		frame.vaddr = h.frame_vaddr;
		frame.bytes = elf_image_at(s->img, h.frame_vaddr);
		if (eh_frame_read(&frame, add_function, s, NULL))
			s->broken = true;
	}
	return s->broken || s->found < h.count ? eh_frame_hdr_starts(&f, &h, add_start, s) : 0;
}

bool eh_frame_scan_has(const struct elf_image *img)
{
	uint64_t vaddr;
	bool debug;

	for (size_t i = 0; i < img->section_count; i++)
		if (is_frame(&img->sections[i], &debug))
			return true;
	return !img->section_count && elf_image_segment(img, PT_GNU_EH_FRAME, &vaddr).n;
}

int eh_frame_scan(struct elf_image *img, const struct symbols *symbols, struct uhx_builder *b, struct err *e)
{
	struct scan s = {.img = img, .symbols = symbols, .builder = b};

	return img->section_count ? read_sections(&s, img, e) : read_segment(&s, e);
}
