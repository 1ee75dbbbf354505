/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_merge.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"
#include "tests/unit/pprof_wire.h"

enum { INPUTS = 3 };

static struct arena arena;
static struct wire w[INPUTS];
static struct pprof in[INPUTS];
static struct pprof p;
static struct err e;

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(16));
	for (size_t i = 0; i < INPUTS; i++)
		w[i] = wire_new();
	e = ERR_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < INPUTS; i++)
		buf_deinit(&w[i].b);
	arena_deinit(&arena);
	return 0;
}

static int merge(size_t n)
{
	const struct pprof *all[INPUTS];

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(wire_decode(&w[i], &arena, &in[i]), 0);
		all[i] = &in[i];
	}
	return pprof_merge(all, n, &arena, &p, &e);
}

static void assert_str(struct str s, const char *want)
{
	if (!str_is(s, want))
		fail_msg("'" STR_FMT "', not '%s'", STR_ARG(s), want);
}

// The same program loaded at `base`: main → work, and main → rest with a label.
static void write_run(struct wire *to, uint64_t base, int64_t value, const char *label)
{
	wire_type(to, "cpu", "nanoseconds");
	wire_mapping(to, 4, base, "/bin/a", "abcd");
	wire_function(to, 6, "main", "m.c");
	wire_function(to, 5, "work", "w.c");
	wire_location(to, 1, 4, base + 0x10, (const uint64_t[]){5, 7, 0});
	wire_location(to, 2, 4, base + 0x20, (const uint64_t[]){6, 8, 0});
	wire_location(to, 3, 4, base + 0x30, NULL);
	wire_sample(to, IDS(1, 2), value, NULL, NULL);
	wire_sample(to, IDS(3, 2), value, "thread", label);
}

static void check_three_runs(void)
{
	assert_int_equal(p.mapping_count, 1);
	assert_int_equal(p.mappings[0].start, 0x400000);
	assert_int_equal(p.function_count, 2);
	assert_int_equal(p.location_count, 3);
	assert_int_equal(p.locations[0].address, 0x400010);
	assert_int_equal(p.locations[2].address, 0x400030);
	assert_int_equal(p.sample_count, 3);
	assert_int_equal(p.samples[0].values[0], 16);
	assert_int_equal(p.samples[1].values[0], 15);
	assert_str(p.samples[1].labels[0].str, "x");
	assert_int_equal(p.samples[2].values[0], 1);
	assert_str(p.samples[2].labels[0].str, "y");
	assert_str(p.functions[p.locations[0].lines[0].function].name, "work");
	assert_int_equal(p.locations[0].lines[0].line, 7);
}

static void equal_things_become_one(void **state)
{
	struct buf written = BUF_INIT(MIB(1));

	(void)state;
	write_run(&w[0], 0x400000, 10, "x");
	write_run(&w[1], 0x7f0000000000, 5, "x");
	write_run(&w[2], 0x550000000000, 1, "y");
	assert_int_equal(merge(3), 0);
	check_three_runs();
	// Nothing of the samples as they were read is left in what is written.
	assert_int_equal(pprof_encode(&p, &written, &e), 0);
	assert_int_equal(
		pprof_decode(buf_str(&written), &pprof_limits_default, &arena, &p, &e), 0);
	check_three_runs();
	buf_deinit(&written);
}

static void different_things_stay_apart(void **state)
{
	(void)state;
	write_run(&w[0], 0x400000, 10, "x");
	wire_type(&w[1], "cpu", "nanoseconds");
	wire_mapping(&w[1], 1, 0x400000, "/bin/a", "other");
	wire_function(&w[1], 1, "work", "elsewhere.c");
	wire_location(&w[1], 1, 1, 0x400010, (const uint64_t[]){1, 7, 0});
	wire_location(&w[1], 2, 0, 0x400010, NULL);
	wire_sample(&w[1], IDS(1), 1, NULL, NULL);
	wire_sample(&w[1], IDS(2), 2, NULL, NULL);
	assert_int_equal(merge(2), 0);
	assert_int_equal(p.mapping_count, 2);
	assert_int_equal(p.function_count, 3);
	assert_int_equal(p.location_count, 5);
	assert_int_equal(p.sample_count, 4);
	assert_int_equal(p.locations[4].mapping, PPROF_NONE);
}

static void labels_count_in_any_order(void **state)
{
	uint64_t a, b;
	size_t mark;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		wire_type(&w[i], "cpu", "nanoseconds");
		a = wire_text(&w[i], "a");
		b = wire_text(&w[i], "b");
		mark = pb_open(&w[i].b, 2);
		pb_put_u64(&w[i].b, 2, 1);
		WIRE(&w[i], 3, 1, i ? b : a, 3, i ? 2 : 1);
		WIRE(&w[i], 3, 1, i ? a : b, 3, i ? 1 : 2);
		pb_close(&w[i].b, mark);
	}
	assert_int_equal(merge(2), 0);
	assert_int_equal(p.sample_count, 1);
	assert_int_equal(p.samples[0].values[0], 2);
	assert_int_equal(p.samples[0].label_count, 2);
}

