/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sandbox.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
enum { UNDER_ASAN = 1 };
#else
enum { UNDER_ASAN = 0 };
#endif

enum { OPEN_FILES_MAX = 64 };

static void free_filter(scmp_filter_ctx ctx)
{
	seccomp_release(ctx);
}

DEFINE_CLEANUP(scmp_filter_ctx, free_filter)

#if defined(__SANITIZE_ADDRESS__)
static int fenced;

// The leak checker starts a tracer, which the fence forbids; it asks here first.
int __lsan_is_turned_off(void)
{
	return fenced;
}

static void tell_sanitizer(void)
{
	__sanitizer_sandbox_on_notify(NULL); // reads /proc/self/maps while it can
	fenced = 1;
}
#else
static void tell_sanitizer(void)
{
}
#endif

static int limit(int resource, uint64_t value, const char *what, struct err *e)
{
	struct rlimit old;
	struct rlimit new;

	if (getrlimit((__rlimit_resource_t)resource, &old))
		return err_sys(e, errno, "sandbox: reading the limit of %s", what);
	new.rlim_max = MIN((rlim_t)value, old.rlim_max);
	new.rlim_cur = new.rlim_max;
	if (setrlimit((__rlimit_resource_t)resource, &new))
		return err_sys(e, errno, "sandbox: limiting %s", what);
	return 0;
}

static int set_limits(const struct sandbox_limits *l, struct err *e)
{
	signal(SIGXFSZ, SIG_IGN); // a write beyond the limit fails with EFBIG instead
	if (!UNDER_ASAN && limit(RLIMIT_AS, l->address_space, "memory", e))
		return -1;
	if (limit(RLIMIT_CPU, l->cpu_seconds, "CPU time", e) ||
	    limit(RLIMIT_FSIZE, l->file_size, "file size", e) ||
	    limit(RLIMIT_NOFILE, OPEN_FILES_MAX, "open files", e) ||
	    limit(RLIMIT_NPROC, 0, "processes", e) || limit(RLIMIT_CORE, 0, "core size", e))
		return -1;
	return 0;
}

static int drop_privileges(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, errno, "sandbox: giving up new privileges");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_sys(e, errno, "sandbox: forbidding dumps");
	return 0;
}

// All file system rights the running kernel knows (Documentation/userspace-api/landlock.rst).
static uint64_t landlock_rights(int abi)
{
	static const unsigned char rights_of_abi[] = {0, 13, 14, 15, 15, 16};
	size_t known = MIN((size_t)abi, countof(rights_of_abi) - 1);

	return (UINT64_C(1) << rights_of_abi[known]) - 1;
}

// An empty rule set: no path can be opened any more. Open descriptors keep what they have.
static int enter_landlock(bool *ret, struct err *e)
{
	struct landlock_ruleset_attr attr = {0};
	_cleanup_close_ int fd = -1;
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*ret = false;
	if (abi < 1)
		return 0;
	attr.handled_access_fs = landlock_rights(abi);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0))
		return err_sys(e, errno, "sandbox: entering Landlock");
	*ret = true;
	return 0;
}

static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(pwrite64),
	SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(close), SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate), SCMP_SYS(fsync),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex),
	SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(gettid), SCMP_SYS(getpid),
	SCMP_SYS(sched_yield), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(restart_syscall),
};

// Nothing innocent asks for these: the process has been taken over, and ends.
static const int deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone),
	SCMP_SYS(clone3), SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect),
	SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(keyctl), SCMP_SYS(add_key),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load),
	SCMP_SYS(open_by_handle_at),
};

// A call that this architecture does not have needs no rule (EDOM).
static int add_rules(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = seccomp_rule_add(ctx, action, calls[i], 0);

		if (rc && rc != -EDOM)
			return rc;
	}
	return 0;
}

// Not F_SETOWN, F_SETSIG and O_ASYNC: they would let the kernel send any signal to our parent for us.
static int add_fcntl_rules(scmp_filter_ctx ctx)
{
	static const int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC};
	int rc = 0;

	for (size_t i = 0; i < countof(commands) && !rc; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				      SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	return rc;
}

// No new executable memory; no signals but to ourselves (abort); newfstatat as glibc's fstat() calls it.
static int add_conditional_rules(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp not_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
	const struct scmp_arg_cmp by_fd = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_exec);

	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_exec);
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, by_fd);
	if (!rc && UNDER_ASAN)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0);
	return rc;
}

static int enter_seccomp(bool receive_fds, bool *ret, struct err *e)
{
	_cleanup_(free_filterp) scmp_filter_ctx ctx = NULL;
	int rc;

	*ret = false;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return 0; // a kernel built without it
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return err_nomem(e);
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!rc)
		rc = add_rules(ctx, SCMP_ACT_ALLOW, allowed, countof(allowed));
	if (!rc)
		rc = add_rules(ctx, SCMP_ACT_KILL_PROCESS, deadly, countof(deadly));
	if (!rc)
		rc = add_fcntl_rules(ctx);
	if (!rc)
		rc = add_conditional_rules(ctx);
	if (!rc && receive_fds)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 0);
	if (!rc)
		rc = seccomp_load(ctx);
	if (rc)
		return err_sys(e, -rc, "sandbox: entering seccomp");
	*ret = true;
	return 0;
}

int sandbox_enter(const struct sandbox_limits *limits, struct sandbox_state *ret, struct err *e)
{
	struct sandbox_state state;

	tell_sanitizer();
	if (set_limits(limits, e) || drop_privileges(e) || enter_landlock(&state.landlock, e) ||
	    enter_seccomp(limits->receive_fds, &state.seccomp, e))
		return -1;
	*ret = state;
	return 0;
}
