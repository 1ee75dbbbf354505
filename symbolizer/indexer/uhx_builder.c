/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_builder.h"

#include "base/mem.h"
#include "symbolizer/indexer/row_merge.h"
#include "symbolizer/indexer/uhx_tables.h"
#include "symbolizer/indexer/uhx_writer.h"
#include "symbolizer/uhx_format.h"

#define ROWS_MAX UINT32_MAX

struct uhx_builder {
	struct uhx_tables tables;
	struct row_log rows;
	struct err failure; // the first; ERR_NONE: none so far
};

int uhx_builder_new(struct uhx_builder **ret, struct err *e)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = mem_zalloc(sizeof(*b));

	if (!b)
		return err_nomem(e);
	if (string_table_init(&b->tables.strings) ||
	    record_set_init(&b->tables.files, sizeof(uint32_t)) ||
	    record_set_init(&b->tables.functions, sizeof(struct function_record)) ||
	    record_log_init(&b->tables.scopes, sizeof(struct scope_record)) ||
	    record_set_init(&b->tables.aliases, sizeof(struct alias_record)))
		return err_nomem(e);
	*ret = steal_ptr(b);
	return 0;
}

void uhx_builder_free(struct uhx_builder *b)
{
	if (!b)
		return;
	string_table_deinit(&b->tables.strings);
	record_set_deinit(&b->tables.files);
	record_set_deinit(&b->tables.functions);
	record_log_deinit(&b->tables.scopes);
	record_set_deinit(&b->tables.aliases);
	row_log_deinit(&b->rows);
	free(b);
}

static bool failed(const struct uhx_builder *b)
{
	return b->failure.kind != ERR_NONE;
}

static uhx_id fail_nomem(struct uhx_builder *b)
{
	if (!failed(b))
		err_nomem(&b->failure);
	return 0;
}

// Cut in front of a UTF-8 sequence that would not be whole.
static struct str clip(struct str s)
{
	size_t n = UHX_STRING_MAX;

	if (s.n <= n)
		return s;
	while (n > UHX_STRING_MAX - 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return (struct str){s.p, n};
}

uhx_id uhx_builder_string(struct uhx_builder *b, struct str s)
{
	bool full = false;
	uhx_id id;

	if (failed(b))
		return 0;
	id = string_table_put(&b->tables.strings, clip(s), &full);
	return full ? fail_nomem(b) : id;
}

static uhx_id put_record(struct uhx_builder *b, struct record_set *set, const void *record)
{
	uhx_id id = failed(b) ? 0 : record_set_put(set, record);

	return id ? id : fail_nomem(b);
}

static uhx_id put_scope(struct uhx_builder *b, const struct scope_record *record)
{
	uhx_id id = failed(b) ? 0 : record_log_put(&b->tables.scopes, record);

	return id ? id : fail_nomem(b);
}

uhx_id uhx_builder_file(struct uhx_builder *b, struct str path)
{
	uint32_t string = uhx_builder_string(b, path);

	return string ? put_record(b, &b->tables.files, &string) : 0;
}

uhx_id uhx_builder_function(struct uhx_builder *b, const struct uhx_function *f)
{
	struct str linkage = f->linkage.n ? f->linkage : f->display;
	struct function_record record = {.start_line = f->start_line};

	// Every frame has a name; this is what the common tools print for "none".
	record.linkage = uhx_builder_string(b, linkage.n ? linkage : STR("??"));
	record.display = uhx_builder_string(b, f->display);
	return put_record(b, &b->tables.functions, &record);
}

static bool is_id(const struct record_set *set, uhx_id id)
{
	return id < set->n;
}

static bool is_scope(const struct uhx_builder *b, uhx_id id)
{
	return id < b->tables.scopes.n;
}

void uhx_builder_alias(struct uhx_builder *b, uhx_id function, struct str name)
{
	struct alias_record record = {.function = function};
	const struct function_record *f;

	if (!function || !is_id(&b->tables.functions, function) || !name.n)
		return;
	record.linkage = uhx_builder_string(b, name);
	f = (const void *)record_set_at(&b->tables.functions, function);
	if (record.linkage && record.linkage != f->linkage)
		put_record(b, &b->tables.aliases, &record);
}

uhx_id uhx_builder_scope(struct uhx_builder *b, const struct uhx_scope *s)
{
	struct scope_record record = {
		.function = s->function,
		.parent = s->parent,
		.call_file = s->parent ? s->call_file : 0,
		.call_line = s->parent ? s->call_line : 0,
		.call_column =
			s->parent && s->call_column <= UINT16_MAX ? (uint16_t)s->call_column : 0,
		.depth = 1,
		.source = s->source,
	};

	if (!s->function || !is_id(&b->tables.functions, s->function) ||
	    !is_scope(b, s->parent) || !is_id(&b->tables.files, s->call_file) ||
	    (unsigned)s->source >= SOURCE_COUNT)
		return 0;
	if (s->parent) {
		uint16_t outer = uhx_tables_scope(&b->tables, s->parent)->depth;

		// What is inlined even deeper is counted to the function at the limit.
		if (outer == FRAMES_MAX)
			return s->parent;
		record.depth = (uint16_t)(outer + 1);
	}
	return put_scope(b, &record);
}

// Line tables repeat a line for each view, statement or column that was dropped on the way here.
static bool extends_last(struct uhx_builder *b, const struct uhx_row *row)
{
	struct uhx_row *last = &b->rows.last;

	if (!b->rows.n || last->end != row->start || last->scope != row->scope ||
	    last->file != row->file || last->line != row->line || last->column != row->column ||
	    row->end - last->start > UHX_ROW_BYTES_MAX)
		return false;
	last->end = row->end;
	return true;
}

void uhx_builder_row(struct uhx_builder *b, const struct uhx_row *row)
{
	if (failed(b) || row->end <= row->start || row->end - row->start > UHX_ROW_BYTES_MAX ||
	    !row->scope || !is_scope(b, row->scope) ||
	    !is_id(&b->tables.files, row->file))
		return;
	if (extends_last(b, row))
		return;
	if (b->rows.n == ROWS_MAX)
		err_set(&b->failure, ERR_TOO_LARGE, "more than %u rows of names", ROWS_MAX);
	else if (row_log_add(&b->rows, row))
		fail_nomem(b);
}

static uint8_t *rank_scopes(const struct uhx_builder *b)
{
	uint8_t *rank = mem_alloc(b->tables.scopes.n);

	for (size_t i = 0; rank && i < b->tables.scopes.n; i++)
		rank[i] = (uint8_t)uhx_tables_scope(&b->tables, (uint32_t)i)->source;
	return rank;
}

int uhx_builder_write(struct uhx_builder *b, const struct uhx_meta *meta, int fd,
		      struct uhx_counts *ret, struct err *e)
{
	_cleanup_(uhx_writer_freep) struct uhx_writer *w = NULL;
	_cleanup_free_ uint8_t *rank = rank_scopes(b);

	if (failed(b))
		return err_set(e, b->failure.kind, "%s", b->failure.msg);
	if (!rank || row_log_finish(&b->rows))
		return err_nomem(e);
	if (uhx_writer_new(&b->tables, &w, e) ||
	    row_merge(&b->rows, rank, uhx_writer_row, w, e))
		return -1;
	return uhx_writer_finish(w, meta, fd, ret, e);
}
