/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof.h"

#include "base/map.h"
#include "base/pb.h"
#include "symbolizer/pprof_schema.h"

// Fields of the profile come in any order, but strings, mappings and functions are referred to by
// number. So the first two passes only sort messages by kind; each kind is decoded when all it refers
// to is there.

// Messages of one kind: PROFILE_SAMPLE_TYPE … PROFILE_STRING; OTHER are the profile's own fields.
enum { OTHER = 0, KIND_COUNT = PROFILE_STRING + 1 };

struct messages {
	struct str *at;
	size_t n;
};

// From the ids of the wire to positions. Nearly all writers number 1, 2, 3…: then no table is needed.
struct ids {
	struct map64 map;
	bool sparse;
	size_t n;
};

struct decoder {
	const struct pprof_limits *limits;
	struct arena *arena;
	struct pprof *p;
	struct messages kinds[KIND_COUNT];
	struct ids mappings;
	struct ids locations;
	struct ids functions;
	uint64_t id; // of the message being read; 0 where it had none
	struct err *e;
};

// Unknown fields of one message, one after the other: borrowed while they lie side by side, else copied
// into a block of the message's size.
struct unknown {
	struct str s;
	char *own;
	size_t max;
};

#define bad(d, ...) err_set((d)->e, ERR_BAD_PPROF, __VA_ARGS__)

// Says which message it was; damage found by the wire reader becomes ours.
static int bad_at(struct decoder *d, const char *what, size_t i)
{
	if (d->e && d->e->kind == ERR_BAD_PROTOBUF)
		d->e->kind = ERR_BAD_PPROF;
	return err_wrap(d->e, "%s %zu", what, i);
}

static void *take_room(struct decoder *d, size_t count, size_t size)
{
	void *p = arena_calloc(d->arena, count, size);
	size_t need;

	if (p)
		return p;
	if (mul_overflows(count, size, &need) || need > d->arena->cap - d->arena->used)
		err_set(d->e, ERR_TOO_LARGE, "decoding the profile needs more than %zu bytes",
			d->arena->cap);
	else
		err_nomem(d->e);
	return NULL;
}

static int check_limit(struct decoder *d, size_t n, size_t max, const char *what)
{
	if (n <= max)
		return 0;
	return err_set(d->e, ERR_TOO_LARGE, "more than %zu %s", max, what);
}

// ---- ids -----------------------------------------------------------------------------------------

static int make_sparse(struct ids *ids)
{
	for (size_t i = 0; i < ids->n; i++) {
		if (map64_set(&ids->map, i + 1, i))
			return -1;
	}
	ids->sparse = true;
	return 0;
}

static bool find_id(const struct ids *ids, uint64_t id, uint64_t *ret)
{
	if (ids->sparse)
		return map64_get(&ids->map, id, ret);
	*ret = id - 1;
	return id - 1 < ids->n;
}

static int add_id(struct decoder *d, struct ids *ids, uint64_t id)
{
	uint64_t other;

	if (!id)
		return bad(d, "its id is 0");
	if (find_id(ids, id, &other))
		return bad(d, "its id %llu is taken by number %llu", (unsigned long long)id,
			   (unsigned long long)other);
	if (!ids->sparse && id != ids->n + 1 && make_sparse(ids))
		return err_nomem(d->e);
	if (ids->sparse && map64_set(&ids->map, id, ids->n))
		return err_nomem(d->e);
	ids->n++;
	return 0;
}

static int take_reference(struct decoder *d, const struct ids *ids, uint64_t id, const char *what,
			  uint32_t *ret)
{
	uint64_t position;

	if (!find_id(ids, id, &position))
		return bad(d, "%s id %llu does not exist", what, (unsigned long long)id);
	*ret = (uint32_t)position;
	return 0;
}

// ---- one message ---------------------------------------------------------------------------------

static int keep_unknown(struct decoder *d, struct unknown *u, struct str raw)
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
		u->own = take_room(d, u->max, 1);
		if (!u->own)
			return -1;
		memcpy(u->own, u->s.p, u->s.n);
		u->s.p = u->own;
	}
	memcpy(u->own + u->s.n, raw.p, raw.n);
	u->s.n += raw.n;
	return 0;
}

