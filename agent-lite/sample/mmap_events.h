/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of each mapping, execve, fork and exit on this host, as it happens: a dummy
 * perf event on each CPU with a small ring. So the mappings of a process are known as they were
 * when it was sampled, build-IDs included (5.12), also when it has ended since.
 *
 * Owns events and rings. One owner thread; the kernel side runs by itself.
 */
#ifndef AGENT_MMAP_EVENTS_H
#define AGENT_MMAP_EVENTS_H

#include "agent-lite/process/mmap_merge.h"
#include "base/err.h"

enum {
	/* Of each CPU: about 58 execs, i.e. 2,900 a second where it is read each 20 ms. */
	MMAP_RING_BYTES = 64 << 10,
};

struct mmap_events;

/* Begins on the CPUs that are online. Errors as sampler_new(). */
int mmap_events_new(struct mmap_events **ret, struct err *e) MUST_CHECK;
void mmap_events_free(struct mmap_events *m); /* accepts NULL */
/* Readable once there is about one exec's worth of events on a CPU. Borrowed. */
int mmap_events_fd(const struct mmap_events *m);
/* The events. Borrowed. */
struct mmap_merge *mmap_events_merge(struct mmap_events *m);
/* Does the kernel tell of build-IDs? */
bool mmap_events_tell_build_ids(const struct mmap_events *m);
/* Begins on CPUs that came online since. What those that went offline still hold counts as lost. */
int mmap_events_follow_cpus(struct mmap_events *m, struct err *e) MUST_CHECK;

#endif
