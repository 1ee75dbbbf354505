/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"
#include "tests/unit/pprof_wire.h"

static struct arena arena;
static struct wire w;
static struct pprof p;
static struct buf out;
static struct err e;

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(16));
	w = wire_new();
	out = BUF_INIT(MIB(16));
	e = ERR_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&w.b);
	buf_deinit(&out);
	arena_deinit(&arena);
	return 0;
}

static void assert_str(struct str s, const char *want)
{
	if (!str_is(s, want))
		fail_msg("'" STR_FMT "', not '%s'", STR_ARG(s), want);
}

static void unknown(const char *what)
{
	pb_put_bytes(&w.b, 100, str_from(what));
}

// Every message with a field that this program does not know, some with two of them apart.
static void write_with_unknown(void)
{
	uint64_t label;
	size_t mark, inner;

	unknown("profile-1");
	wire_type(&w, "cpu", "nanoseconds");
	label = wire_text(&w, "label");
	unknown("profile-2");
	mark = pb_open(&w.b, 3);
	unknown("mapping-1");
	wire_fields(&w, (const uint64_t[]){1, 9, 5, label, 0});
	unknown("mapping-2");
	pb_close(&w.b, mark);
	mark = pb_open(&w.b, 5);
	wire_fields(&w, (const uint64_t[]){1, 8, 2, label, 0});
	unknown("function");
	pb_close(&w.b, mark);
	mark = pb_open(&w.b, 4);
	unknown("location");
	wire_fields(&w, (const uint64_t[]){1, 7, 2, 9, 0});
	inner = pb_open(&w.b, 4);
	wire_fields(&w, (const uint64_t[]){1, 8, 0});
	unknown("line");
	pb_close(&w.b, inner);
	pb_close(&w.b, mark);
	mark = pb_open(&w.b, 2);
	wire_fields(&w, (const uint64_t[]){1, 7, 2, 5, 0});
	unknown("sample");
	inner = pb_open(&w.b, 3);
	unknown("label");
	wire_fields(&w, (const uint64_t[]){1, label, 3, 77, 0});
	pb_close(&w.b, inner);
	pb_close(&w.b, mark);
}

static void assert_unknown(struct str s, const char *first, const char *second)
{
	struct buf want = BUF_INIT(KIB(1));

	pb_put_bytes(&want, 100, str_from(first));
	pb_put_bytes(&want, 100, str_from(second));
	assert_true(str_eq(s, buf_str(&want)));
	buf_deinit(&want);
}

static void check_unknown(void)
{
	assert_unknown(p.unknown, "profile-1", "profile-2");
	assert_unknown(p.mappings[0].unknown, "mapping-1", "mapping-2");
	assert_unknown(p.functions[0].unknown, "function", "");
	assert_unknown(p.locations[0].unknown, "location", "");
	assert_unknown(p.locations[0].lines[0].unknown, "line", "");
	assert_unknown(p.samples[0].unknown, "sample", "");
	assert_unknown(p.samples[0].labels[0].unknown, "label", "");
}

static void unknown_fields_pass_through(void **state)
{
	(void)state;
	write_with_unknown();
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	check_unknown();
	assert_int_equal(pprof_encode(&p, &out, &e), 0);
	assert_int_equal(
		pprof_decode(buf_str(&out), &pprof_limits_default, &arena, &p, &e), 0);
	check_unknown();
	assert_int_equal(p.samples[0].labels[0].num, 77);
	assert_str(p.mappings[0].filename, "label");
}

static void the_same_profile_gives_the_same_bytes(void **state)
{
	struct buf again = BUF_INIT(MIB(1));

	(void)state;
	write_with_unknown();
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_encode(&p, &out, &e), 0);
	assert_int_equal(pprof_decode(buf_str(&out), &pprof_limits_default, &arena, &p, &e), 0);
	assert_int_equal(pprof_encode(&p, &again, &e), 0);
	assert_true(str_eq(buf_str(&out), buf_str(&again)));
	buf_deinit(&again);
}

static void ids_are_dense(void **state)
{
	struct pb_reader r;
	struct pb_field f, id;

	(void)state;
	wire_type(&w, "cpu", "nanoseconds");
	wire_mapping(&w, 77, 0x1000, "m", "");
	wire_location(&w, 900, 77, 1, NULL);
	wire_location(&w, 3, 0, 2, NULL);
	wire_sample(&w, IDS(3, 900), INT64_MIN, NULL, NULL);
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_encode(&p, &out, &e), 0);
	r = pb_reader(buf_str(&out));
	for (uint64_t next = 1; pb_next(&r, &f, &e) == 1;) {
		struct pb_reader inner = pb_reader(f.bytes);

		if (f.number != 4)
			continue;
		assert_int_equal(pb_next(&inner, &id, &e), 1);
		assert_int_equal(id.number, 1);
		assert_int_equal(id.value, next);
		next++;
	}
	assert_int_equal(pprof_decode(buf_str(&out), &pprof_limits_default, &arena, &p, &e), 0);
	assert_int_equal(p.samples[0].locations[0], 1);
	assert_int_equal(p.samples[0].values[0], INT64_MIN);
	assert_int_equal(p.locations[1].mapping, PPROF_NONE);
}

