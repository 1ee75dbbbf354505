/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/go_module.h"

enum {
	// Words of moduledata, Go 1.16 and later unless said otherwise.
	WORD_HEADER = 0,
	WORD_NAMES = 1,
	WORD_UNITS = 4,
	WORD_FILES = 7,
	WORD_PROGRAMS = 10,
	WORD_FUNCTIONS = 13,
	WORD_TEXT = 22,
	WORD_GOFUNC_1_18 = 38,
	WORD_GOFUNC_1_20 = 40,
	WORD_GOFUNC_1_27 = 43,

	// Segments may overlap, each as large as the file: what is looked at is bounded all the same.
	WORDS_TO_TRY = 1 << 27,
	TREES_TO_TRY = 64,   // functions whose trees must make sense before a guess is believed
	PLACES_TO_TRY = 16,  // for go:func.* behind the records
	TREE_ALIGN = 4,
};

// The bytes at an address, up to the end of what is loaded there.
static struct go_bytes bytes_at(const struct gopclntab_input *in, const struct go_table *t,
				uint64_t vaddr)
{
	const struct go_bytes none = {STR_EMPTY, t->bytes.big_endian};

	if (vaddr >= in->table_vaddr && vaddr - in->table_vaddr < in->table.n)
		return (struct go_bytes){str_skip(in->table, vaddr - in->table_vaddr),
					 t->bytes.big_endian};
	for (size_t i = 0; i < in->segment_count; i++) {
		const struct gopclntab_segment *s = &in->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr < s->bytes.n)
			return (struct go_bytes){str_skip(s->bytes, vaddr - s->vaddr),
						 t->bytes.big_endian};
	}
	return none;
}

static bool word_is(const struct go_bytes *b, const struct go_table *t, unsigned word,
		    uint64_t want)
{
	uint64_t v;

	return go_read(b, (uint64_t)word * t->word, t->word, &v) && v == want;
}

static bool is_module(const struct go_bytes *b, const struct go_table *t, uint64_t table)
{
	return word_is(b, t, WORD_HEADER, table) && word_is(b, t, WORD_NAMES, table + t->names) &&
	       word_is(b, t, WORD_UNITS, table + t->units) &&
	       word_is(b, t, WORD_FILES, table + t->files) &&
	       word_is(b, t, WORD_PROGRAMS, table + t->programs) &&
	       word_is(b, t, WORD_FUNCTIONS, table + t->functions);
}

// moduledata, or nothing.
static struct go_bytes find_module(const struct gopclntab_input *in, const struct go_table *t)
{
	uint64_t left = WORDS_TO_TRY;

	for (size_t i = 0; i < in->segment_count; i++) {
		const struct gopclntab_segment *s = &in->segments[i];

		for (uint64_t off = -s->vaddr % t->word; off < s->bytes.n && left; off += t->word, left--) {
			struct go_bytes b = {str_skip(s->bytes, off), t->bytes.big_endian};

			if (is_module(&b, t, in->table_vaddr))
				return b;
		}
	}
	return (struct go_bytes){STR_EMPTY, t->bytes.big_endian};
}

bool go_module_inlined(const struct gopclntab_input *in, const struct go_table *t,
		       const struct go_module *m, const struct go_function *f, int32_t index,
		       struct go_inlined *ret)
{
	const bool old = t->layout != GO_1_20;
	const uint64_t size = old ? 20 : 16;
	struct go_bytes tree = bytes_at(in, t, m->trees + f->inline_tree);
	uint64_t at = (uint64_t)index * size;
	uint32_t parent_pc;
	uint32_t line = 0;

	if (index < 0 || !go_read_u32(&tree, at + (old ? 12 : 4), &ret->name) ||
	    !go_read_u32(&tree, at + (old ? 16 : 8), &parent_pc) ||
	    (!old && !go_read_u32(&tree, at + 12, &line)))
		return false;
	ret->parent_pc = parent_pc;
	ret->start_line = line <= INT32_MAX ? line : 0;
	return parent_pc < f->size && ret->name < t->bytes.b.n && go_table_name(t, ret->name).n > 0;
}

