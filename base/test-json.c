/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/testing.h"
#include <math.h>

static void commas_come_by_themselves(void **state)
{
	struct buf b = BUF_INIT(1000);
	struct json_out j = JSON_OUT(&b);

	(void)state;
	json_obj(&j);
	json_kv_cstr(&j, "s", "x");
	json_key(&j, "a");
	json_arr(&j);
	json_u64(&j, UINT64_MAX);
	json_i64(&j, INT64_MIN);
	json_obj(&j);
	json_end_obj(&j);
	json_arr(&j);
	json_end_arr(&j);
	json_null_(&j);
	json_hex(&j, 0x1139);
	json_end_arr(&j);
	json_kv_bool(&j, "t", true);
	json_kv_u64(&j, "u", 1);
	json_kv_i64(&j, "i", -1);
	json_kv_str(&j, "v", STR("view"));
	json_end_obj(&j);
	assert_str(buf_str(&b), "{\"s\":\"x\",\"a\":[18446744073709551615,-9223372036854775808,{},[],"
				"null,\"0x1139\"],\"t\":true,\"u\":1,\"i\":-1,\"v\":\"view\"}");
	buf_deinit(&b);
}

static void check_string(struct str in, const char *want)
{
	struct buf b = BUF_INIT(1000);
	struct json_out j = JSON_OUT(&b);

	json_str_(&j, in);
	assert_str(buf_str(&b), want);
	buf_deinit(&b);
}

static void strings_are_escaped_and_mended(void **state)
{
	(void)state;
	check_string(STR(""), "\"\"");
	check_string(STR("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
	check_string(STR("\b\f\n\r\t\x01\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
	check_string(STR("a\0b"), "\"a\\u0000b\"");
	check_string(STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
		     "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
	check_string(STR("x\xc3"), "\"x\xef\xbf\xbd\"");
	check_string(STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_string(STR("\xc2\x85\xc2\xa0"), "\"\\u0085\xc2\xa0\"");
}

static void check_number(double v, const char *want)
{
	struct buf b = BUF_INIT(1000);
	struct json_out j = JSON_OUT(&b);

	json_f64(&j, v);
	assert_str(buf_str(&b), want);
	buf_deinit(&b);
}

static void numbers_keep_their_value(void **state)
{
	(void)state;
	check_number(0.1, "0.1");
	check_number(1e300, "1e+300");
	check_number(1.0 / 3, "0.33333333333333331");
	check_number(-5, "-5");
	check_number((double)NAN, "null");
	check_number((double)INFINITY, "null");
}

static void what_is_written_reads_back(void **state)
{
	struct buf b = BUF_INIT(10000);
	struct json_out j = JSON_OUT(&b);
	struct err e = ERR_INIT;
	json_t *root = NULL;
	char all[255];

	(void)state;
	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (char)(i + 1);
	json_obj(&j);
	json_kv_str(&j, "all", (struct str){all, sizeof(all)});
	json_kv_u64(&j, "n", 12);
	json_kv_bool(&j, "yes", true);
	json_end_obj(&j);
	assert_ok(json_parse(buf_str(&b), &root, &e));
	assert_true(str_has_prefix(json_get_str(root, "all"), STR("\x01\x02")));
	assert_int_equal(json_get_u64(root, "n", 0), 12);
	assert_true(json_get_bool(root, "yes", false));
	json_decref(root);
	buf_deinit(&b);
}

static void addresses_beyond_jansson_are_text(void **state)
{
	struct buf b = BUF_INIT(1000);
	struct json_out j = JSON_OUT(&b);
	struct err e = ERR_INIT;
	json_t *root = NULL;

	(void)state;
	json_obj(&j);
	json_kv_address(&j, "low", 0x401000);
	json_kv_address(&j, "last", INT64_MAX);
	json_kv_address(&j, "first", (uint64_t)INT64_MAX + 1);
	json_kv_address(&j, "kernel", UINT64_C(0xffffffff81000000));
	json_end_obj(&j);
	assert_str(buf_str(&b), "{\"low\":4198400,\"last\":9223372036854775807,"
				"\"first\":\"0x8000000000000000\",\"kernel\":\"0xffffffff81000000\"}");
	assert_ok(json_parse(buf_str(&b), &root, &e));
	assert_true(json_get_u64(root, "low", 0) == 0x401000);
	assert_true(json_get_u64(root, "last", 0) == INT64_MAX);
	assert_true(json_get_u64(root, "first", 0) == (uint64_t)INT64_MAX + 1);
	assert_true(json_get_u64(root, "kernel", 0) == UINT64_C(0xffffffff81000000));
	json_decref(root);
	assert_ok(json_parse(STR("{\"a\":\"0x\",\"b\":\"12\",\"c\":\"0x11112222333344445\",\"d\":\"0x1g\"}"),
			     &root, &e));
	for (const char *key = "abcd"; *key; key++)
		assert_int_equal(json_get_u64(root, (char[]){*key, '\0'}, 7), 7);
	json_decref(root);
	buf_deinit(&b);
}

static void members_have_defaults(void **state)
{
	struct err e = ERR_INIT;
	json_t *root = NULL;

	(void)state;
	assert_ok(json_parse(STR("{\"n\":-1,\"s\":1,\"b\":\"true\"}"), &root, &e));
	assert_int_equal(json_get_u64(root, "n", 5), 5);
	assert_int_equal(json_get_u64(root, "absent", 6), 6);
	assert_str(json_get_str(root, "s"), "");
	assert_false(json_get_bool(root, "b", false));
	assert_str(json_get_str(NULL, "s"), "");
	json_decref(root);
}

static void check_bad(struct str text, enum err_kind kind, const char *part)
{
	struct err e = ERR_INIT;
	json_t *root = NULL;

	assert_int_equal(json_parse(text, &root, &e), -1);
	assert_null(root);
	assert_err(&e, kind, part);
}

static void bad_documents_are_refused(void **state)
{
	char deep[200];

	(void)state;
	check_bad(STR("{\"a\":\n x}"), ERR_BAD_JSON, "JSON line 2, column 2: ");
	check_bad(STR("{\"a\":1,\"a\":2}"), ERR_BAD_JSON, "duplicate object key");
	check_bad(STR("{} x"), ERR_BAD_JSON, "JSON line 1");
	check_bad(STR(""), ERR_BAD_JSON, "JSON line 1");
	check_bad(STR("\"cut off\\"), ERR_BAD_JSON, "JSON line 1");
	check_bad(STR("{\"a\":\"\xff\"}"), ERR_BAD_JSON, "JSON line 1");
	memset(deep, '[', sizeof(deep));
	check_bad((struct str){deep, sizeof(deep)}, ERR_TOO_DEEP, "more than 64 levels");
}

static void brackets_in_strings_are_not_depth(void **state)
{
	struct buf b = BUF_INIT(1000);
	struct err e = ERR_INIT;
	json_t *root = NULL;

	(void)state;
	buf_puts(&b, "[\"\\\"");
	for (unsigned i = 0; i < 200; i++)
		buf_append_c(&b, '[');
	buf_puts(&b, "\"]");
	assert_ok(json_parse(buf_str(&b), &root, &e));
	json_decref(root);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_come_by_themselves),
		cmocka_unit_test(strings_are_escaped_and_mended),
		cmocka_unit_test(numbers_keep_their_value),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(addresses_beyond_jansson_are_text),
		cmocka_unit_test(members_have_defaults),
		cmocka_unit_test(bad_documents_are_refused),
		cmocka_unit_test(brackets_in_strings_are_not_depth),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
