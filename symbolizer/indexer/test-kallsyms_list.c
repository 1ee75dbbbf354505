/* SPDX-License-Identifier: Apache-2.0 */
/* Symbol lists of kernels, sound and hostile; the hostile ones name the line that is wrong. */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/indexer/kallsyms_index.h"
#include "symbolizer/indexer/kallsyms_list.h"
#include "symbolizer/uhx_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define ID "9d2f7d5a0e5bfa6c19aa0d7ffb9fd3e0c49d16d0"
#define HEAD "unhex-kallsyms 1 " ID " x86_64\n"

static int file_of(struct str text)
{
	struct err e = ERR_INIT;
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_true(fd >= 0);
	if (io_write_all(fd, text.p, text.n, &e))
		fail_msg("%s", e.msg);
	return fd; // its position is at the end, as that of an upload is
}

/* ret_index NULL: a probe. */
static int run(struct str text, struct uhx **ret_index, struct buf *report, struct err *e)
{
	_cleanup_close_ int fd = file_of(text);
	_cleanup_close_ int out = ret_index ? memfd_create("uhx", MFD_CLOEXEC) : -1;
	struct warnings warnings = {.n = 0};
	struct json_out j = JSON_OUT(report);
	const struct kallsyms_index_input in = {
		.name = "fd:3", .fd = fd, .out_fd = out, .warnings = &warnings};

	if (kallsyms_index_run(&in, &j, e))
		return -1;
	if (ret_index && (uhx_open_fd(out, ret_index, e) || uhx_verify(*ret_index, e)))
		fail_msg("%s", e->msg);
	return 0;
}

static const char *name_at(const struct uhx *u, uint64_t address)
{
	static struct frames f;
	static char text[256];
	struct str name;

	uhx_lookup(u, address, &f);
	assert_true(f.n <= 1);
	name = f.n ? f.frame[0].function : STR("-");
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(name));
	if (f.n)
		assert_int_equal(f.source, SOURCE_SYMTAB);
	return text;
}

