/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole way out: batch → push request → raw profiles, read back with base/pb.h alone, so that
 * the test knows the wire and not the encoder.
 */
#include "agent-lite/ship/push_request.h"

#include "base/compress.h"
#include "base/pb.h"
#include "base/testing.h"

#include <limits.h>
#include <unistd.h>

static struct module *app, *anon;

static int setup(void **state)
{
	static const struct elf_ident ident = {.id = {BUILD_ID_GNU, 2, {0xbe, 0xef}}};

	(void)state;
	app = module_new("/bin/app", &ident);
	anon = module_new("[anon]", NULL);
	return !app || !anon;
}

static int teardown(void **state)
{
	(void)state;
	module_unref(app);
	module_unref(anon);
	return 0;
}

static void add(struct batch *b, const char *service, const char *container, uint64_t address,
		uint64_t count)
{
	const struct frame f[] = {{app, address, NULL}, {anon, 0x7f0000000000, NULL}, {app, 0x2000, NULL}};
	const struct stack_sample s = {.comm = service,
				       .thread = "t",
				       .pid = 42,
				       .frames = f,
				       .frame_count = 3,
				       .count = count};
	struct buf labels = BUF_INIT(LABELS_PACKED_MAX);
	struct err e = ERR_INIT;

	assert_ok(labels_of_service(service, container, &labels, &e));
	assert_ok(batch_add(b, buf_str(&labels), &s, &e));
	buf_deinit(&labels);
}

/* The nth (from 0) field of that number; fails when there is none. */
static struct pb_field field(struct str message, uint32_t number, unsigned nth)
{
	struct pb_reader r = pb_reader(message);
	struct pb_field f = {0};
	struct err e = ERR_INIT;

	while (pb_next(&r, &f, &e) == 1) {
		if (f.number == number && nth-- == 0)
			return f;
	}
	fail_msg("no field %u: %s", number, e.msg);
	return f;
}

static unsigned field_count(struct str message, uint32_t number)
{
	struct pb_reader r = pb_reader(message);
	struct pb_field f;
	struct err e = ERR_INIT;
	unsigned n = 0;
	int more;

	while ((more = pb_next(&r, &f, &e)) == 1)
		n += f.number == number;
	assert_int_equal(more, 0);
	return n;
}

static struct str string_at(struct str profile, uint64_t index)
{
	return field(profile, 6, (unsigned)index).bytes;
}

static struct buf encode(const struct batch *b)
{
	struct buf body = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	assert_ok(push_request_encode(b, 100, &body, &e));
	assert_ok(gzip_decompress(buf_str(&body), &out, &e));
	buf_deinit(&body);
	return out;
}

static struct str profile_of(struct str series)
{
	return field(field(series, 2, 0).bytes, 1, 0).bytes;
}

static void series_carry_labels_and_an_id(void **state)
{
	struct batch b;
	struct buf out;
	struct str series, label;
	char node[HOST_NAME_MAX + 1] = "";

	(void)state;
	assert_int_equal(gethostname(node, sizeof(node)), 0);
	batch_init(&b, false);
	add(&b, "web", "c0ffee", 0x1000, 1);
	add(&b, "db", "", 0x1000, 1);
	out = encode(&b);
	assert_int_equal(field_count(buf_str(&out), 1), 2);
	series = field(buf_str(&out), 1, 0).bytes;
	assert_int_equal(field_count(series, 1), 4);
	const char *const want[][2] = {{"__name__", "process_cpu"},
					      {"container_id", "c0ffee"},
					      {"node", node},
					      {"service_name", "web"}};
	for (unsigned i = 0; i < countof(want); i++) {
		label = field(series, 1, i).bytes;
		assert_str(field(label, 1, 0).bytes, want[i][0]);
		assert_str(field(label, 2, 0).bytes, want[i][1]);
	}
	assert_int_equal(field(field(series, 2, 0).bytes, 2, 0).bytes.n, UUID_TEXT - 1);
	series = field(buf_str(&out), 1, 1).bytes;
	assert_int_equal(field_count(series, 1), 3); // no container, no label
	buf_deinit(&out);
	batch_deinit(&b);
}

