/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protobuf wire format (protobuf.dev "Encoding"): a bounds-checked reader over borrowed bytes and
 * a writer into a buf. No schema, no allocation. Groups (wire types 3 and 4) are refused.
 */
#ifndef BASE_PB_H
#define BASE_PB_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_reader {
	const uint8_t *p;
	const uint8_t *end;
	const uint8_t *start;
};

struct pb_field {
	uint32_t number;
	enum pb_wire wire;
	uint64_t value;   /* varint, fixed */
	struct str bytes; /* PB_BYTES */
	struct str raw;   /* the whole field with its tag, for passing unknown fields through */
};

static inline struct pb_reader pb_reader(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;

	return (struct pb_reader){p, p + s.n, p};
}

/*
 * A varint at *at, which then points behind it; false, and *at where it was, when it is cut off before
 * `end` or longer than 64 bits.
 */
bool pb_take_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret) MUST_CHECK;

MUST_CHECK static inline bool pb_take_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *p = *at;

	// Nearly all numbers in a profile are of one or two bytes.
	if (p < end && p[0] < 0x80) {
		*ret = p[0];
		*at = p + 1;
		return true;
	}
	if (end - p >= 2 && p[1] < 0x80) {
		*ret = (uint64_t)(p[0] & 0x7f) | (uint64_t)p[1] << 7;
		*at = p + 2;
		return true;
	}
	return pb_take_long_varint(at, end, ret);
}

int pb_next_any(struct pb_reader *r, struct pb_field *f, struct err *e) MUST_CHECK;

/* 1 with *f set, 0 at the end, -1 with ERR_BAD_PROTOBUF naming the byte offset. */
MUST_CHECK static inline int pb_next(struct pb_reader *r, struct pb_field *f, struct err *e)
{
	enum { SHORT_TAG = 0x87, MORE = 0x80, FIRST_NUMBER = 1 << 3 };
	const uint8_t *p = r->p;

	// Most fields: a tag of one byte, then text or a message that is shorter than 128 bytes.
	if (r->end - p >= 2 && (p[0] & SHORT_TAG) == PB_BYTES && p[0] >= FIRST_NUMBER &&
	    p[1] < MORE && p[1] <= r->end - p - 2) {
		f->number = p[0] >> 3;
		f->wire = PB_BYTES;
		f->value = 0;
		f->bytes = (struct str){(const char *)p + 2, p[1]};
		f->raw = (struct str){(const char *)p, (size_t)p[1] + 2};
		r->p = p + 2 + p[1];
		return 1;
	}
	return pb_next_any(r, f, e);
}

/* The next of the packed numbers that r reads: 1, 0 at the end, -1 as above. */
int pb_next_packed(struct pb_reader *r, uint64_t *ret, struct err *e) MUST_CHECK;

/*
 * A repeated scalar, packed or not: call with each field of that number; `next` yields values one by
 * one: 1 value, 0 done, -1 malformed.
 */
struct pb_packed {
	struct pb_reader r;
	bool single;
	uint64_t value;
};
struct pb_packed pb_packed(const struct pb_field *f);
int pb_packed_next(struct pb_packed *p, uint64_t *ret, struct err *e) MUST_CHECK;
/* How many varints end in these bytes: what a packed field holds, where it is not cut off. */
size_t pb_count_varints(struct str packed);

enum { PB_VARINT_MAX = 10 };

static inline size_t pb_varint_size(uint64_t v)
{
	return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

/* Writes to `to`, which has room for it; returns the end. */
static inline uint8_t *pb_write_varint(uint8_t *to, uint64_t v)
{
	if (v >= 0x80 && v < 0x4000) {
		to[0] = (uint8_t)(v | 0x80);
		to[1] = (uint8_t)(v >> 7);
		return to + 2;
	}
	for (; v > 0x7f; v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)v;
	return to;
}

static inline uint64_t pb_tag(uint32_t number, enum pb_wire wire)
{
	return (uint64_t)number << 3 | wire;
}

void pb_put_varint(struct buf *b, uint64_t v); /* without a tag */
void pb_put_tag(struct buf *b, uint32_t number, enum pb_wire wire);
/* Proto3: zero values and empty bytes are left out by these two. */
void pb_put_u64(struct buf *b, uint32_t number, uint64_t v);
void pb_put_bytes(struct buf *b, uint32_t number, struct str s);
void pb_put_bytes_always(struct buf *b, uint32_t number, struct str s);
void pb_put_packed(struct buf *b, uint32_t number, const uint64_t *v, size_t n);
/*
 * A nested message written in place: pb_open() remembers where, pb_close() puts the length before
 * what was appended since.
 */
size_t pb_open(struct buf *b, uint32_t number);
void pb_close(struct buf *b, size_t mark);

#endif
