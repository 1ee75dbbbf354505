/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_file.h"

#include "base/mem.h"
#include "symbolizer/indexer/dwarf_entry.h"
#include <dwarf.h>
#include <stdio.h>

enum {
	LENGTH_64_BIT = 0xffffffff,
	RANGES_FACTOR = 2, // an entry has a byte at least
};

// ---- sections -----------------------------------------------------------------------------------------

int dwarf_file_section(struct elf_image *img, const char *name, const char *suffix, struct str *ret,
		       struct err *e)
{
	const struct elf_section *s;
	char full[64];

	*ret = STR_EMPTY;
	snprintf(full, sizeof(full), ".zdebug_%s%s", name, suffix);
	s = elf_image_section(img, full);
	if (!s) {
		snprintf(full, sizeof(full), ".debug_%s%s", name, suffix);
		s = elf_image_section(img, full);
	}
	return s && s->header.sh_type != SHT_NOBITS ? elf_image_data(img, s, ret, e) : 0;
}

static int load_sections(struct dwarf_file *f, enum dwarf_sections which, struct str *abbrev, struct err *e)
{
	const struct {
		const char *name;
		struct str *bytes;
		bool linked; // there is no .dwo one
	} wanted[] = {
		{"info", &f->info, false},	   {"abbrev", abbrev, false},
		{"str", &f->str, false},	   {"str_offsets", &f->str_offsets, false},
		{"rnglists", &f->rnglists, false}, {"addr", &f->addr, true},
		{"ranges", &f->ranges, true},	   {"line", &f->line, true},
		{"line_str", &f->line_str, true},
	};

	for (size_t i = 0; i < countof(wanted); i++) {
		*wanted[i].bytes = STR_EMPTY;
		if (which == DWARF_DWO_SECTIONS && wanted[i].linked)
			continue;
		if (dwarf_file_section(f->image, wanted[i].name, which == DWARF_DWO_SECTIONS ? ".dwo" : "",
				       wanted[i].bytes, e))
			return -1;
	}
	return 0;
}

// ---- unit headers -------------------------------------------------------------------------------------

static uint64_t read_initial_length(struct byte_reader *r, struct dwarf_unit *u)
{
	uint64_t length = read_uint(r, 4);

	u->sizes.offset = length == LENGTH_64_BIT ? 8 : 4;
	return u->sizes.offset == 8 ? read_uint(r, 8) : length;
}

static void read_version_5(struct byte_reader *r, struct dwarf_unit *u)
{
	u->type = read_u8(r);
	u->sizes.address = read_u8(r);
	u->abbrev_offset = read_uint(r, u->sizes.offset);
	switch (u->type) {
	case DW_UT_skeleton:
	case DW_UT_split_compile:
		u->dwo_id = read_uint(r, 8);
		break;
	case DW_UT_type:
	case DW_UT_split_type:
		skip_bytes(r, 8 + (uint64_t)u->sizes.offset); // signature, type offset
		break;
	default:
		break;
	}
}

// 1: a unit, though perhaps of a kind that is not known; 0: nothing that can be passed over.
static bool read_header(struct dwarf_file *f, struct byte_reader *r, struct dwarf_unit *u)
{
	const uint8_t *start = r->p;
	struct byte_reader unit;
	uint64_t length;

	*u = (struct dwarf_unit){
		.file = f,
		.addresses = f,
		.offset = (uint64_t)(start - (const uint8_t *)f->info.p),
		.type = DW_UT_compile,
	};
	length = read_initial_length(r, u);
	unit = byte_reader(read_bytes(r, length), f->big_endian);
	if (r->failed)
		return false;
	u->version = (uint16_t)read_uint(&unit, 2);
	u->sizes.version = (uint8_t)MIN(u->version, UINT8_MAX);
	if (u->version >= 5) {
		read_version_5(&unit, u);
	} else {
		u->abbrev_offset = read_uint(&unit, u->sizes.offset);
		u->sizes.address = read_u8(&unit);
	}
	u->entries = unit.p;
	u->end = unit.end;
	if (unit.failed)
		u->version = 0;
	return true;
}

static int add_unit(struct dwarf_file *f, const struct dwarf_unit *u, struct err *e)
{
	if (mem_grow(&f->units, &f->unit_cap, f->unit_count + 1, sizeof(*f->units), DWARF_UNITS_MAX))
		return f->unit_count < DWARF_UNITS_MAX ? err_nomem(e)
						       : err_set(e, ERR_TOO_LARGE, "too many units");
	f->units[f->unit_count++] = *u;
	return 0;
}

