/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an address resolves to: the inline chain at it, innermost frame first, and which source said
 * so. Strings are borrowed (from the mapped index, an arena, or decoded bytes) and live as long as
 * their lender.
 *
 * frames_encode()/frames_decode() are the bytes in the result cache: version byte, source, then
 * the frames as varints and length-prefixed strings; self-contained, since they must outlive every
 * index.
 */
#ifndef SYMBOLIZER_FRAME_H
#define SYMBOLIZER_FRAME_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Which table named an address; text as in the HTTP interface. The order is also their rank. */
enum frame_source {
	SOURCE_NONE,
	SOURCE_EH_FRAME,
	SOURCE_PLT,
	SOURCE_DYNSYM,
	SOURCE_SYMTAB,
	SOURCE_GOPCLNTAB,
	SOURCE_DWARF,
	SOURCE_COUNT
};

const char *frame_source_name(enum frame_source s); /* "dwarf", "gopclntab", … */

enum { FRAMES_MAX = 256 }; /* deepest inline chain kept */

struct frame {
	struct str function;    /* demangled */
	struct str system_name; /* as in the binary; equal to function where nothing was mangled */
	struct str file;        /* empty: unknown */
	uint32_t line;          /* 0: unknown */
	uint32_t start_line;    /* the function's declaration; 0: unknown */
	uint32_t column;        /* 0: unknown; in callers, of the call */
	bool inlined;           /* this function's code lies inside the next frame's */
};

struct frames {
	enum frame_source source;
	size_t n; /* 0: nothing is known at this address */
	struct frame frame[FRAMES_MAX];
};

void frames_encode(const struct frames *f, struct buf *out);
/* Strings point into `bytes`. ERR_CORRUPT on anything that does not fit. */
int frames_decode(struct str bytes, struct frames *ret, struct err *e) MUST_CHECK;

#endif