static void profiles_are_valid_pprof(void **state)
{
	struct batch b;
	struct buf out;
	struct str p;

	(void)state;
	batch_init(&b, false);
	add(&b, "web", "", 0x1000, 3);
	add(&b, "web", "", 0x1001, 1);
	b.time_ns = 1700000000000000000;
	b.duration_ns = 5000000000;
	out = encode(&b);
	p = profile_of(field(buf_str(&out), 1, 0).bytes);
	assert_str(string_at(p, 0), "");
	assert_int_equal(field_count(p, 1), 1);
	assert_str(string_at(p, field(field(p, 1, 0).bytes, 1, 0).value), "cpu");
	assert_str(string_at(p, field(field(p, 1, 0).bytes, 2, 0).value), "nanoseconds");
	assert_str(string_at(p, field(field(p, 11, 0).bytes, 1, 0).value), "cpu");
	assert_int_equal(field(p, 12, 0).value, 10000000);
	assert_int_equal(field(p, 9, 0).value, 1700000000000000000);
	assert_int_equal(field(p, 10, 0).value, 5000000000);
	assert_str(string_at(p, field(p, 14, 0).value), "cpu");
	assert_int_equal(field_count(p, 2), 2);
	assert_int_equal(field_count(p, 3), 2);
	assert_int_equal(field_count(p, 4), 4);
	assert_int_equal(field_count(p, 5), 0); // the server names what has a file
	buf_deinit(&out);
	batch_deinit(&b);
}

static void samples_point_to_addresses_and_ids(void **state)
{
	struct batch b;
	struct buf out;
	struct str p, sample, mapping, location;
	struct pb_packed ids;
	struct pb_field packed;
	struct err e = ERR_INIT;
	uint64_t id;

	(void)state;
	batch_init(&b, false);
	add(&b, "web", "", 0x1000, 3);
	out = encode(&b);
	p = profile_of(field(buf_str(&out), 1, 0).bytes);
	sample = field(p, 2, 0).bytes;
	packed = field(sample, 1, 0);
	ids = pb_packed(&packed);
	assert_int_equal(pb_packed_next(&ids, &id, &e), 1);
	location = field(p, 4, (unsigned)id - 1).bytes;
	assert_int_equal(field(location, 1, 0).value, id);
	assert_int_equal(field(location, 3, 0).value, 0x1000);
	mapping = field(p, 3, (unsigned)field(location, 2, 0).value - 1).bytes;
	assert_str(string_at(p, field(mapping, 5, 0).value), "/bin/app");
	assert_str(string_at(p, field(mapping, 6, 0).value), "beef");
	assert_int_equal(
		field_count(mapping, 2) + field_count(mapping, 3) + field_count(mapping, 4), 0);
	packed = field(sample, 2, 0);
	ids = pb_packed(&packed);
	assert_int_equal(pb_packed_next(&ids, &id, &e), 1);
	assert_int_equal(id, 30000000); // 3 samples at 100 Hz
	assert_int_equal(field_count(sample, 3), 3);
	assert_str(string_at(p, field(field(sample, 3, 0).bytes, 1, 0).value), "comm");
	assert_str(string_at(p, field(field(sample, 3, 0).bytes, 2, 0).value), "web");
	assert_str(string_at(p, field(field(sample, 3, 2).bytes, 1, 0).value), "pid");
	assert_int_equal(field(field(sample, 3, 2).bytes, 3, 0).value, 42);
	buf_deinit(&out);
	batch_deinit(&b);
}

static void add_wait(struct batch *b, uint64_t count, uint64_t ns)
{
	const struct frame f[] = {{app, 0x1000, NULL}, {app, 0x2000, NULL}};
	const struct stack_sample s = {.type = STACK_OFF_CPU,
				       .comm = "web",
				       .thread = "t",
				       .pid = 42,
				       .frames = f,
				       .frame_count = 2,
				       .count = count,
				       .value_ns = ns};
	static const char labels[] = "service_name\0web";
	struct err e = ERR_INIT;

	assert_ok(batch_add(b, (struct str){labels, sizeof(labels)}, &s, &e));
}

static uint64_t value_of_packed(struct str sample, uint32_t number, unsigned nth)
{
	struct pb_field packed = field(sample, number, 0);
	struct pb_packed values = pb_packed(&packed);
	struct err e = ERR_INIT;
	uint64_t v = 0;

	for (unsigned i = 0; i <= nth; i++)
		assert_int_equal(pb_packed_next(&values, &v, &e), 1);
	return v;
}

