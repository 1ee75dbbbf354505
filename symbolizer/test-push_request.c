/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/push_request.h"

#include "base/mem.h"
#include "base/pb.h"
#include "tests/unit/toolbox.h"

static struct arena arena;
static struct buf body;
static struct push_request rq;
static struct err e;

static int setup(void **state)
{
	(void)state;
	arena = ARENA_INIT(MIB(16));
	body = BUF_INIT(MIB(16));
	e = ERR_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&body);
	arena_deinit(&arena);
	return 0;
}

static void assert_str(struct str s, const char *want)
{
	if (!str_is(s, want))
		fail_msg("'" STR_FMT "', not '%s'", STR_ARG(s), want);
}

static void put_pair(uint32_t number, struct str first, struct str second)
{
	size_t mark = pb_open(&body, number);

	pb_put_bytes_always(&body, 1, first);
	pb_put_bytes_always(&body, 2, second);
	pb_close(&body, mark);
}

static void check_sample_request(void)
{
	assert_int_equal(rq.series_count, 2);
	assert_int_equal(rq.series[0].label_count, 2);
	assert_str(rq.series[0].labels[0].name, "__name__");
	assert_str(rq.series[0].labels[0].value, "process_cpu");
	assert_str(rq.series[0].labels[1].name, "service_name");
	assert_str(rq.series[0].labels[1].value, "shop");
	assert_int_equal(rq.series[0].profile_count, 1);
	assert_int_equal(rq.series[0].profiles[0].raw.n, 5);
	assert_memory_equal(rq.series[0].profiles[0].raw.p, "\x1f\x8b\0\xff\xfe", 5);
	assert_str(rq.series[0].profiles[0].id, "0f-1");
	assert_int_equal(rq.series[1].label_count, 0);
	assert_int_equal(rq.series[1].profile_count, 0);
}

static void protobuf_is_read(void **state)
{
	size_t mark = pb_open(&body, 1);

	(void)state;
	put_pair(1, STR("service_name"), STR("shop"));
	put_pair(1, STR("__name__"), STR("process_cpu"));
	put_pair(2, (struct str){"\x1f\x8b\0\xff\xfe", 5}, STR("0f-1"));
	put_pair(3, STR("annotation"), STR("ignored"));
	pb_close(&body, mark);
	pb_put_bytes_always(&body, 1, STR_EMPTY);
	pb_put_u64(&body, 9, 1);
	if (push_request_decode(buf_str(&body), &arena, &rq, &e))
		fail_msg("%s", e.msg);
	check_sample_request();
}

static void json_is_read(void **state)
{
	const char *json =
		"{\"series\":[{\"labels\":[{\"name\":\"service_name\",\"value\":\"shop\"},"
		"{\"name\":\"__name__\",\"value\":\"process_cpu\"}],"
		"\"samples\":[{\"rawProfile\":\"H4sA//4=\",\"ID\":\"0f-1\"}],\"annotations\":[]},"
		"{\"labels\":null}],\"future\":true}";

	(void)state;
	if (push_request_decode_json(str_from(json), &arena, &rq, &e))
		fail_msg("%s", e.msg);
	check_sample_request();
}

static void what_is_written_is_read_back(void **state)
{
	struct buf out = BUF_INIT(MIB(1));

	(void)state;
	json_is_read(NULL);
	push_request_encode(&rq, &out);
	assert_int_equal(push_request_decode(buf_str(&out), &arena, &rq, &e), 0);
	check_sample_request();
	buf_deinit(&out);
}

static void base64_in_all_spellings(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{"QQ==", "A"},	  {"QQ", "A"},		   {"QUI=", "AB"},     {"QUI", "AB"},
		{"QUJD", "ABC"},  {"fn5-fg", "~~~~"},	   {"fn5+fg==", "~~~~"}, {"Pz8_", "???"},
		{"Pz8/", "???"},  {"QUJDREVGRw", "ABCDEFG"},
	};
	char json[256];

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		snprintf(json, sizeof(json),
			 "{\"series\":[{\"samples\":[{\"raw_profile\":\"%s\"}]}]}", cases[i].text);
		if (push_request_decode_json(str_from(json), &arena, &rq, &e))
			fail_msg("%s: %s", cases[i].text, e.msg);
		assert_str(rq.series[0].profiles[0].raw, cases[i].want);
		assert_str(rq.series[0].profiles[0].id, "");
	}
}

static void expect_json_error(const char *json, enum err_kind kind, const char *want)
{
	assert_int_equal(push_request_decode_json(str_from(json), &arena, &rq, &e), -1);
	assert_int_equal(e.kind, kind);
	if (!str_has_prefix(str_from(e.msg), str_from(want)))
		fail_msg("'%s', not '%s'", e.msg, want);
}

