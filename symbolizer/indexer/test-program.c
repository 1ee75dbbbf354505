/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real unhex-indexer, as the server runs it: its command line, its reports, and hostile files. Cut and
 * corrupted binaries must give an index or one clear error, never a signal.
 */
#include "base/json.h"
#include "base/subproc.h"
#include "tests/unit/indexing.h"
#include <fcntl.h>
#include <limits.h>

enum { CUT_STEP = 4096, CUTS_MAX = 64, CORRUPTIONS = 200, ARGS_MAX = 16 };

static char indexer[PATH_MAX];
static struct subproc_result result;

static void find_indexer(void)
{
	const char *build = getenv("UNHEX_BUILD");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *test;

	if (build) {
		snprintf(indexer, sizeof(indexer), "%s/unhex-indexer", build);
		return;
	}
	self[MAX(n, 0)] = '\0';
	test = strstr(self, "/test/symbolizer/");
	if (test)
		snprintf(indexer, sizeof(indexer), "%.*s/unhex-indexer", (int)(test - self), self);
}

static int setup(void **state)
{
	char cwd[256];

	find_indexer();
	if (toolbox_setup(state) || !getcwd(cwd, sizeof(cwd)))
		return -1;
	return toolbox_run("g++ -std=c++17 -O1 -g -Wl,--build-id %s/tests/subjects/shapes.cc -o whole && "
			   "objcopy --only-keep-debug whole whole.debug && strip -o bare whole", cwd);
}

static int teardown(void **state)
{
	subproc_result_deinit(&result);
	return toolbox_teardown(state);
}

static void need_indexer(void)
{
	if (access(indexer, X_OK) == 0)
		return;
	print_message("%s is not built\n", indexer[0] ? indexer : "unhex-indexer");
	skip();
}

// Words are separated by blanks; "@x" is x in the test's folder; fd becomes descriptor 3.
static void run(int fd, const char *words)
{
	char text[1024];
	char paths[ARGS_MAX][256];
	const char *argv[ARGS_MAX] = {indexer};
	struct subproc_spec spec = {.path = indexer, .argv = argv, .deadline_ms = 60000,
				    .max_stdout = MIB(16), .max_stderr = KIB(64)};
	struct err e = ERR_INIT;
	char *save = NULL;
	size_t n = 1;

	snprintf(text, sizeof(text), "%s", words);
	for (char *w = strtok_r(text, " ", &save); w && n + 1 < ARGS_MAX; w = strtok_r(NULL, " ", &save)) {
		snprintf(paths[n], sizeof(paths[n]), "%s/%s", toolbox_dir, w + 1);
		argv[n] = *w == '@' ? paths[n] : w;
		n++;
	}
	if (fd >= 0) {
		spec.fds[0] = fd;
		spec.fd_count = 1;
	}
	subproc_result_deinit(&result);
	result = SUBPROC_RESULT_INIT;
	if (subproc_run(&spec, &result, &e))
		fail_msg("%s", e.msg);
}

static json_t *report(void)
{
	struct err e = ERR_INIT;
	json_t *j;

	if (json_parse(buf_str(&result.out), &j, &e))
		fail_msg("%s: " STR_FMT, e.msg, STR_ARG(buf_str(&result.out)));
	return j;
}

static void expect_error(int exit_code, const char *code, const char *detail)
{
	json_t *j = report();
	json_t *error = json_object_get(j, "error");

	assert_int_equal(result.exit_code, exit_code);
	assert_true(str_is(json_get_str(error, "code"), code));
	if (!strstr(json_get_str(error, "detail").p, detail))
		fail_msg("'" STR_FMT "' does not say '%s'", STR_ARG(json_get_str(error, "detail")), detail);
	assert_non_null(strstr(buf_str(&result.err).p, "unhex-indexer: "));
	json_decref(j);
}

