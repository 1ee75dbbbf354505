/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up what is no longer needed. Linux keeps capabilities per thread (capabilities(7)), so each
 * thread calls this for itself; threads that it starts afterwards inherit what it kept. There is no
 * way back, not by execve() either: no_new_privs is set.
 */
#ifndef AGENT_RIGHTS_H
#define AGENT_RIGHTS_H

#include "base/base.h"
#include "base/err.h"

/* What a thread goes on to do. */
enum rights_for {
	RIGHTS_FOR_SAMPLING, /* the main thread's: all that sampling, reading /proc and files takes */
	RIGHTS_FOR_SAMPLING_TO_FILE, /* and giving a profile its name in anybody's folder */
	RIGHTS_FOR_SENDING,	     /* reading files that belong to others, no more */
	RIGHTS_FOR_GIVING,	     /* that, and the kernel's list of symbols */
	RIGHTS_FOR_NOTHING,
};

/*
 * Keeps of the capabilities at hand those, and drops all others, from the bounding set too where it
 * may. The user stays who it is.
 */
int rights_keep(enum rights_for what, struct err *e) MUST_CHECK;
/*
 * For a helper process that reads foreign files: no capability is left, and nobody is its user where
 * it may choose.
 */
int rights_give_up(struct err *e) MUST_CHECK;

#endif
