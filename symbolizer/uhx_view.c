/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/uhx_view.h"

#include "base/digest.h"
#include <string.h>

int uhx_view_bad(struct err *e, const char *why)
{
	return err_set(e, ERR_BAD_INDEX, "not a sound index: %s; rebuild it", why);
}

static int check_header(const struct uhx_view *v, struct err *e)
{
	struct uhx_header h;

	if (v->size < sizeof(h))
		return uhx_view_bad(e, "shorter than its header");
	memcpy(&h, v->bytes, sizeof(h));
	if (memcmp(h.magic, UHX_MAGIC, sizeof(h.magic)) != 0)
		return uhx_view_bad(e, "it does not start as a .uhx file does");
	if (h.version != UHX_VERSION)
		return err_set(e, ERR_UNSUPPORTED,
			       "index version %u, this program reads %d; rebuild it", h.version,
			       UHX_VERSION);
	if (h.features & ~UHX_FEATURES_KNOWN)
		return err_set(e, ERR_UNSUPPORTED,
			       "index features %#jx are not known to this program; rebuild it",
			       (uintmax_t)(h.features & ~UHX_FEATURES_KNOWN));
	if (h.file_size != v->size)
		return uhx_view_bad(e, "its size is not what its header says (cut short?)");
	if (h.section_count > UHX_SECTIONS_MAX ||
	    !range_fits(sizeof(h), h.section_count * sizeof(struct uhx_section), v->size))
		return uhx_view_bad(e, "too many sections");
	return 0;
}

// Of header and section table.
static size_t head_size(const struct uhx_view *v)
{
	return sizeof(*v->header) + v->header->section_count * sizeof(*v->sections);
}

static int check_head_sum(const struct uhx_view *v, struct err *e)
{
	char head[sizeof(struct uhx_header) + UHX_SECTIONS_MAX * sizeof(struct uhx_section)];
	size_t n = head_size(v);

	memcpy(head, v->bytes, n);
	memset(head + offsetof(struct uhx_header, checksum), 0, sizeof(v->header->checksum));
	if (xxh3(head, n) != v->header->checksum)
		return uhx_view_bad(e, "the checksum of its header is wrong");
	return 0;
}

// What each section that this version knows must hold at least.
static const struct {
	uint32_t entry_size;
	uint32_t min_count;
} shapes[UHX_SECTION_KINDS] = {
	[UHX_IDS] = {sizeof(struct uhx_build_id), 0},
	[UHX_PROGRAM_HEADERS] = {sizeof(struct program_header), 0},
	[UHX_SEGMENTS] = {sizeof(struct uhx_segment), 0},
	[UHX_KEYS] = {sizeof(uint32_t), 0},
	[UHX_BLOCK_OFFSETS] = {sizeof(uint32_t), 0},
	[UHX_BLOCKS] = {1, 0},
	[UHX_SCOPES] = {sizeof(struct uhx_scope_entry), 1},
	[UHX_FUNCTIONS] = {sizeof(struct uhx_function_entry), 1},
	[UHX_FILES] = {sizeof(uint32_t), 1},
	[UHX_STRINGS] = {1, 1},
};

static int check_section(struct uhx_view *v, const struct uhx_section *s, struct err *e)
{
	uint64_t bytes;

	if (mul_overflows(s->count, (uint64_t)s->entry_size, &bytes) ||
	    !range_fits(s->offset, bytes, v->size) || s->offset % UHX_ALIGN)
		return uhx_view_bad(e, "a section lies outside the file");
	if (s->kind == 0 || s->kind >= UHX_SECTION_KINDS)
		return 0;
	if (v->part[s->kind].p)
		return uhx_view_bad(e, "a section is there twice");
	if (s->entry_size != shapes[s->kind].entry_size || s->count < shapes[s->kind].min_count)
		return uhx_view_bad(e, "a section has the wrong shape");
	v->part[s->kind] = (struct uhx_part){v->bytes + s->offset, s->count};
	return 0;
}

