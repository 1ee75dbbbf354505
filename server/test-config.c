/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/io.h"
#include "base/testing.h"
#include <stdio.h>

static int load(struct config *c, struct err *e, const char *a, const char *b)
{
	const char *argv[] = {"unhexd", a, b, NULL};

	return config_load(c, 1 + !!a + (a && b), (char **)argv, e);
}

static void defaults_are_those_of_the_interface(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct config c;

	unsetenv("DEBUGINFOD_URLS");
	assert_ok(load(&c, &e, NULL, NULL));
	assert_string_equal(c.listen, "127.0.0.1:8002");
	assert_string_equal(c.data_dir, "./unhex-data");
	assert_true(c.loopback);
	assert_int_equal(c.upstream.n, 0);
	assert_int_equal(c.idle_timeout_ms, 60000);
	assert_int_equal(c.drain_timeout_ms, 10000);
	assert_int_equal(c.max_body, MIB(64));
	assert_true(c.work_threads >= 2 && c.ingest_threads >= 2 && c.index_workers >= 1);
	assert_null(c.profile_store);
	config_deinit(&c);
}

static void upstreams_default_to_the_clients_own(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct config c;

	setenv("DEBUGINFOD_URLS", " https://a.example  http://b.example/ ", 1);
	assert_ok(load(&c, &e, NULL, NULL));
	assert_int_equal(c.upstream.n, 2);
	assert_string_equal(c.upstream.items[1], "http://b.example/");
	config_deinit(&c);
	assert_ok(load(&c, &e, "--upstream=", NULL));
	assert_int_equal(c.upstream.n, 0);
	config_deinit(&c);
	assert_ok(load(&c, &e, "--upstream", "http://c.example"));
	assert_int_equal(c.upstream.n, 1);
	assert_string_equal(c.upstream.items[0], "http://c.example");
	config_deinit(&c);
	unsetenv("DEBUGINFOD_URLS");
}

static void the_environment_is_read(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct config c;

	setenv("UNHEX_LISTEN", "0.0.0.0:1234", 1);
	setenv("UNHEX_UPSTREAM", "http://a http://b", 1);
	assert_ok(load(&c, &e, NULL, NULL));
	assert_string_equal(c.listen, "0.0.0.0:1234");
	assert_false(c.loopback);
	assert_int_equal(c.upstream.n, 2);
	config_deinit(&c);
	unsetenv("UNHEX_LISTEN");
	unsetenv("UNHEX_UPSTREAM");
}

// Precedence: flag, environment, file, wherever the name of the file comes from.
static void the_environment_names_the_file(UNUSED void **state)
{
	static const struct str text = STR("queue = 7\nmax-waiting = 8\nlisten = 127.0.0.1:1\n");
	struct err e = ERR_INIT;
	char dir[64];
	char path[96];
	struct config c;

	test_dir_make(dir);
	snprintf(path, sizeof(path), "%s/unhexd.conf", dir);
	assert_ok(io_write_file(path, text.p, text.n, 0600, &e));
	setenv("UNHEX_CONFIG", path, 1);
	setenv("UNHEX_QUEUE", "9", 1);
	assert_ok(load(&c, &e, "--listen=127.0.0.1:2", NULL));
	assert_int_equal(c.max_waiting, 8);
	assert_int_equal(c.queue, 9);
	assert_string_equal(c.listen, "127.0.0.1:2");
	config_deinit(&c);
	setenv("UNHEX_CONFIG", "/nowhere/unhexd.conf", 1);
	assert_int_equal(load(&c, &e, NULL, NULL), -1);
	assert_non_null(strstr(e.msg, "/nowhere/unhexd.conf"));
	config_deinit(&c);
	assert_ok(load(&c, &e, "--config", path));
	assert_int_equal(c.max_waiting, 8);
	config_deinit(&c);
	unsetenv("UNHEX_CONFIG");
	unsetenv("UNHEX_QUEUE");
	test_dir_remove(dir);
}

static void what_cannot_work_is_refused(UNUSED void **state)
{
	static const struct {
		const char *option, *value;
		enum err_kind kind;
		const char *part;
	} bad[] = {
		{"--listen", "nowhere", ERR_CONFIG, "listen 'nowhere' is not ADDR:PORT"},
		{"--scan", "/srv", ERR_CONFIG, "not built yet"},
		{"--store", "parca:http://x", ERR_CONFIG, "this version knows dir:PATH only"},
		{"--store", "dir:", ERR_CONFIG, "dir:PATH"},
		{"--io-threads", "0", ERR_CONFIG, "--io-threads is 0; it must be from 1 to 64"},
		{"--max-body", "1", ERR_CONFIG, "--max-body"},
		{"--log-level", "loud", ERR_CONFIG, "--log-level 'loud'"},
		{"--log-format", "xml", ERR_CONFIG, "--log-format 'xml'"},
		{"--data-dir", "", ERR_CONFIG, "--data-dir is empty"},
		{"serve", NULL, ERR_USAGE, "unexpected operand 'serve'"},
		{"--nothing", NULL, ERR_USAGE, "nothing"},
	};

	for (size_t i = 0; i < countof(bad); i++) {
		struct err e = ERR_INIT;
		struct config c;

		assert_int_equal(load(&c, &e, bad[i].option, bad[i].value), -1);
		assert_err(&e, bad[i].kind, bad[i].part);
		config_deinit(&c);
	}
}

static void a_store_folder_can_be_named(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct config c;

	assert_ok(load(&c, &e, "--store", "dir:/srv/profiles"));
	assert_string_equal(c.profile_store, "/srv/profiles");
	config_deinit(&c);
}

static void help_and_version_are_told_apart(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT(1 << 20);
	struct config c;

	assert_int_equal(load(&c, &e, "--version", NULL), OPT_VERSION);
	config_deinit(&c);
	assert_int_equal(load(&c, &e, "--help", NULL), OPT_HELP);
	opt_help(&c.table, &text);
	assert_holds(buf_str(&text), "--allow-anonymous-write");
	assert_holds(buf_str(&text), "UNHEX_DATA_DIR");
	buf_deinit(&text);
	config_deinit(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_interface),
		cmocka_unit_test(upstreams_default_to_the_clients_own),
		cmocka_unit_test(the_environment_is_read),
		cmocka_unit_test(the_environment_names_the_file),
		cmocka_unit_test(what_cannot_work_is_refused),
		cmocka_unit_test(a_store_folder_can_be_named),
		cmocka_unit_test(help_and_version_are_told_apart),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
