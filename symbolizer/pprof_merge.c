/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_merge.h"

#include "base/mem.h"
#include "symbolizer/str_set.h"

enum {
	ITEMS_MAX = 1 << 30, // positions are 32 bits
	SIZE_ROUNDING = 4096, // as in Go: sizes of one mapping differ by less than a page
};

struct pprof_merge {
	struct arena *arena;
	struct pprof out; // its growing arrays are on the heap
	size_t inputs;
	size_t mapping_cap;
	size_t function_cap;
	size_t location_cap;
	size_t sample_cap;
	size_t comment_cap;
	struct str_set strings; // of function and label keys
	struct str_set mappings;
	struct str_set functions;
	struct str_set locations;
	struct str_set samples;
	struct str_set comments;
	struct buf key; // of the thing at hand
};

// One input: where each of its things went in the output; PPROF_NONE is "not met yet".
struct input {
	const struct pprof *p;
	uint32_t *mappings;
	uint32_t *functions;
	uint32_t *locations;
};

struct label_key {
	uint32_t key, str, num_unit, unknown;
	int64_t num;
};
_Static_assert(sizeof(struct label_key) == 24, "compared as bytes: no padding");

struct pprof_merge *pprof_merge_new(struct arena *arena)
{
	struct pprof_merge *m = mem_zalloc(sizeof(*m));

	if (!m)
		return NULL;
	m->arena = arena;
	m->strings = STR_SET_INIT(NULL);
	m->mappings = STR_SET_INIT(arena);
	m->functions = STR_SET_INIT(arena);
	m->locations = STR_SET_INIT(arena);
	m->samples = STR_SET_INIT(arena);
	m->comments = STR_SET_INIT(NULL);
	m->key = BUF_INIT(MIB(64));
	return m;
}

void pprof_merge_free(struct pprof_merge *m)
{
	if (!m)
		return;
	free(m->out.mappings);
	free(m->out.functions);
	free(m->out.locations);
	free(m->out.samples);
	free(m->out.comments);
	str_set_deinit(&m->strings);
	str_set_deinit(&m->mappings);
	str_set_deinit(&m->functions);
	str_set_deinit(&m->locations);
	str_set_deinit(&m->samples);
	str_set_deinit(&m->comments);
	buf_deinit(&m->key);
	free(m);
}

