/* SPDX-License-Identifier: Apache-2.0 */
#include "server/target.h"

#include "base/testing.h"

static struct arena arena = ARENA_INIT(1 << 20);

static struct target parsed(const char *text)
{
	struct err e = ERR_INIT;
	struct target t;

	assert_ok(target_parse(&arena, str_from(text), &t, &e));
	return t;
}

static void assert_refused(const char *text, enum err_kind kind, const char *part)
{
	struct err e = ERR_INIT;
	struct target t;

	assert_int_equal(target_parse(&arena, str_from(text), &t, &e), -1);
	assert_err(&e, kind, part);
}

static void paths_are_split_and_decoded_once(UNUSED void **state)
{
	struct target t = parsed("/v1/debuginfo/a%2Fb%252e/c");

	assert_int_equal(t.segment_count, 4);
	assert_str(t.segments[2], "a/b%2e");
	assert_str(t.path, "/v1/debuginfo/a/b%2e/c");
	assert_str(target_tail(&t, 2), "a/b%2e/c");
	assert_str(target_tail(&t, 4), "");
	t = parsed("/");
	assert_int_equal(t.segment_count, 1);
	assert_str(t.segments[0], "");
	t = parsed("/a//b/");
	assert_int_equal(t.segment_count, 4);
	assert_str(t.segments[1], "");
	assert_str(t.segments[3], "");
	t = parsed("http://host:80/x?y=1");
	assert_str(t.path, "/x");
	assert_str(parsed("http://host").path, "/");
}

static void arguments_are_decoded(UNUSED void **state)
{
	struct target t = parsed("/q?match=%7Ba%3D%22b+c%22%7D&&flag&x=1=2&x=3&plus=a%2Bb");
	struct str v;

	assert_true(target_arg(&t, "match", &v));
	assert_str(v, "{a=\"b c\"}");
	assert_true(target_arg(&t, "flag", &v));
	assert_str(v, "");
	assert_true(target_arg(&t, "x", &v));
	assert_str(v, "1=2");
	assert_true(target_arg(&t, "plus", &v));
	assert_str(v, "a+b");
	assert_false(target_arg(&t, "none", &v));
}

static void malformed_targets_are_refused(UNUSED void **state)
{
	static char many[400] = "";

	assert_refused("", ERR_BAD_PATH, "slash");
	assert_refused("*", ERR_BAD_PATH, "slash");
	assert_refused("/a%", ERR_BAD_PATH, "segment 1");
	assert_refused("/a/%2", ERR_BAD_PATH, "segment 2");
	assert_refused("/%g0", ERR_BAD_PATH, "escape");
	assert_refused("/a%00b", ERR_BAD_PATH, "NUL");
	assert_refused("/a?x=%0", ERR_BAD_REQUEST, "'x'");
	for (size_t i = 0; i < 80; i++)
		memcpy(many + 2 * i, "/a", 3);
	assert_refused(many, ERR_BAD_PATH, "segments");
	for (size_t i = 0; i < 130; i++)
		memcpy(many + (i ? 1 + 2 * i : 0), i ? "&a" : "/?a", i ? 3 : 4);
	assert_refused(many, ERR_BAD_REQUEST, "query arguments");
}

static void targets_have_a_largest_length(UNUSED void **state)
{
	char *text = malloc(TARGET_MAX + 2);

	assert_non_null(text);
	memset(text, '/', TARGET_MAX + 1);
	text[TARGET_MAX + 1] = '\0';
	assert_refused(text, ERR_BAD_PATH, "longer than");
	free(text);
}

static void dot_segments_are_seen_after_decoding(UNUSED void **state)
{
	struct target t = parsed("/a/%2e%2E/b");

	assert_true(target_has_dots(&t, t.segment_count));
	assert_false(target_has_dots(&t, 1));
	t = parsed("/a/./b");
	assert_true(target_has_dots(&t, t.segment_count));
	t = parsed("/a/.../..b/b..");
	assert_false(target_has_dots(&t, t.segment_count));
}

static int drop_arena(UNUSED void **state)
{
	arena_deinit(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_split_and_decoded_once),
		cmocka_unit_test(arguments_are_decoded),
		cmocka_unit_test(malformed_targets_are_refused),
		cmocka_unit_test(targets_have_a_largest_length),
		cmocka_unit_test(dot_segments_are_seen_after_decoding),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, drop_arena);
}
