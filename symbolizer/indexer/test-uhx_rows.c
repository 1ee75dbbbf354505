/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of every shape against a plain table of what was put in: starts that need each way of storing
 * them, lines far apart in one place, deep chains, many blocks, several files. Each address around
 * each row is asked for, one by one and many at once.
 */
#include "base/mem.h"
#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/uhx_reader.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { DEPTH_MAX = 40, FUNCTIONS = 50, FILES = 7 };

// What a row was given: its chain, innermost first.
struct level {
	uint32_t function; // its number is its name
	uint32_t file;     // 0: none
	uint32_t line;
	uint32_t column;
};

struct entry {
	uint64_t start;
	uint64_t end;
	size_t depth;
	struct level chain[DEPTH_MAX];
};

struct model {
	struct uhx_builder *b;
	struct uhx *u;
	struct entry *entries;
	size_t n;
	size_t cap;
	uint64_t random;
};

static uint32_t below(struct model *m, uint32_t n)
{
	m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((m->random >> 33) % n);
}

static uhx_id file_of(struct model *m, uint32_t number)
{
	char path[32];

	snprintf(path, sizeof(path), "/src/%" PRIu32 ".c", number);
	return number ? uhx_builder_file(m->b, str_from(path)) : 0;
}

static uhx_id function_of(struct model *m, uint32_t number)
{
	char name[32];

	snprintf(name, sizeof(name), "f%" PRIu32, number);
	return uhx_builder_function(
		m->b, &(struct uhx_function){.linkage = str_from(name), .start_line = number});
}

// From the outermost inwards, as a reader of debug info would.
static uhx_id scope_of(struct model *m, const struct entry *e)
{
	uhx_id scope = 0;

	for (size_t i = e->depth; i-- > 0;) {
		struct uhx_scope s = {
			.function = function_of(m, e->chain[i].function),
			.parent = scope,
			.source = SOURCE_DWARF,
		};

		if (scope) {
			s.call_file = file_of(m, e->chain[i + 1].file);
			s.call_line = e->chain[i + 1].line;
			s.call_column = e->chain[i + 1].column;
		}
		scope = uhx_builder_scope(m->b, &s);
		assert_int_not_equal(scope, 0);
	}
	return scope;
}

static void add(struct model *m, const struct entry *e)
{
	const struct level *leaf = &e->chain[0];

	assert_int_equal(mem_grow(&m->entries, &m->cap, m->n + 1, sizeof(*e), 1 << 20), 0);
	m->entries[m->n++] = *e;
	uhx_builder_row(m->b, &(struct uhx_row){.start = e->start,
						.end = e->end,
						.scope = scope_of(m, e),
						.file = file_of(m, leaf->file),
						.line = leaf->line,
						.column = leaf->column});
}

static uint32_t some_line(struct model *m, const struct level *before)
{
	switch (below(m, 8)) {
	case 0:
		return below(m, UINT32_MAX);
	case 1:
		return below(m, 3) ? 0 : UINT32_MAX;
	case 2:
		return below(m, 100000);
	default:
		return before->line + below(m, 9);
	}
}

// Mostly near the row before, as real ones are.
static void mutate(struct model *m, struct entry *e)
{
	if (below(m, 4) == 0)
		e->depth = 1 + below(m, below(m, 20) ? 4 : DEPTH_MAX);
	for (size_t i = 0; i < e->depth; i++) {
		struct level *l = &e->chain[i];

		if (below(m, 3) == 0)
			l->function = 1 + below(m, FUNCTIONS);
		if (below(m, 5) == 0 || !l->function)
			l->function = 1 + below(m, 3);
		if (below(m, 9) == 0)
			l->file = below(m, FILES);
		l->line = some_line(m, l);
		l->column = below(m, 2) ? below(m, 200) : below(m, UINT16_MAX + 1);
	}
}

// gap and length of each row below these; 0: none.
static void fill(struct model *m, size_t rows, uint64_t at, uint32_t gap, uint32_t length)
{
	struct entry e = {.depth = 1};

	for (size_t i = 0; i < rows; i++) {
		mutate(m, &e);
		e.start = at + (gap && below(m, 3) == 0 ? below(m, gap) : 0);
		e.end = e.start + 1 + below(m, length);
		at = e.end;
		add(m, &e);
	}
}

static void open_model(struct model *m)
{
	struct uhx_meta meta = {.machine = STR("x86_64")};
	struct uhx_counts counts;
	struct err e = ERR_INIT;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	assert_true(fd >= 0);
	if (uhx_builder_write(m->b, &meta, fd, &counts, &e) || uhx_open_fd(fd, &m->u, &e) ||
	    uhx_verify(m->u, &e))
		fail_msg("%s", e.msg);
	close(fd);
}

