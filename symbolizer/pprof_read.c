/* SPDX-License-Identifier: Apache-2.0 */
// One message, by its schema.
#include "symbolizer/pprof_decoder.h"

int pprof_bad_at(struct pprof_decoder *d, const char *what, size_t i)
{
	if (d->e && d->e->kind == ERR_BAD_PROTOBUF)
		d->e->kind = ERR_BAD_PPROF;
	return err_wrap(d->e, "%s %zu", what, i);
}

static void refuse_room(struct pprof_decoder *d, size_t count, size_t size)
{
	size_t need;

	if (mul_overflows(count, size, &need) || need > d->arena->cap - d->arena->used)
		err_set(d->e, ERR_TOO_LARGE, "decoding the profile needs more than %zu bytes",
			d->arena->cap);
	else
		err_nomem(d->e);
}

void *pprof_take_room(struct pprof_decoder *d, size_t count, size_t size)
{
	size_t need;
	void *p = mul_overflows(count, size, &need) ? NULL : arena_alloc(d->arena, need);

	if (!p)
		refuse_room(d, count, size);
	return p;
}

int pprof_check_limit(struct pprof_decoder *d, size_t n, size_t max, const char *what)
{
	if (n <= max)
		return 0;
	return err_set(d->e, ERR_TOO_LARGE, "more than %zu %s", max, what);
}

int pprof_want_wire(struct pprof_decoder *d, const struct pb_field *f, enum pb_wire wire)
{
	if (f->wire == wire)
		return 0;
	return pprof_bad(d, "field %u has wire type %u, not %u", f->number, f->wire, wire);
}

int pprof_want_numbers(struct pprof_decoder *d, const struct pb_field *f)
{
	return f->wire == PB_BYTES ? 0 : pprof_want_wire(d, f, PB_VARINT);
}

size_t pprof_count_numbers(const struct pb_field *f)
{
	return f->wire == PB_BYTES ? pb_count_varints(f->bytes) : 1;
}

int pprof_keep_unknown(struct pprof_decoder *d, struct pprof_unknown *u, struct str raw)
{
	if (!u->s.n) {
		u->s = raw;
		return 0;
	}
	if (!u->own && u->s.p + u->s.n == raw.p) {
		u->s.n += raw.n;
		return 0;
	}
	if (!u->own) {
		u->own = pprof_take_room(d, u->max, 1);
		if (!u->own)
			return -1;
		memcpy(u->own, u->s.p, u->s.n);
		u->s.p = u->own;
	}
	memcpy(u->own + u->s.n, raw.p, raw.n);
	u->s.n += raw.n;
	return 0;
}

int pprof_take_string(struct pprof_decoder *d, uint64_t index, struct str *ret)
{
	const struct pprof_messages *strings = &d->kinds[PROFILE_STRING];

	if (index >= strings->n)
		return pprof_bad(d, "string index %llu is out of range (the table has %zu)",
				 (unsigned long long)index, strings->n);
	*ret = strings->at[index];
	return 0;
}

int pprof_take_reference(struct pprof_decoder *d, const struct pprof_ids *ids, uint64_t id,
			 const char *what, uint32_t *ret)
{
	if (pprof_ids_find(ids, id, ret))
		return 0;
	return pprof_bad(d, "%s id %llu does not exist", what, (unsigned long long)id);
}

int pprof_take_scalar(struct pprof_decoder *d, const struct pprof_field *field,
		      const struct pb_field *f, void *record)
{
	void *to = (char *)record + field->offset;

	if (pprof_want_wire(d, f, PB_VARINT))
		return -1;
	switch (field->type) {
	case PPROF_U64:
		*(uint64_t *)to = f->value;
		return 0;
	case PPROF_BOOL:
		*(bool *)to = f->value != 0;
		return 0;
	case PPROF_STRING:
		return pprof_take_string(d, f->value, to);
	case PPROF_ID:
		d->id = f->value;
		return 0;
	case PPROF_MAPPING:
		*(uint32_t *)to = PPROF_NONE;
		if (!f->value)
			return 0;
		return pprof_take_reference(d, &d->mappings, f->value, "mapping", to);
	case PPROF_FUNCTION:
		return pprof_take_reference(d, &d->functions, f->value, "function", to);
	case PPROF_UNKNOWN:
	case PPROF_REPEATED:
		break;
	}
	return 0;
}

int pprof_take_message(struct pprof_decoder *d, const struct pprof_message *m, struct str bytes,
		       void *record)
{
	struct pb_reader r = pb_reader(bytes);
	struct pprof_unknown unknown = {STR_EMPTY, NULL, bytes.n};
	struct pb_field f;
	int more;

	d->id = 0;
	d->repeated = 0;
	while ((more = pb_next(&r, &f, d->e)) > 0) {
		enum pprof_type type = pprof_field_type(m, f.number);

		if (type == PPROF_UNKNOWN)
			more = pprof_keep_unknown(d, &unknown, f.raw);
		else if (type == PPROF_REPEATED)
			d->repeated++;
		else
			more = pprof_take_scalar(d, &m->fields[f.number], &f, record);
		if (more < 0)
			return -1;
	}
	*(struct str *)((char *)record + m->unknown) = unknown.s;
	return more;
}
