/* SPDX-License-Identifier: Apache-2.0 */
// Sample types, mappings, functions, locations: what samples refer to.
#include "symbolizer/pprof_decoder.h"

static int add_id(struct pprof_decoder *d, struct pprof_ids *ids)
{
	uint32_t other;

	if (!d->id)
		return pprof_bad(d, "its id is 0");
	if (pprof_ids_find(ids, d->id, &other))
		return pprof_bad(d, "its id %llu is taken by number %u", (unsigned long long)d->id,
				 other);
	return pprof_ids_add(ids, d->id) ? err_nomem(d->e) : 0;
}

int pprof_read_sample_types(struct pprof_decoder *d)
{
	const struct pprof_messages *m = &d->kinds[PROFILE_SAMPLE_TYPE];
	struct pprof *p = d->p;

	p->sample_types = pprof_take_room(d, m->n, sizeof(*p->sample_types));
	if (!p->sample_types)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->sample_types[i] = (struct pprof_value_type){STR_EMPTY, STR_EMPTY, STR_EMPTY};
		if (pprof_take_message(d, &pprof_message_value_type, m->at[i],
				       &p->sample_types[i]))
			return pprof_bad_at(d, "sample type", i);
	}
	p->sample_type_count = m->n;
	return 0;
}

int pprof_read_mappings(struct pprof_decoder *d)
{
	const struct pprof_messages *m = &d->kinds[PROFILE_MAPPING];
	struct pprof *p = d->p;

	p->mappings = pprof_take_room(d, m->n, sizeof(*p->mappings));
	if (!p->mappings)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->mappings[i] =
			(struct pprof_mapping){.filename = STR_EMPTY, .build_id = STR_EMPTY};
		if (pprof_take_message(d, &pprof_message_mapping, m->at[i], &p->mappings[i]) ||
		    add_id(d, &d->mappings))
			return pprof_bad_at(d, "mapping", i);
	}
	p->mapping_count = m->n;
	return 0;
}

int pprof_read_functions(struct pprof_decoder *d)
{
	const struct pprof_messages *m = &d->kinds[PROFILE_FUNCTION];
	struct pprof *p = d->p;

	p->functions = pprof_take_room(d, m->n, sizeof(*p->functions));
	if (!p->functions)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		p->functions[i] = (struct pprof_function){STR_EMPTY, STR_EMPTY, STR_EMPTY, 0,
							  STR_EMPTY};
		if (pprof_take_message(d, &pprof_message_function, m->at[i], &p->functions[i]) ||
		    add_id(d, &d->functions))
			return pprof_bad_at(d, "function", i);
	}
	p->function_count = m->n;
	return 0;
}

static int take_line(struct pprof_decoder *d, const struct pb_field *f, struct pprof_line *line)
{
	*line = (struct pprof_line){.function = PPROF_NONE};
	if (pprof_want_wire(d, f, PB_BYTES))
		return -1;
	if (pprof_take_message(d, &pprof_message_line, f->bytes, line))
		return -1;
	return line->function == PPROF_NONE ? pprof_bad(d, "has no function") : 0;
}

static int take_lines(struct pprof_decoder *d, struct str bytes, size_t n,
		      struct pprof_location *loc)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;

	if (pprof_check_limit(d, n, d->limits->lines_per_location, "lines in one location"))
		return -1;
	loc->lines = pprof_take_room(d, n, sizeof(*loc->lines));
	if (!loc->lines)
		return -1;
	while (loc->line_count < n && pb_next(&r, &f, d->e) > 0) {
		if (f.number != LOCATION_LINE)
			continue;
		if (take_line(d, &f, &loc->lines[loc->line_count]))
			return pprof_bad_at(d, "line", loc->line_count);
		loc->line_count++;
	}
	return 0;
}

static int take_location(struct pprof_decoder *d, struct str bytes, struct pprof_location *loc)
{
	*loc = (struct pprof_location){.mapping = PPROF_NONE};
	if (pprof_take_message(d, &pprof_message_location, bytes, loc) || add_id(d, &d->locations))
		return -1;
	return d->repeated ? take_lines(d, bytes, d->repeated, loc) : 0;
}

int pprof_read_locations(struct pprof_decoder *d)
{
	const struct pprof_messages *m = &d->kinds[PROFILE_LOCATION];
	struct pprof *p = d->p;

	p->locations = pprof_take_room(d, m->n, sizeof(*p->locations));
	if (!p->locations)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		if (take_location(d, m->at[i], &p->locations[i]))
			return pprof_bad_at(d, "location", i);
	}
	p->location_count = m->n;
	return 0;
}
