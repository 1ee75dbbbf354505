/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/samples_file.h"

#include "base/testing.h"

static const char text[] =
	"unhex-samples 1\nhz 99\npid 4711\ncomm my prog\n"
	"start_unix_ns 1767225600000000000\nduration_ns 10000000000\nlost 2\nmaps\n"
	"1000-2000 r-xp 0 00:01 5 /a\n3000-4000 r-xp 0 00:01 6 /b\n"
	"stacks\n1001 3002 ff\n1005\nend\n";

static void a_dump_is_read(void **state)
{
	struct samples_file f;
	struct err e = ERR_INIT;
	uint64_t ips[SAMPLES_DEPTH];
	size_t n;

	(void)state;
	assert_ok(samples_file_parse(str_from(text), &f, &e));
	assert_int_equal(f.hz, 99);
	assert_int_equal(f.pid, 4711);
	assert_string_equal(f.comm, "my prog");
	assert_int_equal(f.start_unix_ns, 1767225600000000000);
	assert_int_equal(f.lost, 2);
	assert_str(f.maps, "1000-2000 r-xp 0 00:01 5 /a\n3000-4000 r-xp 0 00:01 6 /b\n");
	assert_int_equal(samples_file_next(&f.stacks, ips, &n, &e), 1);
	assert_int_equal(n, 3);
	assert_int_equal(ips[1], 0x3002);
	assert_int_equal(samples_file_next(&f.stacks, ips, &n, &e), 1);
	assert_int_equal(n, 1);
	assert_int_equal(samples_file_next(&f.stacks, ips, &n, &e), 0);
}

static void every_truncation_is_refused(void **state)
{
	struct samples_file f;
	struct err e;

	(void)state;
	for (size_t n = 0; n + 1 < sizeof(text) - 1; n++) {
		e = ERR_INIT;
		assert_int_equal(samples_file_parse((struct str){text, n}, &f, &e), -1);
		assert_int_equal(e.kind, ERR_BAD_REQUEST);
		assert_true(strstr(e.msg, "samples file") != NULL);
	}
}

static void bad_stacks_are_refused(void **state)
{
	struct buf deep = BUF_INIT(1 << 16);
	struct str bad = STR("1000 xyz\n"), rest;
	struct err e = ERR_INIT;
	uint64_t ips[SAMPLES_DEPTH];
	size_t n;

	(void)state;
	assert_int_equal(samples_file_next(&bad, ips, &n, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "'xyz' is not an address");
	for (int i = 0; i <= SAMPLES_DEPTH; i++)
		buf_puts(&deep, i ? " 1" : "1");
	rest = buf_str(&deep);
	assert_int_equal(samples_file_next(&rest, ips, &n, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "more than 127 frames");
	buf_deinit(&deep);
}

static void bad_numbers_are_named(void **state)
{
	struct samples_file f;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(samples_file_parse(STR("unhex-samples 2\n"), &f, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "'unhex-samples' is not a number up to 1");
	assert_int_equal(samples_file_parse(STR("unhex-samples 1\nhz 0x1\n"), &f, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "'hz'");
	assert_int_equal(samples_file_parse(STR("ELF garbage"), &f, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "'unhex-samples' expected, not 'ELF'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dump_is_read),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(bad_stacks_are_refused),
		cmocka_unit_test(bad_numbers_are_named),
	};

	return cmocka_run_group_tests_name("samples_file", tests, NULL, NULL);
}
