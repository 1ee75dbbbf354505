/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_functions.h"

#include "tests/unit/toolbox.h"
#include "tests/unit/pprof_wire.h"

static struct arena arena;
static struct wire w;
static struct pprof p;
static struct pprof_functions fs;

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(1));
	w = wire_new();
	wire_function(&w, 1, "f", "f.c");
	wire_function(&w, 2, "unused", "u.c");
	wire_function(&w, 3, "f", "f.c"); // a careless producer's duplicate
	WIRE(&w, 5, 1, 4, 2, wire_text(&w, "new"), 100, 1); // with a field that we do not know
	wire_location(&w, 1, 0, 1, (const uint64_t[]){3, 5, 1, 6, 0});
	wire_location(&w, 2, 0, 2, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pprof_functions_deinit(&fs);
	buf_deinit(&w.b);
	arena_deinit(&arena);
	return 0;
}

static uint32_t put(const char *name, const char *file, int64_t start_line)
{
	const struct pprof_function f = {.name = str_from(name),
					 .system_name = str_from(name),
					 .filename = str_from(file),
					 .start_line = start_line};
	uint32_t position;

	assert_int_equal(pprof_functions_put(&fs, &f, &position), 0);
	return position;
}

static void equal_means_all_four(void **state)
{
	char volatile_name[] = "g";
	uint32_t g;

	(void)state;
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_functions_init(&fs, &p), 0);
	assert_int_equal(put("f", "f.c", 0), 0);
	assert_int_equal(put("f", "f.c", 7), 4);
	assert_int_equal(put("f", "other.c", 0), 5);
	// Not the one with the unknown field.
	assert_int_equal(put("new", "", 0), 6);
	assert_int_equal(put("new", "", 0), 6);
	g = put(volatile_name, "", 0);
	volatile_name[0] = 'X';
	assert_true(str_is(fs.items[g].name, "g"));
}

static void what_nothing_refers_to_is_dropped(void **state)
{
	struct frames *frames = calloc(1, sizeof(*frames));

	(void)state;
	assert_non_null(frames);
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_functions_init(&fs, &p), 0);
	frames->n = 1;
	frames->frame[0] = (struct frame){.function = STR("g()"), .system_name = STR("_Z1gv"),
					  .file = STR_EMPTY, .line = 3, .column = 4};
	assert_int_equal(pprof_functions_lines(&fs, frames, &p.locations[1].lines), 0);
	p.locations[1].line_count = 1;
	assert_int_equal(pprof_functions_finish(&fs, &p), 0);
	free(frames);
	assert_int_equal(p.function_count, 3);
	assert_int_equal(p.locations[0].lines[0].function, 1);
	assert_int_equal(p.locations[0].lines[1].function, 0);
	assert_int_equal(p.locations[1].lines[0].function, 2);
	assert_int_equal(p.locations[1].lines[0].column, 4);
	assert_true(str_is(p.functions[2].name, "g()"));
	assert_true(str_is(p.functions[2].system_name, "_Z1gv"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_means_all_four, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nothing_refers_to_is_dropped, setup, teardown),
	};

	return cmocka_run_group_tests_name("pprof_functions", tests, NULL, NULL);
}