static int64_t add_saturating(int64_t a, int64_t b)
{
	int64_t sum;

	if (add_overflows(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

// ---- keys ----------------------------------------------------------------------------------------

static void key_u64(struct pprof_merge *m, uint64_t v)
{
	buf_append(&m->key, &v, sizeof(v));
}

static void key_u32(struct pprof_merge *m, uint32_t v)
{
	buf_append(&m->key, &v, sizeof(v));
}

// -1: out of memory.
static int string_number(struct pprof_merge *m, struct str s, uint32_t *ret)
{
	return str_set_borrow(&m->strings, s.n ? s : STR_EMPTY, ret) < 0 ? -1 : 0;
}

static int key_str(struct pprof_merge *m, struct str s)
{
	uint32_t number;

	if (string_number(m, s, &number))
		return -1;
	key_u32(m, number);
	return 0;
}

// 1: the key was new, 0: known; its number in *ret.
static int take_key(struct pprof_merge *m, struct str_set *set, uint32_t *ret)
{
	if (m->key.failed)
		return -1;
	return str_set_copy(set, buf_str(&m->key), ret);
}

// ---- mappings, functions, locations --------------------------------------------------------------

static int find_mapping(struct pprof_merge *m, const struct pprof_mapping *from, uint32_t *ret)
{
	uint64_t size = from->limit - from->start + SIZE_ROUNDING - 1;

	buf_clear(&m->key);
	key_u64(m, size - size % SIZE_ROUNDING);
	key_u64(m, from->file_offset);
	if (key_str(m, from->build_id.n ? from->build_id : from->filename) ||
	    key_str(m, from->unknown))
		return -1;
	return take_key(m, &m->mappings, ret);
}

static void keep_common_flags(struct pprof_mapping *to, const struct pprof_mapping *from)
{
	to->has_functions &= from->has_functions;
	to->has_filenames &= from->has_filenames;
	to->has_line_numbers &= from->has_line_numbers;
	to->has_inline_frames &= from->has_inline_frames;
}

static int merge_mapping(struct pprof_merge *m, struct input *in, uint32_t position)
{
	const struct pprof_mapping *from = &in->p->mappings[position];
	uint32_t to;
	int is_new;

	if (in->mappings[position] != PPROF_NONE)
		return 0;
	is_new = find_mapping(m, from, &to);
	if (is_new < 0)
		return -1;
	if (is_new) {
		if (mem_grow(&m->out.mappings, &m->mapping_cap, m->out.mapping_count + 1,
			     sizeof(*m->out.mappings), ITEMS_MAX))
			return -1;
		m->out.mappings[m->out.mapping_count++] = *from;
	} else {
		keep_common_flags(&m->out.mappings[to], from);
	}
	in->mappings[position] = to;
	return 0;
}

static int merge_function(struct pprof_merge *m, struct input *in, uint32_t position)
{
	const struct pprof_function *from = &in->p->functions[position];
	uint32_t to;
	int is_new;

	if (in->functions[position] != PPROF_NONE)
		return 0;
	buf_clear(&m->key);
	key_u64(m, (uint64_t)from->start_line);
	if (key_str(m, from->name) || key_str(m, from->system_name) ||
	    key_str(m, from->filename) || key_str(m, from->unknown))
		return -1;
	is_new = take_key(m, &m->functions, &to);
	if (is_new < 0)
		return -1;
	if (is_new) {
		if (mem_grow(&m->out.functions, &m->function_cap, m->out.function_count + 1,
			     sizeof(*m->out.functions), ITEMS_MAX))
			return -1;
		m->out.functions[m->out.function_count++] = *from;
	}
	in->functions[position] = to;
	return 0;
}

// What the location refers to goes first, for the key is made of where that went.
static int merge_references(struct pprof_merge *m, struct input *in,
			    const struct pprof_location *from)
{
	if (from->mapping != PPROF_NONE && merge_mapping(m, in, from->mapping))
		return -1;
	for (size_t i = 0; i < from->line_count; i++) {
		if (merge_function(m, in, from->lines[i].function))
			return -1;
	}
	return 0;
}

// Its mapping as in the output, its address moved along with it; lines as they were.
static struct pprof_location move_location(const struct pprof_merge *m, const struct input *in,
					   const struct pprof_location *from)
{
	struct pprof_location to = *from;

	if (from->mapping == PPROF_NONE)
		return to;
	to.mapping = in->mappings[from->mapping];
	to.address += m->out.mappings[to.mapping].start - in->p->mappings[from->mapping].start;
	return to;
}

static int find_location(struct pprof_merge *m, const struct input *in,
			 const struct pprof_location *loc, uint32_t *ret)
{
	buf_clear(&m->key);
	key_u32(m, loc->mapping);
	key_u32(m, loc->is_folded);
	key_u64(m, loc->address);
	if (key_str(m, loc->unknown))
		return -1;
	for (size_t i = 0; i < loc->line_count; i++) {
		const struct pprof_line *line = &loc->lines[i];

		key_u32(m, in->functions[line->function]);
		key_u64(m, (uint64_t)line->line);
		key_u64(m, (uint64_t)line->column);
		if (key_str(m, line->unknown))
			return -1;
	}
	return take_key(m, &m->locations, ret);
}

static int add_location(struct pprof_merge *m, const struct input *in, struct pprof_location loc)
{
	loc.lines = arena_dup(m->arena, loc.lines, loc.line_count * sizeof(*loc.lines));
	if (!loc.lines ||
	    mem_grow(&m->out.locations, &m->location_cap, m->out.location_count + 1,
		     sizeof(*m->out.locations), ITEMS_MAX))
		return -1;
	for (size_t i = 0; i < loc.line_count; i++)
		loc.lines[i].function = in->functions[loc.lines[i].function];
	m->out.locations[m->out.location_count++] = loc;
	return 0;
}

static int merge_location(struct pprof_merge *m, struct input *in, uint32_t position)
{
	const struct pprof_location *from = &in->p->locations[position];
	struct pprof_location loc;
	uint32_t to;
	int is_new;

	if (in->locations[position] != PPROF_NONE)
		return 0;
	if (merge_references(m, in, from))
		return -1;
	loc = move_location(m, in, from);
	is_new = find_location(m, in, &loc, &to);
	if (is_new < 0 || (is_new && add_location(m, in, loc)))
		return -1;
	in->locations[position] = to;
	return 0;
}

// ---- samples -------------------------------------------------------------------------------------

static int compare_labels(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct label_key));
}

// Labels count as equal in any order.
static int key_labels(struct pprof_merge *m, const struct pprof_sample *s)
{
	size_t start = m->key.n;
	struct label_key k = {0};

	for (size_t i = 0; i < s->label_count; i++) {
		const struct pprof_label *label = &s->labels[i];

		if (string_number(m, label->key, &k.key) || string_number(m, label->str, &k.str) ||
		    string_number(m, label->num_unit, &k.num_unit) ||
		    string_number(m, label->unknown, &k.unknown))
			return -1;
		k.num = label->num;
		buf_append(&m->key, &k, sizeof(k));
	}
	if (s->label_count > 1 && !m->key.failed)
		qsort(m->key.p + start, s->label_count, sizeof(k), compare_labels);
	return 0;
}

static int find_sample(struct pprof_merge *m, const struct input *in, const struct pprof_sample *s,
		       uint32_t *ret)
{
	buf_clear(&m->key);
	if (key_labels(m, s) || key_str(m, s->unknown))
		return -1;
	for (size_t i = 0; i < s->location_count; i++)
		key_u32(m, in->locations[s->locations[i]]);
	// Last, so that the number of labels follows from the length.
	key_u64(m, s->location_count);
	return take_key(m, &m->samples, ret);
}

static int add_sample(struct pprof_merge *m, const struct input *in, const struct pprof_sample *s)
{
	size_t types = m->out.sample_type_count;
	struct pprof_sample to = *s;

	to.raw = (struct str){NULL, 0}; // places and values are the output's
	to.values = arena_dup(m->arena, s->values, types * sizeof(*s->values));
	to.locations = arena_dup(m->arena, s->locations, s->location_count * sizeof(*s->locations));
	if (!to.values || !to.locations)
		return -1;
	for (size_t i = 0; i < s->location_count; i++)
		to.locations[i] = in->locations[s->locations[i]];
	if (mem_grow(&m->out.samples, &m->sample_cap, m->out.sample_count + 1,
		     sizeof(*m->out.samples), ITEMS_MAX))
		return -1;
	m->out.samples[m->out.sample_count++] = to;
	return 0;
}

static bool is_zero(const struct pprof_sample *s, size_t types)
{
	for (size_t i = 0; i < types; i++) {
		if (s->values[i])
			return false;
	}
	return true;
}

static int merge_sample(struct pprof_merge *m, struct input *in, const struct pprof_sample *s)
{
	size_t types = m->out.sample_type_count;
	uint32_t to;
	int is_new;

	if (is_zero(s, types))
		return 0;
	for (size_t i = 0; i < s->location_count; i++) {
		if (merge_location(m, in, s->locations[i]))
			return -1;
	}
	is_new = find_sample(m, in, s, &to);
	if (is_new < 0)
		return -1;
	if (is_new)
		return add_sample(m, in, s);
	for (size_t i = 0; i < types; i++)
		m->out.samples[to].values[i] =
			add_saturating(m->out.samples[to].values[i], s->values[i]);
	return 0;
}

// ---- the profile's own fields --------------------------------------------------------------------

static bool is_same_type(const struct pprof_value_type *a, const struct pprof_value_type *b)
{
	return str_eq(a->type, b->type) && str_eq(a->unit, b->unit);
}

static int refuse_types(const struct pprof_merge *m, const char *what,
			const struct pprof_value_type *a, const struct pprof_value_type *b,
			struct err *e)
{
	return err_set(e, ERR_BAD_PPROF,
		       "merge: the %s is " STR_FMT "/" STR_FMT " in the first profile, " STR_FMT
		       "/" STR_FMT " in number %zu",
		       what, STR_ARG(a->type), STR_ARG(a->unit), STR_ARG(b->type), STR_ARG(b->unit),
		       m->inputs + 1);
}

static int check_types(const struct pprof_merge *m, const struct pprof *p, struct err *e)
{
	if (p->sample_type_count != m->out.sample_type_count)
		return err_set(e, ERR_BAD_PPROF,
			       "merge: %zu sample types in the first profile, %zu in number %zu",
			       m->out.sample_type_count, p->sample_type_count, m->inputs + 1);
	for (size_t i = 0; i < p->sample_type_count; i++) {
		if (!is_same_type(&m->out.sample_types[i], &p->sample_types[i]))
			return refuse_types(m, "sample type", &m->out.sample_types[i],
					    &p->sample_types[i], e);
	}
	if (!is_same_type(&m->out.period_type, &p->period_type))
		return refuse_types(m, "period type", &m->out.period_type, &p->period_type, e);
	return 0;
}

static int start_with(struct pprof_merge *m, const struct pprof *p)
{
	m->out = (struct pprof){
		.arena = m->arena,
		.sample_type_count = p->sample_type_count,
		.drop_frames = p->drop_frames,
		.keep_frames = p->keep_frames,
		.time_nanos = p->time_nanos,
		.period_type = p->period_type,
		.has_period_type = p->has_period_type,
		.default_sample_type = STR_EMPTY,
		.doc_url = STR_EMPTY,
		.unknown = p->unknown,
	};
	m->out.sample_types = arena_dup(m->arena, p->sample_types,
					p->sample_type_count * sizeof(*p->sample_types));
	return m->out.sample_types ? 0 : -1;
}

static int merge_comments(struct pprof_merge *m, const struct pprof *p)
{
	uint32_t number;

	for (size_t i = 0; i < p->comment_count; i++) {
		struct str comment = p->comments[i].n ? p->comments[i] : STR_EMPTY;
		int is_new = str_set_borrow(&m->comments, comment, &number);

		if (is_new < 0)
			return -1;
		if (!is_new)
			continue;
		if (mem_grow(&m->out.comments, &m->comment_cap, m->out.comment_count + 1,
			     sizeof(*m->out.comments), ITEMS_MAX))
			return -1;
		m->out.comments[m->out.comment_count++] = comment;
	}
	return 0;
}

static int merge_header(struct pprof_merge *m, const struct pprof *p)
{
	if (p->time_nanos && (!m->out.time_nanos || p->time_nanos < m->out.time_nanos))
		m->out.time_nanos = p->time_nanos;
	m->out.duration_nanos = add_saturating(m->out.duration_nanos, p->duration_nanos);
	m->out.period = MAX(m->out.period, p->period);
	if (!m->out.default_sample_type.n)
		m->out.default_sample_type = p->default_sample_type;
	if (!m->out.doc_url.n)
		m->out.doc_url = p->doc_url;
	return merge_comments(m, p);
}

// ---- the whole -----------------------------------------------------------------------------------

static uint32_t *make_unmet(size_t n)
{
	uint32_t *a = mem_calloc(n, sizeof(*a));

	for (size_t i = 0; a && i < n; i++)
		a[i] = PPROF_NONE;
	return a;
}

static int merge_input(struct pprof_merge *m, struct input *in)
{
	const struct pprof *p = in->p;

	// pprof takes the first mapping for the main binary; it stays first.
	if (!m->out.mapping_count && p->mapping_count && merge_mapping(m, in, 0))
		return -1;
	for (size_t i = 0; i < p->sample_count; i++) {
		if (merge_sample(m, in, &p->samples[i]))
			return -1;
	}
	return merge_header(m, p);
}

int pprof_merge_add(struct pprof_merge *m, const struct pprof *p, struct err *e)
{
	struct input in = {.p = p};
	int r = -1;

	if (!m->inputs && start_with(m, p))
		return err_nomem(e);
	if (check_types(m, p, e))
		return -1;
	in.mappings = make_unmet(p->mapping_count);
	in.functions = make_unmet(p->function_count);
	in.locations = make_unmet(p->location_count);
	if (in.mappings && in.functions && in.locations)
		r = merge_input(m, &in);
	free(in.mappings);
	free(in.functions);
	free(in.locations);
	m->inputs++;
	return r ? err_nomem(e) : 0;
}

int pprof_merge_finish(struct pprof_merge *m, struct pprof *ret, struct err *e)
{
	struct pprof p = m->out;
	struct arena *a = m->arena;

	p.mappings = arena_dup(a, p.mappings, p.mapping_count * sizeof(*p.mappings));
	p.functions = arena_dup(a, p.functions, p.function_count * sizeof(*p.functions));
	p.locations = arena_dup(a, p.locations, p.location_count * sizeof(*p.locations));
	p.samples = arena_dup(a, p.samples, p.sample_count * sizeof(*p.samples));
	p.comments = arena_dup(a, p.comments, p.comment_count * sizeof(*p.comments));
	if (!p.mappings || !p.functions || !p.locations || !p.samples || !p.comments)
		return err_nomem(e);
	*ret = p;
	return 0;
}

int pprof_merge(const struct pprof *const *in, size_t n, struct arena *arena, struct pprof *ret,
		struct err *e)
{
	_cleanup_(pprof_merge_freep) struct pprof_merge *m = NULL;

	if (!n)
		return err_set(e, ERR_BAD_REQUEST, "merge: no profiles");
	m = pprof_merge_new(arena);
	if (!m)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++) {
		if (pprof_merge_add(m, in[i], e))
			return -1;
	}
	return pprof_merge_finish(m, ret, e);
}
