/* SPDX-License-Identifier: Apache-2.0 */
#include "server/binary_cache.h"

#include "base/clock.h"
#include "base/testing.h"

struct fixture {
	char dir[64];
	struct catalog *catalog;
	struct binary_cache *cache;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = ERR_INIT;
	char path[80];

	test_dir_make(f->dir);
	snprintf(path, sizeof(path), "%s/catalog.db", f->dir);
	assert_ok(catalog_open(path, &f->catalog, &e));
	assert_ok(binary_cache_new(f->catalog, &f->cache, &e));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	binary_cache_free(f->cache);
	catalog_close(f->catalog);
	test_dir_remove(f->dir);
	free(f);
	return 0;
}

static struct build_id id_of(const char *text)
{
	struct build_id ids[2];
	struct err e = ERR_INIT;

	assert_true(build_id_parse(str_from(text), ids, &e) > 0);
	return ids[0];
}

static int64_t add(struct fixture *f, const struct build_id *id)
{
	static struct binary b;
	struct program_header headers[2] = {{.vaddr = 1}, {.vaddr = 2}};
	struct catalog_new_file file = {
		.ids = id,
		.id_count = 1,
		.file = {.type = FILE_DEBUGINFO, .trust = TRUST_UPLOAD, .quality = 6, .size = 1},
		.headers = headers,
		.headers_size = sizeof(headers),
		.headers_trusted = true,
	};
	struct err e = ERR_INIT;

	memset(file.file.sha256, 'a', SHA256_HEX - 1);
	assert_ok(catalog_add_file(f->catalog, &file, &b, &e));
	return b.id;
}

static void rows_are_read_once(void **state)
{
	struct fixture *f = *state;
	struct build_id id = id_of("aa11");
	struct binary_row *one;
	struct binary_row *two;
	struct err e = ERR_INIT;
	int64_t binary;

	assert_int_equal(binary_cache_find(f->cache, &id, 1, &one, &e), CATALOG_NOT_FOUND);
	binary = add(f, &id); // what was not found is not remembered
	assert_ok(binary_cache_find(f->cache, &id, 1, &one, &e));
	assert_int_equal(one->id, binary);
	assert_true(one->needs_index);
	assert_null(one->reason);
	assert_true(one->headers.trusted);
	assert_int_equal(one->headers.n, 2);
	assert_int_equal(one->headers.p[1].vaddr, 2);
	assert_ok(binary_cache_find(f->cache, &id, 1, &two, &e));
	assert_ptr_equal(one, two);
	binary_row_unref(two);

	assert_ok(catalog_set_failure(f->catalog, binary, "indexer_crashed", "signal 11", &e));
	binary_cache_changed(f->cache, binary);
	assert_ok(binary_cache_find(f->cache, &id, 1, &two, &e));
	assert_ptr_not_equal(one, two);
	assert_string_equal(two->reason, "indexer_crashed");
	assert_string_equal(two->detail, "signal 11");
	assert_null(one->reason); // who has the old one keeps it as it was
	binary_row_unref(one);
	binary_row_unref(two);
}

static bool judged(struct fixture *f, const struct build_id *ids, size_t n, unsigned want)
{
	struct verdict v;
	bool yes = binary_cache_verdict(f->cache, ids, n, want, &v);

	if (yes)
		assert_string_equal(v.detail, "nobody has it");
	return yes;
}

static void verdicts_hold_for_a_while(void **state)
{
	struct fixture *f = *state;
	struct build_id id = id_of("aa11");
	struct verdict v = {.lacking = 2, .until_ms = clock_mono_ms() + 1000, .detail = "nobody has it"};

	assert_false(judged(f, &id, 1, 2));
	binary_cache_judge(f->cache, &id, 1, &v);
	assert_true(judged(f, &id, 1, 2));
	assert_false(judged(f, &id, 1, 4)); // that was not asked
	clock_shift_ms(1001);
	assert_false(judged(f, &id, 1, 2));
}

static void new_files_void_verdicts(void **state)
{
	struct fixture *f = *state;
	struct build_id ids[2];
	struct build_id hash;
	struct verdict v = {.lacking = 2, .until_ms = UINT64_MAX, .detail = "nobody has it"};
	struct err e = ERR_INIT;

	// asked for as 32 digits; what comes is known by its file hash alone
	assert_int_equal(build_id_parse(STR("00112233445566778899aabbccddeeff"), ids, &e), 2);
	binary_cache_judge(f->cache, ids, 2, &v);
	assert_true(judged(f, ids, 2, 2));
	hash = id_of("htl-00112233445566778899aabbccddeeff");
	binary_cache_pardon(f->cache, &hash, 1);
	assert_false(judged(f, ids, 2, 2));
	binary_cache_judge(f->cache, ids, 2, &v);
	binary_cache_pardon(f->cache, &ids[0], 1);
	assert_false(judged(f, ids, 2, 2));
}

static void memory_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct verdict v = {.lacking = 2, .until_ms = UINT64_MAX, .detail = "nobody has it"};
	struct build_id id = {.kind = BUILD_ID_GNU, .size = 4};
	unsigned held = 0;

	for (uint32_t i = 0; i < 40000; i++) {
		memcpy(id.bytes, &i, sizeof(i));
		binary_cache_judge(f->cache, &id, 1, &v);
	}
	for (uint32_t i = 0; i < 40000; i++) {
		memcpy(id.bytes, &i, sizeof(i));
		held += judged(f, &id, 1, 2);
	}
	assert_true(held > 0 && held <= 16384);
	assert_true(judged(f, &id, 1, 2)); // the latest is there
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rows_are_read_once),
		T(verdicts_hold_for_a_while),
		T(new_files_void_verdicts),
		T(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
