/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof.h"

#include "base/compress.h"
#include "base/mem.h"
#include "tests/unit/toolbox.h"
#include "tests/unit/pprof_wire.h"

static struct arena arena;
static struct wire w;
static struct pprof p;
static struct err e;

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(16));
	w = wire_new();
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

static int decode(void)
{
	return pprof_decode(buf_str(&w.b), &pprof_limits_default, &arena, &p, &e);
}

static void assert_str(struct str s, const char *want)
{
	if (!str_is(s, want))
		fail_msg("'" STR_FMT "', not '%s'", STR_ARG(s), want);
}

// One of everything, with ids that are neither dense nor in order.
static void write_small(void)
{
	wire_type(&w, "cpu", "nanoseconds");
	WIRE(&w, 3, 1, 7, 2, 0x400000, 3, 0x500000, 4, 0x1000, 5, wire_text(&w, "/bin/a"), 6,
	     wire_text(&w, "abcd"), 7, 1, 10, 1);
	WIRE(&w, 5, 1, 3, 2, wire_text(&w, "f()"), 3, wire_text(&w, "_Z1fv"), 4,
	     wire_text(&w, "f.cc"), 5, 10);
	wire_function(&w, 40, "g()", "");
	wire_location(&w, 100, 7, 0x401234, (const uint64_t[]){3, 11, 40, 22, 0});
	WIRE(&w, 4, 1, 5, 3, 0xffffffff81000000, 5, 1);
	wire_sample(&w, IDS(100, 5), -3, "thread", "main");
}

static void the_profile_itself_is_read(void **state)
{
	(void)state;
	wire_type(&w, "cpu", "nanoseconds");
	wire_fields(&w, (const uint64_t[]){9, 1234, 10, 5678, 12, 99, 14, 1, 0});
	pb_put_u64(&w.b, 7, wire_text(&w, "drop"));
	pb_put_u64(&w.b, 8, wire_text(&w, "keep"));
	pb_put_u64(&w.b, 13, wire_text(&w, "one"));
	pb_put_packed(&w.b, 13, (const uint64_t[]){3, 5}, 2);
	pb_put_u64(&w.b, 15, wire_text(&w, "http://doc"));
	if (decode())
		fail_msg("%s", e.msg);
	assert_int_equal(p.sample_type_count, 1);
	assert_str(p.sample_types[0].type, "cpu");
	assert_str(p.sample_types[0].unit, "nanoseconds");
	assert_true(p.has_period_type);
	assert_str(p.period_type.type, "cpu");
	assert_str(p.drop_frames, "drop");
	assert_str(p.keep_frames, "keep");
	assert_int_equal(p.time_nanos, 1234);
	assert_int_equal(p.duration_nanos, 5678);
	assert_int_equal(p.period, 99);
	assert_int_equal(p.comment_count, 3);
	assert_str(p.comments[0], "one");
	assert_str(p.comments[1], "drop");
	assert_str(p.comments[2], "one");
	assert_str(p.default_sample_type, "cpu");
	assert_str(p.doc_url, "http://doc");
}

static void check_small(void)
{
	assert_int_equal(p.mapping_count, 1);
	assert_int_equal(p.mappings[0].start, 0x400000);
	assert_int_equal(p.mappings[0].limit, 0x500000);
	assert_int_equal(p.mappings[0].file_offset, 0x1000);
	assert_str(p.mappings[0].filename, "/bin/a");
	assert_str(p.mappings[0].build_id, "abcd");
	assert_true(p.mappings[0].has_functions);
	assert_false(p.mappings[0].has_filenames);
	assert_true(p.mappings[0].has_inline_frames);
	assert_int_equal(p.function_count, 2);
	assert_str(p.functions[0].name, "f()");
	assert_str(p.functions[0].system_name, "_Z1fv");
	assert_str(p.functions[0].filename, "f.cc");
	assert_int_equal(p.functions[0].start_line, 10);
	assert_int_equal(p.location_count, 2);
	assert_int_equal(p.locations[0].mapping, 0);
	assert_int_equal(p.locations[0].address, 0x401234);
	assert_int_equal(p.locations[0].line_count, 2);
	assert_int_equal(p.locations[0].lines[0].function, 0);
	assert_int_equal(p.locations[0].lines[0].line, 11);
	assert_int_equal(p.locations[0].lines[1].function, 1);
	assert_int_equal(p.locations[1].mapping, PPROF_NONE);
	assert_true(p.locations[1].is_folded);
	assert_int_equal(p.sample_count, 1);
	assert_int_equal(p.samples[0].location_count, 2);
	assert_int_equal(p.samples[0].locations[0], 0);
	assert_int_equal(p.samples[0].locations[1], 1);
	assert_int_equal(p.samples[0].values[0], -3);
	assert_str(p.samples[0].labels[0].key, "thread");
	assert_str(p.samples[0].labels[0].str, "main");
}

