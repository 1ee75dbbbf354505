/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the code that processes made themselves (perf_map_file.h), for frames in no file. What is
 * kept and what is read are bounded for all processes together: each of a thousand could write a
 * large map. For process.c and process_track.c. One owner thread.
 */
#ifndef AGENT_PROCESS_JIT_H
#define AGENT_PROCESS_JIT_H

#include "agent-lite/process/process.h"

enum {
	PROCESS_JIT_BYTES_MAX = 64 << 20,	 /* of all maps; beyond it the largest goes */
	PROCESS_JIT_READ_PER_SECOND = 8 << 20, /* bytes of text, and one step more */
};

/* Sets frames[].function where p says how its code is called. */
int process_jit_name(struct processes *ps, struct process *p, struct frame *frames, size_t n,
		     struct err *e) MUST_CHECK;
/* p has no such code any more. */
void process_jit_drop(struct processes *ps, struct process *p);

#endif
