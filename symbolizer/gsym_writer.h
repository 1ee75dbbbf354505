/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index as a GSYM file, version 1 (symbolizer/gsym_format.h), for those who want to compare us
 * with LLVM's tools or to leave. What the format has no place for is counted. The same index gives
 * the same bytes.
 */
#ifndef SYMBOLIZER_GSYM_WRITER_H
#define SYMBOLIZER_GSYM_WRITER_H

#include "symbolizer/uhx_reader.h"

/* What was written, and what was not. */
struct gsym_export {
	uint64_t bytes;
	uint64_t functions;    /* pieces of functions: one per range of addresses */
	bool uuid;             /* false: no GNU build-ID that fits */
	uint64_t lost_inlines; /* rows in which a caller is missing: its line is not known */
};

/*
 * Writes to fd at its position. ERR_TOO_LARGE: more than 32-bit offsets reach; ERR_NOT_FOUND: the
 * index knows nothing; ERR_BAD_INDEX, ERR_NOMEM, ERR_IO, ERR_NO_SPACE.
 */
int gsym_write(const struct uhx *u, int fd, struct gsym_export *ret, struct err *e) MUST_CHECK;

#endif
