/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/rights/privilege.h"

#include "agent-lite/rights/capabilities.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	SYSCTL_MAX = 4096,
	KERNEL_MAJOR = 5, // ring buffer, CAP_BPF, CAP_PERFMON
	KERNEL_MINOR = 8,
};

// The first PID namespace's inode: PROC_PID_INIT_INO of include/linux/proc_ns.h.
#define FIRST_PID_NAMESPACE UINT64_C(0xEFFFFFFC)

/* ---- looking --------------------------------------------------------------------------------- */

static bool has_cap(int cap)
{
	uint64_t caps;
	struct err ignored;

	return capabilities_get(CAPABILITIES_EFFECTIVE, &caps, &ignored) == 0 && caps >> cap & 1;
}

bool privilege_kernel_is(unsigned major, unsigned minor, char release[static 65])
{
	struct utsname u;
	struct str rest, major_text, minor_text;
	uint64_t major_n, minor_n;

	if (uname(&u) < 0)
		return true;
	snprintf(release, 65, "%s", u.release);
	rest = str_from(release);
	if (!str_next(&rest, '.', &major_text) || !str_next(&rest, '.', &minor_text))
		return true;
	minor_text.n = strspn(minor_text.p, "0123456789");
	if (!str_to_u64(major_text, 1000, &major_n) || !str_to_u64(minor_text, 1000, &minor_n))
		return true;
	return major_n > major || (major_n == major && minor_n >= minor);
}

static bool file_says(const char *path, const char *word)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(SYSCTL_MAX);
	struct err ignored;

	return io_read_file(path, &b, &ignored) == 0 && b.n > 0 && strstr(b.p, word) != NULL;
}

static bool in_first_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == FIRST_PID_NAMESPACE;
}

/* ---- the list -------------------------------------------------------------------------------- */

