/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a process of its own: there is no way back. What it says is its exit code. */
#include "agent-lite/rights/rights.h"

#include "agent-lite/rights/capabilities.h"
#include "base/testing.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP(cap) (UINT64_C(1) << (cap))

static uint64_t permitted(void)
{
	uint64_t caps = UINT64_MAX;
	struct err e;

	return capabilities_get(CAPABILITIES_PERMITTED, &caps, &e) == 0 ? caps : UINT64_MAX;
}

static uint64_t effective(void)
{
	uint64_t caps = UINT64_MAX;
	struct err e;

	return capabilities_get(CAPABILITIES_EFFECTIVE, &caps, &e) == 0 ? caps : UINT64_MAX;
}

/* Runs it in a child; 0 is good, other numbers say what was not. */
static void assert_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int keep_and_look(enum rights_for what, uint64_t allowed)
{
	uint64_t before = permitted();
	struct err e = ERR_INIT;

	if (rights_keep(what, &e) < 0)
		return 1;
	if (permitted() != (before & allowed) || effective() != (before & allowed))
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	for (int cap = 0; (before & CAP(CAP_SETPCAP)) && prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		if (prctl(PR_CAPBSET_READ, cap) == 1 && !(allowed >> cap & 1))
			return 4;
	}
	// Twice is as once: threads start threads.
	return rights_keep(what, &e) == 0 && permitted() == (before & allowed) ? 0 : 5;
}

static const uint64_t sampling = CAP(CAP_BPF) | CAP(CAP_PERFMON) | CAP(CAP_SYS_PTRACE) |
				 CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_CHECKPOINT_RESTORE) |
				 CAP(CAP_SYSLOG);

static int sample(void)
{
	return keep_and_look(RIGHTS_FOR_SAMPLING, sampling);
}

static int sample_to_file(void)
{
	return keep_and_look(RIGHTS_FOR_SAMPLING_TO_FILE,
			     sampling | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER));
}

static int send_only(void)
{
	return keep_and_look(RIGHTS_FOR_SENDING, CAP(CAP_DAC_READ_SEARCH));
}

static int give(void)
{
	return keep_and_look(RIGHTS_FOR_GIVING, CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_SYSLOG));
}

static int answer_only(void)
{
	return keep_and_look(RIGHTS_FOR_NOTHING, 0);
}

/* CAP_SYS_ADMIN stays where it stands for CAP_BPF, as with old container runtimes. */
static int sample_by_admin(void)
{
	struct err e = ERR_INIT;
	uint64_t old = CAP(CAP_SYS_ADMIN) | CAP(CAP_SYS_PTRACE) | CAP(CAP_CHOWN);

	if ((permitted() & old) != old)
		return 0; // asserted where there is root
	if (capabilities_set(old, &e) < 0 || rights_keep(RIGHTS_FOR_SAMPLING, &e) < 0)
		return 1;
	return permitted() == (CAP(CAP_SYS_ADMIN) | CAP(CAP_SYS_PTRACE)) ? 0 : 2;
}

static int give_up(void)
{
	bool can_choose = geteuid() == 0 && (effective() & CAP(CAP_SETUID)) &&
			  (effective() & CAP(CAP_SETGID));
	struct err e = ERR_INIT;

	if (rights_give_up(&e) < 0)
		return 1;
	if (permitted() != 0 || effective() != 0)
		return 2;
	return can_choose && geteuid() == 0 ? 3 : 0;
}

/* As in a container that was given the six and no more: root, but not by name. */
static int give_up_as_bare_root(void)
{
	struct err e = ERR_INIT;

	if (capabilities_set(permitted() & sampling, &e) < 0)
		return 1;
	return give_up();
}

static void what_is_not_needed_goes(void **state)
{
	(void)state;
	assert_child(sample);
	assert_child(sample_to_file);
	assert_child(send_only);
	assert_child(give);
	assert_child(answer_only);
	assert_child(sample_by_admin);
}

static void a_reader_of_foreign_files_has_nothing(void **state)
{
	(void)state;
	assert_child(give_up);
	assert_child(give_up_as_bare_root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_needed_goes),
		cmocka_unit_test(a_reader_of_foreign_files_has_nothing),
	};

	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
