/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_blocks.h"

#include <string.h>

enum { BLOCK_ALIGN = 4 };

static const struct uhx_content hole;

void uhx_blocks_init(struct uhx_blocks *b)
{
	// Block numbers are u32s, and so are their places, counted in units of 4 bytes.
	*b = (struct uhx_blocks){
		.segments = BUF_INIT(sizeof(struct uhx_segment) * (size_t)UINT32_MAX),
		.keys = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.offsets = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.blocks = BUF_INIT(BLOCK_ALIGN * (size_t)UINT32_MAX),
	};
}

void uhx_blocks_deinit(struct uhx_blocks *b)
{
	buf_deinit(&b->segments);
	buf_deinit(&b->keys);
	buf_deinit(&b->offsets);
	buf_deinit(&b->blocks);
}

static uint8_t width_for(uint32_t max)
{
	if (max == 0)
		return 0;
	if (max <= UINT8_MAX)
		return 1;
	return max <= UINT16_MAX ? 2 : 4;
}

// Chooses base and width so that the values above 0 become 1 … max - base.
static uint8_t choose_base(const uint32_t *values, size_t n, uint32_t *ret_base)
{
	uint32_t low = UINT32_MAX;
	uint32_t high = 0;
	bool constant = true;

	for (size_t i = 0; i < n; i++) {
		constant = constant && values[i] == values[0];
		high = MAX(high, values[i]);
		if (values[i])
			low = MIN(low, values[i]);
	}
	if (constant) {
		*ret_base = values[0];
		return 0;
	}
	*ret_base = low - 1;
	return width_for(high - *ret_base);
}

static void put_column(struct buf *out, const uint32_t *values, size_t n, uint32_t base,
		       uint8_t width)
{
	for (size_t i = 0; i < n && width; i++) {
		uint32_t v = values[i] ? values[i] - base : 0;

		buf_append(out, &v, width); // little-endian: its low bytes
	}
}

static void flush_block(struct uhx_blocks *b)
{
	static const char zeros[BLOCK_ALIGN];
	size_t n = b->pending_count;
	struct uhx_block head = {.count = (uint8_t)n};
	uint32_t offset = (uint32_t)(b->blocks.n / BLOCK_ALIGN);

	if (!n)
		return;
	head.width[UHX_COLUMN_START] = width_for(b->pending[UHX_COLUMN_START][n - 1]);
	for (size_t c = UHX_COLUMN_SCOPE; c < UHX_COLUMNS; c++)
		head.width[c] = choose_base(b->pending[c], n, &head.base[c - 1]);
	buf_append(&b->keys, &b->key, sizeof(b->key));
	buf_append(&b->offsets, &offset, sizeof(offset));
	buf_append(&b->blocks, &head, sizeof(head));
	for (size_t c = 0; c < UHX_COLUMNS; c++)
		put_column(&b->blocks, b->pending[c], n, c ? head.base[c - 1] : 0, head.width[c]);
	buf_append(&b->blocks, zeros, -b->blocks.n % BLOCK_ALIGN);
	b->pending_count = 0;
	b->segment.block_count++;
}

static void put(struct uhx_blocks *b, uint64_t start, const struct uhx_content *content)
{
	uint32_t from_base = (uint32_t)(start - b->segment.base);
	size_t i;

	if (b->pending_count == UHX_BLOCK_ROWS)
		flush_block(b);
	i = b->pending_count++;
	if (i == 0)
		b->key = from_base;
	b->pending[UHX_COLUMN_START][i] = from_base - b->key;
	for (size_t c = UHX_COLUMN_SCOPE; c < UHX_COLUMNS; c++)
		b->pending[c][i] = content->value[c];
}

static void close_segment(struct uhx_blocks *b)
{
	if (!b->segment_open)
		return;
	put(b, b->end, &hole);
	flush_block(b);
	buf_append(&b->segments, &b->segment, sizeof(b->segment));
	b->segment_open = false;
}

static void open_segment(struct uhx_blocks *b, uint64_t base)
{
	b->segment = (struct uhx_segment){base, (uint32_t)(b->keys.n / sizeof(b->key)), 0};
	b->segment_open = true;
}

static bool says_the_same(const struct uhx_blocks *b, const struct uhx_content *content)
{
	size_t last = b->pending_count - 1;

	for (size_t c = UHX_COLUMN_SCOPE; c < UHX_COLUMNS; c++) {
		if (b->pending[c][last] != content->value[c])
			return false;
	}
	return true;
}

void uhx_blocks_add(struct uhx_blocks *b, uint64_t start, uint64_t end,
		    const struct uhx_content *content)
{
	if (b->segment_open && end - b->segment.base > UINT32_MAX)
		close_segment(b);
	if (!b->segment_open) {
		open_segment(b, start);
	} else if (start != b->end) {
		put(b, b->end, &hole);
	} else if (says_the_same(b, content)) {
		b->end = end;
		return;
	}
	put(b, start, content);
	b->end = end;
	b->rows++;
}

void uhx_blocks_finish(struct uhx_blocks *b)
{
	close_segment(b);
}