static int check_sections(struct uhx_view *v, struct err *e)
{
	const struct uhx_part *part = v->part;

	for (uint32_t i = 0; i < v->header->section_count; i++) {
		if (check_section(v, &v->sections[i], e))
			return -1;
	}
	for (size_t kind = UHX_IDS; kind < UHX_SECTION_KINDS; kind++) {
		if (!part[kind].p)
			return uhx_view_bad(e, "a section is missing");
	}
	if (part[UHX_KEYS].count != part[UHX_BLOCK_OFFSETS].count)
		return uhx_view_bad(e, "its block tables differ in length");
	if (part[UHX_PROGRAM_HEADERS].count > PROGRAM_HEADERS_MAX ||
	    part[UHX_IDS].count > UHX_IDS_MAX)
		return uhx_view_bad(e, "too many program headers or build-IDs");
	return 0;
}

int uhx_view_open(struct uhx_view *v, struct err *e)
{
	if (check_header(v, e))
		return -1;
	v->header = (const void *)v->bytes;
	v->sections = (const void *)(v->bytes + sizeof(*v->header));
	return check_head_sum(v, e) || check_sections(v, e) ? -1 : 0;
}

// The bytes between the sections carry no checksum: they must be zero.
static bool padding_is_zero(const struct uhx_view *v)
{
	uint64_t at = head_size(v);

	for (uint32_t i = 0; i < v->header->section_count; i++) {
		const struct uhx_section *s = &v->sections[i];

		for (; at < s->offset; at++) {
			if (v->bytes[at])
				return false;
		}
		at = s->offset + s->count * s->entry_size;
	}
	return at == v->size;
}

int uhx_view_verify(const struct uhx_view *v, struct err *e)
{
	for (uint32_t i = 0; i < v->header->section_count; i++) {
		const struct uhx_section *s = &v->sections[i];

		if (xxh3(v->bytes + s->offset, s->count * s->entry_size) != s->checksum)
			return err_set(
				e, ERR_BAD_INDEX,
				"damaged index: the checksum of section %u is wrong; rebuild it",
				s->kind);
	}
	if (!padding_is_zero(v))
		return uhx_view_bad(e, "bytes between its sections are not zero");
	return 0;
}

static const uint32_t *u32s(const struct uhx_view *v, enum uhx_section_kind kind)
{
	return (const void *)v->part[kind].p;
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
	head = (const void *)(blocks->p + at);
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

// The last of n ascending values that is <= at, taking for granted that the first one is. Written so
// that a step is a conditional move: which way a search turns is a coin toss to a branch predictor.
#define DEFINE_SEARCH(name, type)                                                                  \
	static uint32_t name(const uint8_t *values, uint32_t n, uint32_t at)                       \
	{                                                                                          \
		uint32_t low = 0;                                                                  \
                                                                                                   \
		while (n > 1) {                                                                    \
			uint32_t half = n / 2;                                                     \
			type v;                                                                    \
                                                                                                   \
			memcpy(&v, values + (size_t)(low + half) * sizeof(v), sizeof(v));          \
			low = v <= at ? low + half : low;                                          \
			n -= half;                                                                 \
		}                                                                                  \
		return low;                                                                        \
	}

DEFINE_SEARCH(search_u8, uint8_t)
DEFINE_SEARCH(search_u16, uint16_t)
DEFINE_SEARCH(search_u32, uint32_t)

static uint32_t search_starts(const struct uhx_block_view *b, uint32_t at)
{
	const uint8_t *starts = b->column[UHX_COLUMN_START];

	switch (b->head->width[UHX_COLUMN_START]) {
	case 0:
		return 0;
	case 1:
		return search_u8(starts, b->head->count, at);
	case 2:
		return search_u16(starts, b->head->count, at);
	default:
		return search_u32(starts, b->head->count, at);
	}
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
	number = segment->first_block + search_u32((const uint8_t *)(keys + segment->first_block),
						   segment->block_count, at);
	if (keys[number] > at || !uhx_view_block(v, number, &block))
		return false;
	i = search_starts(&block, at - keys[number]);
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
	const struct uhx_function_entry *functions = (const void *)v->part[UHX_FUNCTIONS].p;
	const struct uhx_function_entry *f;

	if (id >= v->part[UHX_FUNCTIONS].count)
		return false;
	f = &functions[id];
	ret->start_line = f->start_line;
	return read_string(v, f->linkage, &ret->system_name) &&
	       read_string(v, f->display ? f->display : f->linkage, &ret->function);
}

void uhx_view_chain(const struct uhx_view *v, const struct uhx_position *row, struct frames *ret)
{
	const struct uhx_scope_entry *scopes = (const void *)v->part[UHX_SCOPES].p;
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
