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

	for (unsigned i = 0; i < PB_VARINT_MAX && p < end; i++, p++) {
		if (i == PB_VARINT_MAX - 1 && *p > 1)
			return false;
		v |= (uint64_t)(*p & 0x7f) << (7 * i);
		if (!(*p & 0x80)) {
			*at = p + 1;
			*ret = v;
			return true;
		}
	}
	return false;
}

static int bad_varint(const struct pb_reader *r, struct err *e)
{
	if (r->end - r->p < PB_VARINT_MAX)
		return bad(r, r->p, "a varint is cut off", e);
	return bad(r, r->p, "a varint is longer than 64 bits", e);
}

static int take_varint(struct pb_reader *r, uint64_t *ret, struct err *e)
{
	return pb_take_varint(&r->p, r->end, ret) ? 0 : bad_varint(r, e);
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
	uint64_t tag;

	if (r->p == r->end)
		return 0;
	if (take_varint(r, &tag, e))
		return -1;
	if (tag >> 3 == 0 || tag >> 3 > FIELD_MAX)
		return bad(r, at, "an impossible field number", e);
	*f = (struct pb_field){.number = (uint32_t)(tag >> 3), .wire = (enum pb_wire)(tag & 7)};
	if (take_value(r, f, e))
		return -1;
	f->raw = (struct str){(const char *)at, (size_t)(r->p - at)};
	return 1;
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
	if (p->r.p == p->r.end)
		return 0;
	return take_varint(&p->r, ret, e) ? -1 : 1;
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
