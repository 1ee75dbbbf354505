/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_block_encode.h"

#include "symbolizer/frame.h"
#include "symbolizer/indexer/bit_writer.h"
#include "symbolizer/uhx_bits.h"
#include <string.h>

// A row of the block, sorted by entry and line, to see which lines can share a base.
struct line_at {
	uint32_t entry;
	uint32_t line;
	uint32_t row;
};

// The entries with their base lines: those of the block, then the further ones of some of them.
struct plan {
	const struct uhx_blocks *b;
	struct line_at lines[UHX_BLOCK_ROWS]; // holes left out
	size_t line_count;
	uint32_t line_bits;
	size_t count;
	uint32_t node[UHX_BLOCK_ENTRIES + UHX_BLOCK_ROWS + 1];
	uint32_t base[UHX_BLOCK_ENTRIES + UHX_BLOCK_ROWS + 1];
	uint32_t entry[UHX_BLOCK_ROWS]; // of each row
	uint32_t delta[UHX_BLOCK_ROWS];
};

static bool line_before(const struct line_at *x, const struct line_at *y)
{
	return x->entry != y->entry ? x->entry < y->entry : x->line < y->line;
}

static void sort_lines(struct plan *p)
{
	const struct uhx_blocks *b = p->b;

	p->line_count = 0;
	for (uint32_t i = 0; i < b->row_count; i++) {
		const struct uhx_content *c = &b->contents[i];
		struct line_at at = {c->node ? b->nodes->items[c->node].entry : 0, c->line, i};
		size_t k = p->line_count;

		if (!c->node)
			continue;
		for (; k > 0 && line_before(&at, &p->lines[k - 1]); k--)
			p->lines[k] = p->lines[k - 1];
		p->lines[k] = at;
		p->line_count++;
	}
}

// Does line i need another base than the one that started at line `first`?
static bool starts_base(const struct plan *p, size_t first, size_t i, unsigned bits)
{
	return p->lines[i].entry != p->lines[first].entry ||
	       ((uint64_t)p->lines[i].line - p->lines[first].line) >> bits != 0;
}

static size_t count_bases(const struct plan *p, unsigned bits)
{
	size_t count = p->line_count > 0;
	size_t first = 0;

	for (size_t i = 1; i < p->line_count; i++) {
		if (!starts_base(p, first, i, bits))
			continue;
		first = i;
		count++;
	}
	return count;
}

// Bits of rows and entries together with that width; few: bases with the largest.
static uint64_t cost_of(const struct plan *p, unsigned bits, size_t few, unsigned entry_bits)
{
	size_t entries = p->b->entry_count + count_bases(p, bits) - few;

	if (entries > UHX_BLOCK_ENTRIES)
		return UINT64_MAX;
	return p->b->row_count * (bits + uhx_bits_for((uint32_t)entries)) + entries * entry_bits;
}

// The width with which the block is smallest, or nearly: down from the middle, or else up, until it
// gets no better.
static void choose_width(struct plan *p, unsigned entry_bits)
{
	static const uint8_t widths[] = {0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 32};
	const size_t middle = 6;
	size_t few = count_bases(p, 32);
	size_t at = middle;
	uint64_t best = cost_of(p, widths[at], few, entry_bits);
	uint64_t cost;

	for (; at > 0; at--) {
		cost = cost_of(p, widths[at - 1], few, entry_bits);
		if (cost > best)
			break;
		best = cost;
	}
	for (; at >= middle && at + 1 < countof(widths); at++) {
		cost = cost_of(p, widths[at + 1], few, entry_bits);
		if (cost >= best)
			break;
		best = cost;
	}
	p->line_bits = widths[at];
}