// Two locations of ids 1 and 2, or of others.
static void write_two_locations(uint64_t first, uint64_t second)
{
	wire_type(&w, "cpu", "nanoseconds");
	wire_location(&w, first, 0, 0x10, NULL);
	wire_location(&w, second, 0, 0x20, NULL);
}

static struct str field_of(struct str profile, uint32_t number, size_t nth)
{
	struct pb_reader r = pb_reader(profile);
	struct pb_field f;

	while (pb_next(&r, &f, &e) == 1) {
		if (f.number == number && !nth--)
			return f.raw;
	}
	fail_msg("no such field");
	return STR_EMPTY;
}

static void decode_and_encode(void)
{
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_encode(&p, &out, &e), 0);
}

static void samples_stay_as_they_are_where_they_may(void **state)
{
	(void)state;
	write_two_locations(1, 2);
	wire_sample(&w, IDS(2, 1, 2), -1, NULL, NULL);
	unknown("between"); // not side by side with the next
	wire_sample(&w, IDS(1), 5, NULL, NULL);
	WIRE(&w, 2, 1, 1, 1, 2, 2, 9, 99, 7); // not packed, and with something unknown
	decode_and_encode();
	for (size_t i = 0; i < 3; i++) {
		assert_true(p.samples[i].raw.n > 0);
		assert_true(str_eq(field_of(buf_str(&w.b), 2, i), field_of(buf_str(&out), 2, i)));
	}
	assert_int_equal(pprof_decode(buf_str(&out), &pprof_limits_default, &arena, &p, &e), 0);
	assert_int_equal(p.sample_count, 3);
	assert_int_equal(p.samples[0].locations[0], 1);
	assert_int_equal(p.samples[2].location_count, 2);
}

static void samples_are_written_anew_where_numbers_change(void **state)
{
	(void)state;
	write_two_locations(2, 1); // ids are not positions
	wire_sample(&w, IDS(2, 1), 5, NULL, NULL);
	decode_and_encode();
	assert_int_equal(p.samples[0].raw.n, 0);
	assert_false(str_eq(field_of(buf_str(&w.b), 2, 0), field_of(buf_str(&out), 2, 0)));
	assert_int_equal(pprof_decode(buf_str(&out), &pprof_limits_default, &arena, &p, &e), 0);
	assert_int_equal(p.samples[0].locations[0], 0);
	assert_int_equal(p.samples[0].locations[1], 1);
}

static void samples_are_written_anew_where_it_is_shorter_or_texts_move(void **state)
{
	(void)state;
	write_two_locations(1, 2);
	WIRE(&w, 2, 1, 1, 1, 2, 1, 1, 1, 2, 2, 9); // many ids, not packed
	wire_sample(&w, IDS(1), 7, "key", "value");
	decode_and_encode();
	assert_int_equal(p.samples[0].raw.n, 0);
	assert_int_equal(p.samples[1].raw.n, 0);
	assert_true(str_eq(field_of(buf_str(&out), 2, 0),
			   STR("\x12\x09\x0a\x04\x01\x02\x01\x02\x12\x01\x09")));
	assert_int_equal(pprof_decode(buf_str(&out), &pprof_limits_default, &arena, &p, &e), 0);
	assert_str(p.samples[1].labels[0].key, "key");
	assert_str(p.samples[1].labels[0].str, "value");
}

static void the_output_is_capped(void **state)
{
	(void)state;
	write_with_unknown();
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	assert_int_equal(pprof_encode(&p, &out, &e), 0);
	// To the byte: room for the most that a message might take is not what counts.
	for (size_t size = out.n, max = 0; max <= size; max++) {
		struct buf small = BUF_INIT(max);

		e = ERR_INIT;
		assert_int_equal(pprof_encode(&p, &small, &e), max < size ? -1 : 0);
		assert_int_equal(e.kind, max < size ? ERR_TOO_LARGE : ERR_NONE);
		assert_true(max < size || str_eq(buf_str(&small), buf_str(&out)));
		buf_deinit(&small);
	}
	buf_deinit(&out);
	out.max = 50;
	assert_int_equal(pprof_encode(&p, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "encoded profile is larger than the limit of 50 bytes");
}

static void running_out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	write_with_unknown();
	assert_int_equal(wire_decode(&w, &arena, &p), 0);
	for (unsigned long nth = 1; fired; nth++) {
		int r;

		buf_deinit(&out);
		e = ERR_INIT;
		mem_fault_at(nth, 0);
		r = pprof_encode(&p, &out, &e);
		fired = mem_fault_off();
		assert_int_equal(r, fired ? -1 : 0);
		assert_int_equal(e.kind, fired ? ERR_NOMEM : ERR_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unknown_fields_pass_through, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_profile_gives_the_same_bytes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ids_are_dense, setup, teardown),
		cmocka_unit_test_setup_teardown(samples_stay_as_they_are_where_they_may, setup,
						teardown),
		cmocka_unit_test_setup_teardown(samples_are_written_anew_where_numbers_change,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			samples_are_written_anew_where_it_is_shorter_or_texts_move, setup,
			teardown),
		cmocka_unit_test_setup_teardown(the_output_is_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(running_out_of_memory_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests_name("pprof_encode", tests, NULL, NULL);
}