static const struct entry *expected(const struct model *m, uint64_t va)
{
	size_t low = 0;
	size_t high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->entries[mid].end <= va)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n && m->entries[low].start <= va ? &m->entries[low] : NULL;
}

static void check_frame(const struct frame *f, const struct level *l, bool inlined)
{
	char name[32];
	char path[32] = "";

	snprintf(name, sizeof(name), "f%" PRIu32, l->function);
	if (l->file)
		snprintf(path, sizeof(path), "/src/%" PRIu32 ".c", l->file);
	assert_true(str_eq(f->function, str_from(name)));
	assert_true(str_eq(f->system_name, str_from(name)));
	assert_true(str_eq(f->file, str_from(path)));
	assert_int_equal(f->line, l->line);
	assert_int_equal(f->column, l->column);
	assert_int_equal(f->start_line, l->function);
	assert_int_equal(f->inlined, inlined);
}

static void check_address(const struct model *m, uint64_t va)
{
	static struct frames frames;
	const struct entry *e = expected(m, va);

	uhx_lookup(m->u, va, &frames);
	assert_int_equal(frames.n, e ? e->depth : 0);
	assert_int_equal(frames.source, e ? SOURCE_DWARF : SOURCE_NONE);
	for (size_t i = 0; i < frames.n; i++)
		check_frame(&frames.frame[i], &e->chain[i], i + 1 < e->depth);
}

struct batch {
	const struct model *m;
	const uint64_t *va;
	bool columns;
	size_t next;
};

static void check_chain(void *ctx, size_t i, const struct uhx_chain *chain)
{
	struct batch *b = ctx;
	struct uhx_chain single;

	assert_int_equal(i, b->next++);
	uhx_chain(b->m->u, b->va[i], b->columns, &single);
	assert_int_equal(chain->n, single.n);
	assert_int_equal(chain->source, single.source);
	assert_memory_equal(chain->place, single.place, single.n * sizeof(single.place[0]));
	for (size_t k = 0; k < chain->n; k++) {
		assert_true(b->columns || !chain->place[k].column);
		struct frame f = {.line = chain->place[k].line, .column = chain->place[k].column};

		assert_true(uhx_spell(b->m->u, chain->place[k].function, &f));
		f.inlined = k + 1 < chain->n;
		if (!b->columns)
			f.column = expected(b->m, b->va[i])->chain[k].column;
		check_frame(&f, &expected(b->m, b->va[i])->chain[k], f.inlined);
	}
}

static void check(struct model *m)
{
	size_t n = 0;
	uint64_t *va = mem_calloc(m->n, 5 * sizeof(*va));

	assert_non_null(va);
	open_model(m);
	for (size_t i = 0; i < m->n; i++) {
		const struct entry *e = &m->entries[i];
		const uint64_t around[] = {e->start - 1, e->start, e->start + (e->end - e->start) / 2,
					   e->end - 1, e->end};

		for (size_t k = 0; k < countof(around); k++)
			check_address(m, va[n++] = around[k]);
	}
	uhx_chain_many(m->u, va, n, true, check_chain, &(struct batch){m, va, true, 0});
	uhx_chain_many(m->u, va, n, false, check_chain, &(struct batch){m, va, false, 0});
	free(va);
}

static int set_up(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct err e = ERR_INIT;

	assert_non_null(m);
	m->random = 7;
	assert_int_equal(uhx_builder_new(&m->b, &e), 0);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct model *m = *state;

	uhx_builder_free(m->b);
	uhx_unref(m->u);
	free(m->entries);
	free(m);
	return 0;
}

static void test_dense(void **state)
{
	fill(*state, 5000, 0x1000, 12, 8);
	check(*state);
}

static void test_sparse(void **state)
{
	fill(*state, 3000, 0x1000, 0, 900);
	check(*state);
}

static void test_far_apart(void **state)
{
	fill(*state, 3000, 0x1000, 1 << 20, 1 << 14);
	check(*state);
}

static void test_several_segments(void **state)
{
	struct model *m = *state;

	fill(m, 200, 0, 3, 5);
	fill(m, 2000, UINT64_C(0xffffffff81000000), 9, 40);
	fill(m, 10, UINT64_C(0xffffffffff000000), 9, 1 << 18);
	check(m);
}

// Each block stores its starts the way that fits it.
static void test_mixed(void **state)
{
	struct model *m = *state;
	uint64_t at = 0x1000;

	for (size_t i = 0; i < 40; i++) {
		static const uint32_t lengths[] = {3, 300, 30000, 255, 2, 70000};

		fill(m, 50 + below(m, 60), at, 10, lengths[i % countof(lengths)]);
		at = m->entries[m->n - 1].end + below(m, 2) * 5;
	}
	check(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sparse, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_far_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_several_segments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mixed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
