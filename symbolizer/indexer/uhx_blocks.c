/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_blocks.h"

#include "symbolizer/indexer/uhx_block_encode.h"
#include <string.h>

enum { BLOCK_ALIGN = 4, STRETCHES_MAX = (1 << 27) - 1 };

static const struct uhx_content hole;
static const char zeros[UHX_SLACK];
_Static_assert((int)UHX_SLACK >= (int)BLOCK_ALIGN, "zeros serve both");

void uhx_blocks_init(struct uhx_blocks *b, struct uhx_nodes *nodes)
{
	// Block numbers are u32s, and so are their places, counted in units of 4 bytes.
	*b = (struct uhx_blocks){
		.nodes = nodes,
		.segments = BUF_INIT(sizeof(struct uhx_segment) * (size_t)UINT32_MAX),
		.stretches = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.keys = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.offsets = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.blocks = BUF_INIT(BLOCK_ALIGN * (size_t)UINT32_MAX),
		.column_offsets = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.columns = BUF_INIT(UINT32_MAX),
	};
}

void uhx_blocks_deinit(struct uhx_blocks *b)
{
	buf_deinit(&b->segments);
	buf_deinit(&b->stretches);
	buf_deinit(&b->keys);
	buf_deinit(&b->offsets);
	buf_deinit(&b->blocks);
	buf_deinit(&b->column_offsets);
	buf_deinit(&b->columns);
}

static void flush_block(struct uhx_blocks *b)
{
	uint32_t offset = (uint32_t)(b->blocks.n / BLOCK_ALIGN);
	uint32_t column_offset = (uint32_t)b->columns.n;

	if (!b->row_count)
		return;
	buf_append(&b->keys, &b->key, sizeof(b->key));
	buf_append(&b->offsets, &offset, sizeof(offset));
	buf_append(&b->column_offsets, &column_offset, sizeof(column_offset));
	uhx_block_encode(b);
	buf_append(&b->blocks, zeros, -b->blocks.n % BLOCK_ALIGN);
	b->row_count = 0;
	b->entry_count = 0;
	b->number++;
	b->segment.block_count++;
}

static bool is_here(const struct uhx_blocks *b, uint32_t node)
{
	return b->nodes->items[node].block == b->number + 1;
}

// How many entries the block would gain by this node and those around it.
static size_t missing(const struct uhx_blocks *b, uint32_t node)
{
	size_t n = 0;

	for (; node && !is_here(b, node); node = b->nodes->items[node].parent)
		n++;
	return n;
}

// Outer nodes first: a parent's entry is smaller than its child's.
static void enter(struct uhx_blocks *b, uint32_t node)
{
	size_t n = missing(b, node);

	b->entry_count += n;
	for (size_t entry = b->entry_count; n > 0; n--, entry--) {
		struct uhx_node *at = &b->nodes->items[node];

		b->entries[entry] = node;
		at->block = b->number + 1;
		at->entry = (uint32_t)entry;
		node = at->parent;
	}
}

static void put(struct uhx_blocks *b, uint64_t start, const struct uhx_content *content)
{
	uint32_t from_base = (uint32_t)(start - b->segment.base);

	if (b->row_count == UHX_BLOCK_ROWS ||
	    b->entry_count + missing(b, content->node) > UHX_BLOCK_ENTRIES)
		flush_block(b);
	enter(b, content->node);
	if (b->row_count == 0)
		b->key = from_base;
	b->starts[b->row_count] = from_base - b->key;
	b->contents[b->row_count++] = *content;
}

// Stretches as short as they can be with no more of them than blocks.
static void choose_stretches(struct uhx_segment *s, uint32_t last_key)
{
	uint32_t bits = 0;

	while (last_key >> bits >= MIN(s->block_count, STRETCHES_MAX))
		bits++;
	s->stretch_bits = bits & 31;
	s->stretch_count = ((last_key >> bits) + 1) & STRETCHES_MAX;
}

static void put_stretches(struct uhx_blocks *b)
{
	struct uhx_segment *s = &b->segment;
	const uint32_t *keys;
	uint32_t block = 0;

	if (b->keys.failed)
		return;
	keys = (const uint32_t *)(const void *)b->keys.p + s->first_block;
	choose_stretches(s, keys[s->block_count - 1]);
	s->first_stretch = (uint32_t)(b->stretches.n / sizeof(block));
	for (uint64_t i = 0; i <= s->stretch_count; i++) {
		while (block + 1 < s->block_count && keys[block + 1] <= i << s->stretch_bits)
			block++;
		buf_append(&b->stretches, &block, sizeof(block));
	}
}

static void close_segment(struct uhx_blocks *b)
{
	if (!b->segment_open)
		return;
	put(b, b->end, &hole);
	flush_block(b);
	put_stretches(b);
	buf_append(&b->segments, &b->segment, sizeof(b->segment));
	b->segment_open = false;
}

static void open_segment(struct uhx_blocks *b, uint64_t base)
{
	b->segment = (struct uhx_segment){.base = base, .first_block = b->number};
	b->segment_open = true;
}

static bool says_the_same(const struct uhx_blocks *b, const struct uhx_content *content)
{
	const struct uhx_content *last = &b->contents[b->row_count - 1];

	return last->node == content->node && last->line == content->line &&
	       last->column == content->column;
}

void uhx_blocks_add(struct uhx_blocks *b, uint64_t start, uint64_t end,
		    const struct uhx_content *content)
{
	if (b->segment_open && end - b->segment.base >= UINT32_MAX)
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
	const uint32_t none = UINT32_MAX;

	close_segment(b);
	for (size_t i = 0; i < UHX_KEYS_SLACK; i++)
		buf_append(&b->keys, &none, sizeof(none));
	buf_append(&b->blocks, zeros, UHX_SLACK);
	buf_append(&b->columns, zeros, UHX_SLACK);
}
