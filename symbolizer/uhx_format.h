/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .uhx file, version 1, byte by byte; docs/FORMATS.md explains it in prose. Writer
 * (symbolizer/indexer/uhx_writer.c) and reader (symbolizer/uhx_reader.c) share nothing but this.
 *
 *   header · section table · sections, each at a multiple of UHX_ALIGN, zero bytes between
 *
 * Everything is little-endian. The header's checksum covers header and section table, each entry of
 * the table has the checksum of its section: XXH3, 64 bit.
 *
 * Rows are sorted by address and cut into blocks of up to UHX_BLOCK_ROWS. A row lasts until the
 * next one starts; a row of scope 0 is a hole; the last row of a segment is always a hole. Ids
 * count from 1, entry 0 of scopes, functions and files is all zero and means "none".
 */
#ifndef SYMBOLIZER_UHX_FORMAT_H
#define SYMBOLIZER_UHX_FORMAT_H

#include "base/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a .uhx is mapped as it is");

#define UHX_MAGIC "\x89UHX\r\n\x1a\n" /* 8 bytes: text-mode copies and truncation show at once */

enum {
	UHX_VERSION = 1,
	UHX_ALIGN = 64,
	UHX_BLOCK_ROWS = 64,
	UHX_SECTIONS_MAX = 64, /* a reader skips the kinds it does not know */
	UHX_IDS_MAX = 16,
	UHX_MACHINE_MAX = 16,
	UHX_STRING_MAX = 64 * 1024, /* bytes of one string; longer ones are cut by the writer */
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
	UHX_KEYS,            /* u32 per block: where its first row starts, from the segment's base */
	UHX_BLOCK_OFFSETS,   /* u32 per block: where it lies in UHX_BLOCKS, in units of 4 bytes */
	UHX_BLOCKS,          /* struct uhx_block and its columns; entry_size 1 */
	UHX_SCOPES,          /* struct uhx_scope_entry */
	UHX_FUNCTIONS,       /* struct uhx_function_entry */
	UHX_FILES,           /* u32: string */
	UHX_STRINGS,         /* ULEB128 length, bytes; offset 0 is the empty string; entry_size 1 */
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

/* A stretch of at most 4 GiB of addresses, and the blocks that are in it. */
struct uhx_segment {
	uint64_t base;
	uint32_t first_block;
	uint32_t block_count;
};
_Static_assert(sizeof(struct uhx_segment) == 16, "on disk");

/*
 * A block's columns follow it in this order, each of `count` values of width[] bytes; the block is
 * padded to 4 bytes. UHX_COLUMN_START: the value is the distance from the block's key. In the
 * others a value v of a column with a width means base + v, except that v == 0 means 0; a column
 * of width 0 has no values: each row's is base.
 */
enum uhx_column {
	UHX_COLUMN_START,
	UHX_COLUMN_SCOPE,
	UHX_COLUMN_FILE,
	UHX_COLUMN_LINE,
	UHX_COLUMN_COLUMN,
	UHX_COLUMNS
};

struct uhx_block {
	uint32_t base[UHX_COLUMNS - 1]; /* of column 1 … */
	uint8_t width[UHX_COLUMNS];     /* 0, 1, 2 or 4 */
	uint8_t count;                  /* 1 … UHX_BLOCK_ROWS */
	uint8_t reserved[2];
};
_Static_assert(sizeof(struct uhx_block) == 24, "on disk");

struct uhx_scope_entry {
	uint32_t function;
	uint32_t parent; /* always a smaller id than this scope's own: chains end */
	uint32_t call_file;
	uint32_t call_line;
	uint16_t call_column; /* 0 also where it does not fit */
	uint8_t source;       /* enum frame_source */
	uint8_t reserved;
};
_Static_assert(sizeof(struct uhx_scope_entry) == 20, "on disk");

struct uhx_function_entry {
	uint32_t linkage; /* string */
	uint32_t display; /* string; 0: equal to linkage */
	uint32_t start_line;
};
_Static_assert(sizeof(struct uhx_function_entry) == 12, "on disk");

#endif
