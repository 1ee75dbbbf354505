/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of a walk over debugging entries in which each is met at most once. libdw follows DW_AT_sibling
 * wherever it leads forward, also into the entry's own children: a few hundred bytes of such entries would
 * keep a walk busy for ever (2^depth). So a step only counts if it leads behind all that was met before. One
 * walk, one struct; no ownership.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_WALK_H
#define SYMBOLIZER_INDEXER_DWARF_WALK_H

#include "base/base.h"
#include <elfutils/libdw.h>

struct dwarf_walk {
	Dwarf_Off last; /* of the entry met last, which is the farthest; 0 before the first */
};

static inline bool dwarf_walk_met(struct dwarf_walk *w, Dwarf_Die *die)
{
	Dwarf_Off at = dwarf_dieoffset(die);

	if (at <= w->last)
		return false;
	w->last = at;
	return true;
}

/* False: it has none. `ret` must not be `die`. */
static inline bool dwarf_walk_child(struct dwarf_walk *w, Dwarf_Die *die, Dwarf_Die *ret)
{
	return dwarf_child(die, ret) == 0 && dwarf_walk_met(w, ret);
}

/* In place. False: it was the last one, and *die counts no more. */
static inline bool dwarf_walk_sibling(struct dwarf_walk *w, Dwarf_Die *die)
{
	return dwarf_siblingof(die, die) == 0 && dwarf_walk_met(w, die);
}

#endif