static void test_probe(void **state)
{
	json_t *j;

	(void)state;
	need_indexer();
	run(-1, "--probe @whole");
	assert_int_equal(result.exit_code, 0);
	j = report();
	assert_true(str_is(json_get_str(j, "format"), "unhex-probe/1"));
	assert_true(str_is(json_get_str(j, "kind"), "both"));
	assert_true(str_is(json_get_str(j, "type"), "DYN"));
	assert_true(str_is(json_get_str(j, "quality"), "dwarf"));
	assert_true(json_get_bool(j, "program_headers_trusted", false));
	assert_int_equal(json_array_size(json_object_get(j, "ids")), 2);
	assert_true(json_array_size(json_object_get(j, "sections")) > 20);
	assert_int_equal(json_array_size(json_object_get(j, "needs")), 0);
	assert_true(json_get_bool(json_object_get(j, "has"), "symtab", false));
	json_decref(j);
	run(-1, "--probe @whole.debug");
	j = report();
	assert_true(str_is(json_get_str(j, "kind"), "debuginfo"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "needs"), 0)), "executable");
	json_decref(j);
	run(-1, "--probe @bare");
	j = report();
	assert_true(str_is(json_get_str(j, "kind"), "executable"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "needs"), 0)), "debuginfo");
	json_decref(j);
}

static void test_index(void **state)
{
	json_t *j;

	(void)state;
	need_indexer();
	run(-1, "-o @out.uhx @bare @whole.debug");
	assert_int_equal(result.exit_code, 0);
	j = report();
	assert_true(str_is(json_get_str(j, "format"), "unhex-index/1"));
	assert_true(str_is(json_get_str(j, "quality"), "dwarf"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "sources"), 0)), "dwarf");
	assert_true(json_get_u64(j, "rows", 0) > 100);
	assert_int_equal(json_array_size(json_object_get(j, "warnings")), 0);
	assert_true(json_get_bool(json_object_get(j, "sandbox"), "seccomp", false));
	json_decref(j);
}

static void test_descriptors(void **state)
{
	int fd = indexing_fd("whole");

	(void)state;
	need_indexer();
	run(fd, "-o @out.uhx fd:3");
	assert_int_equal(result.exit_code, 0);
	run(fd, "--probe fd:17");
	expect_error(EXIT_USAGE, "usage", "fd:17 is not an open descriptor");
	close(fd);
}

static void test_debug_dir(void **state)
{
	json_t *j;

	(void)state;
	need_indexer();
	assert_int_equal(toolbox_run("id=$(readelf -n whole | awk '/Build ID/ { print $3 }') && "
				     "mkdir -p dbg/.build-id/${id%%${id#??}} && "
				     "cp whole.debug dbg/.build-id/${id%%${id#??}}/${id#??}.debug"), 0);
	run(-1, "-o @out.uhx --debug-dir @dbg @bare");
	j = report();
	assert_true(str_is(json_get_str(j, "quality"), "dwarf"));
	json_decref(j);
	run(-1, "-o @out.uhx --debug-dir @ @bare");
	j = report();
	assert_true(str_is(json_get_str(j, "quality"), "dynsym"));
	assert_non_null(strstr(json_string_value(json_array_get(json_object_get(j, "warnings"), 0)),
			       "no debug file in the folders given"));
	json_decref(j);
	assert_int_equal(toolbox_run("cp bare linked && cp whole.debug linked.debug && "
				     "objcopy --add-gnu-debuglink=linked.debug linked && "
				     "objcopy --remove-section .note.gnu.build-id linked"), 0);
	run(-1, "-o @out.uhx --debug-dir @dbg @linked");
	j = report();
	assert_true(str_is(json_get_str(j, "quality"), "dwarf"));
	json_decref(j);
}

static void test_usage(void **state)
{
	(void)state;
	need_indexer();
	run(-1, "--help");
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(result.out.p, "--debug-dir"));
	run(-1, "--version");
	assert_int_equal(result.exit_code, 0);
	run(-1, "");
	expect_error(EXIT_USAGE, "usage", "no ELF file given");
	run(-1, "@whole");
	expect_error(EXIT_USAGE, "usage", "-o FILE is missing");
	run(-1, "--probe --extract @whole");
	expect_error(EXIT_USAGE, "usage", "exclude each other");
	run(-1, "--probe @nothing");
	expect_error(EXIT_NOT_FOUND, "not_found", "nothing");
	run(-1, "--probe @.");
	assert_int_not_equal(result.exit_code, 0);
}

