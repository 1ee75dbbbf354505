/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables made by hand, in the layouts whose compilers are not at hand: Go 1.16 and 1.18, 32-bit
 * words, big-endian. The functions:
 *
 *   main.outer   [0x00, 0x40)  a.go: 0x00 line 10; 0x10 main.mid inlined at line 11, its own line
 * 21; 0x20 main.leaf inlined into main.mid at line 22, own line 31, b.go; 0x30 line 12 main.last
 * [0x40, 0x50)  a.go line 40 up to 0x4c, then padding; no inline tree
 */
#include "symbolizer/indexer/gopclntab.h"

#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/indexer/go_table.h"
#include "symbolizer/uhx_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

enum { TEXT = 0x401000, TABLE = 0x500000, TREES = 0x600000 };

struct variant {
	const char *name;
	enum go_layout layout;
	unsigned word;
	bool big_endian;
};

static const struct variant variants[] = {
	{"1.16", GO_1_16, 8, false},        {"1.16 32-bit", GO_1_16, 4, false},
	{"1.16 big-endian", GO_1_16, 8, true}, {"1.18", GO_1_18, 8, false},
	{"1.18 32-bit", GO_1_18, 4, false},  {"1.20", GO_1_20, 8, false},
	{"1.20 big-endian", GO_1_20, 8, true},
};

static struct frames frames;

struct maker {
	const struct variant *v;
	struct buf b;
};

static void put(struct maker *m, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++) {
		unsigned shift = 8 * (m->v->big_endian ? width - 1 - i : i);

		buf_append_c(&m->b, (char)(uint8_t)(value >> shift));
	}
}

static void put_u32(struct maker *m, uint32_t value)
{
	put(m, 4, value);
}

static uint32_t put_text(struct maker *m, const char *s)
{
	uint32_t at = (uint32_t)m->b.n;

	buf_append(&m->b, s, strlen(s) + 1);
	return at;
}

static void put_varint(struct maker *m, uint32_t v)
{
	for (; v > 0x7f; v >>= 7)
		buf_append_c(&m->b, (char)(uint8_t)(v | 0x80));
	buf_append_c(&m->b, (char)v);
}

struct step {
	int32_t value;
	uint32_t bytes;
};

static uint32_t put_program(struct maker *m, const struct step *steps, size_t n)
{
	uint32_t at = (uint32_t)m->b.n;
	int32_t value = -1;

	for (size_t i = 0; i < n; i++) {
		int32_t delta = steps[i].value - value;

		put_varint(m, (uint32_t)delta << 1 ^ (uint32_t)(delta >> 31));
		put_varint(m, steps[i].bytes);
		value = steps[i].value;
	}
	buf_append_c(&m->b, 0);
	return at;
}

// Where things are, from the start of the table; filled while it is written, twice.
struct places {
	uint32_t names, units, files, programs, functions;
	uint32_t outer_name, mid_name, leaf_name, last_name;
	uint32_t a_file, b_file;
	uint32_t outer_file, outer_line, outer_inlined, last_file, last_line;
	uint32_t record[2];
};

static void put_header(struct maker *m, const struct places *p)
{
	static const uint32_t magics[] = {0xfffffffa, 0xfffffff0, 0xfffffff1};

	put_u32(m, magics[m->v->layout]);
	buf_append(&m->b, "\0\0\1", 3);
	buf_append_c(&m->b, (char)m->v->word);
	put(m, m->v->word, 2); // functions
	put(m, m->v->word, 2); // files
	if (m->v->layout != GO_1_16)
		put(m, m->v->word, m->v->layout == GO_1_18 ? TEXT : 0);
	put(m, m->v->word, p->names);
	put(m, m->v->word, p->units);
	put(m, m->v->word, p->files);
	put(m, m->v->word, p->programs);
	put(m, m->v->word, p->functions);
}

static void put_programs(struct maker *m, struct places *p)
{
	static const struct step outer_file[] = {{0, 0x20}, {1, 0x10}, {0, 0x10}};
	static const struct step outer_line[] = {{10, 0x10}, {21, 0x10}, {31, 0x10}, {12, 0x10}};
	static const struct step outer_inlined[] = {{-1, 0x10}, {0, 0x10}, {1, 0x10}, {-1, 0x10}};
	static const struct step last_file[] = {{0, 0xc}};
	static const struct step last_line[] = {{40, 0xc}};

	p->programs = (uint32_t)m->b.n;
	buf_append_c(&m->b, 0); // 0 means none
	p->outer_file = put_program(m, outer_file, countof(outer_file)) - p->programs;
	p->outer_line = put_program(m, outer_line, countof(outer_line)) - p->programs;
	p->outer_inlined = put_program(m, outer_inlined, countof(outer_inlined)) - p->programs;
	p->last_file = put_program(m, last_file, countof(last_file)) - p->programs;
	p->last_line = put_program(m, last_line, countof(last_line)) - p->programs;
}

