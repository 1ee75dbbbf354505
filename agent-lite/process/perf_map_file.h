/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The perf map of a running process (perf_map.h), followed while it grows: /tmp/perf-NSPID.map in
 * the process's own root, under the PID it has in its own namespace. Whatever lies there may have
 * been put there by the process to lead us astray: it is opened inside that root alone, never
 * through a link, and only as a regular file that belongs to the process's user or to root. One
 * owner thread.
 */
#ifndef AGENT_PERF_MAP_FILE_H
#define AGENT_PERF_MAP_FILE_H

#include "agent-lite/process/perf_map.h"

enum {
	PERF_MAP_FILE_MAX = 32 << 20, /* bytes of text that are read, of one file */
	PERF_MAP_STEP_MAX = 4 << 20,  /* and at once */
	PERF_MAP_PAUSE_MS = 500,      /* between two looks */
	PERF_MAP_PAUSE_MAX_MS = 4000, /* doubled up to that where there is nothing new */
};

struct perf_map_file {
	struct perf_map map;
	uint64_t device, inode; /* of what was read; 0: nothing yet */
	uint64_t read;		/* bytes of it */
	uint64_t next_ms;	/* not before that */
	uint64_t pause_ms;
};

struct perf_map_file *perf_map_file_new(void) MUST_CHECK; /* NULL: out of memory */
void perf_map_file_free(struct perf_map_file *f);	  /* accepts NULL */
/*
 * Reads on, if it is time to. proc: "/proc". What cannot be read now stays as it is; -1: ERR_NOMEM
 * only.
 */
int perf_map_file_follow(struct perf_map_file *f, const char *proc, uint64_t pid,
			 struct err *e) MUST_CHECK;

/* Of the text of /proc/PID/status: the PID in the innermost namespace, and the effective user. */
bool perf_map_owner(struct str status_text, uint64_t *ret_pid, uint64_t *ret_uid);

#endif
