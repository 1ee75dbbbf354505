/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/byte_reader.h"

static void fail(struct byte_reader *r)
{
	r->failed = true;
	r->rest = STR_EMPTY;
}

struct str read_bytes(struct byte_reader *r, uint64_t n)
{
	struct str s = {r->rest.p, n};

	if (n > r->rest.n) {
		fail(r);
		return STR_EMPTY;
	}
	r->rest = str_skip(r->rest, n);
	return s;
}

uint64_t read_uint(struct byte_reader *r, unsigned size)
{
	struct str s = read_bytes(r, size);
	uint64_t value = 0;

	for (size_t i = 0; i < s.n; i++)
		value = value << 8 | (uint8_t)s.p[r->big_endian ? i : s.n - 1 - i];
	return value;
}

uint8_t read_u8(struct byte_reader *r)
{
	if (!r->rest.n) {
		fail(r);
		return 0;
	}
	r->rest.n--;
	return (uint8_t)*r->rest.p++;
}

// The bits of a LEB128 number and how many there were.
static uint64_t read_leb(struct byte_reader *r, unsigned *ret_bits, uint8_t *ret_last)
{
	uint64_t value = 0;
	unsigned bits = 0;
	uint8_t byte;

	do {
		byte = read_u8(r);
		if (bits < 64)
			value |= (uint64_t)(byte & 0x7f) << bits;
		bits += 7;
	} while (byte & 0x80);
	*ret_bits = bits;
	*ret_last = byte;
	return value;
}

uint64_t read_uleb(struct byte_reader *r)
{
	unsigned bits;
	uint8_t last;

	return read_leb(r, &bits, &last);
}

int64_t read_sleb(struct byte_reader *r)
{
	unsigned bits;
	uint8_t last;
	uint64_t value = read_leb(r, &bits, &last);

	if (last & 0x40 && bits < 64)
		value |= ~UINT64_C(0) << bits;
	return (int64_t)value;
}

struct str read_cstr(struct byte_reader *r)
{
	const char *nul = r->rest.n ? memchr(r->rest.p, '\0', r->rest.n) : NULL;
	struct str s;

	if (!nul) {
		fail(r);
		return STR_EMPTY;
	}
	s = (struct str){r->rest.p, (size_t)(nul - r->rest.p)};
	r->rest = str_skip(r->rest, s.n + 1);
	return s;
}
