/* SPDX-License-Identifier: Apache-2.0 */
#include "store/profile_dir.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <string.h>

static const struct profile_label labels[] = {
	{STR("__name__"), STR("process_cpu:cpu:nanoseconds")},
	{STR("host"), STR("web-1\n\"quoted\"")},
	{STR("service_name"), STR("api")},
};
static const struct profile_series series = {labels, 3};

static bool selects(const char *text)
{
	struct profile_matchers *m = NULL;
	struct err e = ERR_INIT;
	bool yes;

	if (profile_matchers_parse(str_from(text), &m, &e))
		fail_msg("%s: %s", text, e.msg);
	yes = profile_matchers_match(m, &series);
	profile_matchers_free(m);
	return yes;
}

static void refused(const char *text, const char *message)
{
	struct profile_matchers *m = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(profile_matchers_parse(str_from(text), &m, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_REQUEST);
	assert_string_equal(e.msg, message);
}

static void test_operators(void **state)
{
	(void)state;
	assert_true(selects("{}"));
	assert_true(selects(" "));
	assert_true(selects("{service_name=\"api\"}"));
	assert_true(selects("{service_name='api',}"));
	assert_false(selects("{service_name=\"ap\"}"));
	assert_true(selects("{ service_name != \"x\" , host =~ \"web-.*\" }"));
	assert_false(selects("{service_name!=\"api\"}"));
	assert_true(selects("{service_name=~\"ap|api\"}")); // the longest alternative
	assert_true(selects("{service_name!~\"ap\"}"));     // anchored
	assert_false(selects("{service_name=~\"pi\"}"));
	assert_false(selects("{service_name=\"api\",host=\"other\"}"));
	assert_true(selects("process_cpu:cpu:nanoseconds{service_name=\"api\"}"));
	assert_true(selects("process_cpu:cpu:nanoseconds"));
	assert_false(selects("memory{service_name=\"api\"}"));
	assert_true(selects("{host=\"web-1\\n\\\"quoted\\\"\"}"));
}

static void test_absent_labels_are_empty(void **state)
{
	(void)state;
	assert_true(selects("{zone=\"\"}"));
	assert_true(selects("{zone!=\"eu\"}"));
	assert_true(selects("{zone=~\".*\"}"));
	assert_false(selects("{zone=~\".+\"}"));
}

static void test_alternatives_stay_anchored(void **state)
{
	(void)state;
	refused("{service_name=~\"x)|(pi\"}",
		"matcher: the regular expression of 'service_name': Unmatched ( or \\(");
	assert_false(selects("{service_name=~\"x|pi\"}"));
}

static void test_name_given(void **state)
{
	struct profile_matchers *m;
	const char *name;
	const char *value;

	(void)state;
	assert_int_equal(profile_matchers_parse(STR("cpu{a!=\"b\"}"), &m, NULL), 0);
	assert_true(profile_matchers_name_given(m));
	assert_true(profile_matchers_equality(m, &name, &value));
	assert_string_equal(name, "__name__");
	assert_string_equal(value, "cpu");
	profile_matchers_free(m);
	assert_int_equal(profile_matchers_parse(STR("{a!=\"b\"}"), &m, NULL), 0);
	assert_false(profile_matchers_name_given(m));
	assert_false(profile_matchers_equality(m, &name, &value));
	profile_matchers_free(m);
	profile_matchers_free(NULL);
}

static void test_errors_say_where(void **state)
{
	(void)state;
	refused("{a}", "matcher, character 3: expected one of = != =~ !~");
	refused("{a=b}", "matcher, character 4: expected a quoted value");
	refused("{a=\"b}", "matcher, character 7: expected a closing quote");
	refused("{a=\"b\" c=\"d\"}", "matcher, character 8: expected ',' or '}'");
	refused("{a=\"b\"} x", "matcher, character 9: expected the end");
	refused("{=\"b\"}", "matcher, character 2: expected a label name");
	refused("{a=\"\\q\"}", "matcher, character 6: expected one of n t r \\ \" ' after a backslash");
	refused("9", "matcher, character 1: expected a selector such as {service_name=\"api\"}");
	refused("{a=\"b\"", "matcher, character 7: expected ',' or '}'");
	refused("{a=~\"(\"}", "matcher: the regular expression of 'a': Unmatched ( or \\(");
}

static void test_expensive_expressions(void **state)
{
	char text[2200] = "{a=~\"";

	(void)state;
	refused("{a=~\"((x{200}){200}){200}\"}",
		"matcher: the regular expression of 'a' repeats too often");
	refused("{a=~\"x{9999999999}\"}", "matcher: the regular expression of 'a' repeats too often");
	refused("{a=~\"x{1,300}\"}", "matcher: the regular expression of 'a' repeats too often");
	refused("{a=~\"(x)\\\\1\"}", "matcher: the regular expression of 'a' has a backward reference");
	assert_true(selects("{service_name=~\"[a-z]{3}\"}"));
	memset(text + 5, '(', 100);
	memcpy(text + 105, "\"}", 3);
	refused(text, "matcher: the regular expression of 'a' has too many groups");
	memset(text + 5, 'x', 1100);
	memcpy(text + 1105, "\"}", 3);
	refused(text, "matcher, character 1030: expected a value of at most 1024 bytes");
}

static void test_too_many_conditions(void **state)
{
	static const char one[] = "a=\"\",";
	char text[400] = "{";
	size_t n = 1;

	(void)state;
	for (int i = 0; i < 33; i++, n += sizeof(one) - 1)
		memcpy(text + n, one, sizeof(one));
	refused(text, "matcher: more than 32 conditions");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_absent_labels_are_empty),
		cmocka_unit_test(test_alternatives_stay_anchored),
		cmocka_unit_test(test_name_given),
		cmocka_unit_test(test_errors_say_where),
		cmocka_unit_test(test_expensive_expressions),
		cmocka_unit_test(test_too_many_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