static int take_string(struct decoder *d, uint64_t index, struct str *ret)
{
	const struct messages *strings = &d->kinds[PROFILE_STRING];

	if (index >= strings->n)
		return bad(d, "string index %llu is out of range (the table has %zu)",
			   (unsigned long long)index, strings->n);
	*ret = strings->at[index];
	return 0;
}

static int want_wire(struct decoder *d, const struct pb_field *f, enum pb_wire wire)
{
	if (f->wire == wire)
		return 0;
	return bad(d, "field %u has wire type %u, not %u", f->number, f->wire, wire);
}

static int take_scalar(struct decoder *d, const struct pprof_field *field, const struct pb_field *f,
		       void *record)
{
	void *to = (char *)record + field->offset;

	if (want_wire(d, f, PB_VARINT))
		return -1;
	switch (field->type) {
	case PPROF_U64:
		*(uint64_t *)to = f->value;
		return 0;
	case PPROF_BOOL:
		*(bool *)to = f->value != 0;
		return 0;
	case PPROF_STRING:
		return take_string(d, f->value, to);
	case PPROF_ID:
		d->id = f->value;
		return 0;
	case PPROF_MAPPING:
		*(uint32_t *)to = PPROF_NONE;
		return f->value ? take_reference(d, &d->mappings, f->value, "mapping", to) : 0;
	case PPROF_FUNCTION:
		return take_reference(d, &d->functions, f->value, "function", to);
	case PPROF_UNKNOWN:
	case PPROF_REPEATED:
		break;
	}
	return 0;
}

// Everything but the repeated fields.
static int take_message(struct decoder *d, const struct pprof_message *m, struct str bytes,
			void *record)
{
	struct pb_reader r = pb_reader(bytes);
	struct unknown unknown = {STR_EMPTY, NULL, bytes.n};
	struct pb_field f;
	int more;

	d->id = 0;
	while ((more = pb_next(&r, &f, d->e)) > 0) {
		enum pprof_type type = pprof_field_type(m, f.number);

		if (type == PPROF_UNKNOWN)
			more = keep_unknown(d, &unknown, f.raw);
		else if (type != PPROF_REPEATED)
			more = take_scalar(d, &m->fields[f.number], &f, record);
		if (more < 0)
			return -1;
	}
	*(struct str *)((char *)record + m->unknown) = unknown.s;
	return more;
}

// ---- samples -------------------------------------------------------------------------------------

// Numbers in a repeated field: a packed varint ends at each byte without the high bit.
static size_t count_numbers(const struct pb_field *f)
{
	const uint64_t each_byte = 0x0101010101010101;
	size_t n = 0;
	size_t i = 0;

	if (f->wire != PB_BYTES)
		return 1;
	for (; f->bytes.n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t eight;

		memcpy(&eight, f->bytes.p + i, sizeof(eight));
		// One in each byte whose high bit is clear; the product adds them up in the top byte.
		n += (~eight >> 7 & each_byte) * each_byte >> 56;
	}
	for (; i < f->bytes.n; i++)
		n += !(f->bytes.p[i] & 0x80);
	return n;
}

static int want_numbers(struct decoder *d, const struct pb_field *f)
{
	return f->wire == PB_BYTES ? 0 : want_wire(d, f, PB_VARINT);
}

static int check_sample(struct decoder *d, const struct pprof_sample *s)
{
	if (s->location_count > d->limits->stack_depth)
		return check_limit(d, s->location_count, d->limits->stack_depth,
				   "locations in one stack");
	if (s->label_count > d->limits->labels_per_sample)
		return check_limit(d, s->label_count, d->limits->labels_per_sample,
				   "labels on one sample");
	return 0;
}

static int count_sample(struct decoder *d, struct str bytes, struct pprof_sample *s,
			size_t *ret_values)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	int more;

	while ((more = pb_next(&r, &f, d->e)) > 0) {
		if (f.number == SAMPLE_LABEL) {
			s->label_count++;
			more = want_wire(d, &f, PB_BYTES);
		} else if (f.number == SAMPLE_LOCATION_ID) {
			s->location_count += count_numbers(&f);
			more = want_numbers(d, &f);
		} else if (f.number == SAMPLE_VALUE) {
			*ret_values += count_numbers(&f);
			more = want_numbers(d, &f);
		}
		if (more < 0)
			return -1;
	}
	return more ? more : check_sample(d, s);
}

