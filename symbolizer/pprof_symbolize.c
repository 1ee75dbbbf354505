/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_symbolize.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "symbolizer/address.h"
#include "symbolizer/pprof_answers.h"
#include "symbolizer/pprof_functions.h"
#include "symbolizer/pprof_rename.h"
#include "symbolizer/resolve.h"
#include "symbolizer/str_set.h"

enum { ITEMS_MAX = 1 << 30 };

// One distinct build-ID.
struct asked {
	struct module module;
	struct module_weight weight;
	uint64_t last_sample; // 1-based: the sample that was counted last
};

// What is asked about a location.
struct question {
	uint64_t va;        // stays the raw address where no virtual one can be said
	const char *reason; // why nothing can be asked
	uint32_t module;    // position in asked; PPROF_NONE: no build-ID
	uint32_t answer;    // PPROF_NONE: see reason
	bool is_named;      // it has real names already
	bool is_stub;
};

// What became of a location.
enum outcome { KEPT, NAMED, NAMED_WITH_INLINES, UNRESOLVED };

struct work {
	struct pprof *p;
	const struct resolver *resolver;
	const struct symbolize_options *opt;
	struct err *e;
	struct pprof_functions functions;
	struct str_set build_ids;
	struct asked *asked; // by number in build_ids
	size_t asked_cap;
	size_t asked_count;
	uint32_t *module_of; // by mapping: number in build_ids, PPROF_NONE
	struct pprof_answers answers; // module: the position in asked
	struct question *questions;   // by location
	uint8_t *outcomes; // enum outcome by location
	struct symbolize_stats stats;
	struct frames frames;
};

static const struct pprof_mapping *mapping_of(const struct work *w,
					      const struct pprof_location *loc)
{
	return loc->mapping == PPROF_NONE ? NULL : &w->p->mappings[loc->mapping];
}

// ---- modules -------------------------------------------------------------------------------------

static int open_module(struct work *w, const struct pprof_mapping *mapping, uint32_t number)
{
	struct asked *a;

	if (mem_grow(&w->asked, &w->asked_cap, (size_t)number + 1, sizeof(*w->asked), ITEMS_MAX))
		return err_nomem(w->e);
	a = &w->asked[number];
	*a = (struct asked){
		.weight = {.build_id = mapping->build_id, .filename = mapping->filename}};
	if (resolve_open(w->resolver, mapping->build_id, &a->module, w->e))
		return -1;
	w->asked_count = (size_t)number + 1;
	a->weight.status = a->module.status;
	w->stats.pending_modules += a->module.status == MODULE_PENDING;
	w->stats.missing_modules += a->module.status == MODULE_MISSING;
	w->stats.invalid_modules += a->module.status == MODULE_INVALID;
	return 0;
}

// The module behind the mapping, opened when first needed; PPROF_NONE where it has no build-ID.
static int find_module(struct work *w, uint32_t mapping, uint32_t *ret)
{
	const struct pprof_mapping *m;
	uint32_t number;
	int is_new;

	*ret = PPROF_NONE;
	if (mapping == PPROF_NONE || !w->p->mappings[mapping].build_id.n)
		return 0;
	m = &w->p->mappings[mapping];
	if (w->module_of[mapping] == PPROF_NONE) {
		is_new = str_set_borrow(&w->build_ids, m->build_id, &number);
		if (is_new < 0)
			return err_nomem(w->e);
		if (is_new && open_module(w, m, number))
			return -1;
		w->module_of[mapping] = number;
	}
	*ret = w->module_of[mapping];
	return 0;
}

// ---- questions -----------------------------------------------------------------------------------

static enum address_rule to_va(const struct work *w, const struct pprof_mapping *m,
			       const struct asked *a, uint64_t address, uint64_t *ret)
{
	static const struct program_headers unknown = {NULL, 0, false};
	const struct address_mapping am = {m ? m->start : 0, m ? m->limit : 0,
					   m ? m->file_offset : 0};

	if (w->opt->addresses_are_virtual || !m) {
		*ret = address;
		return ADDRESS_IS_VIRTUAL;
	}
	return address_to_va(&am, a ? &a->module.headers : &unknown, address, ret);
}

