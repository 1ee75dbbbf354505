/* SPDX-License-Identifier: Apache-2.0 */
#include "store/profile_dir.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "store/folder.h"
#include "store/test-folder.h"
#include <cmocka.h>
#include <string.h>

#define DAY_NS (24 * 3600 * 1000000000LL)
#define START (1795219200LL * 1000000000LL) /* 2026-11-21T00:00:00Z */

static struct profile_dir *dir;

static void open_dir(const char *path)
{
	struct err e = ERR_INIT;

	if (profile_dir_open(path, &dir, &e))
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	*state = test_folder_make();
	open_dir(*state);
	return 0;
}

static int tear_down(void **state)
{
	profile_dir_close(dir);
	test_folder_remove(*state);
	return 0;
}

static const struct profile_label api[] = {
	{STR("__name__"), STR("cpu")},
	{STR("service_name"), STR("api")},
};
static const struct profile_label db[] = {
	{STR("__name__"), STR("cpu")},
	{STR("service_name"), STR("db")},
};

static struct profile_segment segment(const struct profile_label *labels, int64_t from, int64_t to,
				      const char *bytes)
{
	static const struct str unresolved[] = {STR("aa11"), STR("bb22")};

	return (struct profile_segment){
		.series = {labels, 2},
		.from_unix_ns = from,
		.to_unix_ns = to,
		.samples = 7,
		.pprof = str_from(bytes),
		.unresolved = unresolved,
		.unresolved_count = 2,
	};
}

static void write_segments(const struct profile_segment *s, size_t n)
{
	struct err e = ERR_INIT;

	if (profile_dir_write(dir, s, n, NULL, &e))
		fail_msg("%s", e.msg);
}

// What a query gives: the bytes, one after the other.
static int append_pprof(void *ctx, const struct profile_segment *s, struct err *e)
{
	(void)e;
	assert_int_equal(s->series.n, 2);
	assert_true(str_is(s->series.labels[0].name, "__name__"));
	assert_true(str_is(s->series.labels[0].value, "cpu"));
	assert_int_equal(s->samples, 7);
	assert_int_equal(s->unresolved_count, 2);
	assert_true(str_is(s->unresolved[1], "bb22"));
	buf_append_str(ctx, s->pprof);
	return 0;
}

static void assert_query(const char *match, int64_t from, int64_t to, const char *expect)
{
	_cleanup_(buf_deinit) struct buf got = BUF_INIT(4096);
	struct profile_matchers *m = NULL;
	struct err e = ERR_INIT;

	if ((match && profile_matchers_parse(str_from(match), &m, &e)) ||
	    profile_dir_query(dir, &(struct profile_search){m, from, to, NULL}, append_pprof, &got, &e))
		fail_msg("%s", e.msg);
	profile_matchers_free(m);
	buf_append_c(&got, '\0');
	assert_string_equal(got.p, expect);
}

static void write_three(void)
{
	const struct profile_segment s[] = {
		segment(api, START, START + 10, "A1"),
		segment(db, START, START + 10, "D1"),
		segment(api, START + DAY_NS, START + DAY_NS + 10, "A2"),
	};

	write_segments(s, 3);
}

static void test_write_and_query(void **state)
{
	write_three();
	assert_query(NULL, 0, INT64_MAX, "A1A2D1");
	assert_query("{service_name=\"api\"}", 0, INT64_MAX, "A1A2");
	assert_query("{service_name=~\"d.\"}", 0, INT64_MAX, "D1");
	assert_query("{service_name=\"none\"}", 0, INT64_MAX, "");
	assert_query("cpu{service_name!=\"db\"}", 0, INT64_MAX, "A1A2");
	assert_query(NULL, START + 10, START + 10, "A1D1"); // ends belong to it
	assert_query(NULL, START + 11, START + DAY_NS - 1, "");
	profile_dir_close(dir);
	open_dir(*state);
	assert_query(NULL, 0, INT64_MAX, "A1A2D1");
}

static int file_names(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)path;
	(void)e;
	buf_printf(ctx, "%s\n", name);
	return 0;
}

