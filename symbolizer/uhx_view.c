/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/uhx_view.h"

#include <string.h>

static const uint32_t *u32s(const struct uhx_view *v, enum uhx_section_kind kind)
{
	return (const uint32_t *)(const void *)v->part[kind].p;
}

static uint32_t load(const uint8_t *p, unsigned width, unsigned i)
{
	uint16_t v16;
	uint32_t v32;

	if (width == 1)
		return p[i];
	if (width == 2) {
		memcpy(&v16, p + 2 * i, sizeof(v16));
		return v16;
	}
	memcpy(&v32, p + 4 * i, sizeof(v32));
	return v32;
}

uint32_t uhx_block_value(const struct uhx_block_view *b, enum uhx_column column, unsigned i)
{
	unsigned width = b->head->width[column];
	uint32_t base = column == UHX_COLUMN_START ? 0 : b->head->base[column - 1];
	uint32_t v;

	if (width == 0)
		return base;
	v = load(b->column[column], width, i);
	return v ? base + v : 0;
}

static bool is_width(unsigned w)
{
	return w <= 4 && w != 3;
}

bool uhx_view_block(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret)
{
	const struct uhx_part *blocks = &v->part[UHX_BLOCKS];
	const struct uhx_block *head;
	uint64_t at;

	if (number >= v->part[UHX_BLOCK_OFFSETS].count)
		return false;
	at = (uint64_t)u32s(v, UHX_BLOCK_OFFSETS)[number] * 4;
	if (!range_fits(at, sizeof(*head), blocks->count))
		return false;
	head = (const struct uhx_block *)(const void *)(blocks->p + at);
	at += sizeof(*head);
	for (size_t c = 0; c < UHX_COLUMNS; c++) {
		if (!is_width(head->width[c]))
			return false;
		ret->column[c] = blocks->p + at;
		at += (uint64_t)head->count * head->width[c];
	}
	ret->head = head;
	return head->count > 0 && head->count <= UHX_BLOCK_ROWS && at <= blocks->count;
}

static const struct uhx_segment *find_segment(const struct uhx_view *v, uint64_t va)
{
	const struct uhx_segment *s = (const struct uhx_segment *)(const void *)v->part[UHX_SEGMENTS].p;
	uint64_t low = 0;
	uint64_t n = v->part[UHX_SEGMENTS].count;

	while (n > 0) {
		uint64_t half = n / 2;

		if (s[low + half].base <= va) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low > 0 ? &s[low - 1] : NULL;
}

// The last of the n keys that is <= at. keys[0] is taken for granted, so that no branch is needed.
static uint64_t last_not_above(const uint32_t *keys, uint64_t n, uint32_t at)
{
	const uint32_t *base = keys;

	while (n > 1) {
		uint64_t half = n / 2;

		base = base[half] <= at ? base + half : base;
		n -= half;
	}
	return (uint64_t)(base - keys);
}

// The same among a block's starts.
static unsigned last_row_not_above(const struct uhx_block_view *b, uint32_t at)
{
	unsigned width = b->head->width[UHX_COLUMN_START];
	unsigned low = 0;

	if (width == 0)
		return 0;
	for (unsigned n = b->head->count; n > 1;) {
		unsigned half = n / 2;

		low = load(b->column[UHX_COLUMN_START], width, low + half) <= at ? low + half : low;
		n -= half;
	}
	return low;
}

bool uhx_view_find(const struct uhx_view *v, uint64_t va, struct uhx_position *ret)
{
	const struct uhx_segment *segment = find_segment(v, va);
	const uint32_t *keys = u32s(v, UHX_KEYS);
	struct uhx_block_view block;
	uint64_t number;
	uint32_t at;
	unsigned i;

	if (!segment || va - segment->base > UINT32_MAX || !segment->block_count ||
	    !range_fits(segment->first_block, segment->block_count, v->part[UHX_KEYS].count))
		return false;
	at = (uint32_t)(va - segment->base);
	number = segment->first_block +
		 last_not_above(keys + segment->first_block, segment->block_count, at);
	if (keys[number] > at || !uhx_view_block(v, number, &block))
		return false;
	i = last_row_not_above(&block, at - keys[number]);
	ret->scope = uhx_block_value(&block, UHX_COLUMN_SCOPE, i);
	ret->file = uhx_block_value(&block, UHX_COLUMN_FILE, i);
	ret->line = uhx_block_value(&block, UHX_COLUMN_LINE, i);
	ret->column = uhx_block_value(&block, UHX_COLUMN_COLUMN, i);
	return ret->scope != 0;
}

// ULEB128 of at most 32 bits, then as many bytes.
static bool read_string(const struct uhx_view *v, uint32_t at, struct str *ret)
{
	const struct uhx_part *strings = &v->part[UHX_STRINGS];
	uint64_t n = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (at >= strings->count || shift > 28)
			return false;
		byte = strings->p[at++];
		n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (n > UHX_STRING_MAX || !range_fits(at, n, strings->count))
		return false;
	*ret = (struct str){(const char *)strings->p + at, n};
	return true;
}

static bool read_file(const struct uhx_view *v, uint32_t id, struct str *ret)
{
	return id < v->part[UHX_FILES].count && read_string(v, u32s(v, UHX_FILES)[id], ret);
}

static bool read_function(const struct uhx_view *v, uint32_t id, struct frame *ret)
{
	const struct uhx_function_entry *f;

	if (id >= v->part[UHX_FUNCTIONS].count)
		return false;
	f = (const struct uhx_function_entry *)(const void *)v->part[UHX_FUNCTIONS].p + id;
	ret->start_line = f->start_line;
	return read_string(v, f->linkage, &ret->system_name) &&
	       read_string(v, f->display ? f->display : f->linkage, &ret->function);
}

void uhx_view_chain(const struct uhx_view *v, const struct uhx_position *row, struct frames *ret)
{
	const struct uhx_scope_entry *scopes =
		(const struct uhx_scope_entry *)(const void *)v->part[UHX_SCOPES].p;
	struct uhx_position at = *row;
	size_t n = 0;

	ret->n = 0;
	ret->source = SOURCE_NONE;
	for (; at.scope && n < FRAMES_MAX; n++) {
		struct frame *f = &ret->frame[n];
		const struct uhx_scope_entry *scope;

		if (at.scope >= v->part[UHX_SCOPES].count)
			return;
		scope = &scopes[at.scope];
		if (scope->parent >= at.scope || scope->source >= SOURCE_COUNT ||
		    !read_function(v, scope->function, f) || !read_file(v, at.file, &f->file))
			return;
		f->line = at.line;
		f->column = at.column;
		f->inlined = scope->parent != 0;
		at = (struct uhx_position){scope->parent, scope->call_file, scope->call_line,
					   scope->call_column};
	}
	ret->n = n;
	ret->source = n ? (enum frame_source)scopes[row->scope].source : SOURCE_NONE;
}