static int ask_module(struct work *w, const struct pprof_location *loc, struct question *q)
{
	const struct asked *a = q->module == PPROF_NONE ? NULL : &w->asked[q->module];
	enum address_rule rule = to_va(w, mapping_of(w, loc), a, loc->address, &q->va);

	if (!a)
		return 0;
	q->reason = a->module.status == MODULE_OK ? address_reason(rule) : a->module.reason;
	if (!address_is_known(rule) || a->module.status != MODULE_OK)
		return 0;
	if (pprof_answers_put(&w->answers, q->module, q->va, &q->answer))
		return err_nomem(w->e);
	return 0;
}

static bool is_left_alone(const struct work *w, const struct question *q)
{
	return q->is_named && w->opt->rename == RENAME_NEVER;
}

static int ask(struct work *w)
{
	for (size_t i = 0; i < w->p->location_count; i++) {
		const struct pprof_location *loc = &w->p->locations[i];
		struct question *q = &w->questions[i];

		*q = (struct question){loc->address, "no_build_id", PPROF_NONE, PPROF_NONE,
				       .is_stub = pprof_is_stub(w->p, loc)};
		q->is_named = loc->line_count && !q->is_stub;
		if (is_left_alone(w, q))
			continue;
		if (find_module(w, loc->mapping, &q->module) || ask_module(w, loc, q))
			return -1;
	}
	return 0;
}

static int look_up(struct work *w, struct pprof_answer *ret)
{
	const struct module *m = &w->asked[ret->module].module;

	if (resolve_lookup(w->resolver, m, ret->va, &w->frames, &ret->reason, w->e))
		return -1;
	if (!w->frames.n)
		return 0;
	if (w->frames.n == 1 && pprof_parse_place(&w->frames, &ret->place)) {
		ret->reason = "no_symbol";
		return 0;
	}
	if (pprof_functions_lines(&w->functions, &w->frames, &ret->lines))
		return err_nomem(w->e);
	ret->line_count = w->frames.n;
	ret->source = w->frames.source;
	return 0;
}

static int answer(struct work *w)
{
	_cleanup_free_ uint32_t *order = pprof_answers_in_order(&w->answers);

	if (!order)
		return err_nomem(w->e);
	for (size_t i = 0; i < w->answers.n; i++) {
		if (look_up(w, &w->answers.items[order[i]]))
			return -1;
	}
	return 0;
}

// ---- locations -----------------------------------------------------------------------------------

static int set_lines(struct work *w, struct pprof_location *loc, struct pprof_answer *answer)
{
	size_t size = answer->line_count * sizeof(*answer->lines);

	// Most answers are for one location, which gets the lines themselves; no two may share them.
	loc->lines = answer->taken ? arena_dup(w->p->arena, answer->lines, size) : answer->lines;
	if (!loc->lines)
		return err_nomem(w->e);
	answer->taken = true;
	loc->line_count = answer->line_count;
	return 0;
}

static int set_stub(struct work *w, struct pprof_location *loc, uint64_t va)
{
	struct pprof_line *line = arena_new(w->p->arena, struct pprof_line);
	struct pprof_function f = {.filename = STR_EMPTY};

	f.name = pprof_stub_name(w->p->arena, mapping_of(w, loc), va);
	f.system_name = f.name;
	if (!line || !f.name.p || pprof_functions_put(&w->functions, &f, &line->function))
		return err_nomem(w->e);
	loc->lines = line;
	loc->line_count = 1;
	return 0;
}

// A stub by somebody who knew more than the mapping's name is not thrown away.
static bool says_more(const struct work *w, const struct pprof_location *loc)
{
	return loc->line_count && !pprof_stub_is_of_mapping(
					  w->functions.items[loc->lines[0].function].name,
					  mapping_of(w, loc));
}

// Of several reasons the one that asks for something wins.
static void note_unresolved(struct work *w, struct asked *a, const char *reason)
{
	w->stats.unresolved++;
	if (!a) {
		w->stats.without_build_id++;
		return;
	}
	a->weight.unresolved_locations++;
	if (!a->weight.reason || reason == address_reason(ADDRESS_NO_PROGRAM_HEADERS))
		a->weight.reason = reason;
}