// A name in the table follows the end of another: a guess at the trees rarely hits that.
static bool is_name_start(const struct go_table *t, uint32_t name)
{
	return name == 0 || t->bytes.b.p[t->names + name - 1] == 0;
}

// Do the first records of many functions make sense if the trees lie at m->trees?
static bool trees_fit(const struct gopclntab_input *in, const struct go_table *t,
		      const struct go_module *m)
{
	unsigned tried = 0;

	for (uint64_t i = 0; i < t->function_count && tried < TREES_TO_TRY; i++) {
		struct go_function f;
		struct go_inlined record;

		if (!go_table_function(t, i, &f) || !f.has_inline_tree || !f.inline_program)
			continue;
		if (!go_module_inlined(in, t, m, &f, 0, &record) || !is_name_start(t, record.name))
			return false;
		tried++;
	}
	return tried > 0;
}

static bool try_trees(const struct gopclntab_input *in, const struct go_table *t,
		      struct go_module *m, uint64_t vaddr)
{
	m->trees = vaddr;
	m->has_trees = (vaddr || t->layout == GO_1_16) && trees_fit(in, t, m);
	return m->has_trees;
}

// Where the last function record ends, from the start of the table.
static uint64_t records_end(const struct go_table *t)
{
	uint64_t end = 0;

	for (uint64_t i = 0; i < t->function_count; i++) {
		struct go_function f;

		if (go_table_function(t, i, &f))
			end = MAX(end, f.record_end);
	}
	return end;
}

static void find_trees(const struct gopclntab_input *in, const struct go_table *t,
		       const struct go_bytes *module, struct go_module *m)
{
	static const unsigned words[] = {WORD_GOFUNC_1_20, WORD_GOFUNC_1_27};
	uint64_t vaddr;

	if (t->layout == GO_1_16) {
		try_trees(in, t, m, 0);
		return;
	}
	if (in->gofunc_vaddr && try_trees(in, t, m, in->gofunc_vaddr))
		return;
	if (t->layout == GO_1_18) {
		if (go_read(module, (uint64_t)WORD_GOFUNC_1_18 * t->word, t->word, &vaddr))
			try_trees(in, t, m, vaddr);
		return;
	}
	for (size_t i = 0; i < countof(words); i++) {
		if (go_read(module, (uint64_t)words[i] * t->word, t->word, &vaddr) &&
		    try_trees(in, t, m, vaddr))
			return;
	}
	vaddr = records_end(t) + in->table_vaddr;
	vaddr += -vaddr % TREE_ALIGN;
	for (unsigned i = 0; i < PLACES_TO_TRY; i++) {
		if (try_trees(in, t, m, vaddr + i * TREE_ALIGN))
			return;
	}
}

static int find_text(const struct gopclntab_input *in, const struct go_table *t,
		     const struct go_bytes *module, struct go_module *m, struct err *e)
{
	uint64_t candidates[] = {t->text_start, 0, in->text_vaddr};
	uint64_t size;
	uint64_t end;

	if (t->layout == GO_1_16)
		return 0; // its entries are addresses
	go_read(module, (uint64_t)WORD_TEXT * t->word, t->word, &candidates[1]);
	if (!go_table_entry(t, t->function_count, &size))
		return err_set(e, ERR_BAD_ELF, ".gopclntab ends inside its function table");
	for (size_t i = 0; i < countof(candidates); i++) {
		if (candidates[i] && !add_overflows(candidates[i], size, &end) &&
		    (!in->text_end || end <= in->text_end)) {
			m->text = candidates[i];
			return 0;
		}
	}
	return err_set(e, ERR_BAD_ELF, ".gopclntab: nothing says where its functions start");
}

int go_module_find(const struct gopclntab_input *in, const struct go_table *t,
		   struct go_module *ret, struct err *e)
{
	struct go_module m = {0};
	struct go_bytes module = find_module(in, t);

	if (find_text(in, t, &module, &m, e))
		return -1;
	find_trees(in, t, &module, &m);
	*ret = m;
	return 0;
}
