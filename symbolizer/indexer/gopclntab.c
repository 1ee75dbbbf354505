/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/gopclntab.h"

#include "base/map.h"
#include "base/mem.h"
#include "symbolizer/indexer/go_module.h"
#include "symbolizer/indexer/go_table.h"

enum {
	INLINED_MAX = 64 * 1024,     // records of one function's tree
	PLACES_MAX = 8 * 1024 * 1024, // of one function
	STEPS_MAX = 1 << 28,         // over the whole table: far more than any real one takes
	NAME_PER_STEP = 16,          // bytes of names count too: many functions may share a long one
};

// What the programs of a function say, from the place before it up to `end`.
struct place {
	uint64_t end; // offset in the function
	int32_t file;
	int32_t line;
	int32_t inlined; // index in the inline tree; < 0: the function itself
};

struct reader {
	const struct gopclntab_input *in;
	struct go_table table;
	struct go_module module;
	struct uhx_builder *builder;
	struct map64 files; // unit and file number → uhx_id
	uint64_t steps;
	bool nomem;
	// Of the function at hand:
	struct place *places;
	size_t place_count;
	size_t place_cap;
	uhx_id *scopes; // by index in its inline tree; 0: not made yet
	size_t scope_count;
	size_t scope_cap;
	struct gopclntab_counts counts;
};

static void advance(struct reader *r, struct go_program *p, uint64_t at)
{
	if (p->end <= at) {
		go_program_step(p);
		r->steps++;
	}
}

static void read_places(struct reader *r, const struct go_function *f)
{
	struct go_program file = go_program_start(&r->table, f->file_program);
	struct go_program line = go_program_start(&r->table, f->line_program);
	struct go_program inlined = go_program_start(&r->table, f->inline_program);

	r->place_count = 0;
	for (uint64_t at = 0;
	     at < f->size && r->steps < STEPS_MAX && r->place_count < PLACES_MAX;) {
		at = MIN(MIN(file.end, line.end), MIN(inlined.end, f->size));
		if (mem_grow(&r->places, &r->place_cap, r->place_count + 1, sizeof(*r->places),
			     PLACES_MAX)) {
			r->nomem = true;
			return;
		}
		r->places[r->place_count++] =
			(struct place){at, file.value, line.value, inlined.value};
		advance(r, &file, at);
		advance(r, &line, at);
		advance(r, &inlined, at);
	}
}

static struct place place_at(const struct reader *r, uint64_t off)
{
	size_t low = 0;

