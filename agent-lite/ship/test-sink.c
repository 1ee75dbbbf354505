/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/sink.h"

#include "tests/unit/toolbox.h"
#include "base/testing.h"

static void a_place_that_cannot_be_written_is_told_at_once(void **state)
{
	const struct sink_config config = {.output = "/nonexistent/x.pb.gz", .hz = 19};
	struct sink s = SINK_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sink_open(&s, &config, &e), -1);
	assert_err(&e, ERR_IO, "--output /nonexistent/x.pb.gz: ");
	assert_int_equal(err_exit_code(e.kind), 1);
	sink_deinit(&s);
}

static void what_was_there_outlives_a_sink_without_profile(void **state)
{
	char path[128];
	const struct sink_config config = {.output = path, .hz = 19};
	struct sink s = SINK_INIT;
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT(100);

	(void)state;
	snprintf(path, sizeof(path), "%s/old", toolbox_dir);
	assert_ok(io_write_file(path, "before", 6, 0644, &e));
	assert_ok(sink_open(&s, &config, &e));
	assert_true(sink_is_file(&s));
	sink_deinit(&s);
	assert_ok(io_read_file(path, &b, &e));
	assert_str(buf_str(&b), "before");
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_that_cannot_be_written_is_told_at_once),
		cmocka_unit_test(what_was_there_outlives_a_sink_without_profile),
	};

	return cmocka_run_group_tests_name("sink", tests, toolbox_setup, toolbox_teardown);
}