static int find_units(struct dwarf_file *f, bool *ret_cut, struct err *e)
{
	struct byte_reader r = byte_reader(f->info, f->big_endian);

	*ret_cut = false;
	while (!byte_reader_done(&r)) {
		uint64_t offset = (uint64_t)(r.p - (const uint8_t *)f->info.p);
		struct dwarf_unit u;

		if (!read_header(f, &r, &u)) {
			*ret_cut = true;
			(void)err_set(e, ERR_BAD_ELF, "the unit at 0x%llx does not fit into the section",
				      (unsigned long long)offset);
			return 0;
		}
		if (add_unit(f, &u, e))
			return -1;
	}
	return 0;
}

int dwarf_file_open(struct dwarf_file *f, struct elf_image *img, enum dwarf_sections which, bool *ret_cut,
		    struct err *e)
{
	struct str abbrev;

	*f = (struct dwarf_file){
		.image = img,
		.big_endian = img->header.e_ident[EI_DATA] == ELFDATA2MSB,
	};
	if (load_sections(f, which, &abbrev, e))
		return -1;
	abbrev_set_init(&f->abbrevs, abbrev);
	f->ranges_left = RANGES_FACTOR * ((uint64_t)f->ranges.n + f->rnglists.n) + KIB(64);
	return find_units(f, ret_cut, e);
}

void dwarf_file_close(struct dwarf_file *f)
{
	abbrev_set_deinit(&f->abbrevs);
	free(f->units);
	f->units = NULL;
	f->unit_count = 0;
}

struct dwarf_unit *dwarf_file_unit(struct dwarf_file *f, uint64_t offset)
{
	size_t low = 0;
	size_t high = f->unit_count;

	while (low < high) { // the last that starts at or before it
		size_t mid = low + (high - low) / 2;

		if (f->units[mid].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &f->units[low - 1] : NULL;
}

// ---- what a unit says about itself --------------------------------------------------------------------

static uint64_t number(const struct dwarf_attributes *a, enum dwarf_slot slot, uint64_t fallback)
{
	uint64_t value;

	return dwarf_has(a, slot) && dwarf_unsigned(&a->value[slot], &value) ? value : fallback;
}

// Without an attribute for it a table's base is behind the header of the section's first table.
static void find_bases(struct dwarf_unit *u, const struct dwarf_attributes *a)
{
	uint64_t head = u->sizes.offset == 8 ? 12 : 4; // length
	bool has_header = u->version >= 5;

	u->str_offsets_base = number(a, SLOT_STR_OFFSETS_BASE, u->str_offsets_start + (has_header ? head + 4 : 0));
	u->addr_base = number(a, SLOT_ADDR_BASE, has_header ? head + 4 : 0);
	u->rnglists_base = number(a, SLOT_RNGLISTS_BASE, u->rnglists_start + (has_header ? head + 8 : 0));
	u->ranges_base = number(a, SLOT_RANGES_BASE, 0);
}

static int check_header(const struct dwarf_unit *u, struct err *e)
{
	if (u->version < 2 || u->version > 5)
		return err_set(e, ERR_UNSUPPORTED, "version %u", u->version);
	if (u->sizes.address != 4 && u->sizes.address != 8)
		return err_set(e, ERR_UNSUPPORTED, "addresses of %u bytes", u->sizes.address);
	return 0;
}

static int read_unit(struct dwarf_unit *u, struct dwarf_attributes *ret, struct err *e)
{
	struct dwarf_entry self;
	uint64_t low_pc;

	if (check_header(u, e) ||
	    abbrev_set_get(&u->file->abbrevs, u->abbrev_offset, u->sizes, &u->abbrevs, e))
		return -1;
	if (!dwarf_entry_at(u, u->entries, &self) || !dwarf_entry_read(&self, ret))
		return err_set(e, ERR_BAD_ELF, "its first entry is damaged");
	u->tag = self.abbrev->tag;
	u->language = (uint16_t)number(ret, SLOT_LANGUAGE, 0);
	u->dwo_id = number(ret, SLOT_DWO_ID, u->dwo_id);
	find_bases(u, ret);
	if ((dwarf_has(ret, SLOT_LOW_PC) && dwarf_address(u, &ret->value[SLOT_LOW_PC], &low_pc)) ||
	    (dwarf_has(ret, SLOT_ENTRY_PC) && dwarf_address(u, &ret->value[SLOT_ENTRY_PC], &low_pc)))
		u->low_pc = low_pc;
	return 0;
}

bool dwarf_unit_read(struct dwarf_unit *u, struct dwarf_attributes *ret, struct err *e)
{
	bool ok = read_unit(u, ret, e) == 0;

	u->state = ok ? UNIT_READ : UNIT_DAMAGED;
	if (!ok)
		(void)err_wrap(e, "unit at 0x%llx", (unsigned long long)u->offset);
	return ok;
}

bool dwarf_unit_ready(struct dwarf_unit *u)
{
	struct dwarf_attributes unused;
	struct err ignored = ERR_INIT;

	return u->state == UNIT_READ ||
	       (u->state == UNIT_UNREAD && dwarf_unit_read(u, &unused, &ignored));
}
