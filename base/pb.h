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

/* 1 with *f set, 0 at the end, -1 with ERR_BAD_PROTOBUF naming the byte offset. */
int pb_next(struct pb_reader *r, struct pb_field *f, struct err *e) MUST_CHECK;

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
int pb_packed_next_any(struct pb_packed *p, uint64_t *ret, struct err *e) MUST_CHECK;

MUST_CHECK static inline int pb_packed_next(struct pb_packed *p, uint64_t *ret, struct err *e)
{
	const uint8_t *at = p->r.p;

	// Nearly all numbers in a profile are of one or two bytes.
	if (p->r.end - at >= 2 && at[0] < 0x80) {
		*ret = at[0];
		p->r.p = at + 1;
		return 1;
	}
	if (p->r.end - at >= 2 && at[1] < 0x80) {
		*ret = (uint64_t)(at[0] & 0x7f) | (uint64_t)at[1] << 7;
		p->r.p = at + 2;
		return 1;
	}
	return pb_packed_next_any(p, ret, e);
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
