/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/gsym_writer.h"

#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/gsym_format.h"
#include "symbolizer/gsym_inlines.h"
#include "symbolizer/gsym_lines.h"
#include "symbolizer/gsym_tables.h"
#include "symbolizer/uhx_walk.h"

enum { INFO_ALIGN = 4, LINES_MAX = INT32_MAX };

// A function, and where its info lies in the bytes of all infos.
struct address {
	uint64_t start;
	uint32_t info;
};

struct writer {
	struct gsym_tables tables;
	struct buf infos;
	struct address *addresses;
	size_t address_count;
	size_t address_cap;
	struct gsym_export *report;

	// The function that is being collected; open while end > start.
	uint64_t start;
	uint64_t end;
	struct frame function; // its names and line, to know it again
	bool placed;           // some row has a line or is inlined code
	struct gsym_line *lines;
	size_t line_count;
	size_t line_cap;
	struct gsym_inlines inlines;
};

/* ---- one function ---- */

static void put_u32(struct buf *b, uint32_t v)
{
	buf_append(b, &v, sizeof(v));
}

// Starts one of the infos of a function; end_info() then knows how long it has become.
static size_t begin_info(struct buf *b, enum gsym_info kind)
{
	put_u32(b, kind);
	put_u32(b, 0);
	return b->n;
}

static void end_info(struct buf *b, size_t start)
{
	uint32_t size = (uint32_t)(b->n - start);

	if (!b->failed)
		memcpy(b->p + start - sizeof(size), &size, sizeof(size));
}

static void align(struct buf *b, size_t to)
{
	while (b->n % to && !b->failed)
		buf_append_c(b, '\0');
}

/*
 * The linkage name where there is one, as gsymutil does; where DWARF has none, the name qualified
 * by namespaces and classes. Never empty: readers refuse a function without name.
 */
static uint32_t name_of(struct writer *w, const struct frame *f)
{
	size_t n = f->system_name.n;
	bool qualified = f->function.n > n + 2 && str_has_suffix(f->function, f->system_name) &&
			 str_has_suffix((struct str){f->function.p, f->function.n - n}, STR("::"));
	uint32_t name = gsym_tables_string(&w->tables, qualified ? f->function : f->system_name);

	return name ? name : gsym_tables_string(&w->tables, STR("??"));
}

static int add_address(struct writer *w, struct err *e)
{
	if (mem_grow(&w->addresses, &w->address_cap, w->address_count + 1, sizeof(*w->addresses),
		     UINT32_MAX))
		return err_nomem(e);
	w->addresses[w->address_count++] = (struct address){w->start, (uint32_t)w->infos.n};
	return 0;
}

static void put_lines(struct writer *w)
{
	size_t at = begin_info(&w->infos, GSYM_INFO_LINES);

	for (size_t i = 0; i < w->line_count; i++)
		if (!w->lines[i].file)
			w->lines[i].file = gsym_tables_nameless(&w->tables);
	gsym_lines_encode(w->lines, w->line_count, w->start, &w->infos);
	end_info(&w->infos, at);
}

static int put_inlines(struct writer *w, uint32_t name, struct err *e)
{
	size_t at = begin_info(&w->infos, GSYM_INFO_INLINES);

	if (gsym_inlines_encode(&w->inlines, name, w->start, w->end, &w->infos, e))
		return -1;
	end_info(&w->infos, at);
	return 0;
}

static int end_function(struct writer *w, struct err *e)
{
	struct buf *b = &w->infos;
	uint32_t name;

	if (w->end == w->start)
		return 0;
	name = name_of(w, &w->function);
	align(b, INFO_ALIGN);
	if (add_address(w, e))
		return -1;
	put_u32(b, (uint32_t)(w->end - w->start));
	put_u32(b, name);
	if (w->placed)
		put_lines(w);
	if (gsym_inlines_any(&w->inlines) && put_inlines(w, name, e))
		return -1;
	end_info(b, begin_info(b, GSYM_INFO_END));
	w->start = w->end = 0;
	return buf_check(b, "a GSYM file of version 1", e);
}

