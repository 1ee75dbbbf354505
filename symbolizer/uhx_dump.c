/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/printable.h"
#include "symbolizer/uhx_view.h"

#include <inttypes.h>
#include <string.h>

static const char *const section_names[UHX_SECTION_KINDS] = {
	[UHX_IDS] = "ids",
	[UHX_PROGRAM_HEADERS] = "program headers",
	[UHX_SEGMENTS] = "segments",
	[UHX_STRETCHES] = "stretches",
	[UHX_KEYS] = "keys",
	[UHX_BLOCK_OFFSETS] = "block offsets",
	[UHX_BLOCKS] = "blocks",
	[UHX_FUNCTIONS] = "functions",
	[UHX_STRINGS] = "strings",
	[UHX_COLUMN_OFFSETS] = "column offsets",
	[UHX_COLUMNS] = "columns",
	[UHX_DISPLAYS] = "displays",
	[UHX_ALIASES] = "aliases",
	[UHX_COLD_STRINGS] = "cold strings",
};

static void dump_header(const struct uhx *u, const struct uhx_info *info, FILE *out)
{
	const struct uhx_header *h = uhx_view(u)->header;

	fprintf(out,
		"uhx version %" PRIu32 ", %" PRIu64 " bytes, machine " STR_FMT ", quality %s\n",
		h->version, info->file_size, STR_ARG(info->machine), quality_name(info->quality));
	fprintf(out, "%" PRIu64 " rows, %" PRIu64 " functions, %" PRIu64 " bytes hot, %" PRIu64 " cold\n",
		info->rows, info->functions, info->file_size - info->cold_size, info->cold_size);
	for (size_t i = 0; i < info->id_count; i++) {
		char text[BUILD_ID_TEXT];

		build_id_text(&info->ids[i], text);
		fprintf(out, "id %s %s\n", build_id_kind_name(info->ids[i].kind), text);
	}
	for (size_t i = 0; i < info->headers.n; i++) {
		const struct program_header *p = &info->headers.p[i];

		fprintf(out,
			"load %c%c%c vaddr %#" PRIx64 " memsz %#" PRIx64 " offset %#" PRIx64
			" filesz %#" PRIx64 " align %#" PRIx64 "%s\n",
			p->flags & 4 ? 'r' : '-', p->flags & 2 ? 'w' : '-',
			p->flags & 1 ? 'x' : '-', p->vaddr, p->memsz, p->offset, p->filesz,
			p->align, info->headers.trusted ? "" : " (not trusted)");
	}
}

static void dump_sections(const struct uhx_view *v, FILE *out)
{
	for (uint32_t i = 0; i < v->header->section_count; i++) {
		const struct uhx_section *s = &v->sections[i];
		bool known = s->kind > 0 && s->kind < UHX_SECTION_KINDS;

		fprintf(out, "section %-15s at %#10" PRIx64 " %10" PRIu64 " x %3" PRIu32 " bytes\n",
			known ? section_names[s->kind] : "(unknown)", s->offset, s->count,
			s->entry_size);
	}
}

static void dump_frame(const struct frame *f, FILE *out)
{
	fputs("    ", out);
	printable_put(f->function, out);
	if (!str_eq(f->function, f->system_name)) {
		fputs(" [", out);
		printable_put(f->system_name, out);
		fputc(']', out);
	}
	if (f->file.n) {
		fputs(" at ", out);
		printable_put(f->file, out);
		fprintf(out, ":%" PRIu32, f->line);
		if (f->column)
			fprintf(out, ":%" PRIu32, f->column);
	}
	if (f->start_line)
		fprintf(out, ", starts at line %" PRIu32, f->start_line);
	fputs(f->inlined ? ", inlined\n" : "\n", out);
}

static void dump_row(const struct uhx_view *v, uint64_t va, const struct uhx_hit *hit,
		     struct frames *frames, FILE *out)
{
	if (!hit->entry) {
		fprintf(out, "%#18" PRIx64 " hole\n", va);
		return;
	}
	uhx_view_chain(v, hit, frames);
	fprintf(out, "%#18" PRIx64 " %s\n", va,
		frames->n ? frame_source_name(frames->source) : "damaged");
	for (size_t i = 0; i < frames->n; i++)
		dump_frame(&frames->frame[i], out);
}

static int dump_segment(const struct uhx_view *v, const struct uhx_segment *s,
			struct frames *frames, FILE *out, struct err *e)
{
	for (uint64_t n = s->first_block; n < (uint64_t)s->first_block + s->block_count; n++) {
		struct uhx_hit hit;

		if (n >= v->part[UHX_BLOCK_OFFSETS].count || !uhx_view_block(v, n, &hit.block))
			return err_set(e, ERR_BAD_INDEX, "block %ju is damaged; rebuild the index",
				       (uintmax_t)n);
		for (unsigned i = 0; i <= hit.block.head.rows; i++) {
			uint64_t key = s->base + uhx_view_u32(v, UHX_KEYS)[n];

			uhx_hit_row(&hit, i);
			dump_row(v, key + uhx_block_start(&hit.block, i), &hit, frames, out);
		}
	}
	return 0;
}

static void dump_aliases(const struct uhx_view *v, FILE *out)
{
	const struct uhx_alias *aliases = (const void *)v->part[UHX_ALIASES].p;

	for (uint64_t i = 0; i < v->part[UHX_ALIASES].count; i++) {
		struct frame f = {.line = 0};
		struct str also;

		if (aliases[i].function >= v->part[UHX_FUNCTIONS].count ||
		    !uhx_view_names(v, aliases[i].function, &f) ||
		    !uhx_view_string(v, UHX_COLD_STRINGS, aliases[i].linkage, &also))
			continue;
		fputs("alias ", out);
		printable_put(f.system_name, out);
		fputs(" = ", out);
		printable_put(also, out);
		fputc('\n', out);
	}
}

int uhx_dump(const struct uhx *u, FILE *out, struct err *e)
{
	const struct uhx_view *v = uhx_view(u);
	const struct uhx_part *segments = &v->part[UHX_SEGMENTS];
	uint64_t blocks = 0;
	_cleanup_free_ struct frames *frames = mem_alloc(sizeof(*frames));

	if (!frames)
		return err_nomem(e);
	dump_header(u, uhx_info(u), out);
	dump_sections(v, out);
	for (uint64_t i = 0; i < segments->count; i++) {
		struct uhx_segment s;

		memcpy(&s, segments->p + i * sizeof(s), sizeof(s));
		// Otherwise few bytes could ask for any number of lines.
		if (s.first_block != blocks)
			return err_set(e, ERR_BAD_INDEX,
				       "segment %ju is damaged; rebuild the index", (uintmax_t)i);
		blocks += s.block_count;
		fprintf(out, "segment %" PRIu64 ": base %#" PRIx64 ", %" PRIu32 " blocks\n", i,
			s.base, s.block_count);
		if (dump_segment(v, &s, frames, out, e))
			return -1;
	}
	dump_aliases(v, out);
	if (ferror(out))
		return err_set(e, ERR_IO, "writing the listing failed");
	return 0;
}
