/* SPDX-License-Identifier: Apache-2.0 */
// Fields of the profile come in any order, but strings, mappings and functions are referred to by
// number. So the first two passes only sort messages by kind; each kind is decoded when all it refers
// to is there.
#include "symbolizer/pprof_decoder.h"

// ---- the profile's own fields --------------------------------------------------------------------

static int take_comments(struct pprof_decoder *d, const struct pb_field *f)
{
	struct pb_packed packed = pb_packed(f);
	struct pprof *p = d->p;
	uint64_t index;
	int more;

	if (pprof_want_numbers(d, f))
		return -1;
	while ((more = pb_packed_next(&packed, &index, d->e)) > 0) {
		if (pprof_take_string(d, index, &p->comments[p->comment_count]))
			return -1;
		p->comment_count++;
	}
	return more;
}

static int take_profile_field(struct pprof_decoder *d, struct pprof_unknown *unknown,
			      const struct pb_field *f)
{
	const struct pprof_message *m = &pprof_message_profile;

	switch (f->number) {
	case PROFILE_PERIOD_TYPE:
		d->p->has_period_type = true;
		if (pprof_want_wire(d, f, PB_BYTES))
			return -1;
		return pprof_take_message(d, &pprof_message_value_type, f->bytes,
					  &d->p->period_type);
	case PROFILE_COMMENT:
		return take_comments(d, f);
	default:
		if (pprof_field_type(m, f->number) == PPROF_UNKNOWN)
			return pprof_keep_unknown(d, unknown, f->raw);
		return pprof_take_scalar(d, &m->fields[f->number], f, d->p);
	}
}

static int count_comments(struct pprof_decoder *d, size_t *ret_bytes)
{
	const struct pprof_messages *m = &d->kinds[PPROF_OWN_FIELDS];
	size_t comments = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct pb_reader r = pb_reader(m->at[i]);
		struct pb_field f;

		if (pb_next(&r, &f, d->e) != 1)
			return -1;
		if (f.number == PROFILE_COMMENT)
			comments += pprof_count_numbers(&f);
		*ret_bytes += m->at[i].n;
	}
	d->p->comments = pprof_take_room(d, comments, sizeof(*d->p->comments));
	return d->p->comments ? 0 : -1;
}

static int decode_profile(struct pprof_decoder *d)
{
	const struct pprof_messages *m = &d->kinds[PPROF_OWN_FIELDS];
	struct pprof_unknown unknown = {STR_EMPTY, NULL, 0};

	if (count_comments(d, &unknown.max))
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		struct pb_reader r = pb_reader(m->at[i]);
		struct pb_field f;

		if (pb_next(&r, &f, d->e) != 1)
			return -1;
		if (take_profile_field(d, &unknown, &f))
			return pprof_bad_at(d, "profile field", f.number);
	}
	d->p->unknown = unknown.s;
	return 0;
}

// ---- sorting by kind -----------------------------------------------------------------------------

static size_t kind_of(const struct pb_field *f)
{
	return f->number < PPROF_KINDS ? f->number : PPROF_OWN_FIELDS;
}

// Of these the whole field is kept, tag and length included.
static bool is_kept_raw(size_t kind)
{
	return kind == PPROF_OWN_FIELDS || kind == PROFILE_SAMPLE;
}

static int count_messages(struct pprof_decoder *d, struct str bytes)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	int more;

	while ((more = pb_next(&r, &f, d->e)) > 0) {
		size_t kind = kind_of(&f);

		if (kind != PPROF_OWN_FIELDS && pprof_want_wire(d, &f, PB_BYTES))
			return -1;
		d->kinds[kind].n++;
	}
	return more;
}

static int check_counts(struct pprof_decoder *d)
{
	const struct pprof_limits *l = d->limits;

	if (pprof_check_limit(d, d->kinds[PROFILE_SAMPLE].n, l->samples, "samples") ||
	    pprof_check_limit(d, d->kinds[PROFILE_LOCATION].n, l->locations, "locations") ||
	    pprof_check_limit(d, d->kinds[PROFILE_MAPPING].n, l->locations, "mappings") ||
	    pprof_check_limit(d, d->kinds[PROFILE_FUNCTION].n, l->functions, "functions"))
		return -1;
	return pprof_check_limit(d, d->kinds[PROFILE_STRING].n, l->strings, "strings");
}

static int sort_messages(struct pprof_decoder *d, struct str bytes)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;

	if (count_messages(d, bytes) || check_counts(d))
		return -1;
	for (size_t i = 0; i < PPROF_KINDS; i++) {
		d->kinds[i].at = pprof_take_room(d, d->kinds[i].n, sizeof(struct str));
		if (!d->kinds[i].at)
			return -1;
		d->kinds[i].n = 0;
	}
	while (pb_next(&r, &f, d->e) > 0) {
		size_t kind = kind_of(&f);
		struct pprof_messages *m = &d->kinds[kind];

		m->at[m->n++] = is_kept_raw(kind) ? f.raw : f.bytes;
	}
	d->mappings = PPROF_IDS_INIT(d->kinds[PROFILE_MAPPING].n);
	d->locations = PPROF_IDS_INIT(d->kinds[PROFILE_LOCATION].n);
	d->functions = PPROF_IDS_INIT(d->kinds[PROFILE_FUNCTION].n);
	return 0;
}

static int check_strings(struct pprof_decoder *d)
{
	const struct pprof_messages *strings = &d->kinds[PROFILE_STRING];

	if (!strings->n)
		return pprof_bad(d, "has no string table (is it a profile?)");
	if (strings->at[0].n)
		return pprof_bad(d, "string_table[0] is not empty");
	return 0;
}

static int decode_all(struct pprof_decoder *d, struct str bytes)
{
	if (bytes.n > d->limits->identity_bytes)
		return err_set(d->e, ERR_TOO_LARGE, "larger than the limit of %zu bytes",
			       d->limits->identity_bytes);
	if (sort_messages(d, bytes) || check_strings(d) || pprof_read_sample_types(d) ||
	    pprof_read_mappings(d) || pprof_read_functions(d) || pprof_read_locations(d) ||
	    pprof_read_samples(d))
		return -1;
	return decode_profile(d);
}

int pprof_decode(struct str bytes, const struct pprof_limits *limits, struct arena *arena,
		 struct pprof *ret, struct err *e)
{
	struct pprof p = {
		.arena = arena,
		.drop_frames = STR_EMPTY,
		.keep_frames = STR_EMPTY,
		.period_type = {STR_EMPTY, STR_EMPTY, STR_EMPTY},
		.default_sample_type = STR_EMPTY,
		.doc_url = STR_EMPTY,
	};
	struct pprof_decoder d = {.limits = limits, .arena = arena, .p = &p, .e = e};
	int r = decode_all(&d, bytes);

	pprof_ids_deinit(&d.mappings);
	pprof_ids_deinit(&d.locations);
	pprof_ids_deinit(&d.functions);
	if (r) {
		if (e && e->kind == ERR_BAD_PROTOBUF)
			e->kind = ERR_BAD_PPROF;
		return err_wrap(e, "pprof");
	}
	*ret = p;
	return 0;
}
