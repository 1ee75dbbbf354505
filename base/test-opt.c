/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"

#include "base/io.h"
#include "base/testing.h"

struct config {
	char *listen;
	struct opt_list upstream;
	uint64_t max_size;
	uint64_t timeout_ms;
	uint64_t threads;
	bool verbose;
	char *token;
	char *config;
};

static struct config c;

static struct opt opts[] = {
	{.name = "listen", .short_name = 'l', .type = OPT_STRING, .target = &c.listen,
	 .fallback = "127.0.0.1:8002", .arg = "ADDR:PORT", .help = "address to listen on",
	 .group = "Serving"},
	{.name = "upstream", .type = OPT_LIST, .target = &c.upstream, .arg = "URL",
	 .help = "a debuginfod server to ask for what is not here, in the order given, before "
		 "giving up on a build-ID"},
	{.name = "max-size", .short_name = 's', .type = OPT_SIZE, .target = &c.max_size,
	 .fallback = "64MiB", .arg = "SIZE", .help = "largest body", .group = "Limits"},
	{.name = "timeout", .type = OPT_DURATION_MS, .target = &c.timeout_ms, .fallback = "30s",
	 .arg = "DURATION", .help = "longest wait"},
	{.name = "threads", .short_name = 't', .type = OPT_U64, .target = &c.threads,
	 .fallback = "4", .arg = "N", .help = "worker threads"},
	{.name = "verbose", .short_name = 'v', .type = OPT_FLAG, .target = &c.verbose,
	 .help = "say more", .group = "Output"},
	{.name = "token", .type = OPT_STRING, .target = &c.token, .secret = true,
	 .help = "the token"},
	{.name = "config", .type = OPT_STRING, .target = &c.config, .flag_only = true,
	 .arg = "FILE", .help = "read this file"},
	{.name = NULL},
};
static struct opt_table table = {opts, "prog [OPTION]... FILE...", "Does things.\n", "TESTX_"};

static int setup(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	opt_deinit(&table);
	unsetenv("TESTX_LISTEN");
	unsetenv("TESTX_UPSTREAM");
	unsetenv("TESTX_MAX_SIZE");
	unsetenv("TESTX_CONFIG");
	return 0;
}

static char *rest[16];
static size_t rest_n;

#define parse(e, ...)                                                                              \
	opt_parse(&table, (int)countof(((const char *[]){"prog", __VA_ARGS__})),                   \
		  (char **)(uintptr_t)(const char *[]){"prog", __VA_ARGS__ __VA_OPT__(,) NULL},      \
		  rest, &rest_n, (e))

static void defaults_hold_without_options(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(parse(&e));
	assert_string_equal(c.listen, "127.0.0.1:8002");
	assert_int_equal(c.max_size, 64 << 20);
	assert_int_equal(c.timeout_ms, 30000);
	assert_int_equal(c.threads, 4);
	assert_int_equal(c.upstream.n, 0);
	assert_false(c.verbose);
	assert_null(c.token);
	assert_int_equal(rest_n, 0);
	assert_false(opt_given(&table, "listen"));
}

static void flags_are_read_in_every_spelling(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(parse(&e, "a", "--listen=:1", "--timeout", "250ms", "-t8", "-vs", "1KiB", "b", "--",
			"-c"));
	assert_string_equal(c.listen, ":1");
	assert_int_equal(c.timeout_ms, 250);
	assert_int_equal(c.threads, 8);
	assert_int_equal(c.max_size, 1024);
	assert_true(c.verbose);
	assert_int_equal(rest_n, 3);
	assert_string_equal(rest[0], "a");
	assert_string_equal(rest[1], "b");
	assert_string_equal(rest[2], "-c");
	assert_true(opt_given(&table, "listen"));
	assert_ok(parse(&e, "-", "--verbose=no"));
	assert_string_equal(rest[0], "-");
	assert_false(c.verbose);
}

static void lists_collect(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	setenv("TESTX_UPSTREAM", " http://a  http://b\thttp://c ", 1);
	assert_ok(parse(&e));
	assert_int_equal(c.upstream.n, 3);
	assert_string_equal(c.upstream.items[2], "http://c");
	assert_null(c.upstream.items[3]);
	opt_deinit(&table);
	assert_ok(parse(&e, "--upstream", "x y", "--upstream=z"));
	assert_int_equal(c.upstream.n, 2);
	assert_string_equal(c.upstream.items[0], "x y");
	opt_deinit(&table);
	assert_ok(parse(&e, "--upstream="));
	assert_int_equal(c.upstream.n, 0);
	assert_true(opt_given(&table, "upstream"));
}

static void write_config(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	assert_ok(io_write_file(path, text, strlen(text), 0600, &e));
}

static void flag_beats_environment_beats_file(void **state)
{
	struct err e = ERR_INIT;
	char dir[64];
	char path[80];

	(void)state;
	test_dir_make(dir);
	snprintf(path, sizeof(path), "%s/x.conf", dir);
	write_config(path, "# a comment\n\nlisten = :3\n max-size=3KiB # trailing\n"
			   "threads = 3\nupstream = http://x/#frag http://y\nupstream = http://z\n"
			   "token = s3cret\r\n");
	setenv("TESTX_LISTEN", ":2", 1);
	setenv("TESTX_MAX_SIZE", "", 1); // as good as unset
	setenv("TESTX_CONFIG", "not read", 1);
	assert_ok(parse(&e, "--threads=1"));
	assert_ok(opt_parse_file(&table, path, &e));
	assert_int_equal(c.threads, 1);
	assert_string_equal(c.listen, ":2");
	assert_int_equal(c.max_size, 3072);
	assert_int_equal(c.upstream.n, 3);
	assert_string_equal(c.upstream.items[0], "http://x/#frag");
	assert_string_equal(c.token, "s3cret");
	assert_null(c.config);
	test_dir_remove(dir);
}

