/* SPDX-License-Identifier: Apache-2.0 */
// Samples are nearly all of a profile: one pass over each, and the numbers of many lie in one
// block of memory.
#include "symbolizer/pprof_decoder.h"
#include "symbolizer/pprof_positions.h"

enum { UNPACKED_AS_GOOD = 2, BLOCK_SIZE = 64 * 1024 };

// A sample as it fills up.
struct filling {
	struct pprof_sample *s;
	size_t values;           // met; those beyond the sample types are but counted
	size_t unpacked;         // locations that came one by one
	struct pb_reader labels; // from the first one on
	struct pprof_unknown unknown;
};

// Any ids; says what is wrong with one.
static int take_any(struct pprof_decoder *d, const struct pb_field *f, struct pprof_sample *s)
{
	struct pb_packed packed = pb_packed(f);
	uint64_t id;
	int more;

	if (pprof_check_limit(d, s->location_count + pprof_count_numbers(f),
			      d->limits->stack_depth, "locations in one stack"))
		return -1;
	while ((more = pb_packed_next(&packed, &id, d->e)) > 0) {
		if (pprof_take_reference(d, &d->locations, id, "location",
					 &s->locations[s->location_count++]))
			return -1;
	}
	return more;
}

// More ids of a writer that does not pack them: the same field again and again.
static void take_more(struct pprof_decoder *d, struct pb_reader *r, struct pprof_sample *s)
{
	const uint8_t tag = (uint8_t)pb_tag(SAMPLE_LOCATION_ID, PB_VARINT);
	const uint8_t *at = r->p;
	size_t n = s->location_count;
	uint64_t id;

	// Where anything is wrong, the slow way says what.
	for (; at < r->end && *at == tag && n < d->limits->stack_depth; n++) {
		const uint8_t *next = at + 1;

		if (!pb_take_varint(&next, r->end, &id) ||
		    !pprof_ids_find(&d->locations, id, &s->locations[n]))
			break;
		at = next;
	}
	r->p = at;
	s->location_count = n;
}

static int take_unpacked(struct pprof_decoder *d, const struct pb_field *f, struct pb_reader *r,
			 struct filling *fill)
{
	size_t before = fill->s->location_count;

	if (pprof_want_numbers(d, f) || take_any(d, f, fill->s))
		return -1;
	take_more(d, r, fill->s);
	fill->unpacked += fill->s->location_count - before;
	return 0;
}

static int take_locations(struct pprof_decoder *d, const struct pb_field *f, struct pb_reader *r,
			  struct filling *fill)
{
	struct pprof_sample *s = fill->s;
	size_t n;

	if (f->wire != PB_BYTES)
		return take_unpacked(d, f, r, fill);
	// As many bytes as would fit if each were an id need no count.
	if (d->locations.kept == PPROF_IDS_IN_ORDER &&
	    f->bytes.n <= d->limits->stack_depth - s->location_count &&
	    pprof_read_positions(f->bytes, (uint32_t)d->locations.n,
				 s->locations + s->location_count, &n)) {
		s->location_count += n;
		return 0;
	}
	return take_any(d, f, s);
}

static void take_value(struct pprof_decoder *d, struct filling *fill, uint64_t value)
{
	if (fill->values < d->p->sample_type_count)
		fill->s->values[fill->values] = (int64_t)value;
	fill->values++;
}

static int take_values(struct pprof_decoder *d, const struct pb_field *f, struct filling *fill)
{
	struct pb_reader r = pb_reader(f->bytes);
	uint64_t value;

	if (f->wire != PB_BYTES) {
		take_value(d, fill, f->value);
		return pprof_want_numbers(d, f);
	}
	while (r.p < r.end && pb_take_varint(&r.p, r.end, &value))
		take_value(d, fill, value);
	// At the end, or at what is no number: that is said there.
	return pb_next_packed(&r, &value, d->e);
}

static int note_label(struct pprof_decoder *d, const struct pb_field *f, const struct pb_reader *r,
		      struct filling *fill)
{
	if (!fill->s->label_count++) {
		fill->labels = *r;
		fill->labels.p = (const uint8_t *)f->raw.p;
	}
	return pprof_want_wire(d, f, PB_BYTES);
}

static int take_field(struct pprof_decoder *d, const struct pb_field *f, struct pb_reader *r,
		      struct filling *fill)
{
	switch (f->number) {
	case SAMPLE_LOCATION_ID:
		return take_locations(d, f, r, fill);
	case SAMPLE_VALUE:
		return take_values(d, f, fill);
	case SAMPLE_LABEL:
		return note_label(d, f, r, fill);
	default:
		return pprof_keep_unknown(d, &fill->unknown, f->raw);
	}
}

