/* SPDX-License-Identifier: Apache-2.0 */
#include "base/subproc.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/testing.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

static const char *const shell = "/bin/sh";

static int run(const char *script, struct subproc_spec spec, struct subproc_result *r, struct err *e)
{
	const char *const argv[] = {"sh", "-c", script, NULL};

	spec.path = shell;
	spec.argv = argv;
	if (!spec.max_stdout)
		spec.max_stdout = 1000;
	if (!spec.max_stderr)
		spec.max_stderr = 1000;
	return subproc_run(&spec, r, e);
}

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void output_and_exit_code_come_back(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(run("echo out; echo err >&2; exit 3", (struct subproc_spec){0}, &r, &e));
	assert_str(buf_str(&r.out), "out\n");
	assert_str(buf_str(&r.err), "err\n");
	assert_int_equal(r.exit_code, 3);
	assert_int_equal(r.signal, 0);
	assert_false(r.timed_out);
	assert_true(r.wall_ms < 10000);
	subproc_result_deinit(&r);
}

static void signals_are_told_from_exits(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(run("kill -SEGV $$", (struct subproc_spec){0}, &r, &e));
	assert_int_equal(r.exit_code, -1);
	assert_int_equal(r.signal, SIGSEGV);
	subproc_result_deinit(&r);
}

static void the_child_gets_nothing_but_what_it_is_given(void **state)
{
	const char *const env[] = {"ONLY=this", NULL};
	struct subproc_result r = SUBPROC_RESULT_INIT;
	_cleanup_close_ int stray = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err e = ERR_INIT;

	(void)state;
	setenv("SECRET", "x", 1);
	signal(SIGPIPE, SIG_IGN);
	assert_ok(run("echo \"[$SECRET]\"; read x; echo \"<$x>\"; ls /proc/self/fd; "
		      "grep -E 'SigBlk|SigIgn' /proc/self/status",
		      (struct subproc_spec){0}, &r, &e));
	assert_str(buf_str(&r.out), "[]\n<>\n0\n1\n2\n3\n"
				    "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n"); // 32 and 33 are glibc's own
	subproc_result_deinit(&r);
	assert_ok(run("echo $ONLY$SECRET", (struct subproc_spec){.env = env}, &r, &e));
	assert_str(buf_str(&r.out), "this\n");
	subproc_result_deinit(&r);
	signal(SIGPIPE, SIG_DFL);
	unsetenv("SECRET");
}

// Descriptors 3, 4, 5 of our own, handed over in another order, must not overwrite each other.
static void descriptors_are_handed_over_in_order(void **state)
{
	struct subproc_spec spec = {.fd_count = 3};
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;
	unsigned before;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		int fd = io_tmpfile("/tmp", &e);
		char digit = (char)('a' + i);

		assert_ok(io_pwrite_all(fd, &digit, 1, 0, &e));
		spec.fds[(i + 1) % 3] = fd;
	}
	before = open_fds();
	assert_ok(run("cat <&3; cat <&4; cat <&5; ls /proc/self/fd", spec, &r, &e));
	assert_str(buf_str(&r.out), "cab0\n1\n2\n3\n4\n5\n6\n"); // 6 is the listing itself
	assert_int_equal(open_fds(), before);
	subproc_result_deinit(&r);
	for (unsigned i = 0; i < 3; i++)
		close(spec.fds[i]);
}

static void the_deadline_kills(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(run("echo begun; exec sleep 60", (struct subproc_spec){.deadline_ms = 200}, &r, &e));
	assert_true(r.timed_out);
	assert_int_equal(r.signal, SIGKILL);
	assert_int_equal(r.exit_code, -1);
	assert_in_range(r.wall_ms, 200, 20000);
	assert_str(buf_str(&r.out), "begun\n");
	subproc_result_deinit(&r);
}

static void endless_output_does_not_outrun_the_deadline(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;
	uint64_t pid = 0;

	(void)state;
	assert_ok(run("exec yes >&2", (struct subproc_spec){.deadline_ms = 200}, &r, &e));
	assert_true(r.timed_out);
	subproc_result_deinit(&r);
	assert_ok(run("yes >&2 & echo $!", (struct subproc_spec){.deadline_ms = 9999}, &r, &e));
	assert_false(r.timed_out);
	assert_true(str_to_u64(str_trim(buf_str(&r.out)), INT32_MAX, &pid) && pid > 1);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
	subproc_result_deinit(&r);
}

