/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_writer.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/indexer/uhx_blocks.h"
#include "symbolizer/indexer/uhx_names.h"
#include "symbolizer/indexer/uhx_places.h"
#include <string.h>

struct uhx_writer {
	struct uhx_tables *tables;
	struct uhx_names names;
	struct uhx_nodes nodes;
	struct uhx_places places;
	struct uhx_blocks rows;
	bool sources[SOURCE_COUNT];
};

int uhx_writer_new(struct uhx_tables *tables, struct uhx_writer **ret, struct err *e)
{
	_cleanup_(uhx_writer_freep) struct uhx_writer *w = mem_zalloc(sizeof(*w));

	if (!w)
		return err_nomem(e);
	w->tables = tables;
	uhx_blocks_init(&w->rows, &w->nodes);
	if (uhx_names_init(&w->names, tables) ||
	    uhx_places_init(&w->places, tables, &w->names, &w->nodes))
		return err_nomem(e);
	*ret = steal_ptr(w);
	return 0;
}

void uhx_writer_free(struct uhx_writer *w)
{
	if (!w)
		return;
	uhx_blocks_deinit(&w->rows);
	uhx_places_deinit(&w->places);
	uhx_names_deinit(&w->names);
	free(w->nodes.items);
	free(w);
}

int uhx_writer_row(void *ctx, uint64_t start, uint64_t end, const struct uhx_row *row)
{
	struct uhx_writer *w = ctx;
	struct uhx_content content = {
		.node = uhx_places_node(&w->places, row->scope, row->file),
		.line = row->line,
		.column = row->column <= UINT16_MAX ? row->column : 0,
	};

	w->sources[uhx_tables_scope(w->tables, row->scope)->source] = true;
	if (content.node)
		uhx_blocks_add(&w->rows, start, end, &content);
	return 0;
}

struct part {
	struct uhx_section section;
	const struct buf *bytes;
};

static int check_buffers(const struct uhx_writer *w, struct err *e)
{
	const struct buf *all[] = {
		&w->rows.segments,	  &w->rows.stretches,	 &w->rows.keys,
		&w->rows.offsets,	  &w->rows.blocks,	 &w->rows.column_offsets,
		&w->rows.columns,	  &w->names.functions,	 &w->names.strings.bytes,
		&w->names.displays,	  &w->names.aliases,	 &w->names.cold_strings.bytes,
	};

	if (w->names.nomem || w->places.nomem)
		return err_nomem(e);
	for (size_t i = 0; i < countof(all); i++) {
		if (buf_check(all[i], "the index", e))
			return -1;
	}
	return 0;
}

static uint64_t align_up(uint64_t n)
{
	return (n + UHX_ALIGN - 1) / UHX_ALIGN * UHX_ALIGN;
}

// Offsets and checksums of all sections; returns the size of the file.
static uint64_t lay_out(struct part *parts, size_t n)
{
	uint64_t at = sizeof(struct uhx_header) + n * sizeof(struct uhx_section);

	for (size_t i = 0; i < n; i++) {
		struct uhx_section *s = &parts[i].section;
		struct str bytes = buf_str(parts[i].bytes);

		s->offset = align_up(at);
		s->count = bytes.n / s->entry_size;
		s->checksum = xxh3(bytes.p, bytes.n);
		at = s->offset + bytes.n;
	}
	return at;
}

static uint64_t cold_size(const struct part *parts, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (parts[i].section.kind >= UHX_COLD)
			sum += parts[i].bytes->n;
	return sum;
}

static int write_parts(const struct part *parts, size_t n, const struct buf *head, int fd,
		       struct err *e)
{
	static const char zeros[UHX_ALIGN];
	uint64_t at = head->n;

