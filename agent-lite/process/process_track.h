/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes as events tell of them. Nothing is read from disk here and no child is asked, so that a
 * host that does nothing but start programs costs little. One owner thread.
 */
#ifndef AGENT_PROCESS_TRACK_H
#define AGENT_PROCESS_TRACK_H

#include "agent-lite/process/mmap_record.h"
#include "agent-lite/process/process.h"

enum { PROCESS_EARLY_PER_SECOND = 500 };

/* Events come in order of time, before samples that are later. */
int processes_apply(struct processes *ps, const struct mmap_event *ev, struct err *e) MUST_CHECK;
/*
 * After a batch of events: the listener is told of what changed and still runs, also of what was
 * never sampled, provided that all its modules are known; at most PROCESS_EARLY_PER_SECOND of
 * those.
 */
void processes_settle(struct processes *ps);

#endif
