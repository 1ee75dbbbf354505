/* SPDX-License-Identifier: Apache-2.0 */
#include "store/test-catalog_fixture.h"
#include <string.h>

static bool any(void)
{
	bool yes = false;
	struct err e = ERR_INIT;

	assert_int_equal(token_any(catalog, &yes, &e), 0);
	return yes;
}

static void test_life_of_a_token(void **state)
{
	_cleanup_free_ struct token_info *list = NULL;
	struct token_info info;
	struct err e = ERR_INIT;
	char token[80];
	char other[80];
	size_t n;

	(void)state;
	assert_false(any());
	assert_int_equal(token_create(catalog, "ci", SCOPE_UPLOAD | SCOPE_READ, token, &e), 0);
	assert_int_equal(strlen(token), 6 + 64);
	assert_memory_equal(token, "unhex_", 6);
	assert_true(any());
	assert_int_equal(token_check(catalog, str_from(token), &info, &e), 0);
	assert_string_equal(info.name, "ci");
	assert_int_equal(info.scopes, SCOPE_UPLOAD | SCOPE_READ);
	token[20] = token[20] == 'a' ? 'b' : 'a';
	assert_int_equal(token_check(catalog, str_from(token), &info, &e), CATALOG_NOT_FOUND);
	assert_int_equal(token_create(catalog, "ci", SCOPE_READ, other, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "a token named 'ci' is in use; revoke it or choose another name");
	assert_int_equal(token_revoke(catalog, "ci", &e), 0);
	assert_false(any());
	assert_int_equal(token_revoke(catalog, "ci", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "no token named 'ci' is in use");
	assert_int_equal(token_create(catalog, "ci", SCOPE_READ, other, &e), 0);
	assert_int_equal(token_check(catalog, str_from(other), &info, &e), 0);
	assert_int_equal(info.scopes, SCOPE_READ);
	assert_int_equal(token_list(catalog, &list, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_false(list[0].revoked);
}

static void test_revoked_tokens_are_listed_and_refused(void **state)
{
	_cleanup_free_ struct token_info *list = NULL;
	struct token_info info;
	struct err e = ERR_INIT;
	char token[80];
	size_t n;

	(void)state;
	assert_int_equal(token_create(catalog, "agent-1", SCOPE_PUSH, token, &e), 0);
	assert_int_equal(token_revoke(catalog, "agent-1", &e), 0);
	assert_int_equal(token_check(catalog, str_from(token), &info, &e), CATALOG_NOT_FOUND);
	assert_int_equal(token_list(catalog, &list, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_true(list[0].revoked);
	assert_string_equal(list[0].name, "agent-1");
}

static void test_only_the_hash_is_kept(void **state)
{
	_cleanup_free_ char *bytes = NULL;
	struct err e = ERR_INIT;
	char token[80];
	char path[512];
	size_t n;
	FILE *f;

	assert_int_equal(token_create(catalog, "ci", SCOPE_ADMIN, token, &e), 0);
	catalog_close(catalog);
	snprintf(path, sizeof(path), "%s/catalog.db", (char *)*state);
	f = fopen(path, "re");
	assert_non_null(f);
	bytes = calloc(1, 1 << 20);
	n = fread(bytes, 1, 1 << 20, f);
	fclose(f);
	assert_true(n > 0);
	assert_null(memmem(bytes, n, token + 6, 64));
	open_catalog_in(*state);
}

static void test_names(void **state)
{
	struct err e = ERR_INIT;
	char token[80];

	(void)state;
	assert_int_equal(token_create(catalog, "", SCOPE_READ, token, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(token_create(catalog, "a b", SCOPE_READ, token, &e), -1);
	assert_string_equal(e.msg,
			    "a token's name has 1 to 63 letters, digits, '.', '_', '-'; 'a b' has not");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life_of_a_token),
		TEST(test_revoked_tokens_are_listed_and_refused),
		TEST(test_only_the_hash_is_kept),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
