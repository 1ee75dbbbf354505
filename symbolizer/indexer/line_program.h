/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line number program of .debug_line, DWARF 2 to 5 (DWARF 5, section 6.2): its files, and its rows
 * sequence by sequence. Read from bytes, without libdw, which sorts all rows of a unit by address and
 * forgets which sequence a row came from: sequences of functions that the linker threw away, which start
 * at address 0, then lie between those that are there.
 *
 * Nothing is trusted, everything is borrowed from the input. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_LINE_PROGRAM_H
#define SYMBOLIZER_INDEXER_LINE_PROGRAM_H

#include "base/byte_reader.h"
#include "base/err.h"

enum { LINE_FILES_MAX = 1 << 20, LINE_FORMATS_MAX = 64 };

struct line_sections {
	struct str line;     /* .debug_line */
	struct str line_str; /* .debug_line_str; empty where there is none */
	struct str str;      /* .debug_str */
	bool big_endian;
	uint8_t address_size; /* of the unit; DWARF 5 programs say it themselves */
};

struct line_file {
	struct str dir; /* empty: the folder of the compilation */
	struct str name;
};

struct line_program {
	const struct line_sections *sections;
	uint16_t version;
	uint8_t address_size;
	uint8_t offset_size; /* 4, or 8 in 64-bit DWARF */
	uint8_t min_instruction;
	uint8_t max_operations;
	int8_t line_base;
	uint8_t line_range;
	uint8_t opcode_base;
	const uint8_t *opcode_lengths; /* of the standard opcodes, from 1 */
	struct str code;
	uint64_t bytes; /* of all that was parsed: header and program */
	struct str *dirs;
	size_t dir_count;
	size_t dir_cap;
	struct line_file *files; /* by the unit's own numbering: 0 is no file before DWARF 5 */
	size_t file_count;
	size_t file_cap;
};

#define LINE_PROGRAM_INIT ((struct line_program){0})
void line_program_deinit(struct line_program *p);

/*
 * Reads the header at `offset` of .debug_line; keeps the memory of an earlier program. ERR_BAD_ELF,
 * ERR_UNSUPPORTED (version, unknown forms), ERR_TOO_LARGE, ERR_NOMEM.
 */
int line_program_parse(struct line_program *p, const struct line_sections *sections, uint64_t offset,
		       struct err *e) MUST_CHECK;

struct line_row {
	uint64_t address;
	uint64_t file;
	uint32_t line;
	uint32_t column;
	bool end_sequence; /* address: behind the last byte */
};

/* Some rows at once, in the order of the program; a nonzero result ends the run. */
typedef int line_sink(void *ctx, const struct line_row *rows, size_t n);
/* What the sink returned, or 0; a program that is cut ends early. */
int line_program_run(const struct line_program *p, line_sink *sink, void *ctx) MUST_CHECK;

#endif
