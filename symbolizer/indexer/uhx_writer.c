/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_writer.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/pb.h"
#include "symbolizer/indexer/demangle.h"
#include "symbolizer/indexer/uhx_blocks.h"
#include <string.h>

// From the builder's ids to those in the file; 0: not written yet.
struct id_map {
	uint32_t *to;
	size_t n;
	size_t cap;
};

struct uhx_writer {
	struct uhx_tables *tables;
	struct uhx_blocks rows;
	struct id_map string_map; // to offsets in `strings`
	struct id_map file_map;
	struct id_map function_map;
	struct id_map scope_map;
	struct buf strings;
	struct buf files;
	struct buf functions;
	struct buf scopes;
	struct buf demangled; // scratch
	bool sources[SOURCE_COUNT];
	bool nomem;
};

// Makes room for ids below n.
static int id_map_grow(struct id_map *m, size_t n)
{
	if (n <= m->n)
		return 0;
	if (mem_grow(&m->to, &m->cap, n, sizeof(*m->to), UINT32_MAX))
		return -1;
	memset(m->to + m->n, 0, (n - m->n) * sizeof(*m->to));
	m->n = n;
	return 0;
}

// Entry 0 of each table is all zero: "none".
static void start_tables(struct uhx_writer *w)
{
	const struct uhx_scope_entry no_scope = {0};
	const struct uhx_function_entry no_function = {0};
	const uint32_t no_file = 0;

	buf_append_c(&w->strings, 0);
	buf_append(&w->scopes, &no_scope, sizeof(no_scope));
	buf_append(&w->functions, &no_function, sizeof(no_function));
	buf_append(&w->files, &no_file, sizeof(no_file));
}

int uhx_writer_new(struct uhx_tables *tables, struct uhx_writer **ret, struct err *e)
{
	_cleanup_(uhx_writer_freep) struct uhx_writer *w = mem_zalloc(sizeof(*w));

	if (!w)
		return err_nomem(e);
	w->tables = tables;
	uhx_blocks_init(&w->rows);
	w->strings = BUF_INIT(UINT32_MAX);
	w->files = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX);
	w->functions = BUF_INIT(sizeof(struct uhx_function_entry) * (size_t)UINT32_MAX);
	w->scopes = BUF_INIT(sizeof(struct uhx_scope_entry) * (size_t)UINT32_MAX);
	w->demangled = BUF_INIT(DEMANGLE_OUT_MAX);
	if (id_map_grow(&w->string_map, tables->strings.n) ||
	    id_map_grow(&w->file_map, tables->files.n) ||
	    id_map_grow(&w->function_map, tables->functions.n) ||
	    id_map_grow(&w->scope_map, tables->scopes.n))
		return err_nomem(e);
	start_tables(w);
	*ret = steal_ptr(w);
	return 0;
}

void uhx_writer_free(struct uhx_writer *w)
{
	if (!w)
		return;
	uhx_blocks_deinit(&w->rows);
	free(w->string_map.to);
	free(w->file_map.to);
	free(w->function_map.to);
	free(w->scope_map.to);
	buf_deinit(&w->strings);
	buf_deinit(&w->files);
	buf_deinit(&w->functions);
	buf_deinit(&w->scopes);
	buf_deinit(&w->demangled);
	free(w);
}

static uint32_t string_offset(struct uhx_writer *w, uint32_t id)
{
	struct str s;

	if (!id)
		return 0;
	if (id_map_grow(&w->string_map, w->tables->strings.n)) {
		w->nomem = true;
		return 0;
	}
	if (!w->string_map.to[id]) {
		s = string_table_at(&w->tables->strings, id);
		w->string_map.to[id] = (uint32_t)w->strings.n;
		pb_put_varint(&w->strings, s.n);
		buf_append_str(&w->strings, s);
	}
	return w->string_map.to[id];
}

static uint32_t file_id(struct uhx_writer *w, uint32_t id)
{
	uint32_t string;
	uint32_t entry;

	if (!id)
		return 0;
	if (!w->file_map.to[id]) {
		memcpy(&string, record_set_at(&w->tables->files, id), sizeof(string));
		entry = string_offset(w, string);
		w->file_map.to[id] = (uint32_t)(w->files.n / sizeof(entry));
		buf_append(&w->files, &entry, sizeof(entry));
	}
	return w->file_map.to[id];
}

// The string to show for a function; 0 where that is its linkage name.
static uint32_t display_of(struct uhx_writer *w, const struct function_record *f)
{
	bool failed = false;
	uint32_t id;

	if (f->display)
		return f->display == f->linkage ? 0 : f->display;
	buf_clear(&w->demangled);
	if (!demangle(string_table_at(&w->tables->strings, f->linkage), &w->demangled)) {
		w->nomem = w->nomem || w->demangled.nomem;
		return 0;
	}
	id = string_table_put(&w->tables->strings, buf_str(&w->demangled), &failed);
	w->nomem = w->nomem || failed;
	return id == f->linkage ? 0 : id;
}

