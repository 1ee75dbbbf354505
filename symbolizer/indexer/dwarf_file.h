/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug sections of one ELF file and the units of its .debug_info (DWARF 5, section 7.5.1): DWARF 2
 * to 5, in either byte order, in its 32-bit and its 64-bit format, with addresses of 4 or 8 bytes. Units
 * are found when the file is opened; a unit's abbreviations and its own attributes are read when it is
 * first needed, by the walk over all units or by a reference into it.
 *
 * Everything is borrowed from the image, which must outlive the file. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_FILE_H
#define SYMBOLIZER_INDEXER_DWARF_FILE_H

#include "symbolizer/indexer/dwarf_abbrev.h"
#include "symbolizer/indexer/elf_image.h"

enum { DWARF_UNITS_MAX = 1 << 24 };

/* One attribute as it is encoded; what it means depends on the form. */
struct dwarf_value {
	uint64_t number; /* of a string in place: where it starts in .debug_info */
	uint64_t form;
};

struct dwarf_attributes {
	uint32_t has; /* 1 << slot */
	struct dwarf_value value[SLOT_COUNT];
};

static inline bool dwarf_has(const struct dwarf_attributes *a, enum dwarf_slot slot)
{
	return a->has & 1U << slot;
}

enum dwarf_unit_state { UNIT_UNREAD, UNIT_READ, UNIT_DAMAGED };

struct dwarf_file;

struct dwarf_unit {
	struct dwarf_file *file;
	uint64_t offset; /* of its header in .debug_info */
	uint64_t abbrev_offset;
	uint64_t dwo_id; /* DWARF 5: of skeleton and split units */
	const uint8_t *entries;
	const uint8_t *end;
	uint16_t version;
	uint8_t type; /* DW_UT_*; before DWARF 5 DW_UT_compile */
	bool in_package;
	bool joined; /* to its skeleton: one has the functions, others are damage */
	struct dwarf_sizes sizes;
	enum dwarf_unit_state state;
	uint64_t str_offsets_start; /* in a package: where its part of the section begins */
	uint64_t rnglists_start;
	struct dwarf_file *addresses; /* .debug_addr and .debug_ranges: of the skeleton where split */
	/* from here on: once it is read */
	const struct abbrev_table *abbrevs;
	uint16_t tag;
	uint16_t language;
	uint64_t low_pc; /* what ranges are relative to */
	uint64_t str_offsets_base;
	uint64_t addr_base;
	uint64_t rnglists_base;
	uint64_t ranges_base; /* of .debug_ranges, for the entries of the split half */
};

struct dwarf_file {
	struct elf_image *image;
	struct dwarf_file *alternate; /* what dwz shared, or NULL */
	uint64_t number;              /* among the files of a scan */
	bool big_endian;
	struct str info;
	struct str str;
	struct str line;
	struct str line_str;
	struct str str_offsets;
	struct str addr;
	struct str ranges;
	struct str rnglists;
	struct abbrev_set abbrevs;
	uint64_t ranges_left; /* entries of range lists that may yet be read: lists may be shared */
	struct dwarf_unit *units; /* by offset */
	size_t unit_count;
	size_t unit_cap;
};

/* Split DWARF has names of its own for the sections of the half that is not linked. */
enum dwarf_sections { DWARF_SECTIONS, DWARF_DWO_SECTIONS };

/* ".debug_" + name + suffix, or its .zdebug_ twin; empty where there is none. */
int dwarf_file_section(struct elf_image *img, const char *name, const char *suffix, struct str *ret,
		       struct err *e) MUST_CHECK;

/*
 * Units up to the first that makes no sense are kept; *ret_cut says that there was one, and *e then how it
 * is damaged. ERR_BAD_ELF where a section cannot be had, ERR_NOMEM.
 */
int dwarf_file_open(struct dwarf_file *f, struct elf_image *img, enum dwarf_sections which, bool *ret_cut,
		    struct err *e) MUST_CHECK;
void dwarf_file_close(struct dwarf_file *f);

/* The unit that `offset` of .debug_info lies in, or NULL. */
struct dwarf_unit *dwarf_file_unit(struct dwarf_file *f, uint64_t offset);

/* Reads what a unit says about itself, once. False with *e: it cannot be read. */
bool dwarf_unit_read(struct dwarf_unit *u, struct dwarf_attributes *ret, struct err *e);
/* The same where the attributes are not of interest. */
bool dwarf_unit_ready(struct dwarf_unit *u);

/* An entry's number, unique over the files of a scan. */
static inline uint64_t dwarf_key(const struct dwarf_unit *u, const uint8_t *at)
{
	return u->file->number << 44 | (uint64_t)(at - (const uint8_t *)u->file->info.p);
}

#endif
