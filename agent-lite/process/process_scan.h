/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of a process, and the files behind its mappings. Works on struct process; for
 * process.c and process_track.c. One owner thread.
 */
#ifndef AGENT_PROCESS_SCAN_H
#define AGENT_PROCESS_SCAN_H

#include "agent-lite/process/process.h"

/*
 * Replaces the mappings by what /proc says; modules that are not known yet are still to be looked
 * for. A process that has ended keeps what is known of it; p->gone when that is nothing.
 */
int process_scan(struct processes *ps, struct process *p, struct err *e) MUST_CHECK;
/*
 * Looks for the modules that are missing in p's mappings, or that were guessed, and tells the
 * listener. Reads files.
 */
int process_resolve(struct processes *ps, struct process *p, struct err *e) MUST_CHECK;
/* The same for the image that was replaced. */
int process_resolve_before(struct processes *ps, struct process *p, struct err *e) MUST_CHECK;

/* Field 22 of /proc/PID/stat: clock ticks since boot. */
bool process_start_ticks(struct str stat_text, uint64_t *ret);

#endif
