/* SPDX-License-Identifier: Apache-2.0 */
#include "server/indexer_report.h"

#include "base/testing.h"

#define HTL "{\"kind\":\"htl\",\"text\":\"htl-00112233445566778899aabbccddeeff\"}"
#define GNU "{\"kind\":\"gnu\",\"text\":\"00112233445566778899aabbccddeeff\"}"
#define PROBE(ids, kind, machine, headers, quality)                                                \
	"{\"format\":\"unhex-probe/1\",\"ids\":[" ids "],\"type\":\"DYN\",\"kind\":\"" kind           \
	"\",\"machine\":\"" machine "\",\"program_headers_trusted\":true,\"program_headers\":["       \
	headers "],\"quality\":\"" quality "\"}"
#define LOAD "{\"type\":\"LOAD\",\"flags\":5,\"offset\":4096,\"vaddr\":8192,\"filesz\":1,\"memsz\":2,\"align\":4096}"

static struct probe_report report; // large

static void a_sound_report_is_read(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(probe_report_parse(STR(PROBE(GNU "," HTL, "both", "x86_64", LOAD, "dwarf")), &report,
				     &e));
	assert_int_equal(report.id_count, 2);
	// 32 digits: the kind says which it is
	assert_int_equal(report.ids[0].kind, BUILD_ID_GNU);
	assert_int_equal(report.ids[1].kind, BUILD_ID_HTL);
	assert_true(probe_report_has(&report, &report.ids[1]));
	assert_int_equal(report.kind, PROBE_BOTH);
	assert_string_equal(report.machine, "x86_64");
	assert_int_equal(report.quality, QUALITY_DWARF);
	assert_true(report.headers_trusted);
	assert_int_equal(report.header_count, 1);
	assert_int_equal(report.headers[0].vaddr, 8192);
	assert_int_equal(report.headers[0].memsz, 2);
	assert_int_equal(report.headers[0].offset, 4096);
	assert_int_equal(report.headers[0].flags, 5);
}

static void unbelievable(const char *text, const char *part)
{
	struct err e = ERR_INIT;

	assert_int_equal(probe_report_parse(str_from(text), &report, &e), -1);
	assert_err(&e, ERR_INDEXER_CRASHED, "the indexer's report makes no sense: ");
	assert_err(&e, ERR_INDEXER_CRASHED, part);
}

static void nonsense_is_not_believed(void **state)
{
	(void)state;
	unbelievable("", "JSON");
	unbelievable("[]", "unknown format");
	unbelievable("{\"format\":\"unhex-probe/2\"}", "unknown format");
	unbelievable(PROBE("", "both", "x86_64", LOAD, "dwarf"), "no IDs");
	unbelievable(PROBE("1", "both", "x86_64", LOAD, "dwarf"), "bad ID");
	unbelievable(PROBE("{\"kind\":\"gnu\",\"text\":\"xyz\"}", "both", "x86_64", LOAD, "dwarf"), "bad ID");
	unbelievable(PROBE("{\"kind\":\"go\",\"text\":\"00\"}", "both", "x86_64", LOAD, "dwarf"), "bad ID");
	unbelievable(PROBE(HTL, "neither", "x86_64", LOAD, "dwarf"), "unknown kind of file");
	unbelievable(PROBE(HTL, "both", "x86_64x86_64x86_64", LOAD, "dwarf"), "too long");
	unbelievable(PROBE(HTL, "both", "<b>", LOAD, "dwarf"), "name is none");
	unbelievable(PROBE(HTL, "both", "x86_64", "{\"type\":\"NOTE\"}", "dwarf"), "not PT_LOAD");
	unbelievable(PROBE(HTL, "both", "x86_64", LOAD, "superb"), "unknown quality");
}

static void counts_have_limits(void **state)
{
	struct buf ids = BUF_INIT(1 << 20);
	struct buf text = BUF_INIT(8 << 20);

	(void)state;
	for (unsigned i = 0; i <= PROBE_IDS_MAX; i++)
		buf_puts(&ids, i ? "," HTL : HTL);
	buf_printf(&text, "{\"format\":\"unhex-probe/1\",\"ids\":[%s]}", ids.p);
	unbelievable(text.p, "too many");

	buf_clear(&text);
	buf_puts(&text, "{\"format\":\"unhex-probe/1\",\"ids\":[" HTL "],\"kind\":\"both\","
			"\"machine\":\"\",\"program_headers\":[" LOAD);
	for (unsigned i = 0; i < PROGRAM_HEADERS_MAX; i++)
		buf_puts(&text, "," LOAD);
	buf_puts(&text, "]}");
	unbelievable(text.p, "too many program headers");

	buf_clear(&text);
	while (text.n <= INDEXER_REPORT_MAX)
		buf_puts(&text, "                                ");
	unbelievable(text.p, "too long");
	buf_deinit(&ids);
	buf_deinit(&text);
}

static void failures_keep_their_kind(void **state)
{
	static const struct {
		const char *text, *said;
		enum err_kind kind;
		const char *message;
	} cases[] = {
		{"{\"error\":{\"code\":\"not_elf\",\"detail\":\"fd:3: not an ELF file\"}}", "", ERR_NOT_ELF,
		 "not an ELF file"},
		{"{\"error\":{\"code\":\"malformed_elf\",\"detail\":\"\"}}", "fd:12: cut", ERR_BAD_ELF, "cut"},
		{"{\"error\":{\"code\":\"out_of_memory\",\"detail\":\"fd:\"}}", "", ERR_INDEXER_MEMORY, "fd:"},
		{"{\"error\":{\"code\":\"indexer_out_of_memory\",\"detail\":\"x\"}}", "", ERR_INDEXER_MEMORY, "x"},
		{"{\"error\":{\"code\":\"unauthorized\",\"detail\":\"x\"}}", "", ERR_INDEXER_CRASHED, "x"},
		{"{\"error\":3}", "hm", ERR_INDEXER_CRASHED, "hm"},
		{"Aborted", "assertion", ERR_INDEXER_CRASHED,
		 "the indexer failed without a report: assertion"},
		{"", "", ERR_INDEXER_CRASHED, "the indexer failed without a report"},
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct err e = ERR_INIT;

		indexer_error_parse(str_from(cases[i].text), str_from(cases[i].said), &e);
		assert_int_equal(e.kind, cases[i].kind);
		assert_string_equal(e.msg, cases[i].message);
	}
}

static void an_index_report_has_a_quality(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(index_report_check(STR("{\"format\":\"unhex-index/1\",\"quality\":\"g1\"}"), &e));
	assert_int_equal(index_report_check(STR("{\"format\":\"unhex-index/1\"}"), &e), -1);
	assert_err(&e, ERR_INDEXER_CRASHED, "unknown quality");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_report_is_read),   cmocka_unit_test(nonsense_is_not_believed),
		cmocka_unit_test(counts_have_limits),	    cmocka_unit_test(failures_keep_their_kind),
		cmocka_unit_test(an_index_report_has_a_quality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
