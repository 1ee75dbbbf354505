/* SPDX-License-Identifier: Apache-2.0 */
/* From an address to its block, and to the row in it. */
#include "symbolizer/uhx_bits.h"
#include "symbolizer/uhx_count.h"
#include "symbolizer/uhx_view.h"

static inline size_t size_of_starts(const struct uhx_block *b)
{
	switch (b->starts) {
	case UHX_STARTS_GROUPED:
		return UHX_GROUPS * sizeof(uint16_t) +
		       (b->rows + UHX_GROUP_ROWS - 1U) / UHX_GROUP_ROWS * UHX_GROUP_ROWS;
	case UHX_STARTS_U16:
		return (b->rows + 7U) / 8 * 8 * sizeof(uint16_t);
	default:
		return (b->rows + 15U) / 16 * 16 * sizeof(uint32_t);
	}
}

static inline bool is_sound(const struct uhx_block *b)
{
	return b->rows > 0 && b->rows <= UHX_BLOCK_ROWS && b->starts < UHX_STARTS_COUNT &&
	       b->entries <= UHX_BLOCK_ENTRIES && b->line_bits <= 32 && b->function_bits <= 32 &&
	       b->call_bits <= 32 && b->base_bits <= 32;
}

static inline bool block_at(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret)
{
	const struct uhx_part *blocks = &v->part[UHX_BLOCKS];
	const struct uhx_block *b;
	uint64_t at;
	uint64_t size;

	if (number >= v->part[UHX_BLOCK_OFFSETS].count)
		return false;
	at = (uint64_t)uhx_view_u32(v, UHX_BLOCK_OFFSETS)[number] * 4;
	if (!range_fits(at, sizeof(*b), blocks->count))
		return false;
	b = (const void *)(blocks->p + at);
	if (!is_sound(b))
		return false;
	ret->number = number;
	ret->head = b;
	ret->index_bits = uhx_bits_for(b->entries);
	ret->entry_bits = b->function_bits + ret->index_bits + b->call_bits + b->base_bits;
	ret->starts = blocks->p + at + sizeof(*b);
	ret->rows = ret->starts + size_of_starts(b);
	ret->entries = ret->rows + (b->rows * (ret->index_bits + b->line_bits) + 7) / 8;
	size = (uint64_t)(ret->entries - (const uint8_t *)b) +
	       (b->entries * ret->entry_bits + 7) / 8 + UHX_SLACK;
	return size <= blocks->count - at;
}

