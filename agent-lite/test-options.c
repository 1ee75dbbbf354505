/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/options.h"

#include "base/testing.h"

enum { ARGS_MAX = 16 };

/* Parses a command line given as one string. */
static int parse(struct options *o, const char *line, struct err *e)
{
	static char text[512];
	char *argv[ARGS_MAX] = {(char *)"unhex-agent"};
	char *save = NULL;
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok_r(text, " ", &save); word && argc < ARGS_MAX - 1;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	*e = ERR_INIT;
	return options_parse(o, argc, argv, e);
}

static void assert_refused(const char *line, const char *part)
{
	struct options o;
	struct err e;

	assert_int_equal(parse(&o, line, &e), -1);
	assert_err(&e, ERR_USAGE, part);
	assert_int_equal(err_exit_code(e.kind), 2);
	options_deinit(&o);
}

static int setup(void **state)
{
	(void)state;
	unsetenv("UNHEX_SERVER");
	unsetenv("UNHEX_TOKEN_FILE");
	return 0;
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_ok(parse(&o, "--server http://h:1", &e));
	assert_int_equal(o.hz, 19);
	assert_int_equal(o.interval_ms, 10000);
	assert_int_equal(o.once_ms, 0);
	assert_null(o.output);
	assert_string_equal(o.server, "http://h:1");
	options_deinit(&o);
}

static void lists_and_durations_are_read(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_ok(parse(
		&o, "--stdout --pid 7 --pid 8 --cgroup /a --hz 99 --once 250ms --interval 2s", &e));
	assert_int_equal(o.pid_texts.n, 2);
	assert_int_equal(o.pids[1], 8);
	assert_int_equal(o.cgroups.n, 1);
	assert_int_equal(o.once_ms, 250);
	assert_int_equal(o.interval_ms, 2000);
	options_deinit(&o);
}

static void the_environment_names_the_server(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	setenv("UNHEX_SERVER", "http://env:1", 1);
	setenv("UNHEX_TOKEN_FILE", "/run/token", 1);
	assert_ok(parse(&o, "--once 1s", &e));
	assert_string_equal(o.server, "http://env:1");
	assert_string_equal(o.token_file, "/run/token");
	options_deinit(&o);
	// A file asked for on the command line is not outvoted by the environment.
	assert_ok(parse(&o, "--once 1s -o x.pb.gz", &e));
	assert_null(o.server);
	assert_string_equal(o.output, "x.pb.gz");
	options_deinit(&o);
	setup(NULL);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	assert_refused("", "where to?");
	assert_refused("--stdout -o x", "exclude each other");
	assert_refused("--server http://x --stdout", "--server excludes");
	assert_refused("--stdout --pid 0", "--pid 0 is not a process ID");
	assert_refused("--stdout --pid 12a", "--pid 12a");
	assert_refused("--stdout --hz 0", "--hz must be 1 to 1000");
	assert_refused("--stdout --hz 1001", "--hz must be 1 to 1000");
	assert_refused("--server http://x --interval 10ms", "--interval must be 1s to 10m");
	assert_refused("--stdout --once 0s", "--once must be at least 100ms");
	assert_refused("--stdout --once 99ms", "--once must be at least 100ms");
	assert_refused("--stdout surplus", "unexpected argument 'surplus'");
	assert_refused("--stdout --from-samples", "--from-samples needs");
}

static void what_is_not_built_says_so(void **state)
{
	(void)state;
	assert_refused("--stdout --upload", "--upload needs --server");
	assert_refused("--server http://x --spool-size 4k", "--spool-size");
}

static void unwinders_go_by_their_names(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_ok(parse(&o, "--stdout", &e));
	assert_int_equal(o.unwinder, SAMPLER_ANY);
	assert_false(o.off_cpu);
	options_deinit(&o);
	assert_ok(parse(&o, "--stdout --unwinder tail_call --off-cpu --off-cpu-min 5ms", &e));
	assert_int_equal(o.unwinder, SAMPLER_TAIL);
	assert_int_equal(o.off_cpu_min_ms, 5);
	options_deinit(&o);
	assert_refused("--stdout --unwinder magic", "--unwinder magic: give auto, bpf_loop");
}

static void dumps_are_operands(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_ok(parse(&o, "--server http://x --hz 99 --from-samples a b", &e));
	assert_int_equal(o.file_count, 2);
	assert_string_equal(o.files[1], "b");
	options_deinit(&o);
}

static void check_needs_no_destination(void **state)
{
	struct options o;
	struct err e;

	(void)state;
	assert_ok(parse(&o, "--check", &e));
	assert_true(o.check);
	options_deinit(&o);
}

static void help_fits_the_screen(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	struct str rest, line;

	(void)state;
	options_help(&b);
	rest = buf_str(&b);
	while (str_next(&rest, '\n', &line))
		assert_in_range(line.n, 0, 80);
	assert_holds(buf_str(&b), "--cgroup PATH");
	assert_holds(buf_str(&b), "default: 19");
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(lists_and_durations_are_read),
		cmocka_unit_test(the_environment_names_the_server),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(what_is_not_built_says_so),
		cmocka_unit_test(unwinders_go_by_their_names),
		cmocka_unit_test(dumps_are_operands),
		cmocka_unit_test(check_needs_no_destination),
		cmocka_unit_test(help_fits_the_screen),
	};

	return cmocka_run_group_tests_name("options", tests, setup, NULL);
}
