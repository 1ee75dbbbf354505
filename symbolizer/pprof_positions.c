/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_positions.h"

#include "base/pb.h"

// Four numbers of 14 bits lie in the four 16-bit lanes of a word, first one lowest. Sums of such lanes do
// not reach the next lane, and their top bit says what came out of a comparison.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "four numbers are read as one word");

#define LANES(value) ((uint64_t)(value) * 0x0001000100010001)
#define PAIR(value) ((uint64_t)(value) * 0x0000000100000001)

enum { AT_ONCE = 4, LANE_MAX = 0x3fff, LANE_TOP = 0x8000 };

// Both bytes' "more follows", and how it stands in a number of two bytes.
static const uint64_t more = LANES(0x8080), two_bytes = LANES(0x0080);

static inline bool are_four(uint64_t word)
{
	return (word & more) == two_bytes;
}

static uint64_t join_bytes(uint64_t word)
{
	return (word & LANES(0x7f)) | (word >> 1 & LANES(0x7f << 7));
}

static uint64_t split_bytes(uint64_t lanes)
{
	return (lanes & LANES(0x7f)) | (lanes << 1 & LANES(0x7f << 8)) | two_bytes;
}

// Two lanes as two 32-bit numbers, and back.
static uint64_t widen(uint64_t lanes)
{
	return (lanes & 0xffff) | (lanes & 0xffff0000) << 16;
}

static uint64_t narrow(uint64_t pair)
{
	return (pair | pair >> 16) & 0xffffffff;
}

static uint64_t load(const void *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof(word));
	return word;
}

static void store(void *to, uint64_t word)
{
	memcpy(to, &word, sizeof(word));
}

// The end of the id, or NULL.
static const uint8_t *read_one(const uint8_t *at, const uint8_t *end, uint32_t n, uint32_t *ret)
{
	uint64_t id;

	if (!pb_take_varint(&at, end, &id) || id - 1 >= n)
		return NULL;
	*ret = (uint32_t)(id - 1);
	return at;
}

bool pprof_read_positions(struct str packed, uint32_t n, uint32_t *to, size_t *ret_n)
{
	const uint64_t beyond = LANES(LANE_TOP - 1 - MIN(n, (uint32_t)LANE_MAX)); // + id: top bit if id > n
	const uint64_t not_zero = LANES(LANE_TOP - 1);
	const uint8_t *at = (const uint8_t *)packed.p;
	const uint8_t *end = at + packed.n;
	const uint32_t *start = to;
	uint64_t bad = 0;

	while (at < end) {
		for (; end - at >= 2 * AT_ONCE && are_four(load(at)); at += 2 * AT_ONCE) {
			uint64_t ids = join_bytes(load(at));

			bad |= (ids + beyond) | ~(ids + not_zero);
			store(to, widen(ids) - PAIR(1));
			store(to + 2, widen(ids >> 32) - PAIR(1));
			to += AT_ONCE;
		}
		if (at == end)
			break;
		at = read_one(at, end, n, to++);
		if (!at)
			return false;
	}
	*ret_n = (size_t)(to - start);
	return !(bad & LANES(LANE_TOP));
}

// Four positions whose ids take two bytes each; false where one does not.
static bool write_four(uint8_t *to, const uint32_t *positions)
{
	uint64_t first = load(positions) + PAIR(1);
	uint64_t second = load(positions + 2) + PAIR(1);
	uint64_t ids = narrow(first) | narrow(second) << 32;
	uint64_t not_one_byte = ids + LANES(LANE_TOP - 0x80);

	if (((first | second) & PAIR(~(uint32_t)LANE_MAX)) ||
	    (not_one_byte & LANES(LANE_TOP)) != LANES(LANE_TOP))
		return false;
	store(to, split_bytes(ids));
	return true;
}

uint8_t *pprof_write_positions(uint8_t *to, const uint32_t *positions, size_t n)
{
	const uint32_t *end = positions + n;

	while (positions < end) {
		for (; end - positions >= AT_ONCE && write_four(to, positions); positions += AT_ONCE)
			to += 2 * AT_ONCE;
		if (positions < end)
			to = pb_write_varint(to, (uint64_t)*positions++ + 1);
	}
	return to;
}