static void test_files_lie_in_day_folders(void **state)
{
	_cleanup_(buf_deinit) struct buf names = BUF_INIT(4096);
	char path[FOLDER_PATH];
	struct profile_segment s =
		segment(api, START + 3723LL * 1000000000, START + 3724LL * 1000000000, "x");
	struct err e = ERR_INIT;

	write_segments(&s, 1);
	assert_int_equal(folder_path(path, &e, *state, "2026-11-21"), 0);
	assert_int_equal(folder_each(path, file_names, &names, &e), 0);
	assert_memory_equal(buf_str(&names).p, "010203-", 7);
	assert_true(str_has_suffix(buf_str(&names), STR("-1.pb.zst\n")));
}

static void test_files_without_rows_go(void **state)
{
	char orphan[FOLDER_PATH];
	char tmp[FOLDER_PATH];
	struct err e = ERR_INIT;

	write_three();
	profile_dir_close(dir);
	assert_int_equal(folder_path(orphan, &e, *state, "2026-11-21/000000-0-99.pb.zst"), 0);
	assert_int_equal(folder_path(tmp, &e, *state, "tmp/.tmp-abcdef"), 0);
	assert_int_equal(io_write_file(orphan, "x", 1, 0600, &e), 0);
	assert_int_equal(io_write_file(tmp, "x", 1, 0600, &e), 0);
	open_dir(*state);
	assert_int_equal(access(orphan, F_OK), -1);
	assert_int_equal(access(tmp, F_OK), -1);
	assert_query(NULL, 0, INT64_MAX, "A1A2D1");
}

static int remove_first(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)name;
	(void)e;
	if (!*(int *)ctx)
		assert_int_equal(unlink(path), 0);
	else
		assert_int_equal(truncate(path, 5), 0);
	++*(int *)ctx;
	return 0;
}

static void test_lost_and_damaged_files_are_left_out(void **state)
{
	char path[FOLDER_PATH];
	struct err e = ERR_INIT;
	int n = 0;

	write_three();
	assert_int_equal(folder_path(path, &e, *state, "2026-11-21"), 0);
	assert_int_equal(folder_each(path, remove_first, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_query(NULL, 0, INT64_MAX, "A2");
	assert_int_equal(profile_dir_unreadable(dir), 2);
}

static void test_all_or_none(void **state)
{
	struct profile_segment s[] = {
		segment(api, START, START + 10, "A1"),
		segment(api, START + 10, START, "backwards"),
	};
	struct err e = ERR_INIT;
	char path[FOLDER_PATH];
	_cleanup_(buf_deinit) struct buf names = BUF_INIT(4096);

	assert_int_equal(profile_dir_write(dir, s, 2, NULL, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_REQUEST);
	assert_string_equal(e.msg, "writing 2 segments: a segment ends before it begins");
	assert_query(NULL, 0, INT64_MAX, "");
	assert_int_equal(folder_path(path, &e, *state, "2026-11-21"), 0);
	assert_int_equal(folder_each(path, file_names, &names, &e), 0);
	assert_int_equal(names.n, 0);
	// numbers of files are not used again even so
	s[0] = segment(api, START, START + 10, "A3");
	write_segments(s, 1);
	profile_dir_close(dir);
	open_dir(*state);
	s[0] = segment(api, START, START + 10, "A4");
	write_segments(s, 1);
	assert_query(NULL, 0, INT64_MAX, "A3A4");
}

static void test_label_with_nul(void **state)
{
	static const struct profile_label bad[] = {{STR("__name__"), STR("a\0b")}, {STR("x"), STR("y")}};
	struct profile_segment s = segment(bad, START, START + 10, "x");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(profile_dir_write(dir, &s, 1, NULL, &e), -1);
	assert_string_equal(e.msg, "writing 1 segments: a label has a NUL byte");
}

static int stop(void *ctx, const struct profile_segment *s, struct err *e)
{
	(void)s;
	++*(int *)ctx;
	return err_set(e, ERR_TOO_LARGE, "enough");
}

static void test_callback_can_stop(void **state)
{
	struct err e = ERR_INIT;
	int n = 0;

	(void)state;
	write_three();
	assert_int_equal(profile_dir_query(dir, &(struct profile_search){.to_unix_ns = INT64_MAX}, stop, &n, &e), -1);
	assert_int_equal(n, 1);
	assert_string_equal(e.msg, "enough");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write_and_query),
		TEST(test_files_lie_in_day_folders),
		TEST(test_files_without_rows_go),
		TEST(test_lost_and_damaged_files_are_left_out),
		TEST(test_all_or_none),
		TEST(test_label_with_nul),
		TEST(test_callback_can_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
