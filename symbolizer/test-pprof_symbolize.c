/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_symbolize.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"
#include "tests/unit/fake_resolver.h"
#include "tests/unit/pprof_wire.h"

enum { BASE = 0x555500000000, WEIGHTS_MAX = 8 };

static struct arena arena;
static struct wire w;
static struct pprof p;
static struct fake fake;
static struct resolver resolver;
static struct symbolize_options opt;
static struct symbolize_stats stats;
static struct module_weight weights[WEIGHTS_MAX];
static size_t weight_count;
static struct err e;

static void note_weight(void *ctx, const struct module_weight *weight)
{
	assert_ptr_equal(ctx, &stats);
	assert_true(weight_count < WEIGHTS_MAX);
	weights[weight_count++] = *weight;
}

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(16));
	w = wire_new();
	wire_type(&w, "cpu", "nanoseconds");
	resolver = fake_resolver(&fake);
	opt = (struct symbolize_options){.on_module = note_weight, .on_module_ctx = &stats};
	weight_count = 0;
	e = ERR_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&w.b);
	arena_deinit(&arena);
	return 0;
}

static void symbolize(void)
{
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	if (pprof_symbolize(&p, &resolver, &opt, &stats, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(fake.opened, fake.released);
}

static void assert_str(struct str s, const char *want)
{
	if (!str_is(s, want))
		fail_msg("'" STR_FMT "', not '%s'", STR_ARG(s), want);
}

static const struct pprof_function *function_of(size_t location, size_t line)
{
	assert_true(line < p.locations[location].line_count);
	return &p.functions[p.locations[location].lines[line].function];
}

static void assert_name(size_t location, const char *want)
{
	assert_int_equal(p.locations[location].line_count, 1);
	assert_str(function_of(location, 0)->name, want);
}

// ---- names ---------------------------------------------------------------------------------------

static void an_inline_chain_becomes_lines(void **state)
{
	const struct pprof_line *lines;

	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_location(&w, 1, 1, 0x1100, NULL);
	symbolize();
	lines = p.locations[0].lines;
	assert_int_equal(p.locations[0].line_count, 2);
	assert_str(function_of(0, 0)->name, "ns::leaf(int)");
	assert_str(function_of(0, 0)->system_name, "_ZN2ns4leafEi");
	assert_str(function_of(0, 0)->filename, "/src/leaf.cc");
	assert_int_equal(function_of(0, 0)->start_line, 10);
	assert_int_equal(lines[0].line, 12);
	assert_int_equal(lines[0].column, 3);
	assert_str(function_of(0, 1)->name, "work()");
	assert_int_equal(lines[1].line, 40);
	// A caller's column is not known from the leaf's address.
	assert_int_equal(lines[1].column, 0);
	assert_int_equal(stats.resolved, 1);
	assert_int_equal(stats.locations, 1);
	assert_true(p.mappings[0].has_functions);
	assert_true(p.mappings[0].has_filenames);
	assert_true(p.mappings[0].has_line_numbers);
	assert_true(p.mappings[0].has_inline_frames);
}

static void runtime_addresses_are_translated(void **state)
{
	(void)state;
	// Rule 3: offset 0x400 + 0x100 of the file is vaddr 0x1100.
	WIRE(&w, 3, 1, 1, 2, BASE, 3, BASE + 0x2000, 4, 0x400, 5, wire_text(&w, "/bin/a"), 6,
	     wire_text(&w, "aaaa"));
	wire_location(&w, 1, 1, BASE + 0x100, NULL);
	wire_location(&w, 2, 1, BASE + 0x1f00, NULL);
	symbolize();
	assert_str(function_of(0, 0)->name, "ns::leaf(int)");
	// Beyond the segment: named by the raw address.
	assert_name(1, "a+0x555500001f00");
	assert_string_equal(weights[0].reason, "address_outside");
}

static void the_producer_may_promise_virtual_addresses(void **state)
{
	(void)state;
	wire_mapping(&w, 1, BASE, "/bin/a", "dddd");
	wire_location(&w, 1, 1, 0x1100, NULL);
	opt.addresses_are_virtual = true;
	symbolize();
	assert_str(function_of(0, 0)->name, "ns::leaf(int)");
}

static void every_frame_has_a_name(void **state)
{
	static const char *const names[] = {"a+0x1999", "libc.so.6+0x2000", "gone.so+0x3000",
					    "unknown+0x4000", "odd+0x5000",  "noid+0x6000",
					    "unknown+0x7000", "broken+0x8000"};
	static const char *const ids[] = {"aaaa", "bbbb", "cccc", "cccc", "b!", "", NULL, "ffff"};
	static const char *const files[] = {"/bin/a", "/lib/libc.so.6", "/x/gone.so", "",
					    "odd",    "/y/noid",        NULL,         "broken"};

	(void)state;
	for (uint64_t i = 0; i < countof(names); i++) {
		if (ids[i])
			wire_mapping(&w, i + 1, 0, files[i], ids[i]);
		wire_location(&w, i + 1, ids[i] ? i + 1 : 0, i ? (i + 1) * 0x1000 : 0x1999, NULL);
	}
	symbolize();
	for (size_t i = 0; i < countof(names); i++) {
		assert_name(i, names[i]);
		assert_str(function_of(i, 0)->system_name, names[i]);
		assert_int_equal(p.locations[i].lines[0].line, 0);
	}
	for (size_t i = 0; i < p.mapping_count; i++) {
		assert_true(p.mappings[i].has_functions);
		assert_false(p.mappings[i].has_filenames);
		assert_false(p.mappings[i].has_line_numbers);
		assert_false(p.mappings[i].has_inline_frames);
	}
	assert_int_equal(stats.unresolved, 8);
	assert_int_equal(stats.without_build_id, 2);
	assert_int_equal(stats.pending_modules, 1);
	assert_int_equal(stats.missing_modules, 1);
	assert_int_equal(stats.invalid_modules, 2);
}

// Where a function starts is no name: the frame is a stub of that place, and still to be resolved.
static void a_function_without_a_name(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_function(&w, 1, "real", "");
	wire_location(&w, 1, 1, 0x1504, NULL);
	wire_location(&w, 2, 1, 0x15f0, NULL);
	wire_location(&w, 3, 1, 0x1510, (const uint64_t[]){1, 0, 0});
	symbolize();
	assert_name(0, "a+0x1500");
	assert_name(1, "a+0x1500");
	assert_name(2, "real");
	assert_int_equal(stats.unresolved, 2);
	assert_string_equal(weights[0].reason, "no_symbol");
	assert_int_equal(weights[0].unresolved_locations, 2);
}

static void no_headers_means_the_raw_address(void **state)
{
	(void)state;
	wire_mapping(&w, 1, BASE, "/bin/a", "dddd");
	wire_location(&w, 1, 1, BASE + 0xAB, NULL);
	symbolize();
	assert_name(0, "a+0x5555000000ab");
	assert_int_equal(weight_count, 1);
	assert_int_equal(weights[0].status, MODULE_OK);
	assert_string_equal(weights[0].reason, "no_program_headers");
}

static void flags_say_no_more_than_is_true(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_location(&w, 1, 1, 0x1100, NULL);
	wire_location(&w, 2, 1, 0x1200, NULL); // symtab: no file, inlines not looked for
	wire_mapping(&w, 2, 0, "/bin/go", "dddd");
	wire_location(&w, 3, 2, 0x1300, NULL);
	wire_location(&w, 4, 2, 0x9999, NULL); // a stub does not count
	wire_mapping(&w, 3, 0, "/bin/unused", "aaaa");
	symbolize();
	assert_true(p.mappings[0].has_functions);
	assert_false(p.mappings[0].has_filenames);
	assert_false(p.mappings[0].has_line_numbers);
	assert_false(p.mappings[0].has_inline_frames);
	assert_true(p.mappings[1].has_functions);
	assert_true(p.mappings[1].has_filenames);
	assert_true(p.mappings[1].has_line_numbers);
	assert_true(p.mappings[1].has_inline_frames);
	assert_false(p.mappings[2].has_functions);
}

static void equal_functions_are_one(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	// The profile has the function already, and one that nothing will refer to.
	WIRE(&w, 5, 1, 1, 2, wire_text(&w, "work()"), 3, wire_text(&w, "_Z4workv"), 4,
	     wire_text(&w, "/src/work.cc"), 5, 38);
	wire_function(&w, 2, "a+0x1100", "");
	wire_location(&w, 1, 1, 0x1100, (const uint64_t[]){2, 0, 0});
	wire_location(&w, 2, 1, 0x1101, (const uint64_t[]){1, 39, 0});
	symbolize();
	assert_int_equal(p.function_count, 2);
	assert_int_equal(p.locations[0].lines[1].function, p.locations[1].lines[0].function);
	assert_str(function_of(1, 0)->name, "work()");
	assert_str(function_of(0, 0)->name, "ns::leaf(int)");
}

static void each_address_is_asked_once(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_mapping(&w, 2, 0, "/proc/9/exe", "aaaa");
	wire_location(&w, 1, 1, 0x1100, NULL);
	wire_location(&w, 2, 2, 0x1100, NULL);
	wire_location(&w, 3, 1, 0x1100, NULL);
	symbolize();
	assert_int_equal(fake.opened, 1);
	assert_int_equal(fake.lookups, 1);
	assert_int_equal(stats.resolved, 3);
	assert_int_equal(weight_count, 1);
	assert_str(weights[0].filename, "/bin/a");
	assert_int_equal(p.function_count, 2);
	assert_true(p.locations[0].lines != p.locations[2].lines);
}

// ---- names that were there -----------------------------------------------------------------------

static void stubs_are_symbolized_again(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_function(&w, 1, "a+0x1100", "");
	wire_function(&w, 2, "a!0x1999", "");
	wire_function(&w, 3, "memcpy+0x1f", "");
	wire_location(&w, 1, 1, 0x1100, (const uint64_t[]){1, 0, 0});
	wire_location(&w, 2, 1, 0x1999, (const uint64_t[]){2, 0, 0});
	wire_location(&w, 3, 1, 0x1998, (const uint64_t[]){3, 0, 0});
	symbolize();
	assert_str(function_of(0, 0)->name, "ns::leaf(int)");
	assert_name(1, "a+0x1999");
	// Somebody knew more than the mapping's name.
	assert_name(2, "memcpy+0x1f");
	assert_int_equal(stats.resolved, 1);
	assert_int_equal(stats.unresolved, 2);
	assert_int_equal(stats.kept, 0);
}

static void write_named(void)
{
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_function(&w, 1, "work", "");          // the physical function, without more
	wire_function(&w, 2, "something_else", ""); // another binary's name for it
	wire_function(&w, 3, "plain", "/src/p.c");  // ours would lose file and line
	wire_location(&w, 1, 1, 0x1100, (const uint64_t[]){1, 0, 0});
	wire_location(&w, 2, 1, 0x1100, (const uint64_t[]){2, 0, 0});
	wire_location(&w, 3, 1, 0x1200, (const uint64_t[]){3, 5, 0});
	wire_location(&w, 4, 1, 0x1999, (const uint64_t[]){1, 0, 0});
}

static void better_names_replace(void **state)
{
	(void)state;
	write_named();
	symbolize();
	assert_int_equal(p.locations[0].line_count, 2);
	assert_str(function_of(0, 0)->name, "ns::leaf(int)");
	assert_name(1, "something_else");
	assert_name(2, "plain");
	assert_str(function_of(2, 0)->filename, "/src/p.c");
	assert_name(3, "work");
	assert_int_equal(stats.resolved, 1);
	assert_int_equal(stats.kept, 3);
	assert_int_equal(stats.unresolved, 0);
}

static void never_asks_nothing(void **state)
{
	(void)state;
	write_named();
	opt.rename = RENAME_NEVER;
	symbolize();
	assert_name(0, "work");
	assert_int_equal(stats.kept, 4);
	assert_int_equal(fake.opened, 0);
	assert_int_equal(weight_count, 0);
}

static void always_replaces_what_it_can(void **state)
{
	(void)state;
	write_named();
	opt.rename = RENAME_ALWAYS;
	symbolize();
	assert_str(function_of(1, 0)->name, "ns::leaf(int)");
	assert_name(2, "plain");
	assert_str(function_of(2, 0)->filename, "");
	assert_name(3, "work");
	assert_int_equal(stats.resolved, 3);
	assert_int_equal(stats.kept, 1);
}

// ---- weights -------------------------------------------------------------------------------------

static void what_is_lost_is_weighed(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_mapping(&w, 2, 0, "/lib/c.so", "cccc");
	wire_mapping(&w, 3, 0, "/other/c.so", "cccc");
	wire_location(&w, 1, 1, 0x1100, NULL);
	wire_location(&w, 2, 2, 0x10, NULL);
	wire_location(&w, 3, 3, 0x20, NULL);
	wire_sample(&w, IDS(1), 1000, NULL, NULL);
	wire_sample(&w, IDS(2, 3, 2, 1), 30, NULL, NULL); // once, though met thrice
	wire_sample(&w, IDS(1, 3), 7, NULL, NULL);
	symbolize();
	assert_int_equal(weight_count, 2);
	assert_str(weights[0].build_id, "aaaa");
	assert_int_equal(weights[0].status, MODULE_OK);
	assert_null(weights[0].reason);
	assert_int_equal(weights[0].weight, 0);
	assert_str(weights[1].build_id, "cccc");
	assert_str(weights[1].filename, "/lib/c.so");
	assert_int_equal(weights[1].status, MODULE_MISSING);
	assert_string_equal(weights[1].reason, "not_found");
	assert_int_equal(weights[1].weight, 37);
	assert_int_equal(weights[1].samples, 2);
	assert_int_equal(weights[1].unresolved_locations, 2);
	assert_str(weights[1].unit, "nanoseconds");
}

static void weighing_leaves_the_profile_alone(void **state)
{
	(void)state;
	opt.weigh_only = true;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_location(&w, 1, 1, 0x1100, NULL);
	wire_location(&w, 2, 1, 0x1777, NULL);
	symbolize();
	assert_int_equal(stats.resolved, 1);
	assert_int_equal(stats.unresolved, 1);
	assert_int_equal(weight_count, 1);
	assert_int_equal(weights[0].unresolved_locations, 1);
	assert_int_equal(p.locations[0].line_count, 0);
	assert_int_equal(p.locations[1].line_count, 0);
	assert_int_equal(p.function_count, 0);
	assert_false(p.mappings[0].has_functions);
}

static void the_default_sample_type_is_weighed(void **state)
{
	(void)state;
	WIRE(&w, 1, 1, wire_text(&w, "samples"), 2, wire_text(&w, "count"));
	wire_mapping(&w, 1, 0, "/lib/c.so", "cccc");
	wire_location(&w, 1, 1, 0x10, NULL);
	WIRE(&w, 2, 1, 1, 2, 500, 2, 2);
	symbolize();
	assert_int_equal(weights[0].weight, 2);
	assert_str(weights[0].unit, "count");
	weight_count = 0;
	pb_put_u64(&w.b, 14, 1); // "cpu"
	symbolize();
	assert_int_equal(weights[0].weight, 500);
}

// ---- failure -------------------------------------------------------------------------------------

static void the_resolvers_errors_come_through(void **state)
{
	(void)state;
	wire_mapping(&w, 1, 0, "/bin/a", "aaaa");
	wire_location(&w, 1, 1, 0x1400, NULL);
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_symbolize(&p, &resolver, &opt, &stats, &e), -1);
	assert_int_equal(e.kind, ERR_DB);
	assert_string_equal(e.msg, "the result cache is gone");
	assert_int_equal(fake.opened, 1);
	assert_int_equal(fake.released, 1);
	wire_mapping(&w, 2, 0, "/bin/b", "fail");
	wire_location(&w, 2, 2, 0x10, NULL);
	p.arena = &arena;
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	p.locations[0].address = 0x1100;
	assert_int_equal(pprof_symbolize(&p, &resolver, &opt, &stats, &e), -1);
	assert_string_equal(e.msg, "the catalog is gone");
	assert_int_equal(fake.released, 2);
}

static void running_out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	write_named();
	wire_location(&w, 5, 1, 0x1777, NULL);
	wire_sample(&w, IDS(1, 5), 1, "k", "v");
	for (unsigned long nth = 1; fired; nth++) {
		int r;

		arena_deinit(&arena);
		assert_int_equal(wire_decode(&w, &arena, &p), 0);
		weight_count = 0;
		e = ERR_INIT;
		mem_fault_at(nth, 0);
		r = pprof_symbolize(&p, &resolver, &opt, &stats, &e);
		fired = mem_fault_off();
		assert_int_equal(r, fired ? -1 : 0);
		assert_int_equal(e.kind, fired ? ERR_NOMEM : ERR_NONE);
		assert_int_equal(fake.opened, fake.released);
	}
	assert_name(4, "a+0x1777");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_inline_chain_becomes_lines),
		TEST(runtime_addresses_are_translated),
		TEST(the_producer_may_promise_virtual_addresses),
		TEST(every_frame_has_a_name),
		TEST(a_function_without_a_name),
		TEST(no_headers_means_the_raw_address),
		TEST(flags_say_no_more_than_is_true),
		TEST(equal_functions_are_one),
		TEST(each_address_is_asked_once),
		TEST(stubs_are_symbolized_again),
		TEST(better_names_replace),
		TEST(never_asks_nothing),
		TEST(always_replaces_what_it_can),
		TEST(what_is_lost_is_weighed),
		TEST(weighing_leaves_the_profile_alone),
		TEST(the_default_sample_type_is_weighed),
		TEST(the_resolvers_errors_come_through),
		TEST(running_out_of_memory_is_survived),
	};

	return cmocka_run_group_tests_name("pprof_symbolize", tests, NULL, NULL);
}
