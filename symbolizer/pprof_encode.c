/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof.h"

#include "base/mem.h"
#include "base/pb.h"
#include "symbolizer/pprof_schema.h"
#include "symbolizer/str_set.h"

struct encoder {
	struct buf *out;
	struct str_set strings;
	uint64_t *numbers; // room for the longest repeated field
	bool nomem;
};

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

// The scalar fields and what was kept; the repeated fields are the caller's.
static void put_fields(struct encoder *enc, const struct pprof_message *m, const void *record,
		       size_t position)
{
	for (uint32_t n = 1; n < m->field_count; n++)
		pb_put_u64(enc->out, n, scalar(enc, &m->fields[n], record, position));
	buf_append_str(enc->out, *(const struct str *)((const char *)record + m->unknown));
}

static void put_message(struct encoder *enc, uint32_t number, const struct pprof_message *m,
			const void *record, size_t position)
{
	size_t mark = pb_open(enc->out, number);

	put_fields(enc, m, record, position);
	pb_close(enc->out, mark);
}

static void put_sample(struct encoder *enc, const struct pprof *p, const struct pprof_sample *s)
{
	size_t mark = pb_open(enc->out, PROFILE_SAMPLE);

	for (size_t i = 0; i < s->location_count; i++)
		enc->numbers[i] = id_of(s->locations[i]);
	pb_put_packed(enc->out, SAMPLE_LOCATION_ID, enc->numbers, s->location_count);
	for (size_t i = 0; i < p->sample_type_count; i++)
		enc->numbers[i] = (uint64_t)s->values[i];
	pb_put_packed(enc->out, SAMPLE_VALUE, enc->numbers, p->sample_type_count);
	for (size_t i = 0; i < s->label_count; i++)
		put_message(enc, SAMPLE_LABEL, &pprof_message_label, &s->labels[i], i);
	put_fields(enc, &pprof_message_sample, s, 0);
	pb_close(enc->out, mark);
}

static void put_location(struct encoder *enc, const struct pprof_location *loc, size_t position)
{
	size_t mark = pb_open(enc->out, PROFILE_LOCATION);

	put_fields(enc, &pprof_message_location, loc, position);
	for (size_t i = 0; i < loc->line_count; i++)
		put_message(enc, LOCATION_LINE, &pprof_message_line, &loc->lines[i], i);
	pb_close(enc->out, mark);
}

static void put_tables(struct encoder *enc, const struct pprof *p)
{
	for (size_t i = 0; i < p->sample_type_count; i++)
		put_message(enc, PROFILE_SAMPLE_TYPE, &pprof_message_value_type,
			    &p->sample_types[i], i);
	for (size_t i = 0; i < p->sample_count; i++)
		put_sample(enc, p, &p->samples[i]);
	for (size_t i = 0; i < p->mapping_count; i++)
		put_message(enc, PROFILE_MAPPING, &pprof_message_mapping, &p->mappings[i], i);
	for (size_t i = 0; i < p->location_count; i++)
		put_location(enc, &p->locations[i], i);
	for (size_t i = 0; i < p->function_count; i++)
		put_message(enc, PROFILE_FUNCTION, &pprof_message_function, &p->functions[i], i);
}

static void put_profile(struct encoder *enc, const struct pprof *p)
{
	put_tables(enc, p);
	if (p->has_period_type)
		put_message(enc, PROFILE_PERIOD_TYPE, &pprof_message_value_type, &p->period_type,
			    0);
	for (size_t i = 0; i < p->comment_count; i++)
		enc->numbers[i] = string_index(enc, p->comments[i]);
	pb_put_packed(enc->out, PROFILE_COMMENT, enc->numbers, p->comment_count);
	put_fields(enc, &pprof_message_profile, p, 0);
	// Last, when all strings are known.
	for (size_t i = 0; i < enc->strings.n; i++)
		pb_put_bytes_always(enc->out, PROFILE_STRING, enc->strings.keys[i]);
}

static size_t most_numbers(const struct pprof *p)
{
	size_t n = MAX(p->sample_type_count, p->comment_count);

	for (size_t i = 0; i < p->sample_count; i++)
		n = MAX(n, p->samples[i].location_count);
	return n;
}

int pprof_encode(const struct pprof *p, struct buf *out, struct err *e)
{
	struct encoder enc = {.out = out, .strings = STR_SET_INIT(NULL)};
	uint32_t first;

	enc.numbers = mem_calloc(most_numbers(p), sizeof(*enc.numbers));
	if (enc.numbers && str_set_borrow(&enc.strings, STR_EMPTY, &first) >= 0)
		put_profile(&enc, p);
	else
		enc.nomem = true;
	free(enc.numbers);
	str_set_deinit(&enc.strings);
	if (enc.nomem)
		return err_nomem(e);
	return buf_check(out, "encoded profile", e);
}