static int take_locations(struct decoder *d, const struct pb_field *f, uint32_t *to, size_t *at)
{
	struct pb_packed packed = pb_packed(f);
	uint64_t id;
	int more;

	while ((more = pb_packed_next(&packed, &id, d->e)) > 0) {
		if (take_reference(d, &d->locations, id, "location", &to[(*at)++]))
			return -1;
	}
	return more;
}

static int take_values(struct decoder *d, const struct pb_field *f, int64_t *to, size_t *at)
{
	struct pb_packed packed = pb_packed(f);
	uint64_t value;
	int more;

	while ((more = pb_packed_next(&packed, &value, d->e)) > 0)
		to[(*at)++] = (int64_t)value;
	return more;
}

static int take_label(struct decoder *d, const struct pb_field *f, struct pprof_label *labels,
		      size_t *at)
{
	size_t i = (*at)++;

	labels[i] = (struct pprof_label){.key = STR_EMPTY, .str = STR_EMPTY, .num_unit = STR_EMPTY};
	if (take_message(d, &pprof_message_label, f->bytes, &labels[i]))
		return bad_at(d, "label", i);
	return 0;
}

// count_sample() has checked the wire types and counted what fits.
static int fill_sample(struct decoder *d, struct str bytes, struct pprof_sample *s)
{
	struct pb_reader r = pb_reader(bytes);
	struct unknown unknown = {STR_EMPTY, NULL, bytes.n};
	size_t locations = 0;
	size_t values = 0;
	size_t labels = 0;
	struct pb_field f;
	int more;

	while ((more = pb_next(&r, &f, d->e)) > 0) {
		if (f.number == SAMPLE_LOCATION_ID)
			more = take_locations(d, &f, s->locations, &locations);
		else if (f.number == SAMPLE_VALUE)
			more = take_values(d, &f, s->values, &values);
		else if (f.number == SAMPLE_LABEL)
			more = take_label(d, &f, s->labels, &labels);
		else
			more = keep_unknown(d, &unknown, f.raw);
		if (more < 0)
			return -1;
	}
	s->unknown = unknown.s;
	return more;
}

static int decode_sample(struct decoder *d, struct str bytes, struct pprof_sample *s)
{
	size_t values = 0;

	if (count_sample(d, bytes, s, &values))
		return -1;
	if (values != d->p->sample_type_count)
		return bad(d, "has %zu values for %zu sample types", values,
			   d->p->sample_type_count);
	s->locations = take_room(d, s->location_count, sizeof(*s->locations));
	s->values = take_room(d, values, sizeof(*s->values));
	s->labels = take_room(d, s->label_count, sizeof(*s->labels));
	if (!s->locations || !s->values || !s->labels)
		return -1;
	return fill_sample(d, bytes, s);
}

static int decode_samples(struct decoder *d)
{
	const struct messages *m = &d->kinds[PROFILE_SAMPLE];
	struct pprof *p = d->p;

	if (m->n && !p->sample_type_count)
		return bad(d, "has samples but no sample type");
	p->samples = take_room(d, m->n, sizeof(*p->samples));
	if (!p->samples)
		return -1;
	for (; p->sample_count < m->n; p->sample_count++) {
		if (decode_sample(d, m->at[p->sample_count], &p->samples[p->sample_count]))
			return bad_at(d, "sample", p->sample_count);
	}
	return 0;
}

// ---- mappings, functions, locations, sample types ------------------------------------------------

static int decode_sample_types(struct decoder *d)
{
	const struct messages *m = &d->kinds[PROFILE_SAMPLE_TYPE];
	struct pprof *p = d->p;

	p->sample_types = take_room(d, m->n, sizeof(*p->sample_types));
	if (!p->sample_types)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->sample_types[i] = (struct pprof_value_type){STR_EMPTY, STR_EMPTY, STR_EMPTY};
		if (take_message(d, &pprof_message_value_type, m->at[i], &p->sample_types[i]))
			return bad_at(d, "sample type", i);
	}
	p->sample_type_count = m->n;
	return 0;
}

