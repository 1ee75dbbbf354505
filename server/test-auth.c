/* SPDX-License-Identifier: Apache-2.0 */
#include "server/auth.h"

#include "base/testing.h"

static char dir[64];
static struct catalog *catalog;
static struct request rq;
static struct route route;

static int open_store(UNUSED void **state)
{
	struct err e = ERR_INIT;
	char path[128];

	test_dir_make(dir);
	snprintf(path, sizeof(path), "%s/catalog.db", dir);
	assert_ok(catalog_open(path, &catalog, &e));
	return 0;
}

static int close_store(UNUSED void **state)
{
	catalog_close(catalog);
	test_dir_remove(dir);
	return 0;
}

// A caller with this token (NULL: none) at a route with this scope.
static bool agents_may;

static int ask(const struct auth *a, const char *token, unsigned scope, struct principal *ret,
	       struct err *e)
{
	char header[128];
	int rc;

	request_init(&rq, NULL);
	route = (struct route){.name = "x", .scope = scope, .agents = agents_may};
	rq.route = &route;
	if (token) {
		snprintf(header, sizeof(header), "Bearer %s", token);
		assert_int_equal(request_add_header(&rq, STR("authorization"), str_from(header), e),
				 0);
	}
	rc = auth_authorize(a, &rq, ret, e);
	request_deinit(&rq);
	return rc;
}

static void without_tokens_loopback_is_open(UNUSED void **state)
{
	struct auth a = {.catalog = catalog, .loopback = true};
	struct err e = ERR_INIT;
	struct principal p;

	assert_ok(auth_check_start(&a, &e));
	assert_ok(ask(&a, NULL, SCOPE_UPLOAD, &p, &e));
	assert_string_equal(p.name, "anonymous");
	assert_ok(ask(&a, NULL, SCOPE_ADMIN, &p, &e));
	assert_ok(ask(&a, NULL, SCOPE_READ, &p, &e));
	assert_int_equal(ask(&a, "nonsense", SCOPE_UPLOAD, &p, &e), -1);
	assert_err(&e, ERR_UNAUTHORIZED, "unknown or was revoked");
}

static void beyond_loopback_needs_a_token_to_start(UNUSED void **state)
{
	struct auth a = {.catalog = catalog};
	struct err e = ERR_INIT;
	struct principal p;

	assert_int_equal(auth_check_start(&a, &e), -1);
	assert_err(&e, ERR_CONFIG, "--allow-anonymous-write");
	assert_int_equal(ask(&a, NULL, SCOPE_PUSH, &p, &e), -1);
	assert_err(&e, ERR_UNAUTHORIZED, "scope 'push'");
	assert_ok(ask(&a, NULL, SCOPE_READ, &p, &e));
	a.allow_anonymous_write = true;
	assert_ok(auth_check_start(&a, &e));
	assert_ok(ask(&a, NULL, SCOPE_PUSH, &p, &e));
	assert_int_equal(ask(&a, NULL, SCOPE_ADMIN, &p, &e), -1);
	assert_err(&e, ERR_UNAUTHORIZED, "scope 'admin'");
}

static void tokens_allow_their_scopes(UNUSED void **state)
{
	struct auth a = {.catalog = catalog, .loopback = true};
	struct err e = ERR_INIT;
	struct principal p;
	char push[80];
	char admin[80];

	assert_ok(token_create(catalog, "agent", SCOPE_PUSH, push, &e));
	assert_ok(token_create(catalog, "root", SCOPE_ADMIN, admin, &e));
	a.loopback = false;
	assert_ok(auth_check_start(&a, &e));
	a.loopback = true;
	assert_int_equal(ask(&a, NULL, SCOPE_PUSH, &p, &e), -1); // now that there are tokens
	assert_err(&e, ERR_UNAUTHORIZED, "scope 'push'");
	assert_ok(ask(&a, push, SCOPE_PUSH, &p, &e));
	assert_string_equal(p.name, "agent");
	assert_int_equal(ask(&a, push, SCOPE_UPLOAD, &p, &e), -1);
	assert_err(&e, ERR_FORBIDDEN, "token 'agent' has no scope 'upload'");
	assert_ok(ask(&a, admin, SCOPE_UPLOAD, &p, &e));
	a.require_read_token = true;
	assert_int_equal(ask(&a, NULL, SCOPE_READ, &p, &e), -1);
	assert_ok(ask(&a, NULL, 0, &p, &e));
	assert_ok(token_revoke(catalog, "agent", &e));
	assert_int_equal(ask(&a, push, SCOPE_PUSH, &p, &e), -1);
	assert_err(&e, ERR_UNAUTHORIZED, "revoked");
}

static void agents_go_where_the_route_says(UNUSED void **state)
{
	struct auth a = {.catalog = catalog};
	struct err e = ERR_INIT;
	struct principal p;
	char agent[80];

	assert_ok(token_create(catalog, "host-1", SCOPE_AGENT, agent, &e));
	assert_int_equal(ask(&a, agent, SCOPE_UPLOAD, &p, &e), -1);
	assert_err(&e, ERR_FORBIDDEN, "token 'host-1' has no scope 'upload'");
	agents_may = true;
	assert_ok(ask(&a, agent, SCOPE_UPLOAD, &p, &e));
	assert_int_equal(p.scopes, SCOPE_AGENT);
	assert_int_equal(ask(&a, NULL, SCOPE_UPLOAD, &p, &e), -1);
	assert_err(&e, ERR_UNAUTHORIZED, "scope 'upload'");
	agents_may = false;
}

static void scopes_are_read_and_written(UNUSED void **state)
{
	struct err e = ERR_INIT;
	char text[AUTH_SCOPES_TEXT];
	unsigned s;

	assert_ok(auth_scopes_parse(STR("admin, read"), &s, &e));
	assert_int_equal(s, SCOPE_ADMIN | SCOPE_READ);
	auth_scopes_text(s, text);
	assert_string_equal(text, "read,admin");
	auth_scopes_text(31, text);
	assert_string_equal(text, "read,push,upload,admin,agent");
	assert_int_equal(auth_scopes_parse(STR("read,write"), &s, &e), -1);
	assert_err(&e, ERR_USAGE, "'write' is not a scope");
	assert_int_equal(auth_scopes_parse(STR(""), &s, &e), -1);
	assert_err(&e, ERR_USAGE, "no scope given");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_tokens_loopback_is_open, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(beyond_loopback_needs_a_token_to_start, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(tokens_allow_their_scopes, open_store, close_store),
		cmocka_unit_test_setup_teardown(agents_go_where_the_route_says, open_store, close_store),
		cmocka_unit_test(scopes_are_read_and_written),
	};

	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