static void put_record(struct maker *m, const struct places *p, bool outer)
{
	const unsigned width = m->v->layout == GO_1_16 ? m->v->word : 4;

	put(m, width, (m->v->layout == GO_1_16 ? TEXT : 0) + (outer ? 0U : 0x40U));
	put_u32(m, (outer ? p->outer_name : p->last_name) - p->names);
	put_u32(m, 0);
	put_u32(m, 0);
	put_u32(m, 0);
	put_u32(m, outer ? p->outer_file : p->last_file);
	put_u32(m, outer ? p->outer_line : p->last_line);
	put_u32(m, outer ? 3 : 0); // pcdata
	put_u32(m, 0);             // unit
	if (m->v->layout == GO_1_20)
		put_u32(m, outer ? 9 : 39);
	buf_append(&m->b, outer ? "\0\0\0\4" : "\0\0\0\0", 4); // funcdata
	if (!outer)
		return;
	put_u32(m, 0);
	put_u32(m, 0);
	put_u32(m, p->outer_inlined);
	while (m->b.n % width)
		buf_append_c(&m->b, 0);
	for (unsigned i = 0; i < 3; i++)
		put(m, width, m->v->layout == GO_1_16 ? 0 : UINT32_MAX);
	put(m, width, m->v->layout == GO_1_16 ? TREES : 0);
}

static void put_functions(struct maker *m, struct places *p)
{
	const unsigned width = m->v->layout == GO_1_16 ? m->v->word : 4;
	const uint64_t base = m->v->layout == GO_1_16 ? TEXT : 0;

	while (m->b.n % 8)
		buf_append_c(&m->b, 0);
	p->functions = (uint32_t)m->b.n;
	put(m, width, base);
	put(m, width, p->record[0] - p->functions);
	put(m, width, base + 0x40);
	put(m, width, p->record[1] - p->functions);
	put(m, width, base + 0x50);
	for (unsigned i = 0; i < 2; i++) {
		while (m->b.n % 8)
			buf_append_c(&m->b, 0);
		p->record[i] = (uint32_t)m->b.n;
		put_record(m, p, i == 0);
	}
}

static void put_table(struct maker *m, struct places *p)
{
	put_header(m, p);
	p->names = put_text(m, "");
	p->outer_name = put_text(m, "main.outer");
	p->mid_name = put_text(m, "main.mid");
	p->leaf_name = put_text(m, "main.leaf");
	p->last_name = put_text(m, "main.last");
	while (m->b.n % 4)
		buf_append_c(&m->b, 0);
	p->units = (uint32_t)m->b.n;
	put_u32(m, p->a_file - p->files);
	put_u32(m, p->b_file - p->files);
	p->files = (uint32_t)m->b.n;
	p->a_file = put_text(m, "/src/a.go");
	p->b_file = put_text(m, "/src/b.go");
	put_programs(m, p);
	put_functions(m, p);
}

// One record per inlined call: main.mid at 0x0c of main.outer, main.leaf at 0x1c, which is
// main.mid's.
static void put_trees(struct maker *m, const struct places *p)
{
	const uint32_t names[] = {p->mid_name - p->names, p->leaf_name - p->names};
	const uint32_t start_lines[] = {20, 30};

	for (unsigned i = 0; i < 2; i++) {
		put_u32(m, 0);
		if (m->v->layout != GO_1_20) {
			put_u32(m, 0); // file and line: not read
			put_u32(m, 0);
		}
		put_u32(m, names[i]);
		put_u32(m, i ? 0x1c : 0x0c);
		if (m->v->layout == GO_1_20)
			put_u32(m, start_lines[i]);
	}
}

struct made {
	struct buf table;
	struct buf trees;
	struct gopclntab_segment segment;
	struct gopclntab_input input;
};

static void make(const struct variant *v, struct made *ret)
{
	struct places p = {0};
	struct maker m = {v, BUF_INIT(KIB(64))};

	put_table(&m, &p);
	buf_clear(&m.b);
	put_table(&m, &p); // now that places are known
	ret->table = m.b;
	m.b = BUF_INIT(KIB(64));
	put_trees(&m, &p);
	ret->trees = m.b;
	ret->segment = (struct gopclntab_segment){TREES, buf_str(&ret->trees)};
	ret->input = (struct gopclntab_input){
		.table = buf_str(&ret->table),
		.table_vaddr = TABLE,
		.text_vaddr = v->layout == GO_1_20 ? TEXT : 0,
		.gofunc_vaddr = v->layout == GO_1_16 ? 0 : TREES,
		.segments = &ret->segment,
		.segment_count = 1,
	};
}

static void made_deinit(struct made *m)
{
	buf_deinit(&m->table);
	buf_deinit(&m->trees);
}

static struct uhx *index_of(const struct gopclntab_input *in, struct gopclntab_counts *counts)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	_cleanup_close_ int fd = memfd_create("uhx", MFD_CLOEXEC);
	struct uhx_meta meta = {.machine = STR("any")};
	struct uhx_counts written;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	if (uhx_builder_new(&b, &e) || gopclntab_index(in, b, counts, &e) ||
	    uhx_builder_write(b, &meta, fd, &written, &e) || uhx_open_fd(fd, &u, &e))
		fail_msg("%s", e.msg);
	return u;
}

