/* SPDX-License-Identifier: Apache-2.0 */
/* The line table of one function in a GSYM file (LineTable.h), as bytes. No state. */
#ifndef SYMBOLIZER_GSYM_LINES_H
#define SYMBOLIZER_GSYM_LINES_H

#include "base/buf.h"

struct gsym_line {
	uint64_t address; /* up to the next one's */
	uint32_t file;
	uint32_t line;
};

/* lines: at least one, by address, none before `start`, where the function starts. */
void gsym_lines_encode(const struct gsym_line *lines, size_t n, uint64_t start, struct buf *out);

#endif