static void the_tables_are_read(void **state)
{
	(void)state;
	write_small();
	if (decode())
		fail_msg("%s", e.msg);
	check_small();
}

static void numbers_may_be_unpacked(void **state)
{
	(void)state;
	wire_type(&w, "cpu", "nanoseconds");
	wire_location(&w, 1, 0, 0x10, NULL);
	wire_location(&w, 2, 0, 0x20, NULL);
	WIRE(&w, 2, 1, 2, 2, 42, 1, 1);
	if (decode())
		fail_msg("%s", e.msg);
	assert_int_equal(p.samples[0].location_count, 2);
	assert_int_equal(p.samples[0].locations[0], 1);
	assert_int_equal(p.samples[0].locations[1], 0);
	assert_int_equal(p.samples[0].values[0], 42);
}

// ---- hostile -------------------------------------------------------------------------------------

static void two_mappings(void)
{
	wire_mapping(&w, 9, 0, "a", "");
	wire_mapping(&w, 9, 0, "b", "");
}

static void two_dense_functions(void)
{
	wire_function(&w, 1, "f", "");
	wire_function(&w, 2, "g", "");
	wire_function(&w, 1, "h", "");
}

static void mapping_zero(void)
{
	wire_mapping(&w, 0, 0, "a", "");
}

static void no_id(void)
{
	WIRE(&w, 4, 3, 0x1000);
}

static void huge_id(void)
{
	wire_location(&w, UINT64_MAX, 0, 1, NULL);
	wire_location(&w, UINT64_MAX, 0, 1, NULL);
}

static void bad_string(void)
{
	WIRE(&w, 5, 1, 1, 2, 99);
}

static void negative_string(void)
{
	WIRE(&w, 5, 1, 1, 4, UINT64_MAX);
}

static void bad_mapping(void)
{
	wire_location(&w, 1, 12, 0x1000, NULL);
}

static void bad_function(void)
{
	wire_location(&w, 1, 0, 0x1000, (const uint64_t[]){77, 1, 0});
}

static void line_without_function(void)
{
	size_t mark = pb_open(&w.b, 4);

	wire_fields(&w, (const uint64_t[]){1, 1, 0});
	WIRE(&w, 4, 2, 33);
	pb_close(&w.b, mark);
}

static void bad_location(void)
{
	wire_location(&w, 1, 0, 0x10, NULL);
	wire_sample(&w, IDS(1, 2), 1, NULL, NULL);
}

static void location_zero(void)
{
	wire_location(&w, 1, 0, 0x10, NULL);
	WIRE(&w, 2, 1, 0, 2, 1);
}

static void too_many_values(void)
{
	WIRE(&w, 2, 2, 1, 2, 2);
}

static void no_values(void)
{
	WIRE(&w, 2, 4, 1);
}

static void text_for_number(void)
{
	size_t mark = pb_open(&w.b, 5);

	pb_put_bytes(&w.b, 1, STR("x"));
	pb_close(&w.b, mark);
}

static void number_for_message(void)
{
	pb_put_u64(&w.b, 4, 17);
}

static void bad_label(void)
{
	size_t mark = pb_open(&w.b, 2);

	pb_put_u64(&w.b, 2, 1);
	WIRE(&w, 3, 1, 1);
	WIRE(&w, 3, 1, 1000);
	pb_close(&w.b, mark);
}

static void bad_comment(void)
{
	pb_put_u64(&w.b, 13, 50);
}

static void group(void)
{
	buf_append(&w.b, "\x13", 1);
}

static void bad_location_among_unpacked(void)
{
	wire_location(&w, 1, 0, 0x10, NULL);
	WIRE(&w, 2, 1, 1, 1, 1, 1, 9, 1, 1, 2, 1);
}

