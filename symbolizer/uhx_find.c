/* SPDX-License-Identifier: Apache-2.0 */
/* From an address to its block, and to the row in it. */
#include "symbolizer/uhx_count.h"
#include "symbolizer/uhx_view.h"

_Static_assert(UHX_KEYS_SLACK == 16 && UHX_GROUPS == 8 && UHX_GROUP_ROWS == 8,
	       "what uhx_count.h counts");

enum {
	CACHE_LINE = 64,
	HEAD_LINES = 1,  // the header and the groups' starts, mostly
	BLOCK_LINES = 5, // few blocks are longer
};

// ---- the block -----------------------------------------------------------------------------------

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

// The blocks, numbered within the segment, of which one is the last that starts at or before `at`.
static inline bool find_stretch(const struct uhx_view *v, const struct uhx_segment *s, uint32_t at,
				uint32_t *ret_low, uint32_t *ret_high)
{
	const uint32_t *stretches = uhx_view_u32(v, UHX_STRETCHES) + s->first_stretch;
	uint32_t i = MIN(at >> s->stretch_bits, s->stretch_count - 1U);

	if (!s->stretch_count ||
	    !range_fits(s->first_stretch, s->stretch_count + UINT64_C(1),
			v->part[UHX_STRETCHES].count) ||
	    !range_fits(s->first_block, s->block_count, v->part[UHX_BLOCK_OFFSETS].count))
		return false;
	*ret_low = stretches[i];
	*ret_high = stretches[i + 1];
	return *ret_low <= *ret_high && *ret_high < s->block_count;
}

// How many of n ascending keys are not above `at`. Behind them are UHX_KEYS_SLACK more.
static inline uint32_t count_keys(const uint32_t *keys, uint32_t n, uint32_t at)
{
	uint32_t low = 0;

	while (n > UHX_KEYS_SLACK) { // a stretch with more blocks than most
		uint32_t half = n / 2;

		low = keys[low + half] <= at ? low + half : low;
		n -= half;
	}
	return low + MIN(uhx_count_16_u32((const uint8_t *)(keys + low), at), n);
}

void uhx_search_block(const struct uhx_view *v, uint64_t va, struct uhx_search *s)
{
	const struct uhx_segment *segment = find_segment(v, va);
	const uint32_t *keys;
	uint32_t low;
	uint32_t high;
	uint32_t at;

	s->found = false;
	if (!segment || va - segment->base > UINT32_MAX)
		return;
	at = (uint32_t)(va - segment->base);
	if (!find_stretch(v, segment, at, &low, &high))
		return;
	keys = uhx_view_u32(v, UHX_KEYS) + segment->first_block;
	low += count_keys(keys + low + 1, high - low, at);
	if (keys[low] > at)
		return;
	s->found = true;
	s->number = (uint64_t)segment->first_block + low;
	s->at = at - keys[low];
	__builtin_prefetch(uhx_view_u32(v, UHX_BLOCK_OFFSETS) + s->number);
}

static inline const uint8_t *block_bytes(const struct uhx_view *v, uint64_t number)
{
	return v->part[UHX_BLOCKS].p + (uint64_t)uhx_view_u32(v, UHX_BLOCK_OFFSETS)[number] * 4;
}

static inline void ask(const uint8_t *p, unsigned lines)
{
	for (unsigned i = 0; i < lines; i++)
		__builtin_prefetch(p + (size_t)i * CACHE_LINE);
}

void uhx_search_head(const struct uhx_view *v, const struct uhx_search *s)
{
	if (s->found)
		ask(block_bytes(v, s->number), HEAD_LINES);
}

// ---- the row -------------------------------------------------------------------------------------

static inline unsigned groups_of(const struct uhx_block *h)
{
	return h->rows / UHX_GROUP_ROWS + 1U;
}

static inline size_t group_starts_size(const struct uhx_block *h)
{
	return UHX_GROUPS * (h->starts >= UHX_STARTS_32_32 ? sizeof(uint32_t) : sizeof(uint16_t));
}

static inline bool block_at(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret)
{
	const struct uhx_part *blocks = &v->part[UHX_BLOCKS];
	struct uhx_block *h = &ret->head;
	uint64_t at;
	uint64_t size;

	if (number >= v->part[UHX_BLOCK_OFFSETS].count)
		return false;
	at = (uint64_t)uhx_view_u32(v, UHX_BLOCK_OFFSETS)[number] * 4;
	if (!range_fits(at, sizeof(*h), blocks->count))
		return false;
	memcpy(h, blocks->p + at, sizeof(*h));
	ret->number = number;
	ret->index_bits = uhx_bits_for(h->entries);
	ret->row_bits = ret->index_bits + h->line_bits;
	ret->entry_bits = h->function_bits + ret->index_bits + h->call_bits + h->base_bits;
	ret->starts_bytes = UHX_GROUP_ROWS << MIN(h->starts, UHX_STARTS_32_32);
	ret->stride = ret->starts_bytes + ret->row_bits;
	ret->groups = blocks->p + at + sizeof(*h);
	ret->rows = ret->groups + group_starts_size(h);
	ret->entries = ret->rows + (size_t)groups_of(h) * ret->stride;
	size = (uint64_t)(ret->entries - (blocks->p + at)) + (h->entries * ret->entry_bits + 7) / 8 +
	       UHX_SLACK;
	return size <= blocks->count - at;
}

