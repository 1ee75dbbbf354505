/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loadable program headers of a binary (PT_LOAD), as far as address arithmetic needs them. They are
 * kept beside every index, for the arithmetic must work after the ELF is gone.
 */
#ifndef SYMBOLIZER_PROGRAM_HEADER_H
#define SYMBOLIZER_PROGRAM_HEADER_H

#include "base/base.h"

enum { PROGRAM_HEADERS_MAX = 256 };

/* On disk and in memory alike; little-endian. flags: PF_X 1, PF_W 2, PF_R 4. */
struct program_header {
	uint64_t vaddr;
	uint64_t memsz;
	uint64_t offset;
	uint64_t filesz;
	uint64_t align;
	uint32_t flags;
	uint32_t reserved;
};

struct program_headers {
	const struct program_header *p;
	size_t n;
	bool trusted; /* the executable's own: offset and filesz mean what they say */
};

#endif
