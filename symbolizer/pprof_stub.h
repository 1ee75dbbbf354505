/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of frames without a name: `basename+0xVA`. Others write `basename!0xVA`; both are recognised
 * on input, so that a profile symbolized in vain (here or elsewhere) can be symbolized again. Pure
 * functions; text lives in the arena given.
 */
#ifndef SYMBOLIZER_PPROF_STUB_H
#define SYMBOLIZER_PPROF_STUB_H

#include "symbolizer/frame.h"
#include "symbolizer/pprof.h"

/* mapping may be NULL: the name is then "unknown". .p is NULL when out of memory. */
struct str pprof_stub_name(struct arena *a, const struct pprof_mapping *mapping, uint64_t va);

/* Is this text `something+0x…` or `something!0x…`? *ret_prefix gets the something. */
bool pprof_parse_stub(struct str name, struct str *ret_prefix);

/*
 * Do these frames say no more than where the function starts (SOURCE_EH_FRAME: `fun_0xSTART`)? In a profile such
 * a frame is a stub of that start: it aggregates, and stays unresolved for whoever comes with more.
 */
bool pprof_parse_place(const struct frames *f, uint64_t *ret_start);

/* Is this location's only line a stub: such a name, no file, line 0? */
bool pprof_is_stub(const struct pprof *p, const struct pprof_location *loc);

/* Did whoever wrote this stub know no more than we: is it named after its mapping, or "unknown"? */
bool pprof_stub_is_of_mapping(struct str name, const struct pprof_mapping *mapping);

#endif