static void test_names(UNUSED void **state)
{
	_cleanup_(buf_deinit) struct buf report = BUF_INIT(4096);
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	if (run(STR(HEAD "ffffffff81000000 T _stext\n"
			 "ffffffff81000000 T startup_64\n"
			 "ffffffff81000070 t do_one.isra.0\n"
			 "ffffffff81000400 W arch_weak\n"
			 "ffffffff81001000 -\n"
			 "ffffffff82000000 T _sinittext\n"),
		&u, &report, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(name_at(u, 0xffffffff80ffffff), "-");
	assert_string_equal(name_at(u, 0xffffffff81000000), "startup_64"); // fewer underscores
	assert_string_equal(name_at(u, 0xffffffff8100006f), "startup_64");
	assert_string_equal(name_at(u, 0xffffffff81000070), "do_one.isra.0");
	assert_string_equal(name_at(u, 0xffffffff81000fff), "arch_weak");
	assert_string_equal(name_at(u, 0xffffffff81001000), "-");
	assert_string_equal(name_at(u, 0xffffffff82000000 + KALLSYMS_FUNCTION_MAX - 1), "_sinittext");
	assert_string_equal(name_at(u, 0xffffffff82000000 + KALLSYMS_FUNCTION_MAX), "-");
	assert_non_null(strstr(report.p, "\"quality\":\"symtab\""));
	assert_non_null(strstr(report.p, ID));
	uhx_unref(u);
}

static void test_last_addresses(UNUSED void **state)
{
	_cleanup_(buf_deinit) struct buf report = BUF_INIT(4096);
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	if (run(STR(HEAD "0 t zero\nfffffffffffffff0 t last\n"), &u, &report, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(name_at(u, 0), "zero");
	assert_string_equal(name_at(u, 0xfffffffffffffff0), "last");
	uhx_unref(u);
}

static void test_probe(UNUSED void **state)
{
	_cleanup_(buf_deinit) struct buf report = BUF_INIT(4096);
	struct err e = ERR_INIT;

	if (run(STR(HEAD "10 t f\n20 -"), NULL, &report, &e)) // no line feed at the end
		fail_msg("%s", e.msg);
	assert_string_equal(report.p, "{\"format\":\"unhex-probe/1\",\"ids\":[{\"kind\":\"gnu\",\"text\":\"" ID
				      "\"}],\"machine\":\"x86_64\",\"kind\":\"kallsyms\",\"quality\":\"symtab\","
				      "\"functions\":1,\"size\":76}");
}

static void test_refused(UNUSED void **state)
{
	static const struct {
		struct str text;
		enum err_kind kind;
		const char *says;
	} cases[] = {
		{STR(""), ERR_UNSUPPORTED, "not a symbol list"},
		{STR("ffffffff81000000 T _text\n"), ERR_UNSUPPORTED, "not a symbol list"},
		{STR("unhex-kallsyms 2 " ID " x86_64\n"), ERR_UNSUPPORTED, "version 1"},
		{STR("unhex-kallsyms 1"), ERR_NO_BUILD_ID, "GNU build-ID"},
		{STR("unhex-kallsyms 1 nonsense x86_64\n"), ERR_NO_BUILD_ID, "GNU build-ID"},
		{STR("unhex-kallsyms 1 go-6162 x86_64\n"), ERR_NO_BUILD_ID, "GNU build-ID"},
		{STR("unhex-kallsyms 1 " ID "\n"), ERR_UNSUPPORTED, "machine"},
		{STR("unhex-kallsyms 1 " ID " ../../../etc\n"), ERR_UNSUPPORTED, "machine"},
		{STR("unhex-kallsyms 1 " ID " x86_64_and_much_more\n"), ERR_UNSUPPORTED, "machine"},
		{STR(HEAD "10 t a\n0f t b\n"), ERR_UNSUPPORTED, "line 3: its address"},
		{STR(HEAD "10 d a\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "10 tt a\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "10 \0 a\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "10\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "xyz t a\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "11112222333344445 t a\n"), ERR_UNSUPPORTED, "line 2: not an address"},
		{STR(HEAD "10 t \n"), ERR_UNSUPPORTED, "line 2: not a function's name"},
		{STR(HEAD "10 t a b\n"), ERR_UNSUPPORTED, "line 2: not a function's name"},
		{STR(HEAD "10 t a\x1b[31m\n"), ERR_UNSUPPORTED, "line 2: not a function's name"},
		{STR(HEAD "10 t a\0b\n"), ERR_UNSUPPORTED, "line 2: not a function's name"},
		{STR(HEAD "10 - a\n"), ERR_UNSUPPORTED, "line 2: a gap has no name"},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		_cleanup_(buf_deinit) struct buf report = BUF_INIT(4096);
		struct err e = ERR_INIT;

		if (!run(cases[i].text, NULL, &report, &e))
			fail_msg("case %zu was taken", i);
		if (e.kind != cases[i].kind)
			fail_msg("case %zu: kind %d: %s", i, e.kind, e.msg);
		if (!strstr(e.msg, cases[i].says))
			fail_msg("case %zu: %s", i, e.msg);
	}
}

static void check_too_large(struct buf *text, const char *says)
{
	_cleanup_(buf_deinit) struct buf report = BUF_INIT(4096);
	struct err e = ERR_INIT;

	assert_false(text->failed);
	assert_int_equal(run(buf_str(text), NULL, &report, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	if (!strstr(e.msg, says))
		fail_msg("%s", e.msg);
	buf_deinit(text);
}

static void test_limits(UNUSED void **state)
{
	_cleanup_(buf_deinit) struct buf report = BUF_INIT(4096);
	struct buf text = BUF_INIT((size_t)KALLSYMS_BYTES_MAX + 1);
	struct err e = ERR_INIT;

	buf_puts(&text, HEAD "0 t ");
	for (size_t i = 0; i <= KALLSYMS_NAME_MAX; i++)
		buf_append_c(&text, 'n');
	assert_int_equal(run(buf_str(&text), NULL, &report, &e), -1);
	assert_non_null(strstr(e.msg, "not a function's name"));
	buf_clear(&text);
	buf_puts(&text, HEAD);
	for (size_t i = 0; i <= KALLSYMS_LINES_MAX; i++)
		buf_puts(&text, "0 t f\n");
	check_too_large(&text, "lines");
	text = BUF_INIT((size_t)KALLSYMS_BYTES_MAX + 1);
	assert_non_null(buf_reserve(&text, (size_t)KALLSYMS_BYTES_MAX + 1));
	memset(text.p, ' ', (size_t)KALLSYMS_BYTES_MAX + 1);
	memcpy(text.p, HEAD, sizeof(HEAD) - 1);
	buf_commit(&text, (size_t)KALLSYMS_BYTES_MAX + 1);
	check_too_large(&text, "MiB");
}

static void test_recognised(UNUSED void **state)
{
	_cleanup_close_ int list = file_of(STR(HEAD));
	_cleanup_close_ int other = file_of(STR("unhex"));
	_cleanup_close_ int none = file_of(STR(""));

	assert_true(kallsyms_list_is(list));
	assert_false(kallsyms_list_is(other));
	assert_false(kallsyms_list_is(none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	 cmocka_unit_test(test_last_addresses),
		cmocka_unit_test(test_probe),	 cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),	 cmocka_unit_test(test_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
