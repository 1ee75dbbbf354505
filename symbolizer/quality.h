/* SPDX-License-Identifier: Apache-2.0 */
/* How good the names in a file are; a larger number is better. Stored in the catalog: never renumber. */
#ifndef SYMBOLIZER_QUALITY_H
#define SYMBOLIZER_QUALITY_H

#include "base/str.h"

enum quality {
	QUALITY_NONE = 0,
	QUALITY_EH_FRAME = 1,
	QUALITY_DYNSYM = 2,
	QUALITY_SYMTAB = 3,
	QUALITY_GOPCLNTAB = 4,
	QUALITY_G1 = 5,    /* DWARF with lines, without types or variables (-g1) */
	QUALITY_DWARF = 6, /* DWARF with lines */
};

const char *quality_name(enum quality q); /* "dwarf", "g1", … */
bool quality_parse(struct str s, enum quality *ret);

#endif