static void begin_function(struct writer *w, uint64_t start, const struct frame *f)
{
	w->start = w->end = start;
	w->function = *f;
	w->placed = false;
	w->line_count = 0;
	gsym_inlines_clear(&w->inlines);
}

// A run ends where addresses jump, where another function begins, and where its size overflows.
static bool continues(const struct writer *w, uint64_t start, uint64_t end, const struct frame *f)
{
	return w->end == start && w->end > w->start && end - w->start <= UINT32_MAX &&
	       w->function.start_line == f->start_line &&
	       str_eq(w->function.system_name, f->system_name) &&
	       str_eq(w->function.function, f->function);
}

static int add_line(struct writer *w, uint64_t start, const struct frame *f, struct err *e)
{
	struct gsym_line line = {start, gsym_tables_file(&w->tables, f->file), f->line};
	const struct gsym_line *last = w->line_count ? &w->lines[w->line_count - 1] : NULL;

	if (last && last->file == line.file && last->line == line.line)
		return 0;
	if (mem_grow(&w->lines, &w->line_cap, w->line_count + 1, sizeof(*w->lines), LINES_MAX))
		return err_nomem(e);
	w->lines[w->line_count++] = line;
	return 0;
}

static void add_inlines(struct writer *w, uint64_t start, uint64_t end, const struct frames *chain)
{
	struct gsym_call calls[FRAMES_MAX];
	bool lost = false;
	size_t n = 0;

	for (size_t i = chain->n - 1; i > 0; i--) {
		const struct frame *caller = &chain->frame[i];

		lost |= !caller->file.n;
		calls[n++] = (struct gsym_call){name_of(w, &chain->frame[i - 1]),
						gsym_tables_file(&w->tables, caller->file),
						caller->line};
	}
	w->report->lost_inlines += lost;
	gsym_inlines_add(&w->inlines, start, end, calls, n);
}

// Of the type uhx_row_visitor.
static int add_row(void *ctx, uint64_t start, uint64_t end, const struct frames *chain,
		   struct err *e)
{
	const struct frame *outer = &chain->frame[chain->n - 1];
	const struct frame *inner = &chain->frame[0];
	struct writer *w = ctx;

	// "fun_0x1139" would come back as a name that somebody knew.
	if (chain->source == SOURCE_EH_FRAME)
		return 0;
	if (end - start > UINT32_MAX)
		return err_set(e, ERR_BAD_INDEX, "a row is too long; rebuild the index");
	if (!continues(w, start, end, outer)) {
		if (end_function(w, e))
			return -1;
		begin_function(w, start, outer);
	}
	w->end = end;
	w->placed |= inner->file.n || chain->n > 1;
	add_inlines(w, start, end, chain);
	return add_line(w, start, inner, e);
}

/* ---- the file ---- */

static unsigned offset_size(uint64_t highest)
{
	unsigned size = 1;

	while (size < 8 && highest >> (8 * size))
		size *= 2;
	return size;
}

static void put_uuid(struct writer *w, const struct uhx_info *info, uint8_t *ret_size,
		     uint8_t uuid[static GSYM_UUID_MAX])
{
	for (size_t i = 0; i < info->id_count && !w->report->uuid; i++) {
		const struct build_id *id = &info->ids[i];

		if (id->kind != BUILD_ID_GNU || id->size > GSYM_UUID_MAX)
			continue;
		memcpy(uuid, id->bytes, id->size);
		*ret_size = id->size;
		w->report->uuid = true;
	}
}