static void cut_varint_in_stack(void)
{
	size_t mark = pb_open(&w.b, 2);

	pb_put_bytes_always(&w.b, 1, STR("\x80"));
	pb_put_u64(&w.b, 2, 1);
	pb_close(&w.b, mark);
}

static void bad_profiles_are_refused_by_name(void **state)
{
	static const struct {
		void (*write)(void);
		const char *want;
	} cases[] = {
		{two_mappings, "pprof: mapping 1: its id 9 is taken by number 0"},
		{two_dense_functions, "pprof: function 2: its id 1 is taken by number 0"},
		{mapping_zero, "pprof: mapping 0: its id is 0"},
		{no_id, "pprof: location 0: its id is 0"},
		{huge_id, "pprof: location 1: its id 18446744073709551615 is taken by number 0"},
		{bad_string, "pprof: function 0: string index 99 is out of range (the table has 3)"},
		{negative_string,
		 "pprof: function 0: string index 18446744073709551615 is out of range (the table has 3)"},
		{bad_mapping, "pprof: location 0: mapping id 12 does not exist"},
		{bad_function, "pprof: location 0: line 0: function id 77 does not exist"},
		{line_without_function, "pprof: location 0: line 0: has no function"},
		{bad_location, "pprof: sample 0: location id 2 does not exist"},
		{bad_location_among_unpacked, "pprof: sample 0: location id 9 does not exist"},
		{location_zero, "pprof: sample 0: location id 0 does not exist"},
		{too_many_values, "pprof: sample 0: has 2 values for 1 sample types"},
		{no_values, "pprof: sample 0: has 0 values for 1 sample types"},
		{text_for_number, "pprof: function 0: field 1 has wire type 2, not 0"},
		{number_for_message, "pprof: field 4 has wire type 0, not 2"},
		{bad_label, "pprof: sample 0: label 1: string index 1000 is out of range (the table has 3)"},
		{bad_comment, "pprof: profile field 13: string index 50 is out of range (the table has 3)"},
		{group, "pprof: protobuf: an unknown wire type (or a group) at byte"},
		{cut_varint_in_stack, "pprof: sample 0: protobuf: a varint is cut off at byte 0"},
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		teardown(NULL);
		setup(NULL);
		wire_type(&w, "cpu", "nanoseconds");
		cases[i].write();
		assert_int_equal(decode(), -1);
		assert_int_equal(e.kind, ERR_BAD_PPROF);
		if (!str_has_prefix(str_from(e.msg), str_from(cases[i].want)))
			fail_msg("%zu: '%s', not '%s'", i, e.msg, cases[i].want);
	}
}

static void what_is_no_profile_is_refused(void **state)
{
	(void)state;
	buf_clear(&w.b);
	assert_int_equal(decode(), -1);
	assert_string_equal(e.msg, "pprof: has no string table (is it a profile?)");
	pb_put_bytes_always(&w.b, 6, STR("x"));
	assert_int_equal(decode(), -1);
	assert_string_equal(e.msg, "pprof: string_table[0] is not empty");
	buf_clear(&w.b);
	buf_puts(&w.b, "<html><body>404</body></html>");
	assert_int_equal(decode(), -1);
	assert_int_equal(e.kind, ERR_BAD_PPROF);
	buf_clear(&w.b);
	pb_put_bytes_always(&w.b, 6, STR_EMPTY);
	WIRE(&w, 2, 1, 1);
	assert_int_equal(decode(), -1);
	assert_string_equal(e.msg, "pprof: has samples but no sample type");
}

// Every prefix either is a profile too or is refused; none reads past its end (ASan watches).
static void every_truncation_is_survived(void **state)
{
	size_t refused = 0;

	(void)state;
	write_small();
	for (size_t n = 0; n < w.b.n; n++) {
		char *exact = mem_dup(w.b.p, n);
		struct arena a = ARENA_INIT(MIB(1));

		assert_non_null(exact);
		e = ERR_INIT;
		if (pprof_decode((struct str){exact, n}, &pprof_limits_default, &a, &p, &e)) {
			assert_int_equal(e.kind, ERR_BAD_PPROF);
			refused++;
		}
		arena_deinit(&a);
		free(exact);
	}
	assert_true(refused > w.b.n / 2);
}

