/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of any width up to 32 bits, one behind the other, lowest bit first. Reading one takes the
 * 8 bytes from where it starts: the caller has checked that so many are there.
 */
#ifndef SYMBOLIZER_UHX_BITS_H
#define SYMBOLIZER_UHX_BITS_H

#include "base/base.h"
#include <string.h>

static inline uint32_t uhx_bits(const uint8_t *p, uint64_t bit, unsigned width)
{
	uint64_t word;

	memcpy(&word, p + bit / 8, sizeof(word));
	return (uint32_t)(word >> (bit % 8) & ((UINT64_C(1) << width) - 1));
}

/* How many bits `max` needs: 0 for 0. */
static inline unsigned uhx_bits_for(uint32_t max)
{
	return max ? 32U - (unsigned)__builtin_clz(max) : 0;
}

#endif