static uint32_t function_id(struct uhx_writer *w, uint32_t id)
{
	if (!id)
		return 0;
	if (!w->function_map.to[id]) {
		struct function_record f;
		struct uhx_function_entry entry;

		memcpy(&f, record_set_at(&w->tables->functions, id), sizeof(f));
		entry.linkage = string_offset(w, f.linkage);
		entry.display = string_offset(w, display_of(w, &f));
		entry.start_line = f.start_line;
		w->function_map.to[id] = (uint32_t)(w->functions.n / sizeof(entry));
		buf_append(&w->functions, &entry, sizeof(entry));
	}
	return w->function_map.to[id];
}

static void put_scope(struct uhx_writer *w, uint32_t id)
{
	const struct scope_record *s = uhx_tables_scope(w->tables, id);
	struct uhx_scope_entry entry = {
		.function = function_id(w, s->function),
		.parent = w->scope_map.to[s->parent],
		.call_file = file_id(w, s->call_file),
		.call_line = s->call_line,
		.call_column = s->call_column,
		.source = (uint8_t)s->source,
	};

	w->scope_map.to[id] = (uint32_t)(w->scopes.n / sizeof(entry));
	buf_append(&w->scopes, &entry, sizeof(entry));
}

// Outer scopes first: a parent's id is smaller than its child's.
static uint32_t scope_id(struct uhx_writer *w, uint32_t id)
{
	uint32_t chain[FRAMES_MAX];
	size_t n = 0;

	for (uint32_t s = id; s && !w->scope_map.to[s];
	     s = uhx_tables_scope(w->tables, s)->parent) {
		if (n == FRAMES_MAX)
			break;
		chain[n++] = s;
	}
	while (n > 0)
		put_scope(w, chain[--n]);
	return w->scope_map.to[id];
}

int uhx_writer_row(void *ctx, uint64_t start, uint64_t end, const struct uhx_row *row)
{
	struct uhx_writer *w = ctx;
	struct uhx_content content = {.value = {
		[UHX_COLUMN_SCOPE] = scope_id(w, row->scope),
		[UHX_COLUMN_FILE] = file_id(w, row->file),
		[UHX_COLUMN_LINE] = row->line,
		[UHX_COLUMN_COLUMN] = row->column,
	}};

	w->sources[uhx_tables_scope(w->tables, row->scope)->source] = true;
	uhx_blocks_add(&w->rows, start, end, &content);
	return 0;
}

struct part {
	struct uhx_section section;
	const struct buf *bytes;
};

static int check_buffers(const struct uhx_writer *w, struct err *e)
{
	const struct buf *all[] = {&w->rows.segments, &w->rows.keys, &w->rows.offsets,
				   &w->rows.blocks,   &w->strings,   &w->files,
				   &w->functions,     &w->scopes};

	if (w->nomem)
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
		      const struct buf *ids, uint64_t *ret_size, struct err *e)
{
	const size_t headers_size = meta->headers.n * sizeof(*meta->headers.p);
	const struct buf headers = {.p = (char *)(uintptr_t)meta->headers.p, .n = headers_size};
	struct part parts[] = {
		{{.kind = UHX_IDS, .entry_size = sizeof(struct uhx_build_id)}, ids},
		{{.kind = UHX_PROGRAM_HEADERS, .entry_size = sizeof(*meta->headers.p)}, &headers},
		{{.kind = UHX_SEGMENTS, .entry_size = sizeof(struct uhx_segment)},
		 &w->rows.segments},
		{{.kind = UHX_KEYS, .entry_size = sizeof(uint32_t)}, &w->rows.keys},
		{{.kind = UHX_BLOCK_OFFSETS, .entry_size = sizeof(uint32_t)}, &w->rows.offsets},
		{{.kind = UHX_BLOCKS, .entry_size = 1}, &w->rows.blocks},
		{{.kind = UHX_SCOPES, .entry_size = sizeof(struct uhx_scope_entry)}, &w->scopes},
		{{.kind = UHX_FUNCTIONS, .entry_size = sizeof(struct uhx_function_entry)},
		 &w->functions},
		{{.kind = UHX_FILES, .entry_size = sizeof(uint32_t)}, &w->files},
		{{.kind = UHX_STRINGS, .entry_size = 1}, &w->strings},
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
	int result;

	uhx_blocks_finish(&w->rows);
	put_ids(&ids, meta);
	result = buf_check(&ids, "the index's build-IDs", e);
	if (!result)
		result = check_buffers(w, e);
	if (!result)
		result = write_file(w, meta, fd, &ids, &size, e);
	buf_deinit(&ids);
	if (result)
		return -1;
	*ret = (struct uhx_counts){
		.rows = w->rows.rows,
		.functions = w->functions.n / sizeof(struct uhx_function_entry) - 1,
		.bytes = size,
	};
	memcpy(ret->sources, w->sources, sizeof(ret->sources));
	return 0;
}
