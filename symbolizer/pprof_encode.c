/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof.h"

#include "base/pb.h"
#include "symbolizer/pprof_positions.h"
#include "symbolizer/pprof_schema.h"
#include "symbolizer/str_set.h"

// A message is written in one go into room for the most that it can take, and its length put before it
// when it is known: nothing is measured first, and the buffer is asked once.
enum {
	TAG_SIZE = 1,             // no field number of the schema is above 15
	HEAD_SIZE = TAG_SIZE + 1, // while the message is shorter than 128 bytes
	HEAD_MAX = TAG_SIZE + PB_VARINT_MAX,
	FIELD_MAX = TAG_SIZE + PB_VARINT_MAX,
	REFILL = 64 * 1024,
};

struct encoder {
	struct buf *out;
	uint8_t *at; // room in out, not yet committed
	uint8_t *end;
	struct buf beside; // for messages that might not fit into what is left of out
	struct str_set strings;
	bool nomem;
};

// ---- room ----------------------------------------------------------------------------------------

static size_t room_of_fields(const struct pprof_message *m, const void *record)
{
	const struct str *unknown = (const void *)((const char *)record + m->unknown);

	return HEAD_MAX + m->field_count * FIELD_MAX + unknown->n;
}

static size_t room_of_location(const struct pprof_location *loc)
{
	size_t room = room_of_fields(&pprof_message_location, loc);

	for (size_t i = 0; i < loc->line_count; i++)
		room += room_of_fields(&pprof_message_line, &loc->lines[i]);
	return room;
}

static size_t room_of_sample(const struct pprof_sample *s, size_t types)
{
	size_t room = room_of_fields(&pprof_message_sample, s);

	for (size_t i = 0; i < s->label_count; i++)
		room += room_of_fields(&pprof_message_label, &s->labels[i]);
	return room + 2 * HEAD_MAX + s->location_count * PPROF_POSITION_SIZE_MAX + types * PB_VARINT_MAX;
}

// ---- the end of the output ----------------------------------------------------------------------

static void flush(struct encoder *enc)
{
	if (enc->at)
		buf_commit(enc->out, (size_t)((char *)enc->at - (enc->out->p + enc->out->n)));
	enc->at = enc->end = NULL;
}

// At the maximum what is written counts, not the room.
static uint8_t *begin_beside(struct encoder *enc, size_t room)
{
	uint8_t *to;

	buf_clear(&enc->beside);
	to = (uint8_t *)buf_reserve(&enc->beside, room);
	enc->nomem |= !to;
	return to;
}

static uint8_t *refill(struct encoder *enc, size_t room)
{
	size_t left;

	flush(enc);
	if (enc->out->failed)
		return NULL;
	left = enc->out->max - MIN(enc->out->n, enc->out->max);
	if (room > left)
		return begin_beside(enc, room);
	room = MIN(MAX(room, (size_t)REFILL), left);
	enc->at = (uint8_t *)buf_reserve(enc->out, room);
	enc->end = enc->at ? enc->at + room : NULL;
	return enc->at;
}

// Room for one message; NULL: no memory, or the output has failed before.
static inline uint8_t *begin(struct encoder *enc, size_t room)
{
	return (size_t)(enc->end - enc->at) >= room ? enc->at : refill(enc, room);
}

// It lies between what begin() gave and to.
static inline void commit(struct encoder *enc, const uint8_t *from, uint8_t *to)
{
	if (enc->at)
		enc->at = to;
	else
		buf_append(enc->out, from, (size_t)(to - from));
}

// ---- fields --------------------------------------------------------------------------------------

static uint64_t string_index(struct encoder *enc, struct str s)
{
	uint32_t index;

	if (!s.n)
		return 0;
	if (str_set_borrow(&enc->strings, s, &index) < 0) {
		enc->nomem = true;
		return 0;
	}
	return index;
}

static uint64_t id_of(uint32_t position)
{
	return position == PPROF_NONE ? 0 : (uint64_t)position + 1;
}

static uint64_t scalar(struct encoder *enc, const struct pprof_field *field, const void *record,
		       size_t position)
{
	const void *from = (const char *)record + field->offset;

	switch (field->type) {
	case PPROF_U64:
		return *(const uint64_t *)from;
	case PPROF_BOOL:
		return *(const bool *)from;
	case PPROF_STRING:
		return string_index(enc, *(const struct str *)from);
	case PPROF_ID:
		return position + 1;
	case PPROF_MAPPING:
	case PPROF_FUNCTION:
		return id_of(*(const uint32_t *)from);
	case PPROF_UNKNOWN:
	case PPROF_REPEATED:
		break;
	}
	return 0;
}

