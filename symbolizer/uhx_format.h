/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .uhx file, version 2, byte by byte; docs/FORMATS.md explains it in prose. Writer
 * (symbolizer/indexer/uhx_writer.c, uhx_blocks.c) and reader (symbolizer/uhx_view.c, uhx_find.c)
 * share nothing but this.
 *
 *   header · section table · hot sections · cold sections, each at a multiple of UHX_ALIGN, zero
 *   bytes between
 *
 * Everything is little-endian. The header's checksum covers header and section table, each entry of
 * the table has the checksum of its section: XXH3, 64 bit.
 *
 * Rows are sorted by address and cut into blocks of up to UHX_BLOCK_ROWS. A block is complete in
 * itself: its rows, and the inline chains that they refer to. A row lasts until the next one starts;
 * a row of entry 0 is a hole; the last row of a segment is always a hole. Function 0 is all zero and
 * means "none". What a query may do without (columns, names to show, aliases) lies behind the rest.
 */
#ifndef SYMBOLIZER_UHX_FORMAT_H
#define SYMBOLIZER_UHX_FORMAT_H

#include "base/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a .uhx is mapped as it is");

#define UHX_MAGIC "\x89UHX\r\n\x1a\n" /* 8 bytes: text-mode copies and truncation show at once */

enum {
	UHX_VERSION = 2,
	UHX_ALIGN = 64,
	UHX_BLOCK_ROWS = 64,
	UHX_BLOCK_ENTRIES = 1023, /* chain entries of a block; a chain of FRAMES_MAX fits */
	UHX_GROUP_ROWS = 8,
	UHX_KEYS_SLACK = 16,	  /* keys of UINT32_MAX behind the last one: they are read 16 at a time */
	UHX_SLACK = 8,		  /* zero bytes behind the last block: bits are read 8 bytes at a time */
	UHX_SECTIONS_MAX = 64,	  /* a reader skips the kinds it does not know */
	UHX_IDS_MAX = 16,
	UHX_MACHINE_MAX = 16,
	UHX_STRING_MAX = 64 * 1024, /* bytes of one string; longer ones are cut by the writer */
	UHX_START_LINE_BITS = 28,
};

/* A reader that does not know every bit set here must refuse the file. None are defined yet. */
#define UHX_FEATURES_KNOWN UINT64_C(0)

enum uhx_flag { UHX_HEADERS_TRUSTED = 1 };

struct uhx_header {
	char magic[8];
	uint32_t version;
	uint32_t section_count;
	uint64_t file_size;
	uint64_t checksum; /* of header and section table, with this field zero */
	uint64_t features;
	uint32_t flags;   /* enum uhx_flag */
	uint32_t quality; /* enum quality */
	uint64_t rows;    /* holes not counted */
	char machine[UHX_MACHINE_MAX]; /* "x86_64", padded with NUL */
};
_Static_assert(sizeof(struct uhx_header) == 72, "on disk");

enum uhx_section_kind {
	UHX_IDS = 1,         /* struct uhx_build_id */
	UHX_PROGRAM_HEADERS, /* struct program_header */
	UHX_SEGMENTS,        /* struct uhx_segment, by base */
	UHX_STRETCHES,       /* u32: see struct uhx_segment */
	UHX_KEYS,            /* u32 per block: where its first row starts, from the segment's base;
				then UHX_KEYS_SLACK more */
	UHX_BLOCK_OFFSETS,   /* u32 per block: where it lies in UHX_BLOCKS, in units of 4 bytes */
	UHX_BLOCKS,          /* struct uhx_block and what follows it; entry_size 1 */
	UHX_FUNCTIONS,       /* struct uhx_function_entry */
	UHX_STRINGS,         /* ULEB128 length, bytes; offset 0 is the empty string; entry_size 1 */
	UHX_COLD,            /* the kinds from here on are cold */
	UHX_COLUMN_OFFSETS = UHX_COLD, /* u32 per block: where it lies in UHX_COLUMNS */
	UHX_COLUMNS,         /* struct uhx_column_block and what follows it; entry_size 1 */
	UHX_DISPLAYS,        /* u32 per function: cold string; 0: shown as it is linked. Or empty */
	UHX_ALIASES,         /* struct uhx_alias, by function */
	UHX_COLD_STRINGS,    /* as UHX_STRINGS */
	UHX_SECTION_KINDS
};

