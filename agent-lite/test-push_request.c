/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole way out: batch → push request → raw profiles, read back with base/pb.h alone, so that
 * the test knows the wire and not the encoder.
 */
#include "agent-lite/push_request.h"

#include "base/compress.h"
#include "base/pb.h"
#include "base/testing.h"

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
	struct err e = ERR_INIT;

	assert_ok(batch_add(b, service, container, &s, &e));
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
	struct buf out = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	assert_ok(push_request_encode(b, "host-1", 100, &out, &e));
	return out;
}

static struct buf profile_of(struct str series)
{
	struct buf identity = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	assert_ok(gzip_decompress(field(field(series, 2, 0).bytes, 1, 0).bytes, &identity, &e));
	return identity;
}

static void series_carry_labels_and_an_id(void **state)
{
	struct batch b;
	struct buf out;
	struct str series, label;

	(void)state;
	batch_init(&b, false);
	add(&b, "web", "c0ffee", 0x1000, 1);
	add(&b, "db", "", 0x1000, 1);
	out = encode(&b);
	assert_int_equal(field_count(buf_str(&out), 1), 2);
	series = field(buf_str(&out), 1, 0).bytes;
	assert_int_equal(field_count(series, 1), 4);
	static const char *const want[][2] = {{"__name__", "process_cpu"},
					      {"service_name", "web"},
					      {"container_id", "c0ffee"},
					      {"node", "host-1"}};
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
	struct buf out, profile;
	struct str p;

	(void)state;
	batch_init(&b, false);
	add(&b, "web", "", 0x1000, 3);
	add(&b, "web", "", 0x1001, 1);
	b.time_ns = 1700000000000000000;
	b.duration_ns = 5000000000;
	out = encode(&b);
	profile = profile_of(field(buf_str(&out), 1, 0).bytes);
	p = buf_str(&profile);
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
	assert_int_equal(field_count(p, 5), 0); // no functions, ever
	buf_deinit(&profile);
	buf_deinit(&out);
	batch_deinit(&b);
}

static void samples_point_to_addresses_and_ids(void **state)
{
	struct batch b;
	struct buf out, profile;
	struct str p, sample, mapping, location;
	struct pb_packed ids;
	struct pb_field packed;
	struct err e = ERR_INIT;
	uint64_t id;

	(void)state;
	batch_init(&b, false);
	add(&b, "web", "", 0x1000, 3);
	out = encode(&b);
	profile = profile_of(field(buf_str(&out), 1, 0).bytes);
	p = buf_str(&profile);
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
	buf_deinit(&profile);
	buf_deinit(&out);
	batch_deinit(&b);
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
	assert_string_equal(b.series[BATCH_SERIES_MAX]->service, "other");
	assert_int_equal(b.series[BATCH_SERIES_MAX]->stacks.samples, 20);
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
		cmocka_unit_test(a_merged_batch_is_one_series),
		cmocka_unit_test(too_many_services_share_a_series),
		cmocka_unit_test(uuids_are_of_version_4_and_differ),
	};

	return cmocka_run_group_tests_name("push_request", tests, setup, teardown);
}
