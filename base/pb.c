/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pb.h"

#include <string.h>

enum { VARINT_MAX = 10, FIELD_MAX = (1 << 29) - 1 };

static int bad(const struct pb_reader *r, const uint8_t *at, const char *why, struct err *e)
{
	err_set(e, ERR_BAD_PROTOBUF, "protobuf: %s at byte %zu", why, (size_t)(at - r->start));
	return -1;
}

static int take_varint(struct pb_reader *r, uint64_t *ret, struct err *e)
{
	const uint8_t *at = r->p;
	uint64_t v = 0;

	if (at < r->end && *at < 0x80) { // most are of one byte
		*ret = *at;
		r->p = at + 1;
		return 0;
	}
	for (unsigned i = 0; i < VARINT_MAX; i++) {
		uint8_t byte;

		if (at + i == r->end)
			return bad(r, at, "a varint is cut off", e);
		byte = at[i];
		if (i == VARINT_MAX - 1 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			r->p = at + i + 1;
			*ret = v;
			return 0;
		}
	}
	return bad(r, at, "a varint is longer than 64 bits", e);
}

static int take_fixed(struct pb_reader *r, size_t size, uint64_t *ret, struct err *e)
{
	uint64_t v = 0;

	if ((size_t)(r->end - r->p) < size)
		return bad(r, r->p, "a fixed-size field is cut off", e);
	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)r->p[i] << (8 * i);
	r->p += size;
	*ret = v;
	return 0;
}

static int take_bytes(struct pb_reader *r, struct str *ret, struct err *e)
{
	const uint8_t *at = r->p;
	uint64_t n;

	if (take_varint(r, &n, e))
		return -1;
	if (n > (uint64_t)(r->end - r->p))
		return bad(r, at, "a length runs past the end", e);
	*ret = (struct str){(const char *)r->p, (size_t)n};
	r->p += n;
	return 0;
}

static int take_value(struct pb_reader *r, struct pb_field *f, struct err *e)
{
	switch (f->wire) {
	case PB_VARINT:
		return take_varint(r, &f->value, e);
	case PB_FIXED64:
		return take_fixed(r, 8, &f->value, e);
	case PB_FIXED32:
		return take_fixed(r, 4, &f->value, e);
	case PB_BYTES:
		return take_bytes(r, &f->bytes, e);
	default:
		return bad(r, r->p, "an unknown wire type (or a group)", e);
	}
}

int pb_next(struct pb_reader *r, struct pb_field *f, struct err *e)
{
	const uint8_t *at = r->p;
	struct pb_field field = {0};
	uint64_t tag;

	if (r->p == r->end)
		return 0;
	if (take_varint(r, &tag, e))
		return -1;
	if (tag >> 3 == 0 || tag >> 3 > FIELD_MAX)
		return bad(r, at, "an impossible field number", e);
	field.number = (uint32_t)(tag >> 3);
	field.wire = (enum pb_wire)(tag & 7);
	if (take_value(r, &field, e))
		return -1;
	field.raw = (struct str){(const char *)at, (size_t)(r->p - at)};
	*f = field;
	return 1;
}

struct pb_packed pb_packed(const struct pb_field *f)
{
	if (f->wire == PB_BYTES)
		return (struct pb_packed){pb_reader(f->bytes), false, 0};
	return (struct pb_packed){pb_reader(STR_EMPTY), true, f->value};
}

int pb_packed_next_any(struct pb_packed *p, uint64_t *ret, struct err *e)
{
	if (p->single) {
		p->single = false;
		*ret = p->value;
		return 1;
	}
	if (p->r.p == p->r.end)
		return 0;
	return take_varint(&p->r, ret, e) ? -1 : 1;
}

static size_t varint_size(uint64_t v)
{
	return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

static size_t encode_varint(uint64_t v, uint8_t *out)
{
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

void pb_put_varint(struct buf *b, uint64_t v)
{
	char *to = buf_reserve(b, varint_size(v));

	if (to)
		buf_commit(b, encode_varint(v, (uint8_t *)to));
}

static uint64_t tag_of(uint32_t number, enum pb_wire wire)
{
	return (uint64_t)number << 3 | wire;
}

void pb_put_tag(struct buf *b, uint32_t number, enum pb_wire wire)
{
	pb_put_varint(b, tag_of(number, wire));
}

void pb_put_u64(struct buf *b, uint32_t number, uint64_t v)
{
	uint64_t tag = tag_of(number, PB_VARINT);
	char *to;
	size_t n;

	if (!v)
		return;
	to = buf_reserve(b, varint_size(tag) + varint_size(v));
	if (!to)
		return;
	n = encode_varint(tag, (uint8_t *)to);
	buf_commit(b, n + encode_varint(v, (uint8_t *)to + n));
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
	size_t at = 0;
	char *to;

	if (!n)
		return;
	for (size_t i = 0; i < n; i++)
		size += varint_size(v[i]);
	pb_put_tag(b, number, PB_BYTES);
	pb_put_varint(b, size);
	to = buf_reserve(b, size);
	if (!to)
		return;
	for (size_t i = 0; i < n; i++)
		at += encode_varint(v[i], (uint8_t *)to + at);
	buf_commit(b, size);
}

size_t pb_open(struct buf *b, uint32_t number)
{
	pb_put_tag(b, number, PB_BYTES);
	return b->n;
}

void pb_close(struct buf *b, size_t mark)
{
	uint8_t length[VARINT_MAX];
	size_t body = b->n - mark;
	size_t n = encode_varint(body, length);

	if (!buf_reserve(b, n))
		return;
	buf_commit(b, n);
	memmove(b->p + mark + n, b->p + mark, body);
	memcpy(b->p + mark, length, n);
}
