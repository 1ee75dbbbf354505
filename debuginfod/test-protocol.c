/* SPDX-License-Identifier: Apache-2.0 */
#include "debuginfod/protocol.h"

#include "base/testing.h"

static struct debuginfod_request parsed(const char *path)
{
	struct debuginfod_request r;
	struct err e = ERR_INIT;

	assert_ok(debuginfod_parse(str_from(path), &r, &e));
	return r;
}

static void refused(const char *path, enum err_kind kind, const char *part)
{
	struct debuginfod_request r;
	struct err e = ERR_INIT;

	assert_int_equal(debuginfod_parse(str_from(path), &r, &e), -1);
	assert_err(&e, kind, part);
}

static void urls_of_whole_files(void **state)
{
	struct debuginfod_request r = parsed("/buildid/c89156ebdabf859f4ee70cb0c303004dccf1ae51/debuginfo");
	char text[BUILD_ID_TEXT];

	(void)state;
	assert_int_equal(r.artifact, DEBUGINFOD_DEBUGINFO);
	assert_int_equal(r.id_count, 1);
	build_id_text(&r.ids[0], text);
	assert_string_equal(text, "c89156ebdabf859f4ee70cb0c303004dccf1ae51");
	r = parsed("/buildid/C891/executable");
	assert_int_equal(r.artifact, DEBUGINFOD_EXECUTABLE);
	build_id_text(&r.ids[0], text);
	assert_string_equal(text, "c891");
	// 32 digits may be a file hash
	r = parsed("/buildid/00112233445566778899aabbccddeeff/debuginfo");
	assert_int_equal(r.id_count, 2);
	// a Go ID contains slashes
	r = parsed("/buildid/ab%2Fcd%2fef%2Fgh/debuginfo");
	assert_int_equal(r.ids[0].kind, BUILD_ID_GO);
}

static void urls_of_sources_and_sections(void **state)
{
	struct debuginfod_request r = parsed("/buildid/c891/source/usr/src/a%2Bb//./x/../c.c");

	(void)state;
	assert_int_equal(r.artifact, DEBUGINFOD_SOURCE);
	assert_string_equal(r.name, "/usr/src/a+b//./x/../c.c");
	assert_string_equal(r.canonical, "/usr/src/a+b/c.c");
	r = parsed("/buildid/c891/source/../../etc/passwd");
	assert_string_equal(r.canonical, "/etc/passwd");
	r = parsed("/buildid/c891/source//abs%2Fc.c");
	assert_string_equal(r.name, "//abs/c.c");
	assert_string_equal(r.canonical, "/abs/c.c");
	r = parsed("/buildid/c891/section/.debug_info");
	assert_int_equal(r.artifact, DEBUGINFOD_SECTION);
	assert_string_equal(r.name, ".debug_info");
	assert_string_equal(r.canonical, "");
}

static void bad_urls_say_why(void **state)
{
	char path[2 * DEBUGINFOD_NAME_MAX];

	(void)state;
	refused("/", ERR_NOT_FOUND, "not a debuginfod URL");
	refused("/buildid/c891", ERR_NOT_FOUND, "names no artifact");
	refused("/buildid/c891/", ERR_NOT_FOUND, "no such artifact");
	refused("/buildid/c891/coredump", ERR_NOT_FOUND, "no such artifact");
	refused("/buildid/c891/debuginfo/xyz", ERR_NOT_FOUND, "nothing follows /debuginfo");
	refused("/buildid/c891/debuginfo/", ERR_NOT_FOUND, "nothing follows /debuginfo");
	refused("/buildid/c891/source", ERR_BAD_PATH, "source's name is missing");
	refused("/buildid/c891/source/", ERR_BAD_PATH, "source's name is missing");
	refused("/buildid/c891/section/", ERR_BAD_PATH, "section's name is missing");
	refused("/buildid/c891/source/a%00b", ERR_BAD_PATH, "NUL");
	refused("/buildid/c891/source/a%4", ERR_BAD_PATH, "percent-escape");
	refused("/buildid/c891/source/a%zz", ERR_BAD_PATH, "percent-escape");
	refused("/buildid/c8g1/debuginfo", ERR_BAD_BUILD_ID, "c8g1");
	refused("/buildid//debuginfo", ERR_BAD_BUILD_ID, "");
	memset(path, 'a', sizeof(path));
	memcpy(path, "/buildid/c891/source/", 21);
	path[sizeof(path) - 1] = '\0';
	refused(path, ERR_BAD_PATH, "longer than 4095 bytes");
}

