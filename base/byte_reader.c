/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_reader.h"

static struct leb read_leb(const uint8_t *p, const uint8_t *end, unsigned *ret_bits)
{
	struct leb leb = {0, NULL};
	unsigned bits = 0;
	uint8_t byte;

	do {
		if (p == end) {
			*ret_bits = 64;
			return (struct leb){0, NULL};
		}
		byte = *p++;
		if (bits < 64)
			leb.value |= (uint64_t)(byte & 0x7f) << bits;
		bits += 7;
	} while (byte & 0x80);
	leb.end = p;
	*ret_bits = bits;
	return leb;
}

struct leb leb_unsigned(const uint8_t *p, const uint8_t *end)
{
	unsigned bits;

	return read_leb(p, end, &bits);
}

struct leb leb_signed(const uint8_t *p, const uint8_t *end)
{
	unsigned bits;
	struct leb leb = read_leb(p, end, &bits);

	if (leb.end && bits < 64 && leb.end[-1] & 0x40)
		leb.value |= ~UINT64_C(0) << bits;
	return leb;
}

struct str read_bytes(struct byte_reader *r, uint64_t n)
{
	const char *p = (const char *)r->p;

	return skip_bytes(r, n) ? (struct str){p, n} : STR_EMPTY;
}

struct str cstr_at(struct str table, uint64_t offset)
{
	struct byte_reader r = byte_reader_at(table, offset, false);
	const char *start = (const char *)r.p;
	size_t n = MIN(byte_reader_left(&r), (size_t)CSTR_MAX);
	const char *nul = n ? memchr(start, '\0', n) : NULL;

	if (nul)
		return (struct str){start, (size_t)(nul - start)};
	return n == CSTR_MAX ? (struct str){start, n} : STR_EMPTY;
}

struct str read_cstr(struct byte_reader *r)
{
	const char *p = (const char *)r->p;
	const uint8_t *nul = r->p < r->end ? memchr(p, '\0', byte_reader_left(r)) : NULL;

	if (!nul) {
		byte_reader_fail(r);
		return STR_EMPTY;
	}
	r->p = nul + 1;
	return (struct str){p, (size_t)((const char *)nul - p)};
}
