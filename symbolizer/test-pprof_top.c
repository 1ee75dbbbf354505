/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_top.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"
#include "tests/unit/pprof_wire.h"

static struct arena arena;
static struct wire w;
static struct pprof p;
static struct pprof_top top;
static struct err e;

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(16));
	w = wire_new();
	e = ERR_INIT;
	wire_type(&w, "cpu", "nanoseconds");
	wire_mapping(&w, 1, 0, "/bin/a", "abcd");
	wire_function(&w, 1, "main", "m.c");
	wire_function(&w, 2, "work", "w.c");
	wire_function(&w, 3, "leaf", "l.c");
	wire_function(&w, 4, "work", "other.c");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&w.b);
	arena_deinit(&arena);
	return 0;
}

static void count(void)
{
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	if (pprof_top(&p, pprof_default_value(&p), &arena, &top, &e))
		fail_msg("%s", e.msg);
}

static void expect_row(size_t i, const char *function, const char *file, int64_t line, int64_t flat,
		       int64_t cum)
{
	assert_true(i < top.n);
	if (!str_is(top.rows[i].function, function))
		fail_msg("row %zu is '" STR_FMT "', not '%s'", i, STR_ARG(top.rows[i].function),
			 function);
	assert_true(str_is(top.rows[i].file, file));
	assert_int_equal(top.rows[i].line, line);
	assert_int_equal(top.rows[i].flat, flat);
	assert_int_equal(top.rows[i].cum, cum);
}

static void flat_and_cum(void **state)
{
	(void)state;
	wire_location(&w, 1, 1, 0x10, (const uint64_t[]){1, 5, 0});
	wire_location(&w, 2, 1, 0x20, (const uint64_t[]){2, 20, 0});
	wire_location(&w, 3, 1, 0x30, (const uint64_t[]){3, 31, 2, 22, 0}); // leaf inlined into work
	wire_location(&w, 4, 1, 0x40, (const uint64_t[]){3, 32, 2, 23, 0});
	wire_location(&w, 5, 1, 0x50, (const uint64_t[]){4, 1, 0});
	wire_sample(&w, IDS(3, 1), 50, NULL, NULL);
	wire_sample(&w, IDS(4, 1), 30, NULL, NULL);
	wire_sample(&w, IDS(2, 2, 1), 15, NULL, NULL); // recursion counts once
	wire_sample(&w, IDS(5, 1), 5, NULL, NULL);
	count();
	assert_int_equal(top.total, 100);
	assert_int_equal(top.n, 4);
	expect_row(0, "leaf", "l.c", 31, 80, 80);
	assert_true(top.rows[0].share == 0.8);
	expect_row(1, "work", "w.c", 20, 15, 95);
	expect_row(2, "work", "other.c", 1, 5, 5);
	expect_row(3, "main", "m.c", 5, 0, 100);
	assert_true(str_is(top.type.type, "cpu"));
}

static void nameless_locations_get_a_stub(void **state)
{
	(void)state;
	wire_location(&w, 1, 1, 0x1999, NULL);
	wire_location(&w, 2, 0, 0x7, NULL);
	wire_sample(&w, IDS(1, 2), 4, NULL, NULL);
	count();
	assert_int_equal(top.n, 2);
	expect_row(0, "a+0x1999", "", 0, 4, 4);
	expect_row(1, "unknown+0x7", "", 0, 0, 4);
}

static void an_empty_profile_has_no_rows(void **state)
{
	(void)state;
	count();
	assert_int_equal(top.n, 0);
	assert_int_equal(top.total, 0);
	assert_int_equal(pprof_top(&p, 1, &arena, &top, &e), -1);
	assert_string_equal(e.msg, "the profile has 1 sample types, no number 1");
}

static void running_out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	wire_location(&w, 1, 1, 0x1999, NULL);
	wire_location(&w, 2, 1, 0x20, (const uint64_t[]){2, 20, 0});
	wire_sample(&w, IDS(1, 2), 4, NULL, NULL);
	count();
	for (unsigned long nth = 1; fired; nth++) {
		struct arena own = ARENA_INIT(MIB(1));
		int r;

		e = ERR_INIT;
		mem_fault_at(nth, 0);
		r = pprof_top(&p, 0, &own, &top, &e);
		fired = mem_fault_off();
		assert_int_equal(r, fired ? -1 : 0);
		assert_int_equal(e.kind, fired ? ERR_NOMEM : ERR_NONE);
		arena_deinit(&own);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flat_and_cum, setup, teardown),
		cmocka_unit_test_setup_teardown(nameless_locations_get_a_stub, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_profile_has_no_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(running_out_of_memory_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests_name("pprof_top", tests, NULL, NULL);
}