static void expect(const struct uhx *u, uint32_t off, const char *want)
{
	struct buf got = BUF_INIT(KIB(4));

	uhx_lookup(u, TEXT + off, &frames);
	for (size_t i = 0; i < frames.n; i++)
		buf_printf(&got, "%s" STR_FMT " " STR_FMT ":%u", i ? " < " : "",
			   STR_ARG(frames.frame[i].function),
			   STR_ARG(str_basename(frames.frame[i].file)), frames.frame[i].line);
	assert_string_equal(buf_str(&got).p, want);
	buf_deinit(&got);
}

static void test_layouts(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(variants); i++) {
		const struct variant *v = &variants[i];
		struct gopclntab_counts counts;
		struct made m;
		struct uhx *u;

		print_message("layout %s\n", v->name);
		make(v, &m);
		u = index_of(&m.input, &counts);
		assert_int_equal(counts.functions, 2);
		assert_int_equal(counts.inlined, 2);
		assert_true(counts.has_inlines);
		expect(u, 0x00, "main.outer a.go:10");
		assert_int_equal(frames.frame[0].start_line, v->layout == GO_1_20 ? 9 : 10);
		expect(u, 0x10, "main.mid a.go:21 < main.outer a.go:10");
		expect(u, 0x2f, "main.leaf b.go:31 < main.mid a.go:21 < main.outer a.go:10");
		assert_int_equal(frames.frame[0].start_line, v->layout == GO_1_20 ? 30 : 0);
		expect(u, 0x30, "main.outer a.go:12");
		expect(u, 0x4b, "main.last a.go:40");
		expect(u, 0x4c, "");
		expect(u, 0x50, "");
		uhx_unref(u);
		made_deinit(&m);
	}
}

// A foreign stretch of text between two Go functions: its entry has an impossible record.
static void test_hole_between_functions(void **state)
{
	struct gopclntab_counts counts;
	struct go_table table;
	struct err e = ERR_INIT;
	struct made m;
	struct uhx *u;

	(void)state;
	make(&variants[5], &m);
	assert_int_equal(go_table_parse(m.input.table, &table, &e), 0);
	memset(m.table.p + table.functions + 4, 0xff, 4);
	u = index_of(&m.input, &counts);
	assert_int_equal(counts.functions, 1);
	expect(u, 0x00, "");
	expect(u, 0x40, "main.last a.go:40");
	uhx_unref(u);
	made_deinit(&m);
}

// Calls that lead in a circle: record 1 says its call is in code of record 1.
static void test_circular_tree(void **state)
{
	struct gopclntab_counts counts;
	struct made m;
	struct uhx *u;

	(void)state;
	make(&variants[5], &m);
	m.trees.p[16 + 8] = 0x20;
	u = index_of(&m.input, &counts);
	expect(u, 0x20, "main.outer b.go:31");
	expect(u, 0x10, "main.mid a.go:21 < main.outer a.go:10");
	uhx_unref(u);
	made_deinit(&m);
}

static void test_text_must_be_known(void **state)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct gopclntab_counts counts;
	struct err e = ERR_INIT;
	struct made m;

	(void)state;
	make(&variants[5], &m);
	m.input.text_vaddr = 0;
	assert_int_equal(uhx_builder_new(&b, &e), 0);
	assert_int_equal(gopclntab_index(&m.input, b, &counts, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_ELF);
	assert_string_equal(e.msg, ".gopclntab: nothing says where its functions start");
	m.input.text_vaddr = TEXT;
	m.input.text_end = TEXT + 0x4f;
	assert_int_equal(gopclntab_index(&m.input, b, &counts, &e), -1);
	made_deinit(&m);
}

// Indexes a copy that ends where its memory ends, with one bit turned if it is inside.
static void try_table(const struct gopclntab_input *sound, size_t size, size_t bit)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct gopclntab_input in = *sound;
	struct gopclntab_counts counts;
	struct err e = ERR_INIT;
	char *copy = mem_dup(in.table.p, size);

	assert_non_null(copy);
	in.table = (struct str){copy, size};
	if (bit / 8 < size)
		copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
	assert_int_equal(uhx_builder_new(&b, &e), 0);
	if (gopclntab_index(&in, b, &counts, &e))
		assert_true(e.kind == ERR_BAD_ELF || e.kind == ERR_UNSUPPORTED);
	free(copy);
}

static void test_truncations_and_flips(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(variants); i++) {
		struct made m;

		make(&variants[i], &m);
		for (size_t n = 0; n < m.table.n; n++)
			try_table(&m.input, n, SIZE_MAX);
		for (size_t bit = 0; bit < 8 * m.table.n; bit++)
			try_table(&m.input, m.table.n, bit);
		made_deinit(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_hole_between_functions),
		cmocka_unit_test(test_circular_tree),
		cmocka_unit_test(test_text_must_be_known),
		cmocka_unit_test(test_truncations_and_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