// Proto3: a zero is left out.
static uint8_t *put_field(uint8_t *to, uint32_t number, uint64_t v)
{
	if (!v)
		return to;
	*to++ = (uint8_t)pb_tag(number, PB_VARINT);
	return pb_write_varint(to, v);
}

// The scalar fields and what was kept; the repeated fields are the caller's.
static uint8_t *put_fields(struct encoder *enc, uint8_t *to, const struct pprof_message *m,
			   const void *record, size_t position)
{
	const struct str *unknown = (const void *)((const char *)record + m->unknown);

	for (uint32_t n = 1; n < m->field_count; n++)
		to = put_field(to, n, scalar(enc, &m->fields[n], record, position));
	if (unknown->n)
		memcpy(to, unknown->p, unknown->n);
	return to + unknown->n;
}

// What was written from start + HEAD_SIZE to end becomes a message; returns its end.
static uint8_t *close_message(uint8_t *start, uint8_t *end, uint32_t number)
{
	uint8_t *body = start + HEAD_SIZE;
	size_t n = (size_t)(end - body);
	size_t more;

	*start = (uint8_t)pb_tag(number, PB_BYTES);
	start[TAG_SIZE] = (uint8_t)n;
	if (n < 0x80)
		return end;
	more = pb_varint_size(n) - 1;
	memmove(body + more, body, n);
	pb_write_varint(start + TAG_SIZE, n);
	return end + more;
}

static uint8_t *put_inner(struct encoder *enc, uint8_t *to, uint32_t number,
			  const struct pprof_message *m, const void *record, size_t position)
{
	return close_message(to, put_fields(enc, to + HEAD_SIZE, m, record, position), number);
}

static void put_message(struct encoder *enc, uint32_t number, const struct pprof_message *m,
			const void *record, size_t position)
{
	uint8_t *to = begin(enc, room_of_fields(m, record));

	if (to)
		commit(enc, to, put_inner(enc, to, number, m, record, position));
}

static void put_string(struct encoder *enc, struct str s)
{
	uint8_t *start = begin(enc, HEAD_MAX + s.n);

	if (!start)
		return;
	if (s.n)
		memcpy(start + HEAD_SIZE, s.p, s.n);
	commit(enc, start, close_message(start, start + HEAD_SIZE + s.n, PROFILE_STRING));
}

// ---- samples and locations -----------------------------------------------------------------------

static uint8_t *put_locations(uint8_t *to, const struct pprof_sample *s)
{
	uint8_t *end;

	if (!s->location_count)
		return to;
	end = pprof_write_positions(to + HEAD_SIZE, s->locations, s->location_count);
	return close_message(to, end, SAMPLE_LOCATION_ID);
}

static uint8_t *put_values(uint8_t *to, const struct pprof_sample *s, size_t types)
{
	uint8_t *at = to + HEAD_SIZE;

	if (!types)
		return to;
	for (size_t i = 0; i < types; i++)
		at = pb_write_varint(at, (uint64_t)s->values[i]);
	return close_message(to, at, SAMPLE_VALUE);
}

static void put_sample(struct encoder *enc, const struct pprof_sample *s, size_t types)
{
	uint8_t *start = begin(enc, room_of_sample(s, types));
	uint8_t *to;

	if (!start)
		return;
	to = put_values(put_locations(start + HEAD_SIZE, s), s, types);
	for (size_t i = 0; i < s->label_count; i++)
		to = put_inner(enc, to, SAMPLE_LABEL, &pprof_message_label, &s->labels[i], i);
	to = put_fields(enc, to, &pprof_message_sample, s, 0);
	commit(enc, start, close_message(start, to, PROFILE_SAMPLE));
}

static void put_raw(struct encoder *enc, struct str raw)
{
	uint8_t *start = begin(enc, raw.n);

	if (!start)
		return;
	memcpy(start, raw.p, raw.n);
	commit(enc, start, start + raw.n);
}

