/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sandbox.h"

#include "base/testing.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// A child enters the sandbox and tries something; 0 from `attempt` is exit status 0, an errno is itself.
typedef int attempt_fn(void);

static int input = -1;
static int output = -1;

static int in_sandbox(attempt_fn *attempt)
{
	const struct sandbox_limits limits = {
		.address_space = GIB(1), .cpu_seconds = 5, .file_size = 4096};
	struct sandbox_state fence = {false, false};
	struct err e = ERR_INIT;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (sandbox_enter(&limits, &fence, &e) || !fence.seccomp)
			_exit(250);
		_exit(attempt());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void check_errno(attempt_fn *attempt, int errnum)
{
	int status = in_sandbox(attempt);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != errnum)
		fail_msg("expected errno %d, got status 0x%x", errnum, (unsigned)status);
}

static void check_killed(attempt_fn *attempt, int sig)
{
	int status = in_sandbox(attempt);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
		fail_msg("expected signal %d, got status 0x%x", sig, (unsigned)status);
}

static int setup(void **state)
{
	(void)state;
	input = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	output = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return input < 0 || output < 0;
}

static int do_honest_work(void)
{
	void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, input, 0);
	struct stat st;
	char head[4];
	char *p;

	if (map == MAP_FAILED || memcmp(map, "\x7f" "ELF", 4) != 0)
		return 1;
	if (pread(input, head, 4, 0) != 4 || fstat(input, &st) || st.st_size < 4)
		return 2;
	if (ftruncate(output, 10) || fcntl(output, F_GETFD) < 0 ||
	    (fcntl(output, F_GETFL) & O_ACCMODE) != O_RDWR)
		return 3;
	if (write(output, "x", 1) != 1 || lseek(output, 0, SEEK_SET))
		return 4;
	p = malloc(20 << 20);
	if (!p)
		return 5;
	memset(p, 1, 20 << 20);
	free(p);
	return printf("%s", "") < 0;
}

static int open_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int resolve_a_link(void)
{
	char path[100];

	return readlink("/proc/self/fd/0", path, sizeof(path)) < 0 ? errno : 0;
}

static int stat_a_path(void)
{
	struct stat st;

	return stat("/etc/passwd", &st) ? errno : 0;
}

static int make_memory_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 1 : mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}

static int signal_the_parent(void)
{
	return kill(getppid(), SIGTERM) ? errno : 0;
}

// The kernel would send the signal in our name as soon as something happens there.
static int signal_the_parent_by_descriptor(void)
{
	return fcntl(input, F_SETOWN, getppid()) ? errno : 0;
}

static int choose_the_signal(void)
{
	return fcntl(input, F_SETSIG, SIGKILL) ? errno : 0;
}

static int ask_for_signals(void)
{
	return fcntl(input, F_SETFL, O_ASYNC) ? errno : 0;
}

// It is no file of a limited size, and not address space unless it is mapped.
static int take_memory_as_a_file(void)
{
	return memfd_create("scratch", MFD_CLOEXEC) < 0 ? errno : 0;
}

static int write_too_much(void)
{
	char page[4096] = "";

	if (write(output, page, sizeof(page)) != sizeof(page))
		return 1;
	return write(output, page, 1) < 0 ? errno : 0;
}

static int take_too_much_memory(void)
{
	volatile size_t size = GIB(2);
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int execute(void)
{
	execl("/bin/true", "true", NULL);
	return errno;
}

static int fork_once(void)
{
	return fork() < 0 ? errno : 0;
}

static int open_a_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int use_32_bit_calls(void)
{
#if defined(__x86_64__)
	long rc;

	// getpid of x32: allowed as itself, but not under another number.
	__asm__ volatile("syscall" : "=a"(rc) : "a"(0x40000000L + 39) : "rcx", "r11", "memory");
	return rc < 0 ? (int)-rc : 0;
#else
	raise(SIGSYS);
	return 0;
#endif
}

static int call_abort(void)
{
	abort();
}

static int spin(void)
{
	volatile unsigned long i = 1;

	while (i)
		i |= 2;
	return 0;
}

static void honest_work_is_possible(void **state)
{
	(void)state;
	check_errno(do_honest_work, 0);
}

static void the_file_system_is_out_of_reach(void **state)
{
	(void)state;
	check_errno(open_a_file, EPERM);
	check_errno(resolve_a_link, EPERM);
	check_errno(stat_a_path, EPERM);
}

static void other_powers_are_gone(void **state)
{
	(void)state;
	check_errno(make_memory_executable, EPERM);
	check_errno(signal_the_parent, EPERM);
	check_errno(signal_the_parent_by_descriptor, EPERM);
	check_errno(choose_the_signal, EPERM);
	check_errno(ask_for_signals, EPERM);
	check_errno(take_memory_as_a_file, EPERM);
}

static void limits_hold(void **state)
{
	(void)state;
	check_errno(write_too_much, EFBIG);
#if !defined(__SANITIZE_ADDRESS__)
	check_errno(take_too_much_memory, ENOMEM);
#else
	(void)take_too_much_memory;
#endif
}

static void signs_of_a_takeover_kill(void **state)
{
	(void)state;
	check_killed(execute, SIGSYS);
	check_killed(fork_once, SIGSYS);
	check_killed(open_a_socket, SIGSYS);
	check_killed(use_32_bit_calls, SIGSYS);
}

static void aborting_still_works(void **state)
{
	(void)state;
	check_killed(call_abort, SIGABRT);
}

// The hard limit of CPU time is the soft one: the kernel kills.
static void cpu_time_runs_out(void **state)
{
	const struct sandbox_limits limits = {
		.address_space = GIB(1), .cpu_seconds = 1, .file_size = 4096};
	struct sandbox_state fence;
	struct err e = ERR_INIT;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(sandbox_enter(&limits, &fence, &e) ? 250 : spin());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_work_is_possible),
		cmocka_unit_test(the_file_system_is_out_of_reach),
		cmocka_unit_test(other_powers_are_gone),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(signs_of_a_takeover_kill),
		cmocka_unit_test(aborting_still_works),
		cmocka_unit_test(cpu_time_runs_out),
	};

	return cmocka_run_group_tests_name("sandbox", tests, setup, NULL);
}