static inline const struct uhx_segment *find_segment(const struct uhx_view *v, uint64_t va)
{
	const struct uhx_segment *s = (const void *)v->part[UHX_SEGMENTS].p;
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

_Static_assert(UHX_FANOUT == 16 && UHX_GROUPS == 8 && UHX_GROUP_ROWS == 8,
	       "what uhx_count.h counts");

static uint64_t fill_up(uint64_t n)
{
	return (n + UHX_FANOUT - 1) / UHX_FANOUT * UHX_FANOUT;
}

struct uhx_tree uhx_view_tree(const struct uhx_view *v, const struct uhx_segment *s)
{
	struct uhx_tree t = {.count = 1};
	uint64_t at = s->first_sample;

	if (!s->block_count || !range_fits(s->first_block, s->block_count, v->part[UHX_KEYS].count))
		return (struct uhx_tree){0};
	t.level[0].keys = uhx_view_u32(v, UHX_KEYS) + s->first_block;
	t.level[0].n = s->block_count;
	for (uint32_t n = s->block_count; n > UHX_FANOUT && t.count < UHX_LEVELS_MAX; t.count++) {
		n = (uint32_t)(((uint64_t)n + UHX_FANOUT - 1) / UHX_FANOUT);
		if (!range_fits(at, fill_up(n), v->part[UHX_SAMPLES].count))
			return (struct uhx_tree){0};
		t.level[t.count].keys = uhx_view_u32(v, UHX_SAMPLES) + at;
		t.level[t.count].n = n;
		at += fill_up(n);
	}
	return t;
}

// Of the keys from `first`, a whole group or what is left of the lowest level.
static inline uint32_t count_keys(const uint32_t *keys, uint32_t first, uint32_t n, uint32_t at,
				  bool filled)
{
	const uint8_t *p = (const uint8_t *)(keys + first);

	if (filled || n - first >= UHX_FANOUT)
		return uhx_count_16_u32(p, at);
	return uhx_count_u32_plain(p, n - first, at);
}

// The number of the last key that is not above `at`; UINT32_MAX: all are.
static inline uint32_t search(const struct uhx_tree *t, uint32_t at)
{
	uint32_t i = 0;

	for (unsigned level = t->count; level-- > 0;) {
		uint32_t n = t->level[level].n;
		uint32_t first = i * UHX_FANOUT;
		uint32_t below;

		if (first >= n)
			return UINT32_MAX;
		below = count_keys(t->level[level].keys, first, n, at, level > 0);
		if (!below)
			return UINT32_MAX;
		i = MIN(first + below, n) - 1;
	}
	return t->count ? i : UINT32_MAX;
}

static inline bool find_in(const struct uhx_tree *t, const struct uhx_segment *s, uint64_t va,
			   uint64_t *ret_number, uint32_t *ret_at)
{
	uint32_t at = (uint32_t)(va - s->base);
	uint32_t i = search(t, at);

	if (i == UINT32_MAX)
		return false;
	*ret_number = (uint64_t)s->first_block + i;
	*ret_at = at - t->level[0].keys[i];
	return true;
}

// Few files have a second segment; their trees are not kept.
static NOINLINE bool find_in_other(const struct uhx_view *v, const struct uhx_segment *s,
				   uint64_t va, uint64_t *ret_number, uint32_t *ret_at)
{
	struct uhx_tree t = uhx_view_tree(v, s);

	return find_in(&t, s, va, ret_number, ret_at);
}

static inline bool find_block(const struct uhx_view *v, uint64_t va, uint64_t *ret_number,
			      uint32_t *ret_at)
{
	const struct uhx_segment *s = find_segment(v, va);

	if (!s || va - s->base > UINT32_MAX)
		return false;
	if (s != (const void *)v->part[UHX_SEGMENTS].p)
		return find_in_other(v, s, va, ret_number, ret_at);
	return find_in(&v->first_tree, s, va, ret_number, ret_at);
}

static inline uint16_t group_start(const struct uhx_block_view *b, unsigned group)
{
	uint16_t start;

	memcpy(&start, b->starts + 2 * group, sizeof(start));
	return start;
}

// Numbers of all ones stand for "no row here": nothing is looked up as high as that.
static inline unsigned find_grouped(const struct uhx_block_view *b, uint32_t at)
{
	unsigned groups = (b->head->rows + UHX_GROUP_ROWS - 1U) / UHX_GROUP_ROWS;
	unsigned group;
	uint32_t rest;

	at = MIN(at, UINT16_MAX - 1U);
	group = uhx_count_8_u16(b->starts, (uint16_t)at);
	group = group ? MIN(group, groups) - 1 : 0;
	rest = MIN(at - group_start(b, group), UINT8_MAX - 1U);
	return group * UHX_GROUP_ROWS +
	       uhx_count_8_u8(b->starts + UHX_GROUPS * sizeof(uint16_t) + group * UHX_GROUP_ROWS,
			      (uint8_t)rest);
}

static inline unsigned find_u16(const struct uhx_block_view *b, uint32_t at)
{
	uint16_t x = (uint16_t)MIN(at, UINT16_MAX - 1U);
	unsigned count = 0;

	for (unsigned i = 0; i < b->head->rows; i += 8)
		count += uhx_count_8_u16(b->starts + i * sizeof(x), x);
	return count;
}

static inline unsigned find_u32(const struct uhx_block_view *b, uint32_t at)
{
	uint32_t x = MIN(at, UINT32_MAX - 1U);
	unsigned count = 0;

	for (unsigned i = 0; i < b->head->rows; i += 16)
		count += uhx_count_16_u32(b->starts + i * sizeof(x), x);
	return count;
}

static inline unsigned count_rows(const struct uhx_block_view *b, uint32_t at)
{
	switch (b->head->starts) {
	case UHX_STARTS_GROUPED:
		return find_grouped(b, at);
	case UHX_STARTS_U16:
		return find_u16(b, at);
	default:
		return find_u32(b, at);
	}
}

uint32_t uhx_block_start(const struct uhx_block_view *b, unsigned row)
{
	uint32_t start = 0;

	switch (b->head->starts) {
	case UHX_STARTS_GROUPED:
		return group_start(b, row / UHX_GROUP_ROWS) +
		       b->starts[UHX_GROUPS * sizeof(uint16_t) + row];
	case UHX_STARTS_U16:
		memcpy(&start, b->starts + 2 * row, sizeof(uint16_t));
		return start;
	default:
		memcpy(&start, b->starts + 4 * row, sizeof(uint32_t));
		return start;
	}
}

static inline void set_row(struct uhx_hit *h, unsigned row)
{
	const struct uhx_block_view *b = &h->block;
	uint64_t bit = (uint64_t)row * (b->index_bits + b->head->line_bits);

	h->row = row;
	h->entry = uhx_bits(b->rows, bit, b->index_bits);
	h->line = uhx_bits(b->rows, bit + b->index_bits, b->head->line_bits);
	if (h->entry == 0 || h->entry > b->head->entries)
		h->entry = h->line = 0;
	else
		h->line += uhx_block_entry(b, h->entry).base_line;
}

void uhx_hit_row(struct uhx_hit *h, unsigned row)
{
	set_row(h, row);
}

static inline bool find_row(const struct uhx_view *v, uint64_t number, uint32_t at,
			    struct uhx_hit *ret)
{
	unsigned below;

	if (!block_at(v, number, &ret->block))
		return false;
	below = count_rows(&ret->block, at);
	if (!below || below > ret->block.head->rows)
		return false;
	set_row(ret, below - 1);
	return ret->entry != 0;
}

bool uhx_view_block(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret)
{
	return block_at(v, number, ret);
}

bool uhx_view_find_block(const struct uhx_view *v, uint64_t va, uint64_t *ret_number,
			 uint32_t *ret_at)
{
	return find_block(v, va, ret_number, ret_at);
}

bool uhx_view_find_row(const struct uhx_view *v, uint64_t number, uint32_t at, struct uhx_hit *ret)
{
	return find_row(v, number, at, ret);
}

bool uhx_view_find(const struct uhx_view *v, uint64_t va, struct uhx_hit *ret)
{
	uint64_t number;
	uint32_t at;

	if (!find_block(v, va, &number, &at))
		return false;
	uhx_view_ask(v, number);
	return find_row(v, number, at, ret);
}