static bool are_better(const struct work *w, const struct pprof_location *loc, bool is_named,
		       const struct pprof_answer *answer)
{
	if (!answer || !answer->line_count || !is_named || w->opt->rename == RENAME_ALWAYS)
		return answer && answer->line_count;
	return pprof_is_better(w->functions.items,
			       (struct pprof_chain){loc->lines, loc->line_count},
			       (struct pprof_chain){answer->lines, answer->line_count});
}

static enum outcome outcome_of(const struct pprof_answer *answer)
{
	return answer->source == SOURCE_DWARF || answer->source == SOURCE_GOPCLNTAB ?
		       NAMED_WITH_INLINES :
		       NAMED;
}

static int symbolize_location(struct work *w, size_t i, enum outcome *ret)
{
	struct pprof_location *loc = &w->p->locations[i];
	const struct question *q = &w->questions[i];
	struct pprof_answer *found = q->answer == PPROF_NONE ? NULL : &w->answers.items[q->answer];

	*ret = KEPT;
	if (is_left_alone(w, q))
		return 0;
	if (are_better(w, loc, q->is_named, found)) {
		*ret = outcome_of(found);
		return w->opt->weigh_only ? 0 : set_lines(w, loc, found);
	}
	if (q->is_named)
		return 0;
	*ret = UNRESOLVED;
	note_unresolved(w, q->module == PPROF_NONE ? NULL : &w->asked[q->module],
			found ? found->reason : q->reason);
	if (w->opt->weigh_only || (q->is_stub && says_more(w, loc)))
		return 0;
	return set_stub(w, loc, found && found->place ? found->place : q->va);
}

static int symbolize_locations(struct work *w)
{
	for (size_t i = 0; i < w->p->location_count; i++) {
		enum outcome outcome;

		if (symbolize_location(w, i, &outcome))
			return -1;
		w->outcomes[i] = (uint8_t)outcome;
		w->stats.resolved += outcome == NAMED || outcome == NAMED_WITH_INLINES;
		w->stats.kept += outcome == KEPT;
	}
	w->stats.locations = w->p->location_count;
	return 0;
}

// ---- flags ---------------------------------------------------------------------------------------

struct flags {
	bool met;
	bool resolved; // one at least
	bool lines, filenames, line_numbers, inlines; // so far true of all
};

static void note_lines(struct flags *f, const struct pprof *p, const struct pprof_location *loc)
{
	for (size_t i = 0; i < loc->line_count; i++) {
		f->filenames &= p->functions[loc->lines[i].function].filename.n > 0;
		f->line_numbers &= loc->lines[i].line > 0;
	}
}

static void note_location(const struct work *w, struct flags *f, size_t i)
{
	const struct pprof_location *loc = &w->p->locations[i];
	const struct pprof_mapping *m = &w->p->mappings[loc->mapping];

	if (!f->met)
		*f = (struct flags){true, false, true, true, true, true};
	f->lines &= loc->line_count > 0;
	if (w->outcomes[i] == UNRESOLVED)
		return;
	f->resolved = true;
	f->inlines &= w->outcomes[i] == NAMED_WITH_INLINES ||
		      (w->outcomes[i] == KEPT && m->has_inline_frames);
	note_lines(f, w->p, loc);
}

static int set_flags(struct work *w)
{
	struct pprof *p = w->p;
	_cleanup_free_ struct flags *flags = mem_calloc(p->mapping_count, sizeof(*flags));

	if (!flags)
		return err_nomem(w->e);
	for (size_t i = 0; i < p->location_count; i++) {
		if (p->locations[i].mapping != PPROF_NONE)
			note_location(w, &flags[p->locations[i].mapping], i);
	}
	for (size_t i = 0; i < p->mapping_count; i++) {
		struct pprof_mapping *m = &p->mappings[i];

		if (!flags[i].met)
			continue;
		m->has_functions = flags[i].lines;
		m->has_filenames = flags[i].resolved && flags[i].filenames;
		m->has_line_numbers = flags[i].resolved && flags[i].line_numbers;
		m->has_inline_frames = flags[i].resolved && flags[i].inlines;
	}
	return 0;
}

// ---- weights -------------------------------------------------------------------------------------

