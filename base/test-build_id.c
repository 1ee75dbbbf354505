/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build_id.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/testing.h"

#define SHA1_ID "93ac3e1f00112233445566778899aabbccddeeff"
#define GO_ID_HEX \
	"6e5739625230454a6736594d46724e56746354652f6971595f517347556b" \
	"477a667842694f5333546d2f782f79"
#define GO_ID "nW9bR0EJg6YMFrNVtcTe/iqY_QsGUkGzfxBiOS3Tm/x/y"

static void check_text(const char *text, enum build_id_kind kind, size_t size, const char *want)
{
	struct build_id id[2];
	struct err e = ERR_INIT;
	char out[BUILD_ID_TEXT];

	if (build_id_parse(str_from(text), id, &e) != 1)
		fail_msg("'%s': %s", text, e.msg);
	assert_int_equal(id[0].kind, kind);
	assert_int_equal(id[0].size, size);
	build_id_text(&id[0], out);
	assert_string_equal(out, want);
}

static void text_forms_are_read(void **state)
{
	(void)state;
	check_text(SHA1_ID, BUILD_ID_GNU, 20, SHA1_ID);
	check_text("93AC3E1F", BUILD_ID_GNU, 4, "93ac3e1f");
	check_text("0001", BUILD_ID_GNU, 2, "0001");
	check_text("go-6162", BUILD_ID_GO, 2, "go-6162");
	check_text("GO-6162", BUILD_ID_GO, 2, "go-6162");
	check_text("a/b", BUILD_ID_GO, 3, "go-612f62");
	check_text("go-a/b", BUILD_ID_GO, 6, "go-676f2d612f62");
	check_text("htl-000102030405060708090A0B0C0D0E0F", BUILD_ID_HTL, 16,
		   "htl-000102030405060708090a0b0c0d0e0f");
	check_text(GO_ID, BUILD_ID_GO, strlen(GO_ID), "go-" GO_ID_HEX);
}

static void bare_hex_of_16_bytes_may_be_either(void **state)
{
	struct build_id id[2];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(build_id_parse(STR("000102030405060708090A0B0C0D0E0F"), id, &e), 2);
	assert_int_equal(id[0].kind, BUILD_ID_GNU);
	assert_int_equal(id[1].kind, BUILD_ID_HTL);
	assert_int_equal(id[1].size, 16);
	assert_memory_equal(id[0].bytes, id[1].bytes, 16);
	assert_false(build_id_eq(&id[0], &id[1]));
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "1", "12", "123", "xyz1", "go-", "go-1", "go-xx", "htl-00", "htl-", "12 34",
		"htl-000102030405060708090a0b0c0d0e0f00", "a b/c", "a/\n",
	};
	char longest[2 * BUILD_ID_MAX + 3];
	struct build_id id[2];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		if (build_id_parse(str_from(bad[i]), id, &e) != -1)
			fail_msg("'%s' was taken", bad[i]);
		assert_err(&e, ERR_BAD_BUILD_ID, "not a build-ID: '");
	}
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(build_id_parse(str_from(longest), id, &e), -1);
	assert_true(strlen(e.msg) < 200);
	longest[2 * BUILD_ID_MAX] = '\0';
	assert_int_equal(build_id_parse(str_from(longest), id, &e), 1);
	memset(longest, '/', BUILD_ID_MAX + 1);
	assert_int_equal(build_id_parse((struct str){longest, BUILD_ID_MAX + 1}, id, &e), -1);
	assert_int_equal(build_id_parse((struct str){longest, BUILD_ID_MAX}, id, &e), 1);
}

static void sizes_are_checked(void **state)
{
	struct build_id id = {.size = 7};
	uint8_t bytes[BUILD_ID_MAX + 1] = {0};
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(build_id_set(&id, BUILD_ID_GNU, bytes, 1, &e), -1);
	assert_err(&e, ERR_BAD_BUILD_ID, "a build-ID of 1 bytes is not possible");
	assert_int_equal(build_id_set(&id, BUILD_ID_GNU, bytes, sizeof(bytes), &e), -1);
	assert_int_equal(build_id_set(&id, BUILD_ID_GO, bytes, 0, &e), -1);
	assert_int_equal(build_id_set(&id, BUILD_ID_HTL, bytes, 15, &e), -1);
	assert_int_equal(id.size, 7);
	assert_ok(build_id_set(&id, BUILD_ID_GNU, bytes, BUILD_ID_MAX, &e));
	assert_int_equal(id.size, BUILD_ID_MAX);
	assert_string_equal(build_id_kind_name(BUILD_ID_HTL), "htl");
}

static int file_of(size_t n)
{
	int fd = io_tmpfile("/tmp", NULL);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)(i * 7 + i / 251);

		assert_ok(io_write_all(fd, &byte, 1, &e));
	}
	return fd;
}

// The reference values come from hashlib over the same bytes.
static void check_htl(size_t n, const char *want)
{
	_cleanup_close_ int fd = file_of(n);
	struct build_id id;
	struct err e = ERR_INIT;
	char text[BUILD_ID_TEXT];

	assert_ok(build_id_htl(fd, &id, &e));
	build_id_text(&id, text);
	assert_string_equal(text, want);
}

static void the_file_hash_is_the_profilers(void **state)
{
	(void)state;
	check_htl(0, "htl-af5570f5a1810b7af78caf4bc70a660f");
	check_htl(100, "htl-ff9061fbd8a92dc691e14343e5fc1bd2");
	check_htl(4096, "htl-7e9a755dfdcc88b11037ffaf0aff0527");
	check_htl(5000, "htl-1707cd386990e377c73760e03725cd5b");
	check_htl(20000, "htl-97d1f1703fa33eaf6f60becb4af2090a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_forms_are_read),
		cmocka_unit_test(bare_hex_of_16_bytes_may_be_either),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(sizes_are_checked),
		cmocka_unit_test(the_file_hash_is_the_profilers),
	};

	return cmocka_run_group_tests_name("build_id", tests, NULL, NULL);
}