static void put_header(struct writer *w, const struct uhx_info *info, unsigned width,
		       uint64_t strings_at, struct buf *out)
{
	uint16_t version = 1;
	uint8_t sizes[2] = {(uint8_t)width, 0};
	uint8_t uuid[GSYM_UUID_MAX] = {0};

	put_uuid(w, info, &sizes[1], uuid);
	put_u32(out, GSYM_MAGIC);
	buf_append(out, &version, sizeof(version));
	buf_append(out, sizes, sizeof(sizes));
	buf_append(out, &w->addresses[0].start, sizeof(w->addresses[0].start));
	put_u32(out, (uint32_t)w->address_count);
	put_u32(out, (uint32_t)strings_at);
	put_u32(out, (uint32_t)w->tables.strings.n);
	buf_append(out, uuid, sizeof(uuid));
}

static uint64_t round_up(uint64_t n)
{
	return (n + INFO_ALIGN - 1) / INFO_ALIGN * INFO_ALIGN;
}

static void put_tables(struct writer *w, unsigned width, uint64_t infos_at, struct buf *out)
{
	for (size_t i = 0; i < w->address_count; i++) {
		uint64_t offset = w->addresses[i].start - w->addresses[0].start;

		buf_append(out, &offset, width);
	}
	align(out, INFO_ALIGN);
	for (size_t i = 0; i < w->address_count; i++)
		put_u32(out, (uint32_t)(infos_at + w->addresses[i].info));
	put_u32(out, (uint32_t)w->tables.file_count);
	buf_append(out, w->tables.files, w->tables.file_count * sizeof(*w->tables.files));
	buf_append_str(out, buf_str(&w->tables.strings));
	align(out, INFO_ALIGN);
}

static int put_file(struct writer *w, const struct uhx_info *info, int fd, struct err *e)
{
	size_t n = w->address_count;
	unsigned width = offset_size(w->addresses[n - 1].start - w->addresses[0].start);
	uint64_t strings_at = round_up(GSYM_HEADER_SIZE + n * width) + n * sizeof(uint32_t) +
			      sizeof(uint32_t) + w->tables.file_count * sizeof(struct gsym_file);
	uint64_t infos_at = round_up(strings_at + w->tables.strings.n);
	struct buf head = BUF_INIT(UINT32_MAX);
	int result;

	if (infos_at + w->infos.n > UINT32_MAX)
		return err_set(e, ERR_TOO_LARGE,
			       "a GSYM file of version 1 has 32-bit offsets, this one would be %ju "
			       "bytes long",
			       (uintmax_t)(infos_at + w->infos.n));
	put_header(w, info, width, strings_at, &head);
	put_tables(w, width, infos_at, &head);
	result = buf_check(&head, "a GSYM file of version 1", e);
	if (!result)
		result = io_write_all(fd, head.p, head.n, e);
	if (!result)
		result = io_write_all(fd, w->infos.p, w->infos.n, e);
	buf_deinit(&head);
	w->report->bytes = infos_at + w->infos.n;
	w->report->functions = n;
	return result;
}

static int write_all(struct writer *w, const struct uhx *u, int fd, struct err *e)
{
	if (gsym_tables_init(&w->tables, e) || uhx_walk(u, add_row, w, e) ||
	    end_function(w, e) || buf_check(&w->tables.strings, "a string table of GSYM", e))
		return -1;
	if (!w->address_count)
		return err_set(e, ERR_NOT_FOUND, "the index has no names to export");
	return put_file(w, uhx_info(u), fd, e);
}

int gsym_write(const struct uhx *u, int fd, struct gsym_export *ret, struct err *e)
{
	struct gsym_export report = {0};
	struct writer w = {
		.infos = BUF_INIT(UINT32_MAX),
		.inlines = GSYM_INLINES_INIT,
		.report = &report,
	};
	int result = write_all(&w, u, fd, e);

	gsym_tables_deinit(&w.tables);
	gsym_inlines_deinit(&w.inlines);
	buf_deinit(&w.infos);
	free(w.addresses);
	free(w.lines);
	if (!result)
		*ret = report;
	return result;
}
