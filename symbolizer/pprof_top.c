/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_top.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "symbolizer/pprof_stub.h"
#include "symbolizer/str_set.h"

enum { ITEMS_MAX = 1 << 30 };

// Weight, and the sample (1-based) that was added to cum last.
struct tally {
	int64_t flat;
	int64_t cum;
	uint64_t last_sample;
};

struct row_key {
	uint32_t function, file;
};

struct line_key {
	uint64_t row;
	int64_t line;
};

// One line of one location: where its weight goes.
struct place {
	uint32_t row;
	uint32_t line;
};

struct counter {
	const struct pprof *p;
	struct arena *arena;
	struct str_set texts;
	struct str_set rows;  // of row_key
	struct str_set lines; // of line_key
	struct tally *row_tallies;
	struct tally *line_tallies;
	struct pprof_top_row *out; // by row
	size_t out_cap;
	struct place *places;
	size_t *first_place; // by location; one more at the end
};

static int add_key(struct str_set *set, const void *key, size_t size, uint32_t *ret)
{
	return str_set_copy(set, (struct str){key, size}, ret);
}

static int text_number(struct counter *c, struct str s, uint32_t *ret)
{
	return str_set_borrow(&c->texts, s.n ? s : STR_EMPTY, ret) < 0 ? -1 : 0;
}

static int find_place(struct counter *c, struct str function, struct str file, int64_t line,
		      struct place *ret)
{
	struct row_key row;
	struct line_key at = {.line = line};
	int is_new;

	if (text_number(c, function, &row.function) || text_number(c, file, &row.file))
		return -1;
	is_new = add_key(&c->rows, &row, sizeof(row), &ret->row);
	if (is_new < 0)
		return -1;
	if (is_new) {
		if (mem_grow(&c->out, &c->out_cap, (size_t)ret->row + 1, sizeof(*c->out),
			     ITEMS_MAX))
			return -1;
		c->out[ret->row] = (struct pprof_top_row){.function = function, .file = file};
	}
	at.row = ret->row;
	return add_key(&c->lines, &at, sizeof(at), &ret->line) < 0 ? -1 : 0;
}

static int place_location(struct counter *c, const struct pprof_location *loc, struct place *to)
{
	const struct pprof *p = c->p;
	struct str stub;

	if (!loc->line_count) {
		stub = pprof_stub_name(
			c->arena, loc->mapping == PPROF_NONE ? NULL : &p->mappings[loc->mapping],
			loc->address);
		return stub.p ? find_place(c, stub, STR_EMPTY, 0, to) : -1;
	}
	for (size_t i = 0; i < loc->line_count; i++) {
		const struct pprof_function *f = &p->functions[loc->lines[i].function];

		if (find_place(c, f->name.n ? f->name : f->system_name, f->filename,
			       loc->lines[i].line, &to[i]))
			return -1;
	}
	return 0;
}

static int place_locations(struct counter *c)
{
	const struct pprof *p = c->p;
	size_t n = 0;

	c->first_place = mem_calloc(p->location_count + 1, sizeof(*c->first_place));
	if (!c->first_place)
		return -1;
	for (size_t i = 0; i < p->location_count; i++) {
		c->first_place[i] = n;
		n += MAX(p->locations[i].line_count, (size_t)1);
	}
	c->first_place[p->location_count] = n;
	c->places = mem_calloc(n, sizeof(*c->places));
	if (!c->places)
		return -1;
	for (size_t i = 0; i < p->location_count; i++) {
		if (place_location(c, &p->locations[i], &c->places[c->first_place[i]]))
			return -1;
	}
	c->row_tallies = mem_calloc(c->rows.n, sizeof(*c->row_tallies));
	c->line_tallies = mem_calloc(c->lines.n, sizeof(*c->line_tallies));
	return c->row_tallies && c->line_tallies ? 0 : -1;
}

static void add_to(int64_t *sum, int64_t value)
{
	if (add_overflows(*sum, value, sum))
		*sum = value < 0 ? INT64_MIN : INT64_MAX;
}

static void add_cum(struct tally *t, size_t sample, int64_t value)
{
	if (t->last_sample == sample + 1)
		return;
	t->last_sample = sample + 1;
	add_to(&t->cum, value);
}

