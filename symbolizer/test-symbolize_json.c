/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/symbolize_json.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"
#include "tests/unit/fake_resolver.h"

static struct fake fake;
static struct resolver resolver;
static struct buf out;
static size_t pending;
static struct err e;

static int setup(void **state)
{
	(void)state;
	resolver = fake_resolver(&fake);
	out = BUF_INIT(MIB(16));
	pending = 99;
	e = ERR_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&out);
	return 0;
}

static int ask(const char *request)
{
	buf_clear(&out);
	return symbolize_json(str_from(request), &resolver, &symbolize_json_limits_default, &out,
			      &pending, &e);
}

static void expect(const char *request, const char *want)
{
	if (ask(request))
		fail_msg("%s", e.msg);
	assert_string_equal(out.p, want);
	assert_int_equal(fake.opened, fake.released);
}

static void expect_error(const char *request, enum err_kind kind, const char *want)
{
	assert_int_equal(ask(request), -1);
	assert_int_equal(e.kind, kind);
	if (!str_has_prefix(str_from(e.msg), str_from(want)))
		fail_msg("'%s', not '%s'", e.msg, want);
	assert_int_equal(fake.opened, fake.released);
	assert_int_equal(pending, 99);
}

static void frames_are_told(void **state)
{
	(void)state;
	expect("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[\"0x1100\"]}]}",
	       "{\"modules\":[{\"build_id\":\"aaaa\",\"status\":\"ok\",\"addresses\":["
	       "{\"address\":\"0x1100\",\"source\":\"dwarf\",\"frames\":["
	       "{\"function\":\"ns::leaf(int)\",\"system_name\":\"_ZN2ns4leafEi\","
	       "\"file\":\"/src/leaf.cc\",\"line\":12,\"start_line\":10,\"column\":3,\"inlined\":true},"
	       "{\"function\":\"work()\",\"system_name\":\"_Z4workv\",\"file\":\"/src/work.cc\","
	       "\"line\":40,\"start_line\":38,\"column\":9,\"inlined\":false}]}]}]}");
	assert_int_equal(pending, 0);
}

static void addresses_come_in_three_spellings(void **state)
{
	(void)state;
	expect("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[\"0X1200\",\"1200\",4608]}]}",
	       "{\"modules\":[{\"build_id\":\"aaaa\",\"status\":\"ok\",\"addresses\":["
	       "{\"address\":\"0x1200\",\"source\":\"symtab\",\"frames\":[{\"function\":\"plain\","
	       "\"system_name\":\"plain\",\"file\":\"\",\"line\":0,\"start_line\":0,\"inlined\":false}]},"
	       "{\"address\":\"0x1200\",\"source\":\"symtab\",\"frames\":[{\"function\":\"plain\","
	       "\"system_name\":\"plain\",\"file\":\"\",\"line\":0,\"start_line\":0,\"inlined\":false}]},"
	       "{\"address\":\"0x1200\",\"source\":\"symtab\",\"frames\":[{\"function\":\"plain\","
	       "\"system_name\":\"plain\",\"file\":\"\",\"line\":0,\"start_line\":0,\"inlined\":false}]}"
	       "]}]}");
}

static void what_is_unresolved_says_why(void **state)
{
	(void)state;
	expect("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[\"0x1999\"]},"
	       "{\"build_id\":\"bbbb\",\"addresses\":[\"0xffffffffffffffff\"]},"
	       "{\"build_id\":\"cccc\",\"addresses\":[]},"
	       "{\"build_id\":\"no build id!\",\"addresses\":[\"0x1\"]},"
	       "{\"build_id\":\"ffff\",\"addresses\":[1]}]}",
	       "{\"modules\":[{\"build_id\":\"aaaa\",\"status\":\"partial\",\"addresses\":["
	       "{\"address\":\"0x1999\",\"source\":\"none\",\"frames\":[],\"reason\":\"no_symbol\"}]},"
	       "{\"build_id\":\"bbbb\",\"status\":\"pending\",\"reason\":\"pending\",\"detail\":\"fetching\",\"addresses\":["
	       "{\"address\":\"0xffffffffffffffff\",\"source\":\"none\",\"frames\":[],"
	       "\"reason\":\"pending\",\"detail\":\"fetching\"}]},"
	       "{\"build_id\":\"cccc\",\"status\":\"missing\",\"reason\":\"not_found\",\"addresses\":[]},"
	       "{\"build_id\":\"no build id!\",\"status\":\"invalid\",\"reason\":\"bad_build_id\","
	       "\"addresses\":[{\"address\":\"0x1\",\"source\":\"none\",\"frames\":[],"
	       "\"reason\":\"bad_build_id\"}]},"
	       "{\"build_id\":\"ffff\",\"status\":\"invalid\",\"reason\":\"malformed_elf\",\"addresses\":["
	       "{\"address\":\"0x1\",\"source\":\"none\",\"frames\":[],\"reason\":\"malformed_elf\"}]}]}");
	assert_int_equal(pending, 1);
}