	if (io_write_all(fd, head->p, head->n, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct str bytes = buf_str(parts[i].bytes);

		if (io_write_all(fd, zeros, parts[i].section.offset - at, e) ||
		    io_write_all(fd, bytes.p, bytes.n, e))
			return -1;
		at = parts[i].section.offset + bytes.n;
	}
	return 0;
}

static struct uhx_header make_header(const struct uhx_writer *w, const struct uhx_meta *meta,
				     size_t sections, uint64_t file_size)
{
	struct uhx_header h = {
		.magic = {UHX_MAGIC[0], UHX_MAGIC[1], UHX_MAGIC[2], UHX_MAGIC[3], UHX_MAGIC[4],
			  UHX_MAGIC[5], UHX_MAGIC[6], UHX_MAGIC[7]},
		.version = UHX_VERSION,
		.section_count = (uint32_t)sections,
		.file_size = file_size,
		.flags = meta->headers.trusted ? UHX_HEADERS_TRUSTED : 0,
		.quality = meta->quality,
		.rows = w->rows.rows,
	};

	memcpy(h.machine, meta->machine.p, MIN(meta->machine.n, sizeof(h.machine)));
	return h;
}

static void put_head(struct buf *head, struct uhx_header h, const struct part *parts, size_t n)
{
	buf_append(head, &h, sizeof(h));
	for (size_t i = 0; i < n; i++)
		buf_append(head, &parts[i].section, sizeof(parts[i].section));
	if (head->failed)
		return;
	h.checksum = xxh3(head->p, head->n);
	memcpy(head->p, &h, sizeof(h));
}

static int write_file(const struct uhx_writer *w, const struct uhx_meta *meta, int fd,
		      const struct buf *ids, uint64_t *ret_size, uint64_t *ret_cold, struct err *e)
{
	const size_t headers_size = meta->headers.n * sizeof(*meta->headers.p);
	const struct buf headers = {.p = (char *)(uintptr_t)meta->headers.p, .n = headers_size};
	struct part parts[] = {
		{{.kind = UHX_IDS, .entry_size = sizeof(struct uhx_build_id)}, ids},
		{{.kind = UHX_PROGRAM_HEADERS, .entry_size = sizeof(*meta->headers.p)}, &headers},
		{{.kind = UHX_SEGMENTS, .entry_size = sizeof(struct uhx_segment)},
		 &w->rows.segments},
		{{.kind = UHX_STRETCHES, .entry_size = sizeof(uint32_t)}, &w->rows.stretches},
		{{.kind = UHX_KEYS, .entry_size = sizeof(uint32_t)}, &w->rows.keys},
		{{.kind = UHX_BLOCK_OFFSETS, .entry_size = sizeof(uint32_t)}, &w->rows.offsets},
		{{.kind = UHX_BLOCKS, .entry_size = 1}, &w->rows.blocks},
		{{.kind = UHX_FUNCTIONS, .entry_size = sizeof(struct uhx_function_entry)},
		 &w->names.functions},
		{{.kind = UHX_STRINGS, .entry_size = 1}, &w->names.strings.bytes},
		{{.kind = UHX_COLUMN_OFFSETS, .entry_size = sizeof(uint32_t)},
		 &w->rows.column_offsets},
		{{.kind = UHX_COLUMNS, .entry_size = 1}, &w->rows.columns},
		{{.kind = UHX_DISPLAYS, .entry_size = sizeof(uint32_t)}, &w->names.displays},
		{{.kind = UHX_ALIASES, .entry_size = sizeof(struct uhx_alias)}, &w->names.aliases},
		{{.kind = UHX_COLD_STRINGS, .entry_size = 1}, &w->names.cold_strings.bytes},
	};
	uint64_t file_size = lay_out(parts, countof(parts));
	struct buf head = BUF_INIT(KIB(16));
	int result;

	put_head(&head, make_header(w, meta, countof(parts), file_size), parts, countof(parts));
	result = buf_check(&head, "the index's header", e);
	if (!result)
		result = write_parts(parts, countof(parts), &head, fd, e);
	buf_deinit(&head);
	*ret_size = file_size;
	*ret_cold = cold_size(parts, countof(parts));
	return result;
}

static void put_ids(struct buf *out, const struct uhx_meta *meta)
{
	for (size_t i = 0; i < MIN(meta->id_count, (size_t)UHX_IDS_MAX); i++) {
		struct uhx_build_id entry = {
			.kind = (uint8_t)meta->ids[i].kind,
			.size = meta->ids[i].size,
		};

		memcpy(entry.bytes, meta->ids[i].bytes, meta->ids[i].size);
		buf_append(out, &entry, sizeof(entry));
	}
}

int uhx_writer_finish(struct uhx_writer *w, const struct uhx_meta *meta, int fd,
		      struct uhx_counts *ret, struct err *e)
{
	struct buf ids = BUF_INIT(UHX_IDS_MAX * sizeof(struct uhx_build_id));
	uint64_t size = 0;
	uint64_t cold = 0;
	int result;

	uhx_blocks_finish(&w->rows);
	uhx_names_finish(&w->names);
	put_ids(&ids, meta);
	result = buf_check(&ids, "the index's build-IDs", e);
	if (!result)
		result = check_buffers(w, e);
	if (!result)
		result = write_file(w, meta, fd, &ids, &size, &cold, e);
	buf_deinit(&ids);
	if (result)
		return -1;
	*ret = (struct uhx_counts){
		.rows = w->rows.rows,
		.functions = w->names.functions.n / sizeof(struct uhx_function_entry) - 1,
		.bytes = size,
		.cold_bytes = cold,
	};
	memcpy(ret->sources, w->sources, sizeof(ret->sources));
	return 0;
}