static void a_readable_stop_descriptor_kills(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_ok(run("exit 4", (struct subproc_spec){.stop_fd = ends[0]}, &r, &e));
	assert_false(r.stopped);
	assert_int_equal(r.exit_code, 4);
	subproc_result_deinit(&r);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_ok(run("exec sleep 60", (struct subproc_spec){.stop_fd = ends[0]}, &r, &e));
	assert_true(r.stopped);
	assert_false(r.timed_out);
	assert_int_equal(r.signal, SIGKILL);
	subproc_result_deinit(&r);
	close(ends[0]);
	close(ends[1]);
}

static void a_grandchild_holds_nobody_up(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(run("sleep 3 & echo done", (struct subproc_spec){.deadline_ms = 30000}, &r, &e));
	assert_str(buf_str(&r.out), "done\n");
	assert_true(r.wall_ms < 2500);
	subproc_result_deinit(&r);
}

static void too_much_stdout_is_an_error_and_stderr_is_cut(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;
	unsigned before = open_fds();

	(void)state;
	assert_int_equal(run("yes", (struct subproc_spec){.max_stdout = 100000}, &r, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "/bin/sh wrote more than 100000 bytes and was stopped");
	assert_ok(run("yes | head -c 300000 >&2; echo fine", (struct subproc_spec){0}, &r, &e));
	assert_int_equal(r.err.n, 1000);
	assert_str(buf_str(&r.out), "fine\n");
	subproc_result_deinit(&r);
	assert_ok(run("yes | head -c 1000", (struct subproc_spec){0}, &r, &e));
	assert_int_equal(r.out.n, 1000);
	subproc_result_deinit(&r);
	assert_int_equal(run("yes | head -c 1001", (struct subproc_spec){0}, &r, &e), -1);
	assert_int_equal(open_fds(), before);
}

static void what_cannot_run_is_told(void **state)
{
	const char *const argv[] = {"x", NULL};
	struct subproc_spec spec = {.path = "/nonexistent/x", .argv = argv};
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;
	unsigned before = open_fds();

	(void)state;
	assert_int_equal(subproc_run(&spec, &r, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "running /nonexistent/x: No such file");
	spec.fd_count = 1;
	spec.fds[0] = 999;
	assert_int_equal(subproc_run(&spec, &r, &e), -1);
	assert_err(&e, ERR_IO, "duplicating descriptor 999: Bad file descriptor");
	spec.fd_count = SUBPROC_FDS_MAX + 1;
	assert_int_equal(subproc_run(&spec, &r, &e), -1);
	assert_err(&e, ERR_INTERNAL, "too many descriptors");
	assert_int_equal(open_fds(), before);
}

// The child shares our memory until it executes, and must not be charged for it.
static void our_own_size_is_not_the_childs(void **state)
{
	struct subproc_result r = SUBPROC_RESULT_INIT;
	struct err e = ERR_INIT;
	const size_t size = 100 << 20;
	char *ballast = mem_alloc(size);

	(void)state;
	assert_non_null(ballast);
	memset(ballast, 1, size);
	assert_ok(run("exec sleep 0.3", (struct subproc_spec){0}, &r, &e));
	assert_in_range(r.peak_rss_kib, 100, 50 * 1024);
	subproc_result_deinit(&r);
	free(ballast);
}

static void siblings_lie_beside_us(void **state)
{
	char path[4096];
	char self[4096] = "";
	struct err e = ERR_INIT;

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_ok(subproc_sibling("helper", path, &e));
	assert_true(str_has_suffix(str_from(path), STR("/helper")));
	assert_true(strncmp(path, self, strlen(path) - strlen("helper")) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_exit_code_come_back),
		cmocka_unit_test(signals_are_told_from_exits),
		cmocka_unit_test(the_child_gets_nothing_but_what_it_is_given),
		cmocka_unit_test(descriptors_are_handed_over_in_order),
		cmocka_unit_test(the_deadline_kills),
		cmocka_unit_test(endless_output_does_not_outrun_the_deadline),
		cmocka_unit_test(a_readable_stop_descriptor_kills),
		cmocka_unit_test(a_grandchild_holds_nobody_up),
		cmocka_unit_test(too_much_stdout_is_an_error_and_stderr_is_cut),
		cmocka_unit_test(what_cannot_run_is_told),
		cmocka_unit_test(our_own_size_is_not_the_childs),
		cmocka_unit_test(siblings_lie_beside_us),
	};

	return cmocka_run_group_tests_name("subproc", tests, NULL, NULL);
}