static int decode_mappings(struct decoder *d)
{
	const struct messages *m = &d->kinds[PROFILE_MAPPING];
	struct pprof *p = d->p;

	p->mappings = take_room(d, m->n, sizeof(*p->mappings));
	if (!p->mappings)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->mappings[i].filename = STR_EMPTY;
		p->mappings[i].build_id = STR_EMPTY;
		if (take_message(d, &pprof_message_mapping, m->at[i], &p->mappings[i]) ||
		    add_id(d, &d->mappings, d->id))
			return bad_at(d, "mapping", i);
	}
	p->mapping_count = m->n;
	return 0;
}

static int decode_functions(struct decoder *d)
{
	const struct messages *m = &d->kinds[PROFILE_FUNCTION];
	struct pprof *p = d->p;

	p->functions = take_room(d, m->n, sizeof(*p->functions));
	if (!p->functions)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->functions[i] = (struct pprof_function){STR_EMPTY, STR_EMPTY, STR_EMPTY, 0,
							  STR_EMPTY};
		if (take_message(d, &pprof_message_function, m->at[i], &p->functions[i]) ||
		    add_id(d, &d->functions, d->id))
			return bad_at(d, "function", i);
	}
	p->function_count = m->n;
	return 0;
}

static int count_lines(struct decoder *d, struct str bytes, size_t *ret)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	size_t n = 0;
	int more;

	while ((more = pb_next(&r, &f, d->e)) > 0) {
		if (f.number != LOCATION_LINE)
			continue;
		if (want_wire(d, &f, PB_BYTES))
			return -1;
		n++;
	}
	if (more || check_limit(d, n, d->limits->lines_per_location, "lines in one location"))
		return -1;
	*ret = n;
	return 0;
}

static int take_line(struct decoder *d, struct str bytes, struct pprof_line *line)
{
	line->function = PPROF_NONE;
	if (take_message(d, &pprof_message_line, bytes, line))
		return -1;
	return line->function == PPROF_NONE ? bad(d, "has no function") : 0;
}

static int take_lines(struct decoder *d, struct str bytes, struct pprof_location *loc)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	size_t n = 0;

	if (count_lines(d, bytes, &n))
		return -1;
	loc->lines = take_room(d, n, sizeof(*loc->lines));
	if (!loc->lines)
		return -1;
	while (loc->line_count < n && pb_next(&r, &f, d->e) > 0) {
		if (f.number != LOCATION_LINE)
			continue;
		if (take_line(d, f.bytes, &loc->lines[loc->line_count]))
			return bad_at(d, "line", loc->line_count);
		loc->line_count++;
	}
	return 0;
}

static int decode_locations(struct decoder *d)
{
	const struct messages *m = &d->kinds[PROFILE_LOCATION];
	struct pprof *p = d->p;

	p->locations = take_room(d, m->n, sizeof(*p->locations));
	if (!p->locations)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->locations[i].mapping = PPROF_NONE;
		if (take_message(d, &pprof_message_location, m->at[i], &p->locations[i]) ||
		    add_id(d, &d->locations, d->id) ||
		    take_lines(d, m->at[i], &p->locations[i]))
			return bad_at(d, "location", i);
	}
	p->location_count = m->n;
	return 0;
}

// ---- the profile's own fields --------------------------------------------------------------------

static int take_comments(struct decoder *d, const struct pb_field *f)
{
	struct pb_packed packed = pb_packed(f);
	struct pprof *p = d->p;
	uint64_t index;
	int more;

	if (want_numbers(d, f))
		return -1;
	while ((more = pb_packed_next(&packed, &index, d->e)) > 0) {
		if (take_string(d, index, &p->comments[p->comment_count]))
			return -1;
		p->comment_count++;
	}
	return more;
}

static int take_profile_field(struct decoder *d, struct unknown *unknown, const struct pb_field *f)
{
	const struct pprof_message *m = &pprof_message_profile;

	switch (f->number) {
	case PROFILE_PERIOD_TYPE:
		d->p->has_period_type = true;
		if (want_wire(d, f, PB_BYTES))
			return -1;
		return take_message(d, &pprof_message_value_type, f->bytes, &d->p->period_type);
	case PROFILE_COMMENT:
		return take_comments(d, f);
	default:
		if (pprof_field_type(m, f->number) == PPROF_UNKNOWN)
			return keep_unknown(d, unknown, f->raw);
		return take_scalar(d, &m->fields[f->number], f, d->p);
	}
}