static int take_labels(struct pprof_decoder *d, struct filling *fill)
{
	struct pprof_sample *s = fill->s;
	struct pb_field f;
	size_t i = 0;

	if (pprof_check_limit(d, s->label_count, d->limits->labels_per_sample,
			      "labels on one sample"))
		return -1;
	s->labels = pprof_take_room(d, s->label_count, sizeof(*s->labels));
	if (!s->labels)
		return -1;
	while (i < s->label_count && pb_next(&fill->labels, &f, d->e) > 0) {
		if (f.number != SAMPLE_LABEL)
			continue;
		s->labels[i] = (struct pprof_label){
			.key = STR_EMPTY, .str = STR_EMPTY, .num_unit = STR_EMPTY};
		if (pprof_take_message(d, &pprof_message_label, f.bytes, &s->labels[i]))
			return pprof_bad_at(d, "label", i);
		i++;
	}
	return 0;
}

static int add_block(struct pprof_decoder *d, size_t need)
{
	size_t size = MAX(need, (size_t)BLOCK_SIZE);

	d->numbers = pprof_take_room(d, size, 1);
	d->numbers_left = d->numbers ? size : 0;
	return d->numbers ? 0 : -1;
}

// Values first, then locations, of which there cannot be more than there are bytes.
static int begin_numbers(struct pprof_decoder *d, size_t bytes, struct pprof_sample *s)
{
	size_t depth = MIN(bytes, d->limits->stack_depth);
	size_t need = d->p->sample_type_count * sizeof(*s->values) + depth * sizeof(*s->locations);

	if (need > d->numbers_left && add_block(d, need))
		return -1;
	s->values = (int64_t *)d->numbers;
	s->locations = (uint32_t *)(s->values + d->p->sample_type_count);
	return 0;
}

// The next sample's begin where these end.
static void end_numbers(struct pprof_decoder *d, const struct pprof_sample *s)
{
	size_t depth = (s->location_count + 1) & ~(size_t)1; // values are aligned
	char *end = (char *)(s->locations + depth);

	d->numbers_left -= MIN((size_t)(end - d->numbers), d->numbers_left);
	d->numbers = end;
}

static int take_fields(struct pprof_decoder *d, struct str bytes, struct filling *fill)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	int more;

	while ((more = pb_next(&r, &f, d->e)) > 0) {
		if (take_field(d, &f, &r, fill))
			return -1;
	}
	return more;
}

// May it be written as it is? Go does not pack one or two numbers; many would cost a third more bytes.
static bool may_stay(const struct pprof_decoder *d, const struct filling *fill)
{
	return !fill->s->label_count && d->locations.kept == PPROF_IDS_IN_ORDER &&
	       fill->unpacked <= UNPACKED_AS_GOOD;
}

static int take_sample(struct pprof_decoder *d, struct str raw, struct pprof_sample *ret)
{
	struct filling fill = {.s = ret, .unknown = {STR_EMPTY, NULL, raw.n}};
	struct pb_reader r = pb_reader(raw);
	struct pb_field f;

	*ret = (struct pprof_sample){0};
	if (pb_next(&r, &f, d->e) < 0 || begin_numbers(d, f.bytes.n, ret) ||
	    take_fields(d, f.bytes, &fill))
		return -1;
	if (fill.values != d->p->sample_type_count)
		return pprof_bad(d, "has %zu values for %zu sample types", fill.values,
				 d->p->sample_type_count);
	end_numbers(d, ret);
	if (ret->label_count && take_labels(d, &fill))
		return -1;
	ret->unknown = fill.unknown.s;
	if (may_stay(d, &fill))
		ret->raw = raw;
	return 0;
}

int pprof_read_samples(struct pprof_decoder *d)
{
	const struct pprof_messages *m = &d->kinds[PROFILE_SAMPLE];
	struct pprof *p = d->p;

	if (m->n && !p->sample_type_count)
		return pprof_bad(d, "has samples but no sample type");
	p->samples = pprof_take_room(d, m->n, sizeof(*p->samples));
	if (!p->samples)
		return -1;
	for (; p->sample_count < m->n; p->sample_count++) {
		if (take_sample(d, m->at[p->sample_count], &p->samples[p->sample_count]))
			return pprof_bad_at(d, "sample", p->sample_count);
	}
	return 0;
}