struct uhx_section {
	uint32_t kind;
	uint32_t entry_size;
	uint64_t offset; /* from the start of the file */
	uint64_t count;  /* size in bytes = entry_size * count */
	uint64_t checksum;
};
_Static_assert(sizeof(struct uhx_section) == 32, "on disk");

struct uhx_build_id {
	uint8_t kind; /* enum build_id_kind */
	uint8_t size;
	uint8_t reserved[6];
	uint8_t bytes[128];
};
_Static_assert(sizeof(struct uhx_build_id) == 136, "on disk");

/*
 * At most 4 GiB of addresses, and the blocks that are in it. Stretches of 2^stretch_bits bytes lead to
 * them: for each one, and for what is behind the last, the number (from the segment's first block) of
 * the last block that starts at or before it.
 */
struct uhx_segment {
	uint64_t base;
	uint32_t first_block;
	uint32_t block_count;
	uint32_t first_stretch;
	uint32_t stretch_count : 27; /* one number more follows */
	uint32_t stretch_bits : 5;
};
_Static_assert(sizeof(struct uhx_segment) == 24, "on disk");

/*
 * How the starts of a block's rows are stored. Groups of UHX_GROUP_ROWS rows have their first start,
 * from the block's key, in a table of UHX_GROUPS numbers of the first size; each row's start, from its
 * group's, is of the second. Rows and groups that are not there have all bits set.
 */
enum uhx_starts { UHX_STARTS_16_8, UHX_STARTS_16_16, UHX_STARTS_32_32 };
enum { UHX_GROUPS = UHX_BLOCK_ROWS / UHX_GROUP_ROWS };

/*
 * Behind it: the groups' starts; then for each group that is there the starts of its rows and a record
 * for each: entry (index_bits), line - base of that entry (line_bits); then one record per entry from
 * 1: function, parent entry (index_bits), call line, base line. Records lie bit after bit, lowest
 * first; those of a group are whole bytes, for it has UHX_GROUP_ROWS of them even if rows are missing.
 * index_bits is what the number of entries needs. Whatever the bits say makes a block: nothing here has
 * to be refused but what lies outside the section.
 */
struct uhx_block {
	uint64_t rows : 6;   /* less 1 */
	uint64_t starts : 2; /* enum uhx_starts; 3 is 2 */
	uint64_t entries : 10;
	uint64_t line_bits : 6; /* these four are at most 32 */
	uint64_t function_bits : 6;
	uint64_t call_bits : 6;
	uint64_t base_bits : 6;
	uint64_t reserved : 22;
};
_Static_assert(sizeof(struct uhx_block) == 8, "on disk");

/* Behind it: a column per row (row_bits), then from the next byte a call column per entry. */
struct uhx_column_block {
	uint8_t row_bits;
	uint8_t call_bits; /* both at most 16 */
};
_Static_assert(sizeof(struct uhx_column_block) == 2, "on disk");

/* A function together with the file that its lines are in; one of two files has two entries. */
struct uhx_function_entry {
	uint32_t linkage; /* string */
	uint32_t file;    /* string; 0: unknown */
	uint32_t start_line : UHX_START_LINE_BITS;
	uint32_t source : 32 - UHX_START_LINE_BITS; /* enum frame_source */
};
_Static_assert(sizeof(struct uhx_function_entry) == 12, "on disk");

/* Another linkage name of the code of a function. */
struct uhx_alias {
	uint32_t function;
	uint32_t linkage; /* cold string */
};
_Static_assert(sizeof(struct uhx_alias) == 8, "on disk");

#endif