static void PRINTF(5, 6) add(struct requirement *all, size_t *n, struct requirement what, bool ok,
			     const char *fmt, ...)
{
	struct requirement *r = &all[(*n)++];
	va_list ap;

	*r = what;
	if (ok) {
		r->state = REQUIREMENT_OK;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(r->fix, sizeof(r->fix), fmt, ap);
	va_end(ap);
}

static void look_at_kernel(struct requirement *all, size_t *n)
{
	const struct requirement kernel = {"kernel 5.8 or newer", REQUIREMENT_MISSING,
					   ERR_NO_KERNEL_SUPPORT, ""};
	const struct requirement btf = {"BTF", REQUIREMENT_MISSING, ERR_NO_KERNEL_SUPPORT, ""};
	const struct requirement lockdown = {"lockdown", REQUIREMENT_MISSING, ERR_NO_KERNEL_SUPPORT,
					     ""};
	char release[65] = "?";
	bool new_enough = privilege_kernel_is(KERNEL_MAJOR, KERNEL_MINOR, release);
	bool has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	int why = errno;

	add(all, n, kernel, new_enough, "this is %s", release);
	add(all, n, btf, has_btf,
	    "/sys/kernel/btf/vmlinux: %s; use a kernel built with CONFIG_DEBUG_INFO_BTF=y, and "
	    "mount /sys",
	    strerror(why));
	add(all, n, lockdown, !file_says("/sys/kernel/security/lockdown", "[confidentiality]"),
	    "kernel lockdown is in confidentiality mode, which forbids reading stacks; boot with "
	    "lockdown=integrity");
}

static void look_at_caps(struct requirement *all, size_t *n)
{
	static const struct {
		int cap;
		bool implied_by_admin;
		enum requirement_state without;
		const char *name;
		const char *use;
	} caps[] = {
		{CAP_BPF, true, REQUIREMENT_MISSING, "CAP_BPF", "to load the BPF program"},
		{CAP_PERFMON, true, REQUIREMENT_MISSING, "CAP_PERFMON",
		 "to sample other processes"},
		{CAP_SYS_PTRACE, false, REQUIREMENT_WEAK, "CAP_SYS_PTRACE",
		 "to read the mappings of other users' processes"},
		{CAP_DAC_READ_SEARCH, false, REQUIREMENT_WEAK, "CAP_DAC_READ_SEARCH",
		 "to read build-IDs of files that are not world-readable"},
		{CAP_CHECKPOINT_RESTORE, true, REQUIREMENT_WEAK, "CAP_CHECKPOINT_RESTORE",
		 "to read build-IDs of deleted or replaced files"},
		{CAP_SYSLOG, true, REQUIREMENT_WEAK, "CAP_SYSLOG", "to name kernel frames"},
	};
	bool admin = has_cap(CAP_SYS_ADMIN);

	for (size_t i = 0; i < countof(caps); i++) {
		const struct requirement r = {caps[i].name, caps[i].without, ERR_NO_CAPABILITY, ""};

		add(all, n, r, has_cap(caps[i].cap) || (admin && caps[i].implied_by_admin),
		    "needed %s; run as root, or give it (setcap, AmbientCapabilities=, "
		    "capabilities.add)",
		    caps[i].use);
	}
}

static void look_around(struct requirement *all, size_t *n)
{
	const struct requirement pid = {"PID namespace", REQUIREMENT_MISSING, ERR_NO_CAPABILITY,
					""};
	const struct requirement notes = {"kernel build-ID", REQUIREMENT_WEAK,
					  ERR_NO_KERNEL_SUPPORT, ""};
	const struct requirement kptr = {"kptr_restrict", REQUIREMENT_WEAK, ERR_NO_KERNEL_SUPPORT,
					 ""};
	bool has_notes = access("/sys/kernel/notes", R_OK) == 0;
	int why = errno;

	add(all, n, pid, in_first_pid_namespace(),
	    "not the host's, so that samples and /proc would speak of different processes; run "
	    "with --pid=host (hostPID: true)");
	add(all, n, notes, has_notes, "/sys/kernel/notes: %s; kernel frames stay unnamed",
	    strerror(why));
	// With 1 CAP_SYSLOG sees the addresses; with 2 nobody does.
	add(all, n, kptr, !file_says("/proc/sys/kernel/kptr_restrict", "2"),
	    "kernel.kptr_restrict is 2, which hides the kernel's addresses from everybody; kernel "
	    "frames stay unnamed; sysctl kernel.kptr_restrict=1");
}

size_t privilege_look(struct requirement ret[static REQUIREMENTS_MAX])
{
	size_t n = 0;

	look_at_kernel(ret, &n);
	look_at_caps(ret, &n);
	look_around(ret, &n);
	return n;
}

bool privilege_report(const struct requirement *all, size_t n, struct buf *out)
{
	static const char *const words[] = {
		[REQUIREMENT_OK] = "ok",
		[REQUIREMENT_MISSING] = "missing",
		[REQUIREMENT_WEAK] = "weak",
	};
	bool complete = true;

	for (size_t i = 0; i < n; i++) {
		const struct requirement *r = &all[i];

		buf_printf(out, "%-8s %s%s%s\n", words[r->state], r->name, r->fix[0] ? ": " : "",
			   r->fix);
		complete = complete && r->state != REQUIREMENT_MISSING;
	}
	return complete;
}

/* ---- explaining ------------------------------------------------------------------------------ */

static int explain_eperm(int errnum, const char *doing, struct err *e)
{
	return err_set(e, ERR_NO_CAPABILITY,
		       "%s: %s, although all capabilities are there: a seccomp profile, an LSM or "
		       "kernel.perf_event_paranoid >= 4 forbids it; in a container allow bpf and "
		       "perf_event_open (--security-opt seccomp=…)",
		       doing, strerror(errnum));
}

/* "CAP_BPF, CAP_PERFMON"; returns the first of them, NULL when nothing is missing. */
static const struct requirement *list_missing(const struct requirement *all, size_t n,
					      struct buf *names)
{
	const struct requirement *first = NULL;

	for (size_t i = 0; i < n; i++) {
		if (all[i].state != REQUIREMENT_MISSING)
			continue;
		buf_printf(names, "%s%s", first ? ", " : "", all[i].name);
		first = first ? first : &all[i];
	}
	return first;
}

int privilege_explain(int errnum, const char *doing, struct err *e)
{
	_cleanup_(buf_deinit) struct buf names = BUF_INIT(SYSCTL_MAX);
	struct requirement all[REQUIREMENTS_MAX];
	const struct requirement *first = list_missing(all, privilege_look(all), &names);

	if (first)
		return err_set(e, first->kind, "%s: %s; missing " STR_FMT ": %s", doing,
			       strerror(errnum), STR_ARG(buf_str(&names)), first->fix);
	if (errnum == EPERM || errnum == EACCES)
		return explain_eperm(errnum, doing, e);
	if (errnum == ENOMEM)
		return err_nomem(e);
	return err_set(e, ERR_NO_KERNEL_SUPPORT,
		       "%s: %s; the running kernel refuses what unhex-agent needs of it", doing,
		       strerror(errnum));
}
