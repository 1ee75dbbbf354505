/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/otel_env.h"

#include "base/testing.h"

#define ENVIRONMENT(literal) ((struct str){literal, sizeof(literal) - 1})

static struct otel_env parse(struct str text)
{
	struct otel_env env;

	otel_env_parse(text, &env);
	return env;
}

static void the_name_of_the_service(void **state)
{
	(void)state;
	assert_string_equal(parse(ENVIRONMENT("PATH=/bin\0OTEL_SERVICE_NAME=checkout\0HOME=/\0")).service,
			    "checkout");
	assert_string_equal(parse(ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=a=b, service.name = cart ,c=d\0")).service,
			    "cart");
	// The variable of its own has precedence, wherever it stands.
	assert_string_equal(parse(ENVIRONMENT("OTEL_SERVICE_NAME=one\0OTEL_RESOURCE_ATTRIBUTES=service.name=two\0")).service,
			    "one");
	assert_string_equal(parse(ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=two\0OTEL_SERVICE_NAME=one")).service,
			    "one");
	// Nothing else is looked at.
	assert_string_equal(parse(ENVIRONMENT("XOTEL_SERVICE_NAME=x\0SERVICE=OTEL_SERVICE_NAME=y\0")).service,
			    "");
	assert_string_equal(parse(ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop,xservice.name=y\0")).service,
			    "");
	assert_string_equal(parse(ENVIRONMENT("")).service, "");
}

static void what_the_operator_knows_of_the_pod(void **state)
{
	const struct otel_env env = parse(ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=k8s.container.name=app,k8s.namespace.name="
						      "shop,k8s.pod.name=cart-5f-x,service.name=cart\0"));

	(void)state;
	assert_string_equal(env.service, "cart");
	assert_string_equal(env.container, "app");
	assert_string_equal(env.namespace, "shop");
	assert_string_equal(env.pod, "cart-5f-x");
}

static void values_are_percent_decoded(void **state)
{
	static const struct {
		struct str text;
		const char *want;
	} cases[] = {
		{ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=a%2Cb%3dc"), "a,b=c"},
		{ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=100%"), "100%"},
		{ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=%4"), "%4"},
		{ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=%zz%41"), "%zzA"},
		{ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=a%00b"), "ab"},
		{ENVIRONMENT("OTEL_RESOURCE_ATTRIBUTES=service.name=a=b"), "a=b"},
		{ENVIRONMENT("OTEL_SERVICE_NAME=a%2Cb"), "a%2Cb"}, // not a list: as it is
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(parse(cases[i].text).service, cases[i].want);
}

static void long_names_are_cut(void **state)
{
	char text[4096] = "OTEL_SERVICE_NAME=";

	(void)state;
	memset(text + strlen(text), 'x', sizeof(text) - strlen(text));
	assert_int_equal(strlen(parse((struct str){text, sizeof(text)}).service), OTEL_NAME_SIZE - 1);
	snprintf(text, 64, "OTEL_RESOURCE_ATTRIBUTES=service.name=");
	memset(text + 38, '%', sizeof(text) - 38);
	assert_int_equal(strlen(parse((struct str){text, sizeof(text)}).service), OTEL_NAME_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_name_of_the_service),
		cmocka_unit_test(what_the_operator_knows_of_the_pod),
		cmocka_unit_test(values_are_percent_decoded),
		cmocka_unit_test(long_names_are_cut),
	};

	return cmocka_run_group_tests_name("otel_env", tests, NULL, NULL);
}