static uint64_t value(struct str sample, unsigned nth)
{
	return value_of_packed(sample, 2, nth);
}

static void assert_type(struct str profile, unsigned nth, const char *type, const char *unit)
{
	struct str value_type = field(profile, 1, nth).bytes;

	assert_str(string_at(profile, field(value_type, 1, 0).value), type);
	assert_str(string_at(profile, field(value_type, 2, 0).value), unit);
}

static void waits_are_a_profile_type_of_their_own(void **state)
{
	struct batch b;
	struct buf out;
	struct str p;

	(void)state;
	batch_init(&b, false);
	add_wait(&b, 1, 5000);
	add_wait(&b, 2, 7000);
	add(&b, "web", "", 0x1000, 1);
	out = encode(&b);
	assert_int_equal(field_count(buf_str(&out), 1), 2);
	assert_str(field(field(field(buf_str(&out), 1, 0).bytes, 1, 0).bytes, 2, 0).bytes,
		   "off_cpu");
	p = profile_of(field(buf_str(&out), 1, 0).bytes);
	assert_int_equal(field_count(p, 1), 2);
	assert_type(p, 0, "off_cpu", "nanoseconds");
	assert_type(p, 1, "contentions", "count");
	assert_int_equal(field_count(p, 2), 1);
	assert_int_equal(value(field(p, 2, 0).bytes, 0), 12000);
	assert_int_equal(value(field(p, 2, 0).bytes, 1), 3);
	assert_str(string_at(p, field(field(p, 11, 0).bytes, 1, 0).value), "off_cpu");
	assert_int_equal(field(p, 12, 0).value, 1);
	assert_str(string_at(p, field(p, 14, 0).value), "off_cpu");
	assert_str(string_at(p, field(field(field(p, 2, 0).bytes, 3, 0).bytes, 1, 0).value), "comm");
	assert_str(string_at(p, field(field(field(p, 2, 0).bytes, 3, 0).bytes, 2, 0).value), "web");
	buf_deinit(&out);
	batch_deinit(&b);
}

/* A file holds one profile: both types in it, each in its own columns. */
static void merged_waits_have_their_columns(void **state)
{
	const struct profile_info info = {.hz = 100};
	struct batch b;
	struct buf gz = BUF_INIT(1 << 20), profile = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	struct str p;

	(void)state;
	batch_init(&b, true);
	add_wait(&b, 1, 5000);
	add(&b, "web", "", 0x1000, 2);
	assert_int_equal(b.series_count, 1);
	assert_ok(profile_encode(&b.series[0]->stacks, &info, &gz, &e));
	assert_ok(gzip_decompress(buf_str(&gz), &profile, &e));
	p = buf_str(&profile);
	assert_int_equal(field_count(p, 1), 3);
	assert_type(p, 0, "cpu", "nanoseconds");
	assert_type(p, 1, "off_cpu", "nanoseconds");
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t want[2][3] = {{0, 5000, 1}, {20000000, 0, 0}};

		assert_int_equal(value(field(p, 2, 0).bytes, i), want[0][i]);
		assert_int_equal(value(field(p, 2, 1).bytes, i), want[1][i]);
	}
	assert_str(string_at(p, field(p, 14, 0).value), "cpu");
	assert_int_equal(field(p, 12, 0).value, 10000000);
	buf_deinit(&profile);
	buf_deinit(&gz);
	batch_deinit(&b);
}

