/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request.h"

#include "base/compress.h"
#include "base/testing.h"

static struct request rq;

static int make_request(UNUSED void **state)
{
	request_init(&rq, NULL);
	return 0;
}

static int drop_request(UNUSED void **state)
{
	request_deinit(&rq);
	return 0;
}

static void add(const char *name, const char *value)
{
	struct err e = ERR_INIT;

	assert_ok(request_add_header(&rq, str_from(name), str_from(value), &e));
}

static void aim_at(const char *target)
{
	struct err e = ERR_INIT;

	assert_ok(target_parse(&rq.arena, str_from(target), &rq.target, &e));
}

static void headers_are_found_in_any_case(UNUSED void **state)
{
	struct err e = ERR_INIT;

	add("Content-Type", "  Application/JSON; charset=utf-8 ");
	add("X-Twice", "1");
	add("x-twice", "2");
	assert_str(request_header(&rq, "content-TYPE"), "Application/JSON; charset=utf-8");
	assert_str(request_header(&rq, "X-TWICE"), "1");
	assert_str(request_header(&rq, "Nothing"), "");
	assert_true(request_content_type_is(&rq, "application/json"));
	assert_false(request_content_type_is(&rq, "application/proto"));
	while (rq.header_count < REQUEST_HEADERS_MAX)
		add("n", "v");
	assert_int_equal(request_add_header(&rq, STR("n"), STR("v"), &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "more than 100 request headers");
}

static void waits_are_clipped(UNUSED void **state)
{
	struct err e = ERR_INIT;
	uint64_t ms;

	aim_at("/x");
	assert_ok(request_wait_ms(&rq, 30000, &ms, &e));
	assert_int_equal(ms, 30000);
	aim_at("/x?wait=0.5");
	assert_ok(request_wait_ms(&rq, 30000, &ms, &e));
	assert_int_equal(ms, 500);
	aim_at("/x?wait=99999");
	assert_ok(request_wait_ms(&rq, 0, &ms, &e));
	assert_int_equal(ms, 300000);
	aim_at("/x?wait=soon");
	assert_int_equal(request_wait_ms(&rq, 0, &ms, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "wait='soon' is not a number of seconds (0 to 300)");
}

static void numbers_and_flags_are_checked(UNUSED void **state)
{
	struct err e = ERR_INIT;
	uint64_t n;

	aim_at("/x?limit=7&force&also=1&not=0");
	assert_ok(request_u64(&rq, "limit", 1, 10, &n, &e));
	assert_int_equal(n, 7);
	assert_ok(request_u64(&rq, "other", 3, 10, &n, &e));
	assert_int_equal(n, 3);
	assert_int_equal(request_u64(&rq, "limit", 1, 6, &n, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "limit='7' is not a number from 0 to 6");
	assert_true(request_flag(&rq, "force") && request_flag(&rq, "also"));
	assert_false(request_flag(&rq, "not") || request_flag(&rq, "absent"));
}

static void set_body(struct str bytes, const char *coding)
{
	request_deinit(&rq);
	request_init(&rq, NULL);
	buf_append_str(&rq.body, bytes);
	if (coding)
		add("Content-Encoding", coding);
}

static void bodies_lose_their_coding(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct buf packed = BUF_INIT(1 << 20);
	struct buf out = BUF_INIT(100);

	set_body(STR("plain"), NULL);
	assert_ok(request_identity_body(&rq, &out, &e));
	assert_str(buf_str(&out), "plain");
	buf_clear(&out);
	assert_ok(gzip_compress(STR("zipped"), 6, &packed, &e));
	set_body(buf_str(&packed), "GZIP");
	assert_ok(request_identity_body(&rq, &out, &e));
	assert_str(buf_str(&out), "zipped");
	buf_clear(&out);
	buf_clear(&packed);
	assert_ok(zstd_compress(STR("packed"), 3, &packed, &e));
	set_body(buf_str(&packed), "zstd");
	assert_ok(request_identity_body(&rq, &out, &e));
	assert_str(buf_str(&out), "packed");
	set_body(STR("junk"), "zstd");
	assert_int_equal(request_identity_body(&rq, &out, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_ENCODING);
	set_body(STR("x"), "br");
	assert_int_equal(request_identity_body(&rq, &out, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "'br' is not supported; use gzip, zstd or none");
	buf_deinit(&packed);
	buf_deinit(&out);
}

static void bombs_are_capped(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct buf zeros = BUF_INIT(1 << 21);
	struct buf packed = BUF_INIT(1 << 20);
	struct buf out = BUF_INIT(1000);
	char *p = buf_reserve(&zeros, 1 << 20);

	assert_non_null(p);
	memset(p, 0, 1 << 20);
	buf_commit(&zeros, 1 << 20);
	assert_ok(gzip_compress(buf_str(&zeros), 6, &packed, &e));
	set_body(buf_str(&packed), "gzip");
	assert_int_equal(request_identity_body(&rq, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_deinit(&zeros);
	buf_deinit(&packed);
	buf_deinit(&out);
}

static void ids_in_the_path_are_noted(UNUSED void **state)
{
	struct err e = ERR_INIT;
	struct build_id ids[2];

	assert_int_equal(request_build_ids(&rq, STR("ABCD"), ids, &e), 1);
	assert_string_equal(rq.build_id, "abcd");
	assert_int_equal(request_build_ids(&rq, STR("zz"), ids, &e), -1);
	assert_err(&e, ERR_BAD_BUILD_ID, "zz");
}

static bool freed;

static void note_free(UNUSED void *state)
{
	freed = true;
}

static void the_doors_state_goes_with_the_request(UNUSED void **state)
{
	rq.state = &rq;
	rq.state_free = note_free;
	freed = false;
	request_deinit(&rq);
	assert_true(freed);
}

#define WITH_REQUEST(test) cmocka_unit_test_setup_teardown(test, make_request, drop_request)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REQUEST(headers_are_found_in_any_case),
		WITH_REQUEST(waits_are_clipped),
		WITH_REQUEST(numbers_and_flags_are_checked),
		WITH_REQUEST(bodies_lose_their_coding),
		WITH_REQUEST(bombs_are_capped),
		WITH_REQUEST(ids_in_the_path_are_noted),
		WITH_REQUEST(the_doors_state_goes_with_the_request),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
