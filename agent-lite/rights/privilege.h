/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What eBPF sampling needs of the kernel and of this process, looked at one by one, so that a
 * refusal becomes a sentence that says what is missing and how to get it. Looks, changes nothing.
 * Thread-safe.
 */
#ifndef AGENT_PRIVILEGE_H
#define AGENT_PRIVILEGE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum requirement_state {
	REQUIREMENT_OK,
	REQUIREMENT_MISSING, /* no sampling without it */
	REQUIREMENT_WEAK,    /* sampling works, something is poorer without it */
};

struct requirement {
	const char *name;
	enum requirement_state state;
	enum err_kind kind; /* of the error when it is missing */
	char fix[200];	    /* what is wrong and how to mend it; empty when ok */
};

enum { REQUIREMENTS_MAX = 16 };

/*
 * Is this kernel MAJOR.MINOR or newer? True when it does not say. release: its own text, untouched
 * where it does not tell.
 */
bool privilege_kernel_is(unsigned major, unsigned minor, char release[static 65]);
/* All of them, most basic first. Returns how many. */
size_t privilege_look(struct requirement ret[static REQUIREMENTS_MAX]);
/* One line each: "ok       CAP_BPF", "missing  BTF: …". True when nothing is missing. */
bool privilege_report(const struct requirement *all, size_t n, struct buf *out);

/*
 * Turns the failure of `doing` with errnum into *e, naming what is missing where one of the
 * requirements is, else the likely outside cause (seccomp, lockdown). Returns -1.
 */
int privilege_explain(int errnum, const char *doing, struct err *e);

#endif