// As many as lie side by side in what they were read from.
static struct str raw_samples(const struct pprof *p, size_t first, size_t *ret_next)
{
	struct str raw = p->samples[first].raw;
	size_t i = first + 1;

	for (; i < p->sample_count && p->samples[i].raw.p == raw.p + raw.n; i++)
		raw.n += p->samples[i].raw.n;
	*ret_next = i;
	return raw;
}

static void put_samples(struct encoder *enc, const struct pprof *p)
{
	for (size_t i = 0; i < p->sample_count;) {
		if (p->samples[i].raw.n)
			put_raw(enc, raw_samples(p, i, &i));
		else
			put_sample(enc, &p->samples[i++], p->sample_type_count);
	}
}

static void put_location(struct encoder *enc, const struct pprof_location *loc, size_t position)
{
	uint8_t *start = begin(enc, room_of_location(loc));
	uint8_t *to;

	if (!start)
		return;
	to = put_fields(enc, start + HEAD_SIZE, &pprof_message_location, loc, position);
	for (size_t i = 0; i < loc->line_count; i++)
		to = put_inner(enc, to, LOCATION_LINE, &pprof_message_line, &loc->lines[i], i);
	commit(enc, start, close_message(start, to, PROFILE_LOCATION));
}

// ---- the whole -----------------------------------------------------------------------------------

static void put_tables(struct encoder *enc, const struct pprof *p)
{
	for (size_t i = 0; i < p->sample_type_count; i++)
		put_message(enc, PROFILE_SAMPLE_TYPE, &pprof_message_value_type,
			    &p->sample_types[i], i);
	put_samples(enc, p);
	for (size_t i = 0; i < p->mapping_count; i++)
		put_message(enc, PROFILE_MAPPING, &pprof_message_mapping, &p->mappings[i], i);
	for (size_t i = 0; i < p->location_count; i++)
		put_location(enc, &p->locations[i], i);
	for (size_t i = 0; i < p->function_count; i++)
		put_message(enc, PROFILE_FUNCTION, &pprof_message_function, &p->functions[i], i);
}

static void put_own_fields(struct encoder *enc, const struct pprof *p)
{
	size_t room = room_of_fields(&pprof_message_profile, p) + HEAD_MAX +
		      p->comment_count * PB_VARINT_MAX;
	uint8_t *start = begin(enc, room);
	uint8_t *to;

	if (!start)
		return;
	to = start + HEAD_SIZE;
	for (size_t i = 0; i < p->comment_count; i++)
		to = pb_write_varint(to, string_index(enc, p->comments[i]));
	to = p->comment_count ? close_message(start, to, PROFILE_COMMENT) : start;
	commit(enc, start, put_fields(enc, to, &pprof_message_profile, p, 0));
}

static void put_profile(struct encoder *enc, const struct pprof *p)
{
	put_tables(enc, p);
	if (p->has_period_type)
		put_message(enc, PROFILE_PERIOD_TYPE, &pprof_message_value_type, &p->period_type,
			    0);
	put_own_fields(enc, p);
	// Last, when all strings are known.
	for (size_t i = 0; i < enc->strings.n; i++)
		put_string(enc, enc->strings.keys[i]);
	flush(enc);
}

// Pages that are not touched cost nothing, growing costs a copy. Names are not counted.
static size_t guess_size(const struct pprof *p)
{
	enum { SAMPLE = 16, LOCATION = 32, FUNCTION = 16, NUMBER = 3 };
	size_t n = p->location_count * LOCATION + p->function_count * FUNCTION;

	for (size_t i = 0; i < p->sample_count; i++)
		n += SAMPLE + (p->samples[i].location_count + p->sample_type_count) * NUMBER;
	return n;
}

int pprof_encode(const struct pprof *p, struct buf *out, struct err *e)
{
	struct encoder enc = {
		.out = out, .beside = BUF_INIT(SIZE_MAX), .strings = STR_SET_INIT(NULL)};
	size_t guess = guess_size(p);
	uint32_t first;

	if (str_set_borrow(&enc.strings, STR_EMPTY, &first) < 0)
		enc.nomem = true;
	else if (guess > out->max - MIN(out->n, out->max) || buf_reserve(out, guess))
		put_profile(&enc, p);
	str_set_deinit(&enc.strings);
	buf_deinit(&enc.beside);
	if (enc.nomem)
		return err_nomem(e);
	return buf_check(out, "encoded profile", e);
}
