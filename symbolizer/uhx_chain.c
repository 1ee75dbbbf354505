/* SPDX-License-Identifier: Apache-2.0 */
/* From a row to the inline chain at it, by ids or with names. */
#include "symbolizer/uhx_bits.h"
#include "symbolizer/uhx_view.h"

// ULEB128 of at most 32 bits, then as many bytes.
bool uhx_view_string(const struct uhx_view *v, enum uhx_section_kind kind, uint32_t at,
		     struct str *ret)
{
	const struct uhx_part *strings = &v->part[kind];
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

// The columns of a block; false where there are none, or they are damaged.
struct columns {
	const uint8_t *rows;
	const uint8_t *calls;
	unsigned row_bits;
	unsigned call_bits;
};

static bool find_columns(const struct uhx_view *v, const struct uhx_block_view *b,
			 struct columns *ret)
{
	const struct uhx_part *part = &v->part[UHX_COLUMNS];
	uint32_t at = uhx_view_u32(v, UHX_COLUMN_OFFSETS)[b->number];
	const struct uhx_column_block *head;
	uint64_t size;

	if (!range_fits(at, sizeof(*head), part->count))
		return false;
	head = (const void *)(part->p + at);
	if (head->row_bits > 16 || head->call_bits > 16)
		return false;
	*ret = (struct columns){.row_bits = head->row_bits, .call_bits = head->call_bits};
	ret->rows = part->p + at + sizeof(*head);
	ret->calls = ret->rows + ((b->head.rows + 1U) * ret->row_bits + 7) / 8;
	size = (uint64_t)(ret->calls - (const uint8_t *)head) +
	       (b->head.entries * ret->call_bits + 7) / 8 + UHX_SLACK;
	return size <= part->count - at;
}

// A walk from the innermost frame outwards. Not an array of what is met: clearing one for each
// address would cost more than the walk.
struct walk {
	const struct uhx_view *v;
	const struct uhx_block_view *block;
	struct columns columns;
	uint32_t entry; // the next one; 0: there is none
	uint32_t line;
	uint32_t column;
};

static inline void begin(struct walk *w, const struct uhx_view *v, const struct uhx_hit *hit)
{
	w->v = v;
	w->block = &hit->block;
	w->entry = hit->entry;
	w->line = hit->line;
	w->column = 0;
}

static inline bool begin_columns(struct walk *w, const struct uhx_hit *hit)
{
	if (!find_columns(w->v, &hit->block, &w->columns))
		return false;
	w->column = uhx_bits(w->columns.rows, (uint64_t)hit->row * w->columns.row_bits,
			     w->columns.row_bits);
	return true;
}

// False where the chain is damaged.
static inline bool step(struct walk *w, bool columns, struct uhx_place *ret)
{
	struct uhx_entry e = uhx_block_entry(w->block, w->entry);

	if (e.function >= w->v->part[UHX_FUNCTIONS].count || e.parent >= w->entry)
		return false;
	*ret = (struct uhx_place){e.function, w->line, w->column};
	w->line = e.call_line;
	if (columns)
		w->column = uhx_bits(w->columns.calls,
				     (uint64_t)(w->entry - 1) * w->columns.call_bits,
				     w->columns.call_bits);
	w->entry = e.parent;
	return true;
}

static const struct uhx_function_entry *function(const struct uhx_view *v, uint32_t id)
{
	return (const struct uhx_function_entry *)(const void *)v->part[UHX_FUNCTIONS].p + id;
}

static enum frame_source source_of(const struct uhx_view *v, uint32_t id)
{
	unsigned source = function(v, id)->source;

	return source < SOURCE_COUNT ? (enum frame_source)source : SOURCE_NONE;
}

static inline void places(const struct uhx_view *v, const struct uhx_hit *hit, bool columns,
			  struct uhx_chain *ret)
{
	UNINITIALIZED struct walk w;
	size_t n = 0;

	ret->n = 0;
	ret->source = SOURCE_NONE;
	begin(&w, v, hit);
	if (columns && !begin_columns(&w, hit))
		return;
	for (; w.entry && n < FRAMES_MAX; n++)
		if (!step(&w, columns, &ret->place[n]))
			return;
	ret->n = n;
	ret->source = n ? source_of(v, ret->place[0].function) : SOURCE_NONE;
}

void uhx_view_places(const struct uhx_view *v, const struct uhx_hit *hit, bool columns,
		     struct uhx_chain *ret)
{
	if (columns)
		places(v, hit, true, ret);
	else
		places(v, hit, false, ret);
}

bool uhx_view_names(const struct uhx_view *v, uint32_t id, struct frame *ret)
{
	const struct uhx_function_entry *f = function(v, id);
	uint32_t display = id < v->part[UHX_DISPLAYS].count ? uhx_view_u32(v, UHX_DISPLAYS)[id] : 0;

	ret->start_line = f->start_line;
	if (!uhx_view_string(v, UHX_STRINGS, f->linkage, &ret->system_name) ||
	    !uhx_view_string(v, UHX_STRINGS, f->file, &ret->file))
		return false;
	ret->function = ret->system_name;
	return !display || uhx_view_string(v, UHX_COLD_STRINGS, display, &ret->function);
}

void uhx_view_chain(const struct uhx_view *v, const struct uhx_hit *hit, struct frames *ret)
{
	enum frame_source source = SOURCE_NONE;
	UNINITIALIZED struct walk w;
	size_t n = 0;

	ret->n = 0;
	ret->source = SOURCE_NONE;
	begin(&w, v, hit);
	if (!begin_columns(&w, hit))
		return;
	for (; w.entry && n < FRAMES_MAX; n++) {
		struct frame *f = &ret->frame[n];
		struct uhx_place place;

		if (!step(&w, true, &place) || !uhx_view_names(v, place.function, f))
			return;
		f->line = place.line;
		f->column = place.column;
		f->inlined = w.entry != 0;
		if (n == 0)
			source = source_of(v, place.function);
	}
	ret->n = n;
	ret->source = source;
}
