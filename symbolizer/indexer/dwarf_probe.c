/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_probe.h"

#include <dwarf.h>

enum { ABBREV_BYTES_MAX = 1 << 20 }; // one compilation's worth would do

// Unsigned LEB128; false at the end of the bytes.
static bool next_uleb(struct str *s, uint64_t *ret)
{
	unsigned shift = 0;

	for (*ret = 0; s->n; shift += 7) {
		uint8_t byte = (uint8_t)s->p[0];

		*s = str_skip(*s, 1);
		if (shift < 64)
			*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool describes_data(uint64_t tag)
{
	switch (tag) {
	case DW_TAG_formal_parameter:
	case DW_TAG_variable:
	case DW_TAG_base_type:
	case DW_TAG_structure_type:
		return true;
	default:
		return false;
	}
}

// The (attribute, form) pairs of one declaration, up to (0, 0).
static bool read_attributes(struct str *s, struct dwarf_facts *f)
{
	uint64_t attribute;
	uint64_t form;
	uint64_t value;

	for (;;) {
		if (!next_uleb(s, &attribute) || !next_uleb(s, &form))
			return false;
		if (form == DW_FORM_implicit_const && !next_uleb(s, &value))
			return false;
		if (!attribute && !form)
			return true;
		if (attribute == DW_AT_dwo_name || attribute == DW_AT_GNU_dwo_name)
			f->split = true;
	}
}

static void read_abbreviations(struct str s, struct dwarf_facts *f)
{
	uint64_t code;
	uint64_t tag;

	s.n = MIN(s.n, (size_t)ABBREV_BYTES_MAX);
	while (next_uleb(&s, &code)) {
		if (!code)
			continue; // the end of a unit's table
		if (!next_uleb(&s, &tag) || !s.n)
			return;
		s = str_skip(s, 1); // has children
		f->types |= describes_data(tag);
		if (!read_attributes(&s, f))
			return;
	}
}

static const struct elf_section *abbrev_section(const struct elf_image *img)
{
	const struct elf_section *s = elf_image_section(img, ".debug_abbrev");

	return s ? s : elf_image_section(img, ".zdebug_abbrev");
}

struct dwarf_facts dwarf_probe(struct elf_image *img)
{
	const struct elf_section *abbrev = abbrev_section(img);
	struct dwarf_facts f = {
		.info = elf_image_has(img, ".debug_info"),
		.lines = elf_image_has(img, ".debug_line"),
	};
	struct str bytes;

	if (!abbrev || abbrev->header.sh_type == SHT_NOBITS)
		return f;
	if (abbrev->name[1] == 'z') {
		f.types = true; // the old way of compression; nobody combines it with -g1
		return f;
	}
	if (elf_image_data(img, abbrev, &bytes, NULL) == 0)
		read_abbreviations(bytes, &f);
	return f;
}
