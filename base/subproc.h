/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a helper program: posix_spawn (never fork: we are threaded), an explicit list of file
 * descriptors, a cleared environment, capped capture of stdout and stderr, a wall-clock deadline
 * enforced through a pidfd. Thread-safe.
 */
#ifndef BASE_SUBPROC_H
#define BASE_SUBPROC_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { SUBPROC_FDS_MAX = 8 };

struct subproc_spec {
	const char *path;         /* absolute or relative to the working folder; no PATH search */
	const char *const *argv;  /* NULL-terminated, argv[0] included */
	const char *const *env;   /* NULL-terminated; NULL: empty environment */
	int fds[SUBPROC_FDS_MAX]; /* fds[i] becomes descriptor 3 + i in the child */
	size_t fd_count;
	uint64_t deadline_ms;     /* from the start; 0: none */
	int stop_fd;              /* > 0: when it becomes readable the child is killed */
	size_t max_stdout;        /* more is a failure of the child (ERR_TOO_LARGE) */
	size_t max_stderr;        /* more is cut */
};

struct subproc_result {
	struct buf out; /* stdout */
	struct buf err; /* stderr, cut */
	int exit_code;  /* -1 when killed by a signal */
	int signal;     /* 0 when it exited */
	bool timed_out; /* killed by us at the deadline */
	bool stopped;   /* killed by us because of stop_fd */
	uint64_t wall_ms;
	uint64_t cpu_us;
	uint64_t peak_rss_kib; /* as last seen while it ran; 0 where it was too quick to be seen */
};

#define SUBPROC_RESULT_INIT ((struct subproc_result){.exit_code = -1})

/* Spawns and waits. -1 only where it could not be run or watched; see *ret for how it ended. */
int subproc_run(const struct subproc_spec *spec, struct subproc_result *ret, struct err *e) MUST_CHECK;
void subproc_result_deinit(struct subproc_result *r);

/* The folder of the running executable + "/" + name, where our helper programs lie. out: 4096. */
int subproc_sibling(const char *name, char out[static 4096], struct err *e) MUST_CHECK;

#endif