static int count_comments(struct decoder *d, size_t *ret_bytes)
{
	const struct messages *m = &d->kinds[OTHER];
	size_t comments = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct pb_reader r = pb_reader(m->at[i]);
		struct pb_field f;

		if (pb_next(&r, &f, d->e) != 1)
			return -1;
		if (f.number == PROFILE_COMMENT)
			comments += count_numbers(&f);
		*ret_bytes += m->at[i].n;
	}
	d->p->comments = take_room(d, comments, sizeof(*d->p->comments));
	return d->p->comments ? 0 : -1;
}

static int decode_profile(struct decoder *d)
{
	const struct messages *m = &d->kinds[OTHER];
	struct unknown unknown = {STR_EMPTY, NULL, 0};

	if (count_comments(d, &unknown.max))
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		struct pb_reader r = pb_reader(m->at[i]);
		struct pb_field f;

		if (pb_next(&r, &f, d->e) != 1)
			return -1;
		if (take_profile_field(d, &unknown, &f))
			return bad_at(d, "profile field", f.number);
	}
	d->p->unknown = unknown.s;
	return 0;
}

// ---- sorting by kind -----------------------------------------------------------------------------

static size_t kind_of(const struct pb_field *f)
{
	return f->number < KIND_COUNT ? f->number : OTHER;
}

static int count_messages(struct decoder *d, struct str bytes)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	int more;

	while ((more = pb_next(&r, &f, d->e)) > 0) {
		size_t kind = kind_of(&f);

		if (kind != OTHER && want_wire(d, &f, PB_BYTES))
			return -1;
		d->kinds[kind].n++;
	}
	return more;
}

static int check_counts(struct decoder *d)
{
	const struct pprof_limits *l = d->limits;

	if (check_limit(d, d->kinds[PROFILE_SAMPLE].n, l->samples, "samples") ||
	    check_limit(d, d->kinds[PROFILE_LOCATION].n, l->locations, "locations") ||
	    check_limit(d, d->kinds[PROFILE_MAPPING].n, l->locations, "mappings") ||
	    check_limit(d, d->kinds[PROFILE_FUNCTION].n, l->functions, "functions"))
		return -1;
	return check_limit(d, d->kinds[PROFILE_STRING].n, l->strings, "strings");
}

static int sort_messages(struct decoder *d, struct str bytes)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;

	if (count_messages(d, bytes) || check_counts(d))
		return -1;
	for (size_t i = 0; i < KIND_COUNT; i++) {
		d->kinds[i].at = take_room(d, d->kinds[i].n, sizeof(struct str));
		if (!d->kinds[i].at)
			return -1;
		d->kinds[i].n = 0;
	}
	while (pb_next(&r, &f, d->e) > 0) {
		struct messages *m = &d->kinds[kind_of(&f)];

		m->at[m->n++] = kind_of(&f) == OTHER ? f.raw : f.bytes;
	}
	return 0;
}

static int check_strings(struct decoder *d)
{
	const struct messages *strings = &d->kinds[PROFILE_STRING];

	if (!strings->n)
		return bad(d, "has no string table (is it a profile?)");
	if (strings->at[0].n)
		return bad(d, "string_table[0] is not empty");
	return 0;
}

static int decode_all(struct decoder *d, struct str bytes)
{
	if (bytes.n > d->limits->identity_bytes)
		return err_set(d->e, ERR_TOO_LARGE, "larger than the limit of %zu bytes",
			       d->limits->identity_bytes);
	if (sort_messages(d, bytes) || check_strings(d) || decode_sample_types(d) ||
	    decode_mappings(d) || decode_functions(d) || decode_locations(d) || decode_samples(d))
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
	struct decoder d = {.limits = limits, .arena = arena, .p = &p, .e = e};
	int r = decode_all(&d, bytes);

	map64_deinit(&d.mappings.map);
	map64_deinit(&d.locations.map);
	map64_deinit(&d.functions.map);
	if (r) {
		if (e && e->kind == ERR_BAD_PROTOBUF)
			e->kind = ERR_BAD_PPROF;
		return err_wrap(e, "pprof");
	}
	*ret = p;
	return 0;
}
