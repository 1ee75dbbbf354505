/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/rights/rights.h"

#include "agent-lite/rights/capabilities.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOBODY = 65534 };

#define CAP(cap) (UINT64_C(1) << (cap))

static const uint64_t sampling = CAP(CAP_BPF) | CAP(CAP_PERFMON) | CAP(CAP_SYS_PTRACE) |
				 CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_CHECKPOINT_RESTORE) |
				 CAP(CAP_SYSLOG);

/* Where CAP_SYS_ADMIN was given for what newer names are not known to (old container runtimes). */
static uint64_t stand_in(uint64_t wanted, uint64_t have)
{
	const uint64_t newer = CAP(CAP_BPF) | CAP(CAP_PERFMON);

	return (wanted & newer & ~have) ? CAP(CAP_SYS_ADMIN) : 0;
}

static uint64_t wanted_for(enum rights_for what, uint64_t have)
{
	uint64_t wanted = sampling;

	if (what == RIGHTS_FOR_NOTHING)
		return 0;
	if (what == RIGHTS_FOR_SENDING)
		return CAP(CAP_DAC_READ_SEARCH);
	if (what == RIGHTS_FOR_GIVING)
		return CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_SYSLOG);
	// `sudo unhex-agent -o profile` in somebody's home: the last step is a rename there.
	if (what == RIGHTS_FOR_SAMPLING_TO_FILE)
		wanted |= CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER);
	return wanted | stand_in(wanted, have);
}

/* Only with CAP_SETPCAP; without, no_new_privs keeps execve() from gaining anything. */
static void drop_bounding(uint64_t keep)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return;
	}
}

static int keep_only(uint64_t keep, struct err *e)
{
	drop_bounding(keep);
	// Fails where the kernel has no ambient set, i.e. nothing to clear.
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "setting no_new_privs");
	return capabilities_set(keep, e);
}

int rights_keep(enum rights_for what, struct err *e)
{
	uint64_t have;

	if (capabilities_get(CAPABILITIES_PERMITTED, &have, e) < 0)
		return -1;
	return keep_only(have & wanted_for(what, have), e);
}

int rights_give_up(struct err *e)
{
	uint64_t have;

	if (capabilities_get(CAPABILITIES_EFFECTIVE, &have, e) < 0)
		return -1;
	// Without CAP_SETUID and CAP_SETGID a root without capabilities has to do.
	if (geteuid() == 0 && (have & CAP(CAP_SETUID)) && (have & CAP(CAP_SETGID)) &&
	    (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	     setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return err_sys(e, errno, "becoming nobody");
	return keep_only(0, e);
}
