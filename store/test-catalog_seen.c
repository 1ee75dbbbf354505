/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "store/test-catalog_fixture.h"
#include <string.h>

static void see(const char *id, const char *filename, const char *unit, int64_t weight)
{
	struct catalog_seen s = {.weight = weight, .samples = 1, .last_seen_unix_s = 1000};
	struct err e = ERR_INIT;

	snprintf(s.build_id, sizeof(s.build_id), "%s", id);
	snprintf(s.filename, sizeof(s.filename), "%s", filename);
	snprintf(s.unit, sizeof(s.unit), "%s", unit);
	if (catalog_seen_add(catalog, &s, 1, &e))
		fail_msg("%s", e.msg);
}

static int64_t add_file(const char *id_text)
{
	struct build_id id = id_of(id_text);
	struct catalog_new_file f = {.ids = &id, .id_count = 1};
	struct binary b;
	struct err e = ERR_INIT;

	f.file.type = FILE_EXECUTABLE;
	f.file.trust = TRUST_UPLOAD;
	memset(f.file.sha256, '1', SHA256_HEX - 1);
	assert_int_equal(catalog_add_file(catalog, &f, &b, &e), 0);
	return b.id;
}

static void set_index(int64_t binary, int quality)
{
	struct catalog_index ix = {.generation = 1, .quality = quality};
	struct err e = ERR_INIT;

	assert_int_equal(catalog_set_index(catalog, binary, &ix, &e), 0);
}

// What is queued is written before this, for there is one writer.
static json_t *missing(size_t limit)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(MIB(1));
	struct build_id none = id_of("ffffff");
	struct err e = ERR_INIT;
	json_t *doc = NULL;
	json_t *list;

	if (catalog_upstream_forget(catalog, &none, 1, &e) ||
	    catalog_missing_json(catalog, limit, &out, &e) || json_parse(buf_str(&out), &doc, &e))
		fail_msg("%s", e.msg);
	list = json_incref(json_object_get(doc, "missing"));
	json_decref(doc);
	return list;
}

static const char *text_at(const json_t *list, size_t i, const char *name)
{
	return json_string_value(json_object_get(json_array_get(list, i), name));
}

static void test_ranking(void **state)
{
	json_t *m;

	(void)state;
	see("aa11", "prog", "nanoseconds", 300);
	see("aa11", "prog", "nanoseconds", 300);
	see("bb22", "libx.so.1", "nanoseconds", 400);
	see("cc33", "resolved", "nanoseconds", 0);
	m = missing(10);
	assert_int_equal(json_array_size(m), 2);
	assert_string_equal(text_at(m, 0, "build_id"), "aa11");
	assert_string_equal(text_at(m, 0, "filename"), "prog");
	assert_string_equal(text_at(m, 0, "unit"), "nanoseconds");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(m, 0), "weight")), 600);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(m, 0), "samples")), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(m, 0), "last_seen")), 1000);
	assert_float_equal(json_real_value(json_object_get(json_array_get(m, 0), "share")), 0.6, 1e-9);
	assert_string_equal(text_at(m, 0, "reason"), "not uploaded, and no upstream server is configured");
	assert_string_equal(text_at(m, 0, "fix"), "unhex upload --server $UNHEX_SERVER PATH/TO/prog"
			    "  # not stripped, or its .debug file");
	json_decref(m);
	m = missing(1);
	assert_int_equal(json_array_size(m), 1);
	json_decref(m);
}

static void assert_reason(const char *expect)
{
	json_t *m = missing(1);

	assert_string_equal(text_at(m, 0, "reason"), expect);
	json_decref(m);
}

static void test_reasons(void **state)
{
	struct build_id id = id_of("aa11");
	struct err e = ERR_INIT;
	int64_t soon = clock_unix_s() + 60;
	int64_t binary;

	(void)state;
	see("aa11", "prog", "count", 5);
	assert_reason("not uploaded, and no upstream server is configured");
	catalog_asks_upstream(catalog, true);
	assert_reason("not uploaded, and no upstream server was asked yet");
	assert_int_equal(catalog_upstream_put(catalog, &id, FILE_DEBUGINFO, UPSTREAM_ABSENT, soon, "", &e),
			 0);
	assert_reason("not uploaded, and no upstream server has it");
	assert_int_equal(catalog_upstream_put(catalog, &id, FILE_DEBUGINFO, UPSTREAM_ERROR, soon,
					      "connection refused", &e),
			 0);
	assert_reason("not uploaded, and the upstream servers could not be asked: connection refused");
	binary = add_file("aa11");
	assert_reason("its files are being indexed");
	assert_int_equal(catalog_set_failure(catalog, binary, "malformed_elf", "section 3", &e), 0);
	assert_reason("indexing failed: malformed_elf: section 3");
	set_index(binary, 2);
	assert_reason("what is here (dynsym) has no name for these addresses");
}