static void assign(struct plan *p)
{
	const struct uhx_blocks *b = p->b;
	size_t first = 0;
	uint32_t entry = 0;

	p->count = b->entry_count;
	memcpy(p->node, b->entries, (b->entry_count + 1) * sizeof(*p->node));
	memset(p->base, 0, (b->entry_count + 1) * sizeof(*p->base));
	memset(p->entry, 0, sizeof(p->entry));
	memset(p->delta, 0, sizeof(p->delta));
	for (size_t i = 0; i < p->line_count; i++) {
		const struct line_at *l = &p->lines[i];

		if (i == 0 || l->entry != p->lines[first].entry) {
			entry = l->entry;
		} else if (starts_base(p, first, i, p->line_bits)) {
			entry = (uint32_t)++p->count;
			p->node[entry] = p->node[l->entry];
		} else {
			p->entry[l->row] = entry;
			p->delta[l->row] = l->line - p->base[entry];
			continue;
		}
		first = i;
		p->base[entry] = l->line;
		p->entry[l->row] = entry;
	}
}

static enum uhx_starts choose_starts(const struct uhx_blocks *b)
{
	// All ones mean "not there".
	if (b->starts[b->row_count - 1] >= UINT16_MAX)
		return UHX_STARTS_32_32;
	for (size_t i = 0; i < b->row_count; i++)
		if (b->starts[i] - b->starts[i - i % UHX_GROUP_ROWS] >= UINT8_MAX)
			return UHX_STARTS_16_16;
	return UHX_STARTS_16_8;
}

static char *put_number(char *to, uint32_t value, size_t bytes)
{
	memcpy(to, &value, bytes); // little-endian: its low bytes
	return to + bytes;
}

// Behind each writer's bytes; all ones where there is no group, no row.
static char *put_group_starts(const struct uhx_blocks *b, enum uhx_starts how, char *to)
{
	size_t bytes = how == UHX_STARTS_32_32 ? sizeof(uint32_t) : sizeof(uint16_t);

	for (size_t i = 0; i < UHX_BLOCK_ROWS; i += UHX_GROUP_ROWS)
		to = put_number(to, i < b->row_count ? b->starts[i] : UINT32_MAX, bytes);
	return to;
}

static char *put_row_starts(const struct uhx_blocks *b, enum uhx_starts how, size_t first, char *to)
{
	for (size_t i = first; i < first + UHX_GROUP_ROWS; i++)
		to = put_number(to, i < b->row_count ? b->starts[i] - b->starts[first] : UINT32_MAX,
				(size_t)1 << how);
	return to;
}

static uint32_t parent_entry(const struct uhx_blocks *b, const struct uhx_node *n)
{
	return n->parent ? b->nodes->items[n->parent].entry : 0;
}

static struct uhx_block measure(const struct plan *p)
{
	struct uhx_block h = {
		.rows = (p->b->row_count - 1) & 63,
		.starts = choose_starts(p->b) & 3,
		.entries = p->count & UHX_BLOCK_ENTRIES,
		.line_bits = p->line_bits & 63,
	};
	uint32_t function = 0;
	uint32_t call = 0;
	uint32_t base = 0;

	for (size_t i = 1; i <= p->count; i++) {
		const struct uhx_node *n = &p->b->nodes->items[p->node[i]];

		function |= n->function;
		call |= n->call_line;
		base |= p->base[i];
	}
	h.function_bits = uhx_bits_for(function) & 63;
	h.call_bits = uhx_bits_for(call) & 63;
	h.base_bits = uhx_bits_for(base) & 63;
	return h;
}

// More than any block takes: what each row and each entry can need at most.
enum {
	ROW_BYTES = sizeof(uint32_t) + 6,
	ENTRY_BYTES = 14,
	BLOCK_BYTES_MAX = sizeof(struct uhx_block) + UHX_GROUPS * sizeof(uint32_t) +
			  UHX_BLOCK_ROWS * ROW_BYTES + UHX_BLOCK_ENTRIES * ENTRY_BYTES +
			  BIT_WRITER_SLACK,
};

