/* SPDX-License-Identifier: Apache-2.0 */
/* Each publisher runs in a process of its own, since it may end by a signal. */
#include "symbolizer/indexer/publisher.h"

#include "base/io.h"
#include "tests/unit/toolbox.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_READY = 'r' };

static int ready[2]; // the child says here that it is at work

static void write_something(int fd)
{
	if (io_write_all(fd, "half", 4, NULL) || write(ready[1], &(char){CHILD_READY}, 1) != 1)
		_exit(99);
}

static int end_well(void *ctx, int out_fd)
{
	write_something(out_fd);
	printf("%s", (const char *)ctx);
	return 0;
}

static int end_badly(void *ctx, int out_fd)
{
	end_well(ctx, out_fd);
	return 5;
}

static int wait_for_ever(void *ctx UNUSED, int out_fd)
{
	write_something(out_fd);
	while (pause() < 0)
		;
	return 0;
}

static int die(void *ctx UNUSED, int out_fd)
{
	write_something(out_fd);
	return raise(SIGKILL);
}

// In a process of its own, whose stdout is the file "said"; its exit code is the result, 98 a refusal.
static pid_t publish(const char *name, publisher_work work)
{
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err e = ERR_INIT;
		int rc;

		if (chdir(toolbox_dir) || !freopen("said", "w", stdout))
			_exit(97);
		rc = publisher_run(name, work, (void *)(uintptr_t)"the report", &e);
		_exit(rc < 0 ? 98 : rc);
	}
	return pid;
}

static void await_work(void)
{
	char c = 0;

	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, CHILD_READY);
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ready[0]);
	close(ready[1]);
	return status;
}

static void expect_content(const char *name, const char *content)
{
	char *text = toolbox_read(name, NULL);

	assert_string_equal(text, content);
	free(text);
}

static void expect_nothing_left(void)
{
	expect_content("out", "before");
	assert_int_equal(toolbox_run("test -z \"$(find . -name '.*' -type f)\""), 0);
}

static void success_publishes(void **state UNUSED)
{
	toolbox_write("out", STR("before"));
	assert_int_equal(WEXITSTATUS(status_of(publish("out", end_well))), 0);
	expect_content("out", "half");
	expect_content("said", "the report");
}

static void failure_leaves_what_was_there(void **state UNUSED)
{
	toolbox_write("out", STR("before"));
	assert_int_equal(WEXITSTATUS(status_of(publish("out", end_badly))), 5);
	expect_nothing_left();
	expect_content("said", "the report");
}

static void a_folder_that_is_missing(void **state UNUSED)
{
	assert_int_equal(WEXITSTATUS(status_of(publish("none/out", end_well))), 98);
}

static void signals_are_passed_on(void **state UNUSED)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	toolbox_write("out", STR("before"));
	for (size_t i = 0; i < countof(numbers); i++) {
		pid_t pid = publish("out", wait_for_ever);
		int status;

		await_work();
		assert_int_equal(kill(pid, numbers[i]), 0);
		status = status_of(pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), numbers[i]);
		expect_nothing_left();
	}
}

static void the_childs_death_is_told(void **state UNUSED)
{
	int status;

	toolbox_write("out", STR("before"));
	status = status_of(publish("out", die));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	expect_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_publishes),
		cmocka_unit_test(failure_leaves_what_was_there),
		cmocka_unit_test(a_folder_that_is_missing),
		cmocka_unit_test(signals_are_passed_on),
		cmocka_unit_test(the_childs_death_is_told),
	};

	return cmocka_run_group_tests(tests, toolbox_setup, toolbox_teardown);
}