// What is to be read must not be emptied because it is named as the output, too.
static void test_output_is_input(void **state)
{
	size_t before;
	size_t after;

	(void)state;
	need_indexer();
	free(toolbox_read("whole", &before));
	run(-1, "--extract -o @whole @whole");
	expect_error(2, "usage", "is the file to read");
	toolbox_run("ln -f whole whole.link");
	run(-1, "-o @whole.link @bare @whole");
	expect_error(2, "usage", "is the file to read");
	free(toolbox_read("whole", &after));
	assert_int_equal(after, before);
}

static void expect_content(const char *name, const char *content)
{
	char *text = toolbox_read(name, NULL);

	assert_string_equal(text, content);
	free(text);
}

// What was there stays as it was until there is something whole to take its place.
static void test_output_is_whole(void **state)
{
	(void)state;
	need_indexer();
	toolbox_write("kept.uhx", STR("an index"));
	toolbox_write("garbage", STR("no ELF at all"));
	run(-1, "-o @kept.uhx @garbage");
	expect_error(EXIT_FAILED, "not_elf", "garbage: not an ELF file");
	expect_content("kept.uhx", "an index");
	run(-1, "--extract -o @kept.uhx @nothing");
	expect_error(EXIT_NOT_FOUND, "not_found", "nothing");
	expect_content("kept.uhx", "an index");
	run(-1, "-o @new.uhx @garbage");
	assert_int_equal(toolbox_run("test ! -e new.uhx && test -z \"$(find . -name '.*' -type f)\""), 0);
	run(-1, "-o @none/new.uhx @whole");
	expect_error(EXIT_NOT_FOUND, "not_found", "none");
	run(-1, "-o @kept.uhx @whole");
	assert_int_equal(result.exit_code, 0);
	assert_int_equal(toolbox_run("test \"$(head -c 4 kept.uhx)\" != 'an i' && "
				     "test -z \"$(find . -name '.*' -type f)\""), 0);
	run(-1, "-o - @whole");
	expect_error(EXIT_USAGE, "usage", "stdout is for the report");
	run(-1, "--probe -o @kept.uhx @whole");
	expect_error(EXIT_USAGE, "usage", "--probe writes no file");
}

static void test_limits(void **state)
{
	(void)state;
	need_indexer();
#if !defined(__SANITIZE_ADDRESS__)
	run(-1, "--max-memory 4MiB -o @out.uhx @whole");
	expect_error(EXIT_FAILED, "indexer_out_of_memory", "whole needs more than 4 MiB of memory");
#endif
	run(-1, "-o /dev/full @whole");
	expect_error(EXIT_REFUSED, "no_space", "No space left on device");
}

// Exit 0, or an error report; anything else is printed.
static bool behaved(const char *what)
{
	bool answered = str_has_prefix(buf_str(&result.out), STR("{\"error\":{\"code\":"));

	if (result.exit_code == 0 || (result.exit_code > 0 && answered))
		return true;
	print_message("%s: exit %d, signal %d%s: " STR_FMT "\n", what, result.exit_code, result.signal,
		      result.timed_out ? ", timed out" : "", STR_ARG(buf_str(&result.err)));
	return false;
}

static unsigned try_file(const char *what)
{
	static const char *const modes[] = {"--probe @bad", "-o @bad.uhx @bad", "--extract -o @bad.debug @bad"};
	unsigned crashes = 0;

	for (size_t i = 0; i < countof(modes); i++) {
		run(-1, modes[i]);
		crashes += !behaved(what);
	}
	return crashes;
}