bool uhx_view_block(const struct uhx_view *v, uint64_t number, struct uhx_block_view *ret)
{
	return block_at(v, number, ret);
}

static inline uint32_t load_start(const uint8_t *p, unsigned bytes)
{
	uint32_t start = 0;

	memcpy(&start, p, bytes);
	return start;
}

static inline uint32_t group_start(const struct uhx_block_view *b, unsigned group)
{
	if (b->head.starts >= UHX_STARTS_32_32)
		return load_start(b->groups + sizeof(uint32_t) * group, sizeof(uint32_t));
	return load_start(b->groups + sizeof(uint16_t) * group, sizeof(uint16_t));
}

// Numbers of all ones stand for "not there": nothing is looked up as high as that.
static inline unsigned find_group(const struct uhx_block_view *b, uint32_t at)
{
	unsigned count;

	if (b->head.starts >= UHX_STARTS_32_32)
		count = uhx_count_8_u32(b->groups, MIN(at, UINT32_MAX - 1U));
	else
		count = uhx_count_8_u16(b->groups, (uint16_t)MIN(at, UINT16_MAX - 1U));
	return count ? MIN(count, groups_of(&b->head)) - 1 : 0;
}

static inline unsigned count_rows(const uint8_t *starts, enum uhx_starts how, uint32_t at)
{
	switch (how) {
	case UHX_STARTS_16_8:
		return uhx_count_8_u8(starts, (uint8_t)MIN(at, UINT8_MAX - 1U));
	case UHX_STARTS_16_16:
		return uhx_count_8_u16(starts, (uint16_t)MIN(at, UINT16_MAX - 1U));
	default:
		return uhx_count_8_u32(starts, MIN(at, UINT32_MAX - 1U));
	}
}

static inline bool find_head(const struct uhx_view *v, struct uhx_search *s)
{
	if (!block_at(v, s->number, &s->hit.block))
		return false;
	s->group = find_group(&s->hit.block, s->at);
	return true;
}

void uhx_search_group(const struct uhx_view *v, struct uhx_search *s)
{
	s->found = s->found && find_head(v, s);
	if (s->found)
		__builtin_prefetch(s->hit.block.rows + (size_t)s->group * s->hit.block.stride);
}

// The record of a row; false: a hole, or no row.
static inline bool read_record(struct uhx_hit *h, unsigned group, unsigned in_group)
{
	const struct uhx_block_view *b = &h->block;
	const uint8_t *records = b->rows + (size_t)group * b->stride + b->starts_bytes;
	unsigned bit = in_group * b->row_bits;

	h->row = group * UHX_GROUP_ROWS + in_group;
	h->entry = uhx_bits(records, bit, b->index_bits);
	h->line = uhx_bits(records, bit + b->index_bits, b->head.line_bits);
	return h->entry != 0 && h->entry <= b->head.entries;
}

static inline bool find_row(struct uhx_search *s)
{
	const struct uhx_block_view *b = &s->hit.block;
	uint32_t start = group_start(b, s->group);
	unsigned count = s->at < start ? 0
				       : count_rows(b->rows + (size_t)s->group * b->stride,
						    (enum uhx_starts)b->head.starts, s->at - start);

	return count && read_record(&s->hit, s->group, count - 1) && s->hit.row <= b->head.rows;
}

void uhx_search_row(struct uhx_search *s)
{
	const struct uhx_block_view *b = &s->hit.block;

	s->found = s->found && find_row(s);
	if (s->found)
		ask(b->entries + (uint64_t)(s->hit.entry - 1) * b->entry_bits / 8, 1);
}

// A prefetch never faults: the function is checked by who reads it.
void uhx_search_line(const struct uhx_view *v, struct uhx_search *s)
{
	struct uhx_entry e;

	if (!s->found)
		return;
	e = uhx_block_entry(&s->hit.block, s->hit.entry);
	s->hit.line += e.base_line;
	__builtin_prefetch(v->part[UHX_FUNCTIONS].p +
			   (size_t)e.function * sizeof(struct uhx_function_entry));
}

bool uhx_view_find(const struct uhx_view *v, uint64_t va, struct uhx_hit *ret)
{
	UNINITIALIZED struct uhx_search s;

	uhx_search_block(v, va, &s);
	if (!s.found)
		return false;
	// All at once: met one after the other, each part of the block would be a wait of its own.
	ask(block_bytes(v, s.number), BLOCK_LINES);
	if (!find_head(v, &s) || !find_row(&s))
		return false;
	uhx_search_line(v, &s);
	*ret = s.hit;
	return true;
}

void uhx_hit_row(struct uhx_hit *h, unsigned row)
{
	if (!read_record(h, row / UHX_GROUP_ROWS, row % UHX_GROUP_ROWS))
		h->entry = h->line = 0;
	else
		h->line += uhx_block_entry(&h->block, h->entry).base_line;
}

uint32_t uhx_block_start(const struct uhx_block_view *b, unsigned row)
{
	unsigned group = row / UHX_GROUP_ROWS;
	unsigned bytes = b->starts_bytes / UHX_GROUP_ROWS;

	return group_start(b, group) + load_start(b->rows + (size_t)group * b->stride +
						  (size_t)(row % UHX_GROUP_ROWS) * bytes, bytes);
}