static char *put_groups(const struct plan *p, const struct uhx_block *h, char *to)
{
	unsigned index_bits = uhx_bits_for(h->entries);

	for (size_t first = 0; first < p->b->row_count; first += UHX_GROUP_ROWS) {
		struct bit_writer w =
			BIT_WRITER(put_row_starts(p->b, (enum uhx_starts)h->starts, first, to));

		for (size_t i = first; i < first + UHX_GROUP_ROWS; i++) {
			bit_writer_put(&w, p->entry[i], index_bits);
			bit_writer_put(&w, p->delta[i], h->line_bits);
		}
		to = w.at; // whole bytes: UHX_GROUP_ROWS records
	}
	return to;
}

static char *put_entries(const struct plan *p, const struct uhx_block *h, char *to)
{
	struct bit_writer w = BIT_WRITER(to);

	for (size_t i = 1; i <= p->count; i++) {
		const struct uhx_node *n = &p->b->nodes->items[p->node[i]];

		bit_writer_put(&w, n->function, h->function_bits);
		bit_writer_put(&w, parent_entry(p->b, n), uhx_bits_for(h->entries));
		bit_writer_put(&w, n->call_line, h->call_bits);
		bit_writer_put(&w, p->base[i], h->base_bits);
	}
	bit_writer_align(&w);
	return w.at;
}

static void put_block(const struct plan *p, struct uhx_blocks *b)
{
	struct uhx_block h = measure(p);
	char *from = buf_reserve(&b->blocks, BLOCK_BYTES_MAX);
	char *to;

	if (!from)
		return;
	memcpy(from, &h, sizeof(h));
	to = put_group_starts(b, (enum uhx_starts)h.starts, from + sizeof(h));
	to = put_entries(p, &h, put_groups(p, &h, to));
	buf_commit(&b->blocks, (size_t)(to - from));
}

enum {
	COLUMNS_BYTES_MAX = sizeof(struct uhx_column_block) + UHX_BLOCK_ROWS * 2 +
			    UHX_BLOCK_ENTRIES * 2 + BIT_WRITER_SLACK,
};

static void put_columns(const struct plan *p, struct uhx_blocks *b)
{
	char *from = buf_reserve(&b->columns, COLUMNS_BYTES_MAX);
	struct uhx_column_block h;
	struct bit_writer w;
	uint32_t column = 0;
	uint32_t call = 0;

	if (!from)
		return;
	for (size_t i = 0; i < b->row_count; i++)
		column |= b->contents[i].column;
	for (size_t i = 1; i <= p->count; i++)
		call |= b->nodes->items[p->node[i]].call_column;
	h.row_bits = (uint8_t)uhx_bits_for(column);
	h.call_bits = (uint8_t)uhx_bits_for(call);
	memcpy(from, &h, sizeof(h));
	w = BIT_WRITER(from + sizeof(h));
	for (size_t i = 0; i < b->row_count; i++)
		bit_writer_put(&w, b->contents[i].column, h.row_bits);
	bit_writer_align(&w);
	for (size_t i = 1; i <= p->count; i++)
		bit_writer_put(&w, b->nodes->items[p->node[i]].call_column, h.call_bits);
	bit_writer_align(&w);
	buf_commit(&b->columns, (size_t)(w.at - from));
}

// What an entry will take, nearly: whether a node is given a second one changes it little.
static unsigned entry_bits(const struct plan *p)
{
	uint32_t function = 0;
	uint32_t lines = 0;

	for (size_t i = 1; i <= p->b->entry_count; i++) {
		const struct uhx_node *n = &p->b->nodes->items[p->b->entries[i]];

		function |= n->function;
		lines |= n->call_line;
	}
	return uhx_bits_for(function) + 2 * uhx_bits_for(lines) +
	       uhx_bits_for((uint32_t)p->b->entry_count);
}

void uhx_block_encode(struct uhx_blocks *b)
{
	static _Thread_local struct plan p; // 10 KiB that need not be cleared each time

	p.b = b;
	sort_lines(&p);
	choose_width(&p, entry_bits(&p));
	assign(&p);
	put_block(&p, b);
	put_columns(&p, b);
}