static void every_flipped_byte_is_survived(void **state)
{
	(void)state;
	write_small();
	for (size_t n = 0; n < w.b.n * 8; n++) {
		struct arena a = ARENA_INIT(MIB(1));

		w.b.p[n / 8] = (char)(w.b.p[n / 8] ^ (1 << n % 8));
		e = ERR_INIT;
		if (pprof_decode(buf_str(&w.b), &pprof_limits_default, &a, &p, &e))
			assert_int_equal(e.kind, ERR_BAD_PPROF);
		w.b.p[n / 8] = (char)(w.b.p[n / 8] ^ (1 << n % 8));
		arena_deinit(&a);
	}
	assert_int_equal(decode(), 0);
	check_small();
}

// ---- limits --------------------------------------------------------------------------------------

static void expect_too_large(struct pprof_limits limits, const char *want)
{
	assert_int_equal(pprof_decode(buf_str(&w.b), &limits, &arena, &p, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, want);
}

static struct pprof_limits limits_but(size_t offset, size_t value)
{
	struct pprof_limits l = pprof_limits_default;

	memcpy((char *)&l + offset, &value, sizeof(value));
	return l;
}

#define LIMIT(member, value) limits_but(offsetof(struct pprof_limits, member), (value))

static void limits_hold(void **state)
{
	(void)state;
	write_small();
	expect_too_large(LIMIT(identity_bytes, 10), "pprof: larger than the limit of 10 bytes");
	expect_too_large(LIMIT(samples, 0), "pprof: more than 0 samples");
	expect_too_large(LIMIT(locations, 1), "pprof: more than 1 locations");
	expect_too_large(LIMIT(functions, 1), "pprof: more than 1 functions");
	expect_too_large(LIMIT(strings, 5), "pprof: more than 5 strings");
	expect_too_large(LIMIT(stack_depth, 1),
			 "pprof: sample 0: more than 1 locations in one stack");
	WIRE(&w, 2, 1, 100, 1, 5, 1, 100, 1, 5, 2, 1); // one by one, the fourth too many
	expect_too_large(LIMIT(stack_depth, 3),
			 "pprof: sample 1: more than 3 locations in one stack");
	expect_too_large(LIMIT(lines_per_location, 1),
			 "pprof: location 0: more than 1 lines in one location");
	expect_too_large(LIMIT(labels_per_sample, 0),
			 "pprof: sample 0: more than 0 labels on one sample");
}

static void the_arena_caps_memory(void **state)
{
	(void)state;
	wire_type(&w, "cpu", "nanoseconds");
	for (int i = 0; i < 100000; i++)
		pb_put_bytes_always(&w.b, 3, STR_EMPTY);
	arena.cap = MIB(1);
	assert_int_equal(decode(), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "pprof: decoding the profile needs more than 1048576 bytes");
}

static void a_gzip_bomb_is_too_large(void **state)
{
	struct buf zeros = BUF_INIT(MIB(64));
	struct buf bomb = BUF_INIT(MIB(1));
	struct buf out = BUF_INIT(MIB(1));
	char *room = buf_reserve(&zeros, MIB(32));

	(void)state;
	assert_non_null(room);
	memset(room, 0, MIB(32));
	buf_commit(&zeros, MIB(32));
	assert_int_equal(gzip_compress(buf_str(&zeros), 9, &bomb, &e), 0);
	assert_true(bomb.n < KIB(64));
	assert_int_equal(decompress_any(buf_str(&bomb), &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_deinit(&zeros);
	buf_deinit(&bomb);
	buf_deinit(&out);
}

static void running_out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	write_small();
	for (unsigned long nth = 1; fired; nth++) {
		int r;

		arena_deinit(&arena);
		e = ERR_INIT;
		mem_fault_at(nth, 0);
		r = decode();
		fired = mem_fault_off();
		assert_int_equal(r, fired ? -1 : 0);
		assert_int_equal(e.kind, fired ? ERR_NOMEM : ERR_NONE);
	}
	check_small();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_profile_itself_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(the_tables_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_may_be_unpacked, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_profiles_are_refused_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_profile_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(every_truncation_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(every_flipped_byte_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(the_arena_caps_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(a_gzip_bomb_is_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(running_out_of_memory_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests_name("pprof_decode", tests, NULL, NULL);
}