	for (size_t n = r->place_count; n > 0;) {
		size_t half = n / 2;

		if (r->places[low + half].end <= off) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low < r->place_count ? r->places[low] : (struct place){0, -1, -1, -1};
}

static uhx_id file_of(struct reader *r, const struct go_function *f, int32_t file)
{
	uint64_t key = (uint64_t)f->unit << 32 | (uint32_t)file;
	uint64_t id;

	if (file < 0)
		return 0;
	if (map64_get(&r->files, key, &id))
		return (uhx_id)id;
	id = uhx_builder_file(r->builder, go_table_file(&r->table, f->unit, file));
	if (map64_set(&r->files, key, id))
		r->nomem = true;
	return (uhx_id)id;
}

static uint32_t line_of(int32_t line)
{
	return line > 0 ? (uint32_t)line : 0;
}

static uhx_id make_scope(struct reader *r, struct str name, uint32_t start_line,
			 const struct uhx_scope *call)
{
	struct uhx_function function = {.linkage = name, .display = name, .start_line = start_line};
	struct uhx_scope scope = *call;

	r->steps += name.n / NAME_PER_STEP;
	scope.function = uhx_builder_function(r->builder, &function);
	scope.source = SOURCE_GOPCLNTAB;
	return uhx_builder_scope(r->builder, &scope);
}

static bool reserve_scopes(struct reader *r, size_t n)
{
	if (n <= r->scope_count)
		return true;
	if (mem_grow(&r->scopes, &r->scope_cap, n, sizeof(*r->scopes), INLINED_MAX)) {
		r->nomem = n <= INLINED_MAX;
		return false;
	}
	r->steps += n - r->scope_count;
	memset(r->scopes + r->scope_count, 0, (n - r->scope_count) * sizeof(*r->scopes));
	r->scope_count = n;
	return true;
}

struct inlined_call {
	int32_t index;
	struct go_inlined record;
};

// What leads nowhere need not be followed again for the next row.
static uhx_id give_up(struct reader *r, const struct inlined_call *chain, size_t n, uhx_id physical)
{
	for (size_t i = 0; i < n; i++)
		r->scopes[chain[i].index] = physical;
	return physical;
}

// Outwards from `index`, up to a scope that exists already, which is returned; the calls on the
// way go to chain, innermost first.
static uhx_id walk_out(struct reader *r, const struct go_function *f, int32_t index,
		       uhx_id physical, struct inlined_call chain[static FRAMES_MAX], size_t *ret_n)
{
	size_t n = 0;

	*ret_n = 0;
	while (index >= 0 && n < FRAMES_MAX) {
		if (!reserve_scopes(r, (size_t)index + 1))
			return physical;
		if (r->scopes[index]) {
			*ret_n = n;
			return r->scopes[index];
		}
		chain[n].index = index;
		if (!go_module_inlined(r->in, &r->table, &r->module, f, index, &chain[n].record))
			return give_up(r, chain, n + 1, physical);
		index = place_at(r, chain[n].record.parent_pc).inlined;
		n++;
	}
	if (n == FRAMES_MAX) // a chain that leads in a circle never ends
		return give_up(r, chain, n, physical);
	*ret_n = n;
	return physical;
}

static uhx_id scope_of(struct reader *r, const struct go_function *f, int32_t index,
		       uhx_id physical)
{
	struct inlined_call chain[FRAMES_MAX];
	size_t n;
	uhx_id scope;

	if (index < 0 || !f->has_inline_tree || !r->module.has_trees)
		return physical;
	scope = walk_out(r, f, index, physical, chain, &n);
	while (n > 0) {
		const struct inlined_call *c = &chain[--n];
		struct place place = place_at(r, c->record.parent_pc);
		struct uhx_scope call = {
			.parent = scope,
			.call_file = file_of(r, f, place.file),
			.call_line = line_of(place.line),
		};

		scope = make_scope(r, go_table_name(&r->table, c->record.name),
				   c->record.start_line, &call);
		r->scopes[c->index] = scope;
		r->counts.inlined++;
	}
	return scope;
}

// Behind the end of its programs a function has only padding, which is nobody's.
static bool is_padding(const struct go_function *f, const struct place *p)
{
	return f->line_program && p->line < 0 && p->file < 0;
}

static void add_rows(struct reader *r, const struct go_function *f, uhx_id physical)
{
	uint64_t base = r->module.text + f->entry;
	uint64_t at = 0;

	for (size_t i = 0; i < r->place_count; i++) {
		const struct place *place = &r->places[i];
		struct uhx_row row = {
			.start = base + at,
			.end = base + place->end,
			.scope = scope_of(r, f, place->inlined, physical),
			.file = file_of(r, f, place->file),
			.line = line_of(place->line),
		};

		if (!is_padding(f, place))
			uhx_builder_row(r->builder, &row);
		at = place->end;
	}
}

static void add_function(struct reader *r, const struct go_function *f)
{
	const struct uhx_scope no_call = {0};
	uint32_t start_line = f->start_line;
	uhx_id physical;

	read_places(r, f);
	// Before Go 1.20 no record says it; the entry belongs to the line of the declaration.
	if (!start_line)
		start_line = line_of(place_at(r, 0).line);
	physical = make_scope(r, go_table_name(&r->table, f->name), start_line, &no_call);
	r->scope_count = 0;
	add_rows(r, f, physical);
	r->counts.functions++;
}

static int add_functions(struct reader *r, struct err *e)
{
	for (uint64_t i = 0; i < r->table.function_count; i++) {
		struct go_function f;

		if (go_table_function(&r->table, i, &f))
			add_function(r, &f);
		if (r->nomem)
			return err_nomem(e);
		if (r->steps >= STEPS_MAX)
			return err_set(e, ERR_TOO_LARGE,
				       ".gopclntab takes more than %d steps to read", STEPS_MAX);
	}
	return 0;
}

bool gopclntab_probe(struct str bytes)
{
	return go_table_probe(bytes);
}

int gopclntab_index(const struct gopclntab_input *in, struct uhx_builder *b,
		    struct gopclntab_counts *ret, struct err *e)
{
	struct reader r = {.in = in, .builder = b, .files = MAP64_INIT};
	int result;

	if (go_table_parse(in->table, &r.table, e) ||
	    go_module_find(in, &r.table, &r.module, e))
		return -1;
	r.counts.has_inlines = r.module.has_trees;
	result = add_functions(&r, e);
	map64_deinit(&r.files);
	free(r.places);
	free(r.scopes);
	if (!result)
		*ret = r.counts;
	return result;
}
