/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/quality.h"

static const char *const names[] = {
	[QUALITY_NONE] = "none",     [QUALITY_EH_FRAME] = "eh_frame",
	[QUALITY_DYNSYM] = "dynsym", [QUALITY_SYMTAB] = "symtab",
	[QUALITY_GOPCLNTAB] = "gopclntab", [QUALITY_G1] = "g1",
	[QUALITY_DWARF] = "dwarf",
};

const char *quality_name(enum quality q)
{
	return (size_t)q < countof(names) ? names[q] : "none";
}

bool quality_parse(struct str s, enum quality *ret)
{
	for (size_t i = 0; i < countof(names); i++) {
		if (str_is(s, names[i])) {
			*ret = (enum quality)i;
			return true;
		}
	}
	return false;
}
