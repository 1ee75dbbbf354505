/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/json.h"
#include "base/testing.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static struct buf said = BUF_INIT(1 << 20);
static int saved_stderr = -1;
static FILE *capture;

static void begin(void)
{
	fflush(stderr);
	capture = tmpfile();
	assert_non_null(capture);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(capture), STDERR_FILENO);
}

static struct str end(void)
{
	char chunk[4096];
	size_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(capture);
	buf_clear(&said);
	while ((n = fread(chunk, 1, sizeof(chunk), capture)) > 0)
		buf_append(&said, chunk, n);
	fclose(capture);
	return buf_str(&said);
}

static int reset(void **state)
{
	(void)state;
	log_setup(LOG_INFO, LOG_LOGFMT);
	buf_deinit(&said);
	return 0;
}

static void logfmt_quotes_what_needs_it(void **state)
{
	struct str line;

	(void)state;
	begin();
	LOG(LOG_INFO, "upload", {"id", LOG_S("93ac")}, {"path", LOG_S("/a b")}, {"n", LOG_U(7)},
	    {"d", LOG_F(0.25)}, {"i", LOG_I(-3)}, {"none", LOG_S(NULL)}, {"eq", LOG_S("a=b")});
	line = end();
	assert_holds(line, "Z level=info event=upload id=93ac path=\"/a b\" n=7 d=0.25 i=-3 "
			   "none=\"\" eq=\"a=b\"\n");
	assert_true(str_has_prefix(line, STR("ts=2")));
}

static void nothing_forges_a_line(void **state)
{
	struct str text;

	(void)state;
	begin();
	LOG(LOG_INFO, "x", {"v", LOG_S("a\nts=1 level=error\r\x1b[31m\xc2\x9b\xff")});
	text = end();
	assert_holds(text, "v=\"a\\nts=1 level=error\\r\\u001b[31m\\u009b\xef\xbf\xbd\"\n");
	assert_ptr_equal(memchr(text.p, '\n', text.n), text.p + text.n - 1);
}

static void json_lines_parse(void **state)
{
	struct err e = ERR_INIT;
	json_t *root = NULL;
	struct str line;

	(void)state;
	log_setup(LOG_DEBUG, LOG_JSON);
	begin();
	LOG(LOG_DEBUG, "event");
	line = end();
	assert_ok(json_parse(line, &root, &e));
	assert_str(json_get_str(root, "event"), "event");
	assert_str(json_get_str(root, "level"), "debug");
	assert_int_equal(json_object_size(root), 3);
	json_decref(root);
}

static void errors_add_their_code(void **state)
{
	const struct log_field fields[] = {{"id", LOG_S("x")}, {NULL, {0}}};
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_BAD_ELF, "no sections");
	begin();
	log_err(LOG_WARN, "index", &e, fields);
	log_err(LOG_ERROR, "index", &e, NULL);
	assert_holds(end(), "level=warn event=index id=x code=malformed_elf err=\"no sections\"\n");
	assert_holds(buf_str(&said), "level=error event=index code=malformed_elf err=");
}

static void levels_hold_back(void **state)
{
	enum log_level level = LOG_INFO;

	(void)state;
	log_setup(LOG_WARN, LOG_LOGFMT);
	assert_true(log_enabled(LOG_ERROR));
	assert_false(log_enabled(LOG_INFO));
	begin();
	LOG(LOG_INFO, "quiet");
	assert_str(end(), "");
	assert_true(log_level_parse(STR("Debug"), &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse(STR("loud"), &level));
}

static void long_values_are_cut(void **state)
{
	static char longest[100000];
	struct str line;

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	begin();
	LOG(LOG_INFO, "x", {"v", LOG_S(longest)}, {"after", LOG_U(1)});
	line = end();
	assert_true(line.n < 3000);
	assert_holds(line, "a after=1\n");
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		LOG(LOG_INFO, "thread", {"who", LOG_S(arg)}, {"n", LOG_I(i)});
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	char names[2][8] = {"one", "two"};
	pthread_t threads[2];
	unsigned lines = 0;
	struct str rest;
	struct str line;

	(void)state;
	begin();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	rest = end();
	while (str_next(&rest, '\n', &line) && line.n) {
		assert_true(str_has_prefix(line, STR("ts=")));
		assert_holds(line, " event=thread who=");
		lines++;
	}
	assert_int_equal(lines, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(logfmt_quotes_what_needs_it, reset, reset),
		cmocka_unit_test_setup_teardown(nothing_forges_a_line, reset, reset),
		cmocka_unit_test_setup_teardown(json_lines_parse, reset, reset),
		cmocka_unit_test_setup_teardown(errors_add_their_code, reset, reset),
		cmocka_unit_test_setup_teardown(levels_hold_back, reset, reset),
		cmocka_unit_test_setup_teardown(long_values_are_cut, reset, reset),
		cmocka_unit_test_setup_teardown(lines_of_threads_do_not_mix, reset, reset),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