static void add_weight(struct module_weight *w, int64_t value)
{
	if (add_overflows(w->weight, value, &w->weight))
		w->weight = value < 0 ? INT64_MIN : INT64_MAX;
	w->samples++;
}

// By location: the number of the module that could not name it; PPROF_NONE for all others.
static uint32_t *make_losers(const struct work *w)
{
	const struct pprof *p = w->p;
	uint32_t *losers = mem_calloc(p->location_count, sizeof(*losers));

	for (size_t i = 0; losers && i < p->location_count; i++) {
		uint32_t mapping = p->locations[i].mapping;

		losers[i] = w->outcomes[i] == UNRESOLVED && mapping != PPROF_NONE ?
				    w->module_of[mapping] :
				    PPROF_NONE;
	}
	return losers;
}

static void weigh_sample(struct work *w, const uint32_t *losers, size_t number, int64_t value)
{
	const struct pprof_sample *s = &w->p->samples[number];

	for (size_t i = 0; i < s->location_count; i++) {
		uint32_t loser = losers[s->locations[i]];
		struct asked *a;

		if (loser == PPROF_NONE)
			continue;
		a = &w->asked[loser];
		if (a->last_sample == number + 1)
			continue;
		a->last_sample = number + 1;
		add_weight(&a->weight, value);
	}
}

static int weigh_samples(struct work *w, size_t value)
{
	_cleanup_free_ uint32_t *losers = make_losers(w);

	if (!losers)
		return err_nomem(w->e);
	for (size_t i = 0; i < w->p->sample_count; i++)
		weigh_sample(w, losers, i, w->p->samples[i].values[value]);
	return 0;
}

static int weigh_modules(struct work *w)
{
	const struct pprof *p = w->p;
	size_t value = pprof_default_value(p);

	if (w->stats.unresolved && weigh_samples(w, value))
		return -1;
	for (size_t i = 0; i < w->asked_count; i++) {
		w->asked[i].weight.unit =
			p->sample_type_count ? p->sample_types[value].unit : STR_EMPTY;
		w->opt->on_module(w->opt->on_module_ctx, &w->asked[i].weight);
	}
	return 0;
}

// ---- the whole -----------------------------------------------------------------------------------

static int init(struct work *w)
{
	size_t mappings = w->p->mapping_count;

	w->module_of = mem_calloc(mappings, sizeof(*w->module_of));
	w->outcomes = mem_calloc(w->p->location_count, sizeof(*w->outcomes));
	w->questions = mem_calloc(w->p->location_count, sizeof(*w->questions));
	if (pprof_functions_init(&w->functions, w->p) || !w->module_of || !w->outcomes ||
	    !w->questions)
		return err_nomem(w->e);
	for (size_t i = 0; i < mappings; i++)
		w->module_of[i] = PPROF_NONE;
	w->build_ids = STR_SET_INIT(NULL);
	return 0;
}

static void deinit(struct work *w)
{
	for (size_t i = 0; i < w->asked_count; i++)
		resolve_close(w->resolver, &w->asked[i].module);
	pprof_functions_deinit(&w->functions);
	str_set_deinit(&w->build_ids);
	pprof_answers_deinit(&w->answers);
	free(w->asked);
	free(w->module_of);
	free(w->outcomes);
	free(w->questions);
}

static int run(struct work *w)
{
	if (init(w) || ask(w) || answer(w) || symbolize_locations(w))
		return -1;
	if (!w->opt->weigh_only && pprof_functions_finish(&w->functions, w->p))
		return err_nomem(w->e);
	if (!w->opt->weigh_only && set_flags(w))
		return -1;
	return w->opt->on_module ? weigh_modules(w) : 0;
}

int pprof_symbolize(struct pprof *p, const struct resolver *r, const struct symbolize_options *opt,
		    struct symbolize_stats *ret, struct err *e)
{
	struct work *w = mem_zalloc(sizeof(*w));
	int result;

	if (!w)
		return err_nomem(e);
	w->p = p;
	w->resolver = r;
	w->opt = opt;
	w->e = e;
	result = run(w);
	if (!result)
		*ret = w->stats;
	deinit(w);
	free(w);
	return result;
}
