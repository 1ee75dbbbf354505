/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fence around code that reads foreign binaries: no_new_privs, rlimits, non-dumpable, Landlock
 * (where the kernel has it: no file system access at all), seccomp with an allow list whose default
 * is EPERM (libelf 0.188 calls readlink on /proc/self/fd/N while opening and must only be told no) and
 * whose short kill list (execve, socket, ptrace, …) ends the process. Entered once, after every file is
 * open, by a single-threaded process; there is no way back.
 *
 * Under AddressSanitizer RLIMIT_AS is not set (its shadow reserves terabytes) and the system calls that
 * the run-time needs to print a report are allowed; everything else holds.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/base.h"
#include "base/err.h"

struct sandbox_limits {
	uint64_t address_space; /* bytes; RLIMIT_AS */
	uint64_t cpu_seconds;   /* RLIMIT_CPU */
	uint64_t file_size;     /* RLIMIT_FSIZE: the largest output file; SIGXFSZ is ignored, so EFBIG */
	bool receive_fds;       /* allow recvmsg(2), for a helper that is handed file after file */
};

/* What could be put in force on this kernel, for the report. */
struct sandbox_state {
	bool seccomp;
	bool landlock;
};

int sandbox_enter(const struct sandbox_limits *limits, struct sandbox_state *ret, struct err *e) MUST_CHECK;

#endif
