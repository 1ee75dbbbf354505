/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_probe.h"

#include "base/byte_reader.h"
#include <dwarf.h>

enum { ABBREV_BYTES_MAX = 1 << 20 }; // one compilation's worth would do

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
static void read_attributes(struct byte_reader *r, struct dwarf_facts *f)
{
	while (!byte_reader_done(r)) {
		uint64_t attribute = read_uleb(r);
		uint64_t form = read_uleb(r);

		if (form == DW_FORM_implicit_const)
			read_sleb(r);
		if (!attribute && !form)
			return;
		if (attribute == DW_AT_dwo_name || attribute == DW_AT_GNU_dwo_name)
			f->split = true;
	}
}

static void read_abbreviations(struct str s, struct dwarf_facts *f)
{
	struct byte_reader r = byte_reader((struct str){s.p, MIN(s.n, (size_t)ABBREV_BYTES_MAX)}, false);

	while (!byte_reader_done(&r)) {
		if (!read_uleb(&r))
			continue; // the end of a unit's table
		f->types |= describes_data(read_uleb(&r));
		read_u8(&r); // has children
		read_attributes(&r, f);
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
