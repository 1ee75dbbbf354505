/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions in an array as packed varints of position + 1, which is how samples name their locations in
 * a profile whose ids run 1…N. Hundreds of thousands of them are most of a profile, and nearly all take
 * two bytes: four of these at a time. Pure functions.
 */
#ifndef SYMBOLIZER_PPROF_POSITIONS_H
#define SYMBOLIZER_PPROF_POSITIONS_H

#include "base/str.h"

enum { PPROF_POSITION_SIZE_MAX = 5 };

/*
 * `to` has room for packed.n of them; *ret_n is how many there were. False where one is not 1…n or is cut
 * off: `to` is then spoilt.
 */
bool pprof_read_positions(struct str packed, uint32_t n, uint32_t *to, size_t *ret_n) MUST_CHECK;
/* `to` has room for n * PPROF_POSITION_SIZE_MAX bytes; returns the end. */
uint8_t *pprof_write_positions(uint8_t *to, const uint32_t *positions, size_t n);

#endif