static void count_sample(struct counter *c, size_t number, int64_t value)
{
	const struct pprof_sample *s = &c->p->samples[number];

	for (size_t i = 0; i < s->location_count; i++) {
		size_t k = c->first_place[s->locations[i]];

		if (i == 0) {
			add_to(&c->row_tallies[c->places[k].row].flat, value);
			add_to(&c->line_tallies[c->places[k].line].flat, value);
		}
		for (; k < c->first_place[s->locations[i] + 1]; k++) {
			add_cum(&c->row_tallies[c->places[k].row], number, value);
			add_cum(&c->line_tallies[c->places[k].line], number, value);
		}
	}
}

static bool is_heavier(const struct tally *a, const struct tally *b)
{
	return a->flat != b->flat ? a->flat > b->flat : a->cum > b->cum;
}

// Each row's line is the heaviest one known; an unknown line (0) only where there is no other.
static int choose_lines(struct counter *c)
{
	_cleanup_free_ uint32_t *best = mem_calloc(c->rows.n, sizeof(*best)); // number + 1

	if (!best)
		return -1;
	for (size_t i = 0; i < c->lines.n; i++) {
		struct line_key key;
		uint32_t *b;

		memcpy(&key, c->lines.keys[i].p, sizeof(key));
		b = &best[key.row];
		if (key.line <= 0 ||
		    (*b && !is_heavier(&c->line_tallies[i], &c->line_tallies[*b - 1])))
			continue;
		*b = (uint32_t)i + 1;
		c->out[key.row].line = key.line;
	}
	return 0;
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct pprof_top_row *a = pa;
	const struct pprof_top_row *b = pb;
	int names;

	if (a->flat != b->flat)
		return a->flat > b->flat ? -1 : 1;
	if (a->cum != b->cum)
		return a->cum > b->cum ? -1 : 1;
	names = str_cmp(a->function, b->function);
	return names ? names : str_cmp(a->file, b->file);
}

// Rows that no sample touched are left out.
static size_t finish_rows(struct counter *c, int64_t total)
{
	size_t n = 0;

	for (size_t i = 0; i < c->rows.n; i++) {
		struct pprof_top_row row = c->out[i];

		if (!c->row_tallies[i].last_sample)
			continue;
		row.flat = c->row_tallies[i].flat;
		row.cum = c->row_tallies[i].cum;
		row.share = total ? (double)row.flat / (double)total : 0;
		c->out[n++] = row;
	}
	if (n > 1)
		qsort(c->out, n, sizeof(*c->out), compare_rows);
	return n;
}

static int count(struct counter *c, size_t value, struct pprof_top *top)
{
	const struct pprof *p = c->p;

	if (place_locations(c))
		return -1;
	for (size_t i = 0; i < p->sample_count; i++) {
		add_to(&top->total, p->samples[i].values[value]);
		count_sample(c, i, p->samples[i].values[value]);
	}
	if (choose_lines(c))
		return -1;
	top->n = finish_rows(c, top->total);
	top->rows = arena_dup(c->arena, c->out, top->n * sizeof(*c->out));
	return top->rows ? 0 : -1;
}

int pprof_top(const struct pprof *p, size_t value, struct arena *arena, struct pprof_top *ret,
	      struct err *e)
{
	struct counter c = {.p = p, .arena = arena};
	struct pprof_top top = {0};
	int r;

	if (value >= p->sample_type_count)
		return err_set(e, ERR_BAD_REQUEST, "the profile has %zu sample types, no number %zu",
			       p->sample_type_count, value);
	top.type = p->sample_types[value];
	c.texts = STR_SET_INIT(NULL);
	c.rows = STR_SET_INIT(arena);
	c.lines = STR_SET_INIT(arena);
	r = count(&c, value, &top);
	str_set_deinit(&c.texts);
	str_set_deinit(&c.rows);
	str_set_deinit(&c.lines);
	free(c.row_tallies);
	free(c.line_tallies);
	free(c.out);
	free(c.places);
	free(c.first_place);
	if (r)
		return err_nomem(e);
	*ret = top;
	return 0;
}
