/* SPDX-License-Identifier: Apache-2.0 */
/* With the real unhex-indexer, which lies beside the tools as it does when they are installed. */
#include "upload-cli/indexer.h"

#include "tests/unit/sibling.h"
#include "tests/unit/toolbox.h"
#include "base/testing.h"

static bool built;

static int setup(void **state)
{
	built = sibling_indexer();
	return toolbox_setup(state) ||
	       toolbox_run("printf 'int twice(int a) { return a * 2; }\\nint main(void) { return twice(3); }\\n' >a.c && "
			   "gcc -g -O0 -Wl,--build-id a.c -o whole && objcopy --only-keep-debug whole whole.debug && "
			   "strip -o bare whole && cp whole ./-o && printf 'no ELF at all, but long enough' >text");
}

static void in_dir(char out[static 256], const char *name)
{
	snprintf(out, 256, "%s/%s", toolbox_dir, name);
}

static void need_indexer(void)
{
	if (built)
		return;
	print_message("unhex-indexer is not built\n");
	skip();
}

static void a_probe_tells_the_ids(void **state)
{
	struct build_id *ids = NULL;
	struct err e = ERR_INIT;
	char path[256];
	json_t *report;
	size_t n;

	(void)state;
	need_indexer();
	in_dir(path, "whole");
	assert_ok(indexer_probe(path, &report, &e));
	assert_ok(indexer_report_ids(report, &ids, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(ids[0].kind, BUILD_ID_GNU);
	assert_int_equal(ids[0].size, 20);
	assert_int_equal(ids[1].kind, BUILD_ID_HTL);
	free(ids);
	json_decref(report);
}

static void a_refusal_keeps_its_kind_and_its_words(void **state)
{
	struct err e = ERR_INIT;
	char path[256];
	json_t *report;

	(void)state;
	need_indexer();
	in_dir(path, "text");
	assert_int_equal(indexer_probe(path, &report, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "/text: not an ELF file");
	in_dir(path, "gone");
	assert_int_equal(indexer_probe(path, &report, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/gone: No such file");
	in_dir(path, "");
	assert_int_equal(indexer_probe(path, &report, &e), -1);
	assert_err(&e, ERR_BAD_PATH, "not a regular file");
}

static void a_report_with_a_bad_id_is_refused(void **state)
{
	json_t *report = json_pack("{s:[{s:s}]}", "ids", "text", "xyz");
	struct build_id *ids = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;

	(void)state;
	assert_int_equal(indexer_report_ids(report, &ids, &n, &e), -1);
	assert_err(&e, ERR_BAD_BUILD_ID, "xyz");
	assert_null(ids);
	json_decref(report);
	report = json_object();
	assert_ok(indexer_report_ids(report, &ids, &n, &e));
	assert_int_equal(n, 0);
	free(ids);
	json_decref(report);
}

static void an_index_has_names_and_no_path(void **state)
{
	static struct frames frames;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	char path[256];

	(void)state;
	need_indexer();
	in_dir(path, "whole");
	assert_int_equal(setenv("TMPDIR", toolbox_dir, 1), 0);
	assert_ok(indexer_index(path, NULL, NULL, &u, &e));
	unsetenv("TMPDIR");
	uhx_lookup(u, toolbox_nm("whole", "twice"), &frames);
	assert_int_equal(frames.n, 1);
	assert_str(frames.frame[0].function, "twice");
	assert_int_equal(frames.frame[0].line, 1);
	uhx_unref(u);
	assert_int_equal(toolbox_run("test -z \"$(find . -name '*uhx*' -o -name '.tmp*')\""), 0);
}

static void a_name_that_looks_like_an_option_is_a_name(void **state)
{
	struct err e = ERR_INIT;
	json_t *report;
	char cwd[256];

	(void)state;
	need_indexer();
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(toolbox_dir), 0);
	assert_ok(indexer_probe("-o", &report, &e));
	json_decref(report);
	assert_int_equal(chdir(cwd), 0);
}

static void an_extract_is_whole_or_not_there(void **state)
{
	struct err e = ERR_INIT;
	char from[256], to[256];

	(void)state;
	need_indexer();
	in_dir(from, "whole");
	in_dir(to, "made.debug");
	assert_ok(indexer_extract(from, to, &e));
	assert_int_equal(toolbox_run("readelf -S made.debug 2>/dev/null | grep -q debug_info"), 0);
	in_dir(from, "text");
	in_dir(to, "none.debug");
	assert_int_equal(indexer_extract(from, to, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "not an ELF file");
	assert_int_equal(access(to, F_OK), -1);
}

/* An extract onto its own source must replace it whole. */
static void an_extract_may_replace_its_source(void **state)
{
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	need_indexer();
	assert_int_equal(toolbox_run("cp whole self"), 0);
	in_dir(path, "self");
	assert_ok(indexer_extract(path, path, &e));
	assert_int_equal(toolbox_run("readelf -S self 2>/dev/null | grep -q debug_info"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_tells_the_ids),
		cmocka_unit_test(a_refusal_keeps_its_kind_and_its_words),
		cmocka_unit_test(a_report_with_a_bad_id_is_refused),
		cmocka_unit_test(an_index_has_names_and_no_path),
		cmocka_unit_test(a_name_that_looks_like_an_option_is_a_name),
		cmocka_unit_test(an_extract_is_whole_or_not_there),
		cmocka_unit_test(an_extract_may_replace_its_source),
	};

	return cmocka_run_group_tests_name("indexer", tests, setup, toolbox_teardown);
}
