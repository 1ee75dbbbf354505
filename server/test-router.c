/* SPDX-License-Identifier: Apache-2.0 */
#include "server/router.h"

#include "base/testing.h"

static struct arena arena = ARENA_INIT(1 << 20);

static int nothing(UNUSED struct request *rq, UNUSED struct err *e)
{
	return DOOR_DONE;
}

static const struct route routes[] = {
	{.name = "put", .methods = METHOD_PUT, .pattern = "/v1/things/{*}", .door = nothing},
	{.name = "get", .methods = METHOD_GET, .pattern = "/v1/things/{*}", .door = nothing},
	{.name = "list", .methods = METHOD_GET, .pattern = "/v1/things", .door = nothing},
	{.name = "pair",
	 .methods = METHOD_GET,
	 .pattern = "/raw/{}/x/{}",
	 .door = nothing,
	 .style = STYLE_PLAIN},
	{.name = "home", .methods = METHOD_GET, .pattern = "/", .door = nothing},
	{0},
};

static int match(enum method m, const char *path, struct route_match *ret, struct err *e)
{
	struct target t;

	if (target_parse(&arena, str_from(path), &t, e))
		return -1;
	return router_match(routes, m, &t, ret, e);
}

static void assert_route(enum method m, const char *path, const char *name, const char *first,
			 const char *second)
{
	struct err e = ERR_INIT;
	struct route_match got;

	assert_ok(match(m, path, &got, &e));
	assert_string_equal(got.route->name, name);
	assert_str(got.param[0], first);
	assert_str(got.param[1], second);
}

static void the_first_pattern_that_fits_wins(UNUSED void **state)
{
	assert_route(METHOD_PUT, "/v1/things/a%2Fb/c", "put", "a/b/c", "");
	assert_route(METHOD_GET, "/v1/things/a", "get", "a", "");
	assert_route(METHOD_HEAD, "/v1/things?x", "list", "", "");
	assert_route(METHOD_GET, "/raw/a%20b/x/c", "pair", "a b", "c");
	assert_route(METHOD_GET, "/", "home", "", "");
}

static void assert_refused(enum method m, const char *path, enum err_kind kind, const char *part,
			   unsigned allowed, enum error_style style)
{
	struct err e = ERR_INIT;
	struct route_match got;

	assert_int_equal(match(m, path, &got, &e), -1);
	assert_err(&e, kind, part);
	assert_null(got.route);
	assert_int_equal(got.allowed, allowed);
	assert_int_equal(got.style, style);
}

static void the_rest_is_refused_with_a_reason(UNUSED void **state)
{
	assert_refused(METHOD_GET, "/v2/things", ERR_NOT_FOUND, "nothing at this path", 0,
		       STYLE_PROBLEM);
	assert_refused(METHOD_GET, "/v1/things/", ERR_NOT_FOUND, "nothing", 0, STYLE_PROBLEM);
	assert_refused(METHOD_GET, "/raw//x/y", ERR_NOT_FOUND, "nothing", 0, STYLE_PLAIN);
	assert_refused(METHOD_GET, "/raw/a/x", ERR_NOT_FOUND, "nothing", 0, STYLE_PLAIN);
	assert_refused(METHOD_DELETE, "/v1/things/a", ERR_METHOD, "DELETE is not a method",
		       METHOD_PUT | METHOD_GET | METHOD_HEAD, STYLE_PROBLEM);
	assert_refused(METHOD_GET, "/raw/../x/y", ERR_BAD_PATH, "'.' or '..'", 0, STYLE_PLAIN);
}

static void methods_have_names(UNUSED void **state)
{
	char text[METHODS_TEXT];

	assert_int_equal(method_parse(STR("PUT")), METHOD_PUT);
	assert_int_equal(method_parse(STR("put")), METHOD_OTHER);
	assert_string_equal(method_name(METHOD_OTHER), "OTHER");
	methods_text(METHOD_GET | METHOD_HEAD | METHOD_DELETE, text);
	assert_string_equal(text, "GET, HEAD, DELETE");
	methods_text(~0u, text);
	assert_string_equal(text, "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
}

static int drop_arena(UNUSED void **state)
{
	arena_deinit(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_pattern_that_fits_wins),
		cmocka_unit_test(the_rest_is_refused_with_a_reason),
		cmocka_unit_test(methods_have_names),
	};

	return cmocka_run_group_tests_name("router", tests, NULL, drop_arena);
}