static void bad_json_is_refused(void **state)
{
	(void)state;
	expect_json_error("{", ERR_BAD_JSON, "");
	expect_json_error("[]", ERR_BAD_REQUEST, "push: the request is not an object");
	expect_json_error("{\"series\":7}", ERR_BAD_REQUEST, "push: 'series' is not a list");
	expect_json_error("{\"series\":[7]}", ERR_BAD_REQUEST, "push: series 0: a series is not an object");
	expect_json_error("{\"series\":[{\"labels\":[1]}]}", ERR_BAD_REQUEST,
			  "push: series 0: a label is not an object");
	expect_json_error("{\"series\":[{\"labels\":[{\"name\":1}]}]}", ERR_BAD_REQUEST,
			  "push: series 0: 'name' is not a string");
	expect_json_error("{\"series\":[{\"samples\":[{}]}]}", ERR_BAD_REQUEST,
			  "push: series 0: a sample has no 'rawProfile' text");
	expect_json_error("{\"series\":[{\"samples\":[{\"rawProfile\":\"QQ*=\"}]}]}", ERR_BAD_REQUEST,
			  "push: series 0: rawProfile is not base64: byte 2 is 0x2a");
	expect_json_error("{\"series\":[{\"samples\":[{\"rawProfile\":\"QUJDR\"}]}]}", ERR_BAD_REQUEST,
			  "push: series 0: rawProfile is not base64: its length is impossible");
}

static void expect_label_error(struct str name, struct str value, enum err_kind kind,
			       const char *want)
{
	size_t mark;

	buf_clear(&body);
	mark = pb_open(&body, 1);
	put_pair(1, STR("a"), STR("1"));
	put_pair(1, name, value);
	pb_close(&body, mark);
	assert_int_equal(push_request_decode(buf_str(&body), &arena, &rq, &e), -1);
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.msg, want);
}

static void labels_follow_rules(void **state)
{
	static char text[4096];

	(void)state;
	memset(text, 'x', sizeof(text));
	expect_label_error(STR("a"), STR("2"), ERR_BAD_REQUEST,
			   "push: series 0: label 'a' is there twice");
	expect_label_error(STR(""), STR("2"), ERR_BAD_REQUEST, "push: series 0: a label has no name");
	expect_label_error(STR("b"), STR("\xff"), ERR_BAD_REQUEST,
			   "push: series 0: a label is not UTF-8");
	expect_label_error((struct str){text, 1025}, STR("2"), ERR_TOO_LARGE,
			   "push: series 0: a label name has 1025 bytes; at most 1024");
	expect_label_error(STR("b"), (struct str){text, 2049}, ERR_TOO_LARGE,
			   "push: series 0: the value of label 'b' has 2049 bytes; at most 2048");
}

static void counts_are_capped(void **state)
{
	size_t mark = pb_open(&body, 1);

	(void)state;
	for (int i = 0; i <= PUSH_LABELS_MAX; i++)
		put_pair(1, STR("a"), STR("1"));
	pb_close(&body, mark);
	assert_int_equal(push_request_decode(buf_str(&body), &arena, &rq, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "push: series 0: 65 labels; at most 64");

	buf_clear(&body);
	for (int i = 0; i <= PUSH_SERIES_MAX; i++)
		pb_put_bytes_always(&body, 1, STR_EMPTY);
	assert_int_equal(push_request_decode(buf_str(&body), &arena, &rq, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "push: 4097 series in one request; at most 4096");

	buf_clear(&body);
	for (int s = 0; s < 2; s++) {
		mark = pb_open(&body, 1);
		for (int i = 0; i < PUSH_PROFILES_MAX * 3 / 4; i++)
			pb_put_bytes_always(&body, 2, STR_EMPTY);
		pb_close(&body, mark);
	}
	assert_int_equal(push_request_decode(buf_str(&body), &arena, &rq, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "push: 24576 profiles in one request; at most 16384");
}

static void every_truncation_is_survived(void **state)
{
	size_t mark = pb_open(&body, 1);

	(void)state;
	put_pair(1, STR("__name__"), STR("process_cpu"));
	put_pair(2, STR("raw"), STR("id"));
	pb_close(&body, mark);
	for (size_t n = 1; n < body.n; n++) {
		char *exact = mem_dup(body.p, n);

		assert_non_null(exact);
		assert_int_equal(push_request_decode((struct str){exact, n}, &arena, &rq, &e), -1);
		assert_int_equal(e.kind, ERR_BAD_PROTOBUF);
		free(exact);
	}
	assert_int_equal(push_request_decode(buf_str(&body), &arena, &rq, &e), 0);
	body.p[0] = 8; // a number where the series should be
	assert_int_equal(push_request_decode(buf_str(&body), &arena, &rq, &e), -1);
	assert_string_equal(e.msg, "push: field 1 of the request has wire type 0, not 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(protobuf_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(json_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(base64_in_all_spellings, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_json_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(labels_follow_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_are_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(every_truncation_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests_name("push_request", tests, NULL, NULL);
}