static void test_an_index_clears_what_was_lost(void **state)
{
	struct err e = ERR_INIT;
	json_t *m;
	int64_t binary;

	(void)state;
	see("aa11", "prog", "count", 5);
	see("bb22", "other", "count", 5);
	binary = add_file("aa11");
	set_index(binary, 6);
	assert_int_equal(catalog_seen_resolved(catalog, binary, &e), 0);
	m = missing(10);
	assert_int_equal(json_array_size(m), 1);
	assert_string_equal(text_at(m, 0, "build_id"), "bb22");
	json_decref(m);
	see("aa11", "prog", "count", 1); // the index did not help
	m = missing(10);
	assert_int_equal(json_array_size(m), 2);
	json_decref(m);
}

static void test_no_build_id(void **state)
{
	json_t *m;

	(void)state;
	see("", "a.out", "count", 5);
	m = missing(10);
	assert_string_equal(text_at(m, 0, "build_id"), "");
	assert_string_equal(text_at(m, 0, "reason"), "it was linked without a build-ID");
	assert_string_equal(text_at(m, 0, "fix"), "gcc -Wl,--build-id=sha1 -o PATH/TO/a.out ...");
	json_decref(m);
}

static void test_memory_has_no_fix(void **state)
{
	json_t *m;

	(void)state;
	see("", "anon", "count", 5);
	see("", "memfd:jit (deleted)", "count", 4);
	see("aa11", "memfd:runc", "count", 3);
	see("bb22", "anon", "count", 2); // a program of that name
	m = missing(10);
	assert_string_equal(text_at(m, 0, "reason"), "it is code made at run time, not a file");
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(text_at(m, i, "fix"), "");
	assert_string_not_equal(text_at(m, 3, "fix"), "");
	json_decref(m);
}

static void test_hostile_names_are_quoted(void **state)
{
	json_t *m;

	(void)state;
	see("aa11", "x; rm -rf $HOME '\x1b[2J", "count", 5);
	m = missing(10);
	assert_string_equal(text_at(m, 0, "fix"),
			    "unhex upload --server $UNHEX_SERVER PATH/TO/'x; rm -rf $HOME '\\''?[2J'"
			    "  # not stripped, or its .debug file");
	json_decref(m);
}

static void test_weights_do_not_overflow(void **state)
{
	json_t *m;

	(void)state;
	for (int i = 0; i < 5; i++)
		see("aa11", "prog", "count", INT64_MAX);
	see("bb22", "prog", "count", INT64_MAX);
	see("cc33", "prog", "count", -5);
	m = missing(10);
	assert_int_equal(json_array_size(m), 2);
	assert_true(json_integer_value(json_object_get(json_array_get(m, 0), "weight")) > INT64_MAX / 2);
	json_decref(m);
}

static int claim(const char *id, uint64_t position)
{
	const struct catalog_push p = {str_from(id), position};
	struct err e = ERR_INIT;

	assert_int_equal(catalog_push_claim(catalog, &p, 1, &e), 0);
	return catalog_push_counts(catalog, &p, &e);
}

static void test_push_counts_once(void **state)
{
	const struct catalog_push together[] = {{STR("c"), 11}, {STR("c"), 12}, {STR("d"), 12}, {STR("e"), 12}};
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(claim("a", 7), 0);
	assert_int_equal(claim("a", 7), 0); // on replay
	assert_int_equal(claim("a", 8), CATALOG_EXISTS);
	assert_int_equal(claim("b", 9), 0);
	assert_int_equal(catalog_push_claim(catalog, together, 3, &e), 0);
	assert_int_equal(catalog_push_counts(catalog, &together[0], &e), 0);
	assert_int_equal(catalog_push_counts(catalog, &together[1], &e), CATALOG_EXISTS);
	assert_int_equal(catalog_push_counts(catalog, &together[2], &e), 0);
	assert_int_equal(catalog_push_counts(catalog, &together[3], &e), 0); // nobody's
	clock_shift_ms(25 * 3600 * 1000);
	assert_int_equal(claim("a", 10), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ranking),
		TEST(test_reasons),
		TEST(test_an_index_clears_what_was_lost),
		TEST(test_no_build_id),
		TEST(test_memory_has_no_fix),
		TEST(test_hostile_names_are_quoted),
		TEST(test_weights_do_not_overflow),
		TEST(test_push_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