static void test_cut_files(void **state)
{
	size_t n;
	char *bytes = toolbox_read("whole", &n);
	size_t step = MAX(CUT_STEP, n / CUTS_MAX / CUT_STEP * CUT_STEP);
	char what[64];

	(void)state;
	need_indexer();
	for (size_t cut = 0; cut < n; cut += step) {
		toolbox_write("bad", (struct str){bytes, cut});
		snprintf(what, sizeof(what), "cut at %zu", cut);
		assert_int_equal(try_file(what), 0);
		assert_int_not_equal(result.exit_code, 0); // never taken for whole
	}
	free(bytes);
}

static uint32_t random_state = 20240611;

static uint32_t next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

// Mostly anywhere, often in the ELF header or in the section headers at the end.
static size_t corrupt_place(size_t n)
{
	switch (next_random() % 6) {
	case 0:
		return next_random() % 64;
	case 1:
		return n - 1 - next_random() % 2500;
	default:
		return next_random() % n;
	}
}

static void test_corrupt_files(void **state)
{
	static const unsigned counts[] = {1, 3, 20, 300};
	size_t n;
	char *bytes = toolbox_read("whole", &n);
	unsigned crashes = 0;
	char what[64];

	(void)state;
	need_indexer();
	for (int i = 0; i < CORRUPTIONS; i++) {
		char *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		for (unsigned k = 0; k < counts[i % 4]; k++)
			copy[corrupt_place(n)] = (char)next_random();
		toolbox_write("bad", (struct str){copy, n});
		free(copy);
		snprintf(what, sizeof(what), "corruption %d", i);
		crashes += try_file(what);
	}
	print_message("%d corrupt files: %u runs ended by a crash\n", CORRUPTIONS, crashes);
	assert_int_equal(crashes, 0);
	free(bytes);
}

// What no option names: the package beside the binary. A bad one is worth a warning.
static void test_package(void **state)
{
	(void)state;
	need_indexer();
	if (!toolbox_has("llvm-dwp")) {
		print_message("llvm-dwp is missing\n");
		skip();
	}
	assert_int_equal(toolbox_run("echo 'int main(void) { return 7; }' >s.c && gcc -g -gsplit-dwarf -c s.c && "
				     "gcc s.o -o s && llvm-dwp -e s -o s.dwp"), 0);
	run(-1, "-o @s.uhx @s");
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(buf_str(&result.out).p, "\"warnings\":[]"));
	assert_int_equal(toolbox_run("mv s.dwp elsewhere.dwp && echo nonsense >s.dwp"), 0);
	run(-1, "-o @s.uhx @s");
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(buf_str(&result.out).p, "/s.dwp: not an ELF file\""));
	assert_null(strstr(buf_str(&result.out).p, "/s.dwp: /")); // its name once
	assert_non_null(strstr(buf_str(&result.out).p, "the functions of 1 units are in .dwo files that were not given"));
	assert_int_equal(toolbox_run("rm s.dwp && mkdir s.dwp"), 0);
	run(-1, "-o @s.uhx @s");
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(buf_str(&result.out).p, "/s.dwp: not a regular file"));
	run(-1, "--dwp @elsewhere.dwp -o @s.uhx @s");
	assert_non_null(strstr(buf_str(&result.out).p, "\"warnings\":[]"));
	run(-1, "--dwo @s.dwo -o @s.uhx @s");
	assert_non_null(strstr(buf_str(&result.out).p, "\"warnings\":[]"));
	run(-1, "--dwo @s.dwo -o @s.dwo @s");
	expect_error(2, "usage", "is the file to read");
	run(-1, "--dwp @missing -o @s.uhx @s");
	expect_error(3, "not_found", "missing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),	 cmocka_unit_test(test_index),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_debug_dir),
		cmocka_unit_test(test_usage),	 cmocka_unit_test(test_limits),
		cmocka_unit_test(test_output_is_input), cmocka_unit_test(test_output_is_whole),
		cmocka_unit_test(test_package),
		cmocka_unit_test(test_cut_files), cmocka_unit_test(test_corrupt_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