static const char *value_of(const struct debuginfod_header *h, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(h[i].name, name) == 0)
			return h[i].value;
	}
	return NULL;
}

static void answers_have_headers(void **state)
{
	struct debuginfod_header h[DEBUGINFOD_HEADERS_MAX];
	struct debuginfod_answer a = {
		.size = 1234,
		.file = "libx.so\r\nEvil: 1",
		.sha256 = "00ff",
		.modified_unix_s = 784111777, // the example of RFC 9110
	};
	size_t n = debuginfod_headers(&a, h);

	(void)state;
	assert_string_equal(value_of(h, n, "X-DEBUGINFOD-SIZE"), "1234");
	assert_string_equal(value_of(h, n, "X-DEBUGINFOD-FILE"), "libx.so??Evil: 1");
	assert_string_equal(value_of(h, n, "ETag"), "\"00ff\"");
	assert_string_equal(value_of(h, n, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(value_of(h, n, "Vary"), "Accept-Encoding");
	assert_string_equal(value_of(h, n, "Accept-Ranges"), "bytes");
	a.encoding = "zstd";
	a.file = NULL;
	a.modified_unix_s = 0;
	n = debuginfod_headers(&a, h);
	assert_string_equal(value_of(h, n, "ETag"), "\"00ff-zstd\"");
	assert_null(value_of(h, n, "X-DEBUGINFOD-FILE"));
	assert_null(value_of(h, n, "Last-Modified"));
}

static void etags_match_weakly(void **state)
{
	(void)state;
	assert_true(debuginfod_etag_matches(STR("\"a\", W/\"b\""), STR("\"b\"")));
	assert_true(debuginfod_etag_matches(STR(" * "), STR("\"b\"")));
	assert_false(debuginfod_etag_matches(STR("\"a\""), STR("\"b\"")));
	assert_false(debuginfod_etag_matches(STR(""), STR("\"b\"")));
}

static void the_largest_size_wanted(void **state)
{
	(void)state;
	assert_int_equal(debuginfod_max_size(STR("1000")), 1000);
	assert_int_equal(debuginfod_max_size(STR("")), UINT64_MAX);
	assert_int_equal(debuginfod_max_size(STR("lots")), UINT64_MAX);
	assert_int_equal(debuginfod_max_size(STR("-1")), UINT64_MAX);
}

static void questions_do_not_travel_for_ever(void **state)
{
	char forwarded[DEBUGINFOD_FORWARDED_MAX];
	char many[2 * DEBUGINFOD_FORWARDED_MAX];

	(void)state;
	assert_int_equal(debuginfod_hops(STR(""), "unhex-1"), HOPS_FINE);
	assert_int_equal(debuginfod_hops(STR("10.0.0.1, unhex-2"), "unhex-1"), HOPS_FINE);
	assert_int_equal(debuginfod_hops(STR("10.0.0.1,unhex-1 , ::1"), "unhex-1"), HOPS_LOOP);
	assert_int_equal(debuginfod_hops(STR("1,2,3,4,5,6,7,8"), "unhex-1"), HOPS_FINE);
	assert_int_equal(debuginfod_hops(STR("1,2,3,4,5,6,7,8,9"), "unhex-1"), HOPS_TOO_MANY);
	memset(many, 'x', sizeof(many));
	assert_int_equal(debuginfod_hops((struct str){many, sizeof(many)}, "unhex-1"), HOPS_TOO_MANY);

	debuginfod_forwarded(STR(""), "10.0.0.2", forwarded);
	assert_string_equal(forwarded, "10.0.0.2");
	debuginfod_forwarded(STR("10.0.0.1\r\nX: y"), "10.0.0.2", forwarded);
	assert_string_equal(forwarded, "10.0.0.1??X: y, 10.0.0.2");
	debuginfod_forwarded((struct str){many, DEBUGINFOD_FORWARDED_MAX - 4}, "10.0.0.2", forwarded);
	assert_string_equal(forwarded, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_of_whole_files),
		cmocka_unit_test(urls_of_sources_and_sections),
		cmocka_unit_test(bad_urls_say_why),
		cmocka_unit_test(answers_have_headers),
		cmocka_unit_test(etags_match_weakly),
		cmocka_unit_test(the_largest_size_wanted),
		cmocka_unit_test(questions_do_not_travel_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