static void current_values_are_printed_with_their_source(void **state)
{
	struct buf out = BUF_INIT(10000);
	struct err e = ERR_INIT;

	(void)state;
	setenv("TESTX_UPSTREAM", "http://a http://b", 1);
	assert_ok(parse(&e, "--token=hush", "-v"));
	opt_print(&table, &out);
	assert_str(buf_str(&out), "listen = 127.0.0.1:8002  # default\n"
				  "upstream = http://a http://b  # env\n"
				  "max-size = 67108864  # default\n"
				  "timeout = 30000ms  # default\n"
				  "threads = 4  # default\n"
				  "verbose = true  # flag\n"
				  "token = (hidden)  # flag\n");
	buf_clear(&out);
	opt_deinit(&table);
	assert_ok(parse(&e));
	opt_print(&table, &out);
	assert_holds(buf_str(&out), "# token is not set\n");
	buf_deinit(&out);
}

static void help_and_version_are_outcomes(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(parse(&e, "--help", "--nonsense"), OPT_HELP);
	opt_deinit(&table);
	assert_int_equal(parse(&e, "x", "-h"), OPT_HELP);
	opt_deinit(&table);
	assert_int_equal(parse(&e, "--version"), OPT_VERSION);
	opt_deinit(&table);
	assert_ok(parse(&e, "--", "--help"));
}

static void help_fits_80_columns(void **state)
{
	struct buf out = BUF_INIT(10000);
	struct str rest_of;
	struct str line;

	(void)state;
	opt_help(&table, &out);
	assert_holds(buf_str(&out), "Usage: prog [OPTION]... FILE...\n\nDoes things.\n");
	assert_holds(buf_str(&out), "\nServing:\n"
				    "  -l, --listen ADDR:PORT      address to listen on (default: "
				    "127.0.0.1:8002;\n                              TESTX_LISTEN)\n");
	assert_holds(buf_str(&out), "      --config FILE           read this file\n");
	assert_holds(buf_str(&out), "  -h, --help");
	rest_of = buf_str(&out);
	while (str_next(&rest_of, '\n', &line))
		assert_true(line.n <= 80);
	buf_deinit(&out);
}

static void check_usage(const char *want, const char *arg, const char *next)
{
	struct err e = ERR_INIT;
	int rc = next ? parse(&e, arg, next) : parse(&e, arg);

	assert_int_equal(rc, -1);
	assert_err(&e, ERR_USAGE, want);
	opt_deinit(&table);
}

static void mistakes_are_told_precisely(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	check_usage("unknown option --lisen", "--lisen=x", NULL);
	check_usage("unknown option -x", "-vx", NULL);
	check_usage("option --listen needs a value (ADDR:PORT)", "--listen", NULL);
	check_usage("option -l needs a value (ADDR:PORT)", "-l", NULL);
	check_usage("option --threads: '-3' is not a whole number", "--threads", "-3");
	check_usage("option -s: '64M' is not a size such as 64MiB", "-s", "64M");
	check_usage("option --timeout: 'soon' is not a duration such as 30s", "--timeout=soon", NULL);
	check_usage("option --verbose: 'x' is not true or false", "--verbose=x", NULL);
	setenv("TESTX_MAX_SIZE", "big", 1);
	assert_int_equal(parse(&e), -1);
	assert_err(&e, ERR_USAGE, "environment variable TESTX_MAX_SIZE: 'big' is not a size");
}

static void check_config(const char *path, const char *text, const char *want)
{
	struct err e = ERR_INIT;

	write_config(path, text);
	assert_ok(parse(&e));
	assert_int_equal(opt_parse_file(&table, path, &e), -1);
	assert_err(&e, ERR_CONFIG, path);
	assert_err(&e, ERR_CONFIG, want);
	opt_deinit(&table);
}

static void mistakes_in_files_name_the_line(void **state)
{
	struct err e = ERR_INIT;
	char dir[64];
	char path[80];

	(void)state;
	test_dir_make(dir);
	snprintf(path, sizeof(path), "%s/x.conf", dir);
	check_config(path, "\nlisen = x\n", "x.conf:2: unknown key 'lisen'");
	check_config(path, "listen\n", "x.conf:1: expected 'key = value'");
	check_config(path, "config = x\n", "x.conf:1: unknown key 'config'");
	check_config(path, "listen = a\nlisten = b\n", "x.conf:2: 'listen' is set a second time");
	check_config(path, "threads = many", "x.conf:1: threads: 'many' is not a whole number");
	assert_ok(parse(&e));
	assert_int_equal(opt_parse_file(&table, "/nonexistent/x", &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "opening /nonexistent/x");
	test_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults_hold_without_options, setup, teardown),
		cmocka_unit_test_setup_teardown(flags_are_read_in_every_spelling, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_collect, setup, teardown),
		cmocka_unit_test_setup_teardown(flag_beats_environment_beats_file, setup, teardown),
		cmocka_unit_test_setup_teardown(current_values_are_printed_with_their_source, setup,
						teardown),
		cmocka_unit_test_setup_teardown(help_and_version_are_outcomes, setup, teardown),
		cmocka_unit_test_setup_teardown(help_fits_80_columns, setup, teardown),
		cmocka_unit_test_setup_teardown(mistakes_are_told_precisely, setup, teardown),
		cmocka_unit_test_setup_teardown(mistakes_in_files_name_the_line, setup, teardown),
	};

	return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