static void the_header_is_merged(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		wire_type(&w[i], "cpu", "nanoseconds");
	// time, duration, period
	wire_fields(&w[0], (const uint64_t[]){9, 2000, 10, 10, 12, 5, 0});
	wire_fields(&w[1], (const uint64_t[]){9, 1000, 10, 20, 12, 9, 14, 1, 0});
	wire_fields(&w[2], (const uint64_t[]){10, 30, 12, 7, 0});
	pb_put_u64(&w[0].b, 13, wire_text(&w[0], "same"));
	pb_put_u64(&w[1].b, 13, wire_text(&w[1], "same"));
	pb_put_u64(&w[2].b, 13, wire_text(&w[2], "other"));
	assert_int_equal(merge(3), 0);
	assert_int_equal(p.time_nanos, 1000);
	assert_int_equal(p.duration_nanos, 60);
	assert_int_equal(p.period, 9);
	assert_str(p.default_sample_type, "cpu");
	assert_true(p.has_period_type);
	assert_int_equal(p.comment_count, 2);
	assert_str(p.comments[0], "same");
	assert_str(p.comments[1], "other");
}

static void sums_do_not_wrap(void **state)
{
	(void)state;
	write_run(&w[0], 0x400000, INT64_MAX - 1, "x");
	write_run(&w[1], 0x400000, 5, "x");
	assert_int_equal(merge(2), 0);
	assert_int_equal(p.samples[0].values[0], INT64_MAX);
}

static void zero_samples_are_dropped(void **state)
{
	(void)state;
	write_run(&w[0], 0x400000, 0, "x");
	assert_int_equal(merge(1), 0);
	assert_int_equal(p.sample_count, 0);
	assert_int_equal(p.location_count, 0);
	// The first mapping stays: it is the main binary.
	assert_int_equal(p.mapping_count, 1);
}

static void a_flag_holds_for_all_or_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		wire_type(&w[i], "cpu", "nanoseconds");
		WIRE(&w[i], 3, 1, 1, 5, wire_text(&w[i], "a"), 7, 1, 8, i);
		wire_location(&w[i], 1, 1, 0x10 + i, NULL);
		wire_sample(&w[i], IDS(1), 1, NULL, NULL);
	}
	assert_int_equal(merge(2), 0);
	assert_int_equal(p.mapping_count, 1);
	assert_true(p.mappings[0].has_functions);
	assert_false(p.mappings[0].has_filenames);
}

static void other_types_are_refused(void **state)
{
	(void)state;
	wire_type(&w[0], "cpu", "nanoseconds");
	wire_type(&w[1], "samples", "count");
	assert_int_equal(merge(2), -1);
	assert_int_equal(e.kind, ERR_BAD_PPROF);
	assert_string_equal(e.msg, "merge: the sample type is cpu/nanoseconds in the first profile, "
				   "samples/count in number 2");
	buf_deinit(&w[1].b);
	w[1] = wire_new();
	assert_int_equal(merge(2), -1);
	assert_string_equal(e.msg, "merge: 1 sample types in the first profile, 0 in number 2");
	WIRE(&w[1], 1, 1, wire_text(&w[1], "cpu"), 2, wire_text(&w[1], "nanoseconds"));
	assert_int_equal(merge(2), -1);
	assert_string_equal(e.msg, "merge: the period type is cpu/nanoseconds in the first profile, "
				   "/ in number 2");
	assert_int_equal(pprof_merge(NULL, 0, &arena, &p, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_REQUEST);
}

static void merging_twice_gives_the_same_bytes(void **state)
{
	struct buf first = BUF_INIT(MIB(1));
	struct buf second = BUF_INIT(MIB(1));

	(void)state;
	write_run(&w[0], 0x400000, 10, "x");
	write_run(&w[1], 0x7f0000000000, 5, "z");
	assert_int_equal(merge(2), 0);
	assert_int_equal(pprof_encode(&p, &first, &e), 0);
	assert_int_equal(merge(2), 0);
	assert_int_equal(pprof_encode(&p, &second, &e), 0);
	assert_true(str_eq(buf_str(&first), buf_str(&second)));
	buf_deinit(&first);
	buf_deinit(&second);
}

static void running_out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	write_run(&w[0], 0x400000, 10, "x");
	write_run(&w[1], 0x7f0000000000, 5, "z");
	assert_int_equal(merge(2), 0);
	for (unsigned long nth = 1; fired; nth++) {
		const struct pprof *const all[] = {&in[0], &in[1]};
		struct arena own = ARENA_INIT(MIB(1));
		int r;

		e = ERR_INIT;
		mem_fault_at(nth, 0);
		r = pprof_merge(all, 2, &own, &p, &e);
		fired = mem_fault_off();
		assert_int_equal(r, fired ? -1 : 0);
		assert_int_equal(e.kind, fired ? ERR_NOMEM : ERR_NONE);
		arena_deinit(&own);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_things_become_one, setup, teardown),
		cmocka_unit_test_setup_teardown(different_things_stay_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(labels_count_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(the_header_is_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_do_not_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(zero_samples_are_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flag_holds_for_all_or_not, setup, teardown),
		cmocka_unit_test_setup_teardown(other_types_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(merging_twice_gives_the_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(running_out_of_memory_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests_name("pprof_merge", tests, NULL, NULL);
}
