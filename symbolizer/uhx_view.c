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
	[UHX_STRETCHES] = {sizeof(uint32_t), 0},
	[UHX_KEYS] = {sizeof(uint32_t), UHX_KEYS_SLACK},
	[UHX_BLOCK_OFFSETS] = {sizeof(uint32_t), 0},
	[UHX_BLOCKS] = {1, UHX_SLACK},
	[UHX_FUNCTIONS] = {sizeof(struct uhx_function_entry), 1},
	[UHX_STRINGS] = {1, 1},
	[UHX_COLUMN_OFFSETS] = {sizeof(uint32_t), 0},
	[UHX_COLUMNS] = {1, UHX_SLACK},
	[UHX_DISPLAYS] = {sizeof(uint32_t), 0},
	[UHX_ALIASES] = {sizeof(struct uhx_alias), 0},
	[UHX_COLD_STRINGS] = {1, 1},
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
	if (part[UHX_KEYS].count != part[UHX_BLOCK_OFFSETS].count + UHX_KEYS_SLACK ||
	    part[UHX_BLOCK_OFFSETS].count != part[UHX_COLUMN_OFFSETS].count)
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
