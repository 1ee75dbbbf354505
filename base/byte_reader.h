/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the pieces DWARF is made of out of borrowed bytes. The first read beyond the end latches
 * `failed`; from then on everything reads as 0 or empty, so that a parser may read on and check once.
 * Inline, for a large debug file takes hundreds of millions of such reads.
 */
#ifndef BASE_BYTE_READER_H
#define BASE_BYTE_READER_H

#include "base/base.h"
#include "base/str.h"
#include <endian.h>

struct byte_reader {
	const uint8_t *p;
	const uint8_t *end;
	bool big_endian;
	bool failed;
};

static inline struct byte_reader byte_reader(struct str bytes, bool big_endian)
{
	const uint8_t *p = (const uint8_t *)bytes.p;

	return (struct byte_reader){p, p + bytes.n, big_endian, false};
}

/* The reader at [offset, section end); failed where there is nothing. */
static inline struct byte_reader byte_reader_at(struct str section, uint64_t offset, bool big_endian)
{
	struct byte_reader r = byte_reader(section, big_endian);

	r.failed = offset >= section.n;
	r.p = r.failed ? r.end : r.p + offset;
	return r;
}

static inline size_t byte_reader_left(const struct byte_reader *r)
{
	return (size_t)(r->end - r->p);
}

static inline bool byte_reader_done(const struct byte_reader *r)
{
	return r->p == r->end;
}

static inline void byte_reader_fail(struct byte_reader *r)
{
	r->failed = true;
	r->p = r->end;
}

static inline uint8_t read_u8(struct byte_reader *r)
{
	if (r->p == r->end) {
		r->failed = true;
		return 0;
	}
	return *r->p++;
}

static inline uint64_t load_uint(const uint8_t *p, unsigned size, bool big_endian)
{
	uint64_t value = 0;
	uint16_t half;
	uint32_t word;

	switch (size) {
	case 1:
		return *p;
	case 2:
		memcpy(&half, p, sizeof(half));
		return big_endian ? be16toh(half) : le16toh(half);
	case 4:
		memcpy(&word, p, sizeof(word));
		return big_endian ? be32toh(word) : le32toh(word);
	case 8:
		memcpy(&value, p, sizeof(value));
		return big_endian ? be64toh(value) : le64toh(value);
	default:
		for (unsigned i = 0; i < size; i++)
			value = value << 8 | p[big_endian ? i : size - 1 - i];
		return value;
	}
}

/* size: 1 to 8 bytes; 0 reads nothing. */
static inline uint64_t read_uint(struct byte_reader *r, unsigned size)
{
	const uint8_t *p = r->p;

	if (size > byte_reader_left(r)) {
		byte_reader_fail(r);
		return 0;
	}
	r->p += size;
	return load_uint(p, size, r->big_endian);
}

static inline bool skip_bytes(struct byte_reader *r, uint64_t n)
{
	if (n > byte_reader_left(r)) {
		byte_reader_fail(r);
		return false;
	}
	r->p += n;
	return true;
}

/* A LEB128 number of two bytes and more; by value, so that readers can stay in registers. */
struct leb {
	uint64_t value;
	const uint8_t *end; /* NULL: it goes on behind the end */
};
struct leb leb_unsigned(const uint8_t *p, const uint8_t *end);
struct leb leb_signed(const uint8_t *p, const uint8_t *end);

static inline uint64_t take_leb(struct byte_reader *r, struct leb leb)
{
	if (!leb.end) {
		byte_reader_fail(r);
		return 0;
	}
	r->p = leb.end;
	return leb.value;
}

/* Bits beyond 64 are dropped. */
static inline uint64_t read_uleb(struct byte_reader *r)
{
	if (r->p < r->end && *r->p < 0x80)
		return *r->p++;
	return take_leb(r, leb_unsigned(r->p, r->end));
}

static inline int64_t read_sleb(struct byte_reader *r)
{
	if (r->p < r->end && *r->p < 0x40)
		return *r->p++;
	return (int64_t)take_leb(r, leb_signed(r->p, r->end));
}

struct str read_bytes(struct byte_reader *r, uint64_t n);
struct str read_cstr(struct byte_reader *r); /* without its NUL, which is read too */
/*
 * The string at an offset of a table of strings; empty where none ends there. After CSTR_MAX bytes it is cut:
 * any number of offsets may lead into one long text.
 */
enum { CSTR_MAX = 64 * 1024 };
struct str cstr_at(struct str table, uint64_t offset);

#endif
