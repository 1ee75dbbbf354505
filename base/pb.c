/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pb.h"

#include <string.h>

enum { FIELD_MAX = (1 << 29) - 1 };

static int bad(const struct pb_reader *r, const uint8_t *at, const char *why, struct err *e)
{
	err_set(e, ERR_BAD_PROTOBUF, "protobuf: %s at byte %zu", why, (size_t)(at - r->start));
	return -1;
}

bool pb_take_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *p = *at;
	uint64_t v = 0;
	unsigned shift = 0;

	end = p + MIN(end - p, PB_VARINT_MAX);
	for (; p < end && *p & 0x80; shift += 7)
		v |= (uint64_t)(*p++ & 0x7f) << shift;
	// Of the tenth byte only one bit belongs to the 64.
	if (p == end || (shift == 7 * (PB_VARINT_MAX - 1) && *p > 1))
		return false;
	*ret = v | (uint64_t)*p << shift;
	*at = p + 1;
	return true;
}

static int bad_varint(const struct pb_reader *r, const uint8_t *at, struct err *e)
{
	if (r->end - at < PB_VARINT_MAX)
		return bad(r, at, "a varint is cut off", e);
	return bad(r, at, "a varint is longer than 64 bits", e);
}

static int take_fixed(struct pb_reader *r, const uint8_t *at, size_t size, uint64_t *ret,
		      struct err *e)
{
	uint64_t v = 0;

	if ((size_t)(r->end - at) < size)
		return bad(r, at, "a fixed-size field is cut off", e);
	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)at[i] << (8 * i);
	r->p = at + size;
	*ret = v;
	return 0;
}

static int take_bytes(struct pb_reader *r, const uint8_t *at, struct str *ret, struct err *e)
{
	const uint8_t *p = at;
	uint64_t n;

	if (!pb_take_varint(&p, r->end, &n))
		return bad_varint(r, at, e);
	if (n > (uint64_t)(r->end - p))
		return bad(r, at, "a length runs past the end", e);
	*ret = (struct str){(const char *)p, (size_t)n};
	r->p = p + n;
	return 0;
}

// at: behind the tag.
static int take_value(struct pb_reader *r, const uint8_t *at, struct pb_field *f, struct err *e)
{
	f->value = 0;
	f->bytes = (struct str){NULL, 0};
	if (f->wire == PB_BYTES)
		return take_bytes(r, at, &f->bytes, e);
	if (f->wire == PB_FIXED64)
		return take_fixed(r, at, 8, &f->value, e);
	if (f->wire == PB_FIXED32)
		return take_fixed(r, at, 4, &f->value, e);
	if (f->wire != PB_VARINT)
		return bad(r, at, "an unknown wire type (or a group)", e);
	r->p = at;
	return pb_take_varint(&r->p, r->end, &f->value) ? 0 : bad_varint(r, at, e);
}

int pb_next_any(struct pb_reader *r, struct pb_field *f, struct err *e)
{
	const uint8_t *start = r->p;
	const uint8_t *at = start;
	uint64_t tag;

	if (start == r->end)
		return 0;
	if (!pb_take_varint(&at, r->end, &tag))
		return bad_varint(r, start, e);
	if (tag >> 3 == 0 || tag >> 3 > FIELD_MAX)
		return bad(r, start, "an impossible field number", e);
	f->number = (uint32_t)(tag >> 3);
	f->wire = (enum pb_wire)(tag & 7);
	if (take_value(r, at, f, e))
		return -1;
	f->raw = (struct str){(const char *)start, (size_t)(r->p - start)};
	return 1;
}

int pb_next_packed(struct pb_reader *r, uint64_t *ret, struct err *e)
{
	if (r->p == r->end)
		return 0;
	return pb_take_varint(&r->p, r->end, ret) ? 1 : bad_varint(r, r->p, e);
}

struct pb_packed pb_packed(const struct pb_field *f)
{
	if (f->wire == PB_BYTES)
		return (struct pb_packed){pb_reader(f->bytes), false, 0};
	return (struct pb_packed){pb_reader(STR_EMPTY), true, f->value};
}

int pb_packed_next(struct pb_packed *p, uint64_t *ret, struct err *e)
{
	if (p->single) {
		p->single = false;
		*ret = p->value;
		return 1;
	}
	return pb_next_packed(&p->r, ret, e);
}

size_t pb_count_varints(struct str packed)
{
	const uint64_t each_byte = 0x0101010101010101;
	size_t n = 0;
	size_t i = 0;

	for (; packed.n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t eight;

		memcpy(&eight, packed.p + i, sizeof(eight));
		// One in each byte whose high bit is clear; the product adds them up in the top byte.
		n += (~eight >> 7 & each_byte) * each_byte >> 56;
	}
	for (; i < packed.n; i++)
		n += !(packed.p[i] & 0x80);
	return n;
}

void pb_put_varint(struct buf *b, uint64_t v)
{
	char *to = buf_reserve(b, pb_varint_size(v));

	if (to)
		buf_commit(b, (size_t)(pb_write_varint((uint8_t *)to, v) - (uint8_t *)to));
}

void pb_put_tag(struct buf *b, uint32_t number, enum pb_wire wire)
{
	pb_put_varint(b, pb_tag(number, wire));
}

void pb_put_u64(struct buf *b, uint32_t number, uint64_t v)
{
	uint64_t tag = pb_tag(number, PB_VARINT);
	size_t size = pb_varint_size(tag) + pb_varint_size(v);
	char *to;

	if (!v)
		return;
	to = buf_reserve(b, size);
	if (!to)
		return;
	pb_write_varint(pb_write_varint((uint8_t *)to, tag), v);
	buf_commit(b, size);
}

void pb_put_bytes(struct buf *b, uint32_t number, struct str s)
{
	if (s.n)
		pb_put_bytes_always(b, number, s);
}

void pb_put_bytes_always(struct buf *b, uint32_t number, struct str s)
{
	pb_put_tag(b, number, PB_BYTES);
	pb_put_varint(b, s.n);
	buf_append_str(b, s);
}

void pb_put_packed(struct buf *b, uint32_t number, const uint64_t *v, size_t n)
{
	size_t size = 0;
	uint8_t *to;

	if (!n)
		return;
	for (size_t i = 0; i < n; i++)
		size += pb_varint_size(v[i]);
	pb_put_tag(b, number, PB_BYTES);
	pb_put_varint(b, size);
	to = (uint8_t *)buf_reserve(b, size);
	if (!to)
		return;
	for (size_t i = 0; i < n; i++)
		to = pb_write_varint(to, v[i]);
	buf_commit(b, size);
}

size_t pb_open(struct buf *b, uint32_t number)
{
	pb_put_tag(b, number, PB_BYTES);
	return b->n;
}

void pb_close(struct buf *b, size_t mark)
{
	uint8_t length[PB_VARINT_MAX];
	size_t body = b->n - mark;
	size_t n = (size_t)(pb_write_varint(length, body) - length);

	if (!buf_reserve(b, n))
		return;
	buf_commit(b, n);
	memmove(b->p + mark + n, b->p + mark, body);
	memcpy(b->p + mark, length, n);
}