/* Names that only the host knows (JIT) travel; the same address under two names is two places. */
static void functions_known_here_travel(void **state)
{
	const struct frame f[] = {
		{anon, 0x7f0000000000, "LazyCompile:*fib"},
		{anon, 0x7f0000000000, "Builtin:Call"},
		{app, 0x2000, NULL},
	};
	const struct stack_sample s = {.comm = "node",
				       .thread = "node",
				       .pid = 42,
				       .frames = f,
				       .frame_count = countof(f),
				       .count = 1};
	struct stacks st;
	struct buf gz = BUF_INIT(1 << 20), profile = BUF_INIT(1 << 20);
	const struct profile_info info = {.hz = 100};
	struct err e = ERR_INIT;
	struct str p, location, function;

	(void)state;
	stacks_init(&st, 10);
	assert_ok(stacks_add(&st, &s, &e));
	assert_ok(profile_encode(&st, &info, &gz, &e));
	assert_ok(gzip_decompress(buf_str(&gz), &profile, &e));
	p = buf_str(&profile);
	assert_int_equal(field_count(p, 4), 3);
	assert_int_equal(field_count(p, 5), 2);
	location = field(p, 4, (unsigned)value_of_packed(field(p, 2, 0).bytes, 1, 0) - 1).bytes;
	function = field(p, 5, (unsigned)field(field(location, 4, 0).bytes, 1, 0).value - 1).bytes;
	assert_str(string_at(p, field(function, 2, 0).value), "LazyCompile:*fib");
	location = field(p, 4, (unsigned)value_of_packed(field(p, 2, 0).bytes, 1, 2) - 1).bytes;
	assert_int_equal(field_count(location, 4), 0);
	buf_deinit(&profile);
	buf_deinit(&gz);
	stacks_deinit(&st);
}

static void a_merged_batch_is_one_series(void **state)
{
	struct batch b;

	(void)state;
	batch_init(&b, true);
	add(&b, "web", "c0ffee", 0x1000, 1);
	add(&b, "db", "", 0x1000, 1);
	assert_int_equal(b.series_count, 1);
	assert_int_equal(batch_stacks(&b), 2);
	assert_int_equal(b.samples, 2);
	batch_deinit(&b);
}

static void too_many_services_share_a_series(void **state)
{
	struct batch b;
	char name[16];

	(void)state;
	batch_init(&b, false);
	for (int i = 0; i < BATCH_SERIES_MAX + 20; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		add(&b, name, "", 0x1000, 1);
	}
	assert_int_equal(b.series_count, BATCH_SERIES_MAX + 1);
	assert_str(labels_find((struct str){b.series[BATCH_SERIES_MAX]->labels,
					    b.series[BATCH_SERIES_MAX]->labels_size},
			       STR("service_name")),
		   "other");
	assert_int_equal(b.overflowed, 20);
	assert_int_equal(b.series[BATCH_SERIES_MAX]->stacks.samples, 20);
	batch_deinit(&b);
}

/* Each series has an ID of its own, and no two batches share one. */
static void ids_differ_by_series_and_by_batch(void **state)
{
	struct str ids[4];
	struct buf out[2];
	struct batch b;

	(void)state;
	batch_init(&b, false);
	add(&b, "web", "", 0x1000, 1);
	add(&b, "db", "", 0x1000, 1);
	for (size_t i = 0; i < countof(ids); i++) {
		if (i % 2 == 0)
			out[i / 2] = encode(&b);
		ids[i] = field(field(field(buf_str(&out[i / 2]), 1, i % 2).bytes, 2, 0).bytes, 2,
			       0)
				 .bytes;
		assert_int_equal(ids[i].n, UUID_TEXT - 1);
		for (size_t j = 0; j < i; j++)
			assert_false(str_eq(ids[i], ids[j]));
	}
	buf_deinit(&out[0]);
	buf_deinit(&out[1]);
	batch_deinit(&b);
}

static void uuids_are_of_version_4_and_differ(void **state)
{
	char a[UUID_TEXT], b[UUID_TEXT];
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(uuid_random(a, &e));
	assert_ok(uuid_random(b, &e));
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(a[8] + a[13] + a[18] + a[23], 4 * '-');
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(series_carry_labels_and_an_id),
		cmocka_unit_test(profiles_are_valid_pprof),
		cmocka_unit_test(samples_point_to_addresses_and_ids),
		cmocka_unit_test(waits_are_a_profile_type_of_their_own),
		cmocka_unit_test(merged_waits_have_their_columns),
		cmocka_unit_test(functions_known_here_travel),
		cmocka_unit_test(a_merged_batch_is_one_series),
		cmocka_unit_test(too_many_services_share_a_series),
		cmocka_unit_test(ids_differ_by_series_and_by_batch),
		cmocka_unit_test(uuids_are_of_version_4_and_differ),
	};

	return cmocka_run_group_tests_name("push_request", tests, setup, teardown);
}