static void file_offsets_are_translated(void **state)
{
	(void)state;
	// Offset 0x600 of the file is vaddr 0x1200; 0x9999 is beyond the segment.
	expect("{\"modules\":[{\"build_id\":\"aaaa\",\"address_kind\":\"file_offset\","
	       "\"addresses\":[\"0x600\",\"0x9999\"]},"
	       "{\"build_id\":\"dddd\",\"address_kind\":\"file_offset\",\"addresses\":[\"0x600\"]},"
	       "{\"build_id\":\"cccc\",\"address_kind\":\"file_offset\",\"addresses\":[\"0x600\"]}]}",
	       "{\"modules\":[{\"build_id\":\"aaaa\",\"status\":\"partial\",\"addresses\":["
	       "{\"address\":\"0x600\",\"source\":\"symtab\",\"frames\":[{\"function\":\"plain\","
	       "\"system_name\":\"plain\",\"file\":\"\",\"line\":0,\"start_line\":0,\"inlined\":false}]},"
	       "{\"address\":\"0x9999\",\"source\":\"none\",\"frames\":[],\"reason\":\"address_outside\"}]},"
	       "{\"build_id\":\"dddd\",\"status\":\"partial\",\"addresses\":["
	       "{\"address\":\"0x600\",\"source\":\"none\",\"frames\":[],"
	       "\"reason\":\"no_program_headers\"}]},"
	       "{\"build_id\":\"cccc\",\"status\":\"missing\",\"reason\":\"not_found\",\"addresses\":["
	       "{\"address\":\"0x600\",\"source\":\"none\",\"frames\":[],\"reason\":\"not_found\"}]}]}");
}

static void an_empty_request_has_an_empty_answer(void **state)
{
	(void)state;
	expect("{\"modules\":[],\"more\":1}", "{\"modules\":[]}");
}

static void bad_requests_are_refused(void **state)
{
	(void)state;
	expect_error("{\"modules\":", ERR_BAD_JSON, "");
	expect_error("", ERR_BAD_JSON, "");
	expect_error("[]", ERR_BAD_REQUEST, "the request has no list \"modules\"");
	expect_error("{\"modules\":{}}", ERR_BAD_REQUEST, "the request has no list \"modules\"");
	expect_error("{\"modules\":[7]}", ERR_BAD_REQUEST, "modules[0]: not an object");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\"}]}", ERR_BAD_REQUEST,
		     "modules[0]: addresses is missing or no list");
	expect_error("{\"modules\":[{\"addresses\":[]}]}", ERR_BAD_REQUEST,
		     "modules[0]: build_id is missing or no string");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[],\"address_kind\":\"x\"}]}",
		     ERR_BAD_REQUEST,
		     "modules[0]: address_kind is neither \"virtual\" nor \"file_offset\"");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[]},"
		     "{\"build_id\":\"aaaa\",\"addresses\":[\"0x1\",\"0xzz\"]}]}",
		     ERR_BAD_ADDRESS, "modules[1]: addresses[1] is neither hexadecimal text");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[-1]}]}", ERR_BAD_ADDRESS,
		     "modules[0]: addresses[0] is neither");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[1.5]}]}", ERR_BAD_ADDRESS,
		     "modules[0]: addresses[0] is neither");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[\"0x11112222333344445\"]}]}",
		     ERR_BAD_ADDRESS, "modules[0]: addresses[0] is neither");
	expect_error("{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[\"0x1400\"]}]}", ERR_DB,
		     "modules[0]: the result cache is gone");
	expect_error("{\"modules\":[{\"build_id\":\"fail\",\"addresses\":[]}]}", ERR_DB,
		     "modules[0]: the catalog is gone");
}

static void limits_hold(void **state)
{
	const struct symbolize_json_limits few = {1, 2};
	const char *two = "{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[]},"
			  "{\"build_id\":\"aaaa\",\"addresses\":[]}]}";
	const char *three = "{\"modules\":[{\"build_id\":\"aaaa\",\"addresses\":[1,2,3]}]}";

	(void)state;
	assert_int_equal(symbolize_json(str_from(two), &resolver, &few, &out, &pending, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "2 modules in one request; at most 1");
	assert_int_equal(symbolize_json(str_from(three), &resolver, &few, &out, &pending, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "3 addresses in one request; at most 2");
	out.max = 100;
	assert_int_equal(ask(three), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(fake.opened, fake.released);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_come_in_three_spellings, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_unresolved_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(file_offsets_are_translated, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_request_has_an_empty_answer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bad_requests_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
	};

	return cmocka_run_group_tests_name("symbolize_json", tests, NULL, NULL);
}
