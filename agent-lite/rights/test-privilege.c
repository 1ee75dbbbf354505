/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/rights/privilege.h"

#include "base/testing.h"
#include <errno.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct requirement *find(const struct requirement *all, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].name, name) == 0)
			return &all[i];
	}
	fail_msg("no requirement %s", name);
	return NULL;
}

static void the_report_has_a_line_for_each(void **state)
{
	struct requirement all[REQUIREMENTS_MAX];
	size_t n = privilege_look(all), lines = 0;
	struct buf b = BUF_INIT(1 << 16);
	struct str rest, line;

	(void)state;
	assert_in_range(n, 8, REQUIREMENTS_MAX);
	privilege_report(all, n, &b);
	rest = (struct str){b.p, b.n - 1};
	while (str_next(&rest, '\n', &line)) {
		lines++;
		assert_true(str_has_prefix(line, STR("ok ")) ||
			    str_has_prefix(line, STR("missing ")) ||
			    str_has_prefix(line, STR("weak ")));
	}
	assert_int_equal(lines, n);
	buf_deinit(&b);
}

static void weak_is_not_missing(void **state)
{
	struct requirement all[] = {{"A", REQUIREMENT_OK, ERR_NONE, ""},
				    {"B", REQUIREMENT_WEAK, ERR_NO_CAPABILITY, "poorer"},
				    {"C", REQUIREMENT_MISSING, ERR_NO_CAPABILITY, "get it"}};
	struct buf b = BUF_INIT(1 << 16);

	(void)state;
	assert_true(privilege_report(all, 2, &b));
	assert_str(buf_str(&b), "ok       A\nweak     B: poorer\n");
	buf_clear(&b);
	assert_false(privilege_report(all, 3, &b));
	assert_holds(buf_str(&b), "missing  C: get it\n");
	buf_deinit(&b);
}

/* In a child that gave everything up; its exit status says what it saw. */
static int as_nobody(void)
{
	struct requirement all[REQUIREMENTS_MAX];
	struct err e = ERR_INIT;
	size_t n;

	if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		return 100;
	n = privilege_look(all);
	if (find(all, n, "CAP_BPF")->state != REQUIREMENT_MISSING)
		return 101;
	if (find(all, n, "CAP_SYSLOG")->state != REQUIREMENT_WEAK)
		return 102;
	privilege_explain(EPERM, "loading the BPF program", &e);
	if (e.kind != ERR_NO_CAPABILITY && e.kind != ERR_NO_KERNEL_SUPPORT)
		return 103;
	return strstr(e.msg, "loading the BPF program: Operation not permitted; missing ") ? 0
											   : 104;
}

static void without_capabilities_they_are_named(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("skip: needs root to give something up\n");
		skip();
	}
	pid = fork();
	if (pid == 0)
		_exit(as_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* With all capabilities, a refusal comes from elsewhere, and is said to. */
static void other_refusals_are_explained(void **state)
{
	struct requirement all[REQUIREMENTS_MAX];
	struct buf b = BUF_INIT(1 << 16);
	struct err e = ERR_INIT;
	bool complete = privilege_report(all, privilege_look(all), &b);

	(void)state;
	buf_deinit(&b);
	if (!complete) {
		print_message("skip: capabilities are missing here\n");
		skip();
	}
	assert_int_equal(privilege_explain(EPERM, "attaching", &e), -1);
	assert_err(&e, ERR_NO_CAPABILITY, "seccomp");
	assert_int_equal(err_exit_code(e.kind), 4);
	privilege_explain(EINVAL, "attaching", &e);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "attaching: Invalid argument");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_report_has_a_line_for_each),
		cmocka_unit_test(weak_is_not_missing),
		cmocka_unit_test(without_capabilities_they_are_named),
		cmocka_unit_test(other_refusals_are_explained),
	};

	return cmocka_run_group_tests_name("privilege", tests, NULL, NULL);
}
