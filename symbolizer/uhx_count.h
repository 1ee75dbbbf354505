/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many of a few numbers are not above x: a step of a search without a branch to guess wrong. What
 * SSE2, which each x86-64 has, does in a handful of instructions is written out for it; the plain
 * loops say the same, and serve elsewhere. Unaligned, little-endian.
 */
#ifndef SYMBOLIZER_UHX_COUNT_H
#define SYMBOLIZER_UHX_COUNT_H

#include "base/base.h"
#include <string.h>

static inline unsigned uhx_count_u16_plain(const uint8_t *p, unsigned n, uint16_t x)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		uint16_t v;

		memcpy(&v, p + sizeof(v) * i, sizeof(v));
		count += v <= x;
	}
	return count;
}

static inline unsigned uhx_count_u32_plain(const uint8_t *p, unsigned n, uint32_t x)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t v;

		memcpy(&v, p + sizeof(v) * i, sizeof(v));
		count += v <= x;
	}
	return count;
}

static inline unsigned uhx_count_8_u8_plain(const uint8_t *p, uint8_t x)
{
	unsigned count = 0;

	for (unsigned i = 0; i < 8; i++)
		count += p[i] <= x;
	return count;
}

#ifdef __SSE2__
#include <emmintrin.h>

/* Of 8 ascending bytes. */
static inline unsigned uhx_count_8_u8(const uint8_t *p, uint8_t x)
{
	__m128i v = _mm_loadl_epi64((const __m128i *)(const void *)p);
	__m128i at_most = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8((char)x)), v);

	return (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(at_most) | 0x100);
}

/* Of 8 ascending u16. */
static inline unsigned uhx_count_8_u16(const uint8_t *p, uint16_t x)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	// v - x, held at 0: SSE2 has no unsigned comparison
	__m128i above = _mm_subs_epu16(v, _mm_set1_epi16((short)x));
	__m128i at_most = _mm_cmpeq_epi16(above, _mm_setzero_si128());

	return (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(at_most)) / 2;
}

/* All ones in each of 4 lanes that is above x. */
static inline __m128i uhx_above_4_u32(const uint8_t *p, uint32_t x)
{
	const __m128i bias = _mm_set1_epi32(INT32_MIN); // SSE2 compares signed numbers only
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);

	return _mm_cmpgt_epi32(_mm_xor_si128(v, bias),
			       _mm_xor_si128(_mm_set1_epi32((int)x), bias));
}

/* Of 16 ascending u32. */
static inline unsigned uhx_count_16_u32(const uint8_t *p, uint32_t x)
{
	__m128i a = uhx_above_4_u32(p, x);
	__m128i b = uhx_above_4_u32(p + 16, x);
	__m128i c = uhx_above_4_u32(p + 32, x);
	__m128i d = uhx_above_4_u32(p + 48, x);
	__m128i all = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));

	return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(all) | 0x10000);
}

/* Of 8 ascending u32. */
static inline unsigned uhx_count_8_u32(const uint8_t *p, uint32_t x)
{
	__m128i all = _mm_packs_epi32(uhx_above_4_u32(p, x), uhx_above_4_u32(p + 16, x));

	return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(all) | 0x10000) / 2;
}

#else

static inline unsigned uhx_count_8_u32(const uint8_t *p, uint32_t x)
{
	return uhx_count_u32_plain(p, 8, x);
}

static inline unsigned uhx_count_8_u8(const uint8_t *p, uint8_t x)
{
	return uhx_count_8_u8_plain(p, x);
}

static inline unsigned uhx_count_8_u16(const uint8_t *p, uint16_t x)
{
	return uhx_count_u16_plain(p, 8, x);
}

static inline unsigned uhx_count_16_u32(const uint8_t *p, uint32_t x)
{
	return uhx_count_u32_plain(p, 16, x);
}

#endif
#endif
