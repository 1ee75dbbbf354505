/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of each mapping, execve, fork and exit on this host, as it happens: a dummy
 * perf event on each CPU with a small ring. The rings are read together, in order of time. So the
 * mappings of a process are known as they were when it was sampled, build-IDs included (5.12), also
 * when it has ended since.
 *
 * An event stays in its ring until it is asked for. Owns events and rings. One owner thread; the
 * kernel side runs by itself.
 */
#ifndef AGENT_MMAP_EVENTS_H
#define AGENT_MMAP_EVENTS_H

#include "agent-lite/mmap_record.h"
#include "base/err.h"

enum {
	/* Of each CPU: about 58 execs, i.e. 2,900 a second where it is read each 20 ms. */
	MMAP_RING_BYTES = 64 << 10,
};

struct mmap_events_stats {
	uint64_t events;
	uint64_t bytes;
	uint64_t lost; /* the ring was full */
	uint64_t malformed;
	bool build_ids; /* the kernel tells them */
};

struct mmap_events;

/* Begins on the CPUs that are online. Errors as sampler_new(). */
int mmap_events_new(struct mmap_events **ret, struct err *e) MUST_CHECK;
void mmap_events_free(struct mmap_events *m); /* accepts NULL */
/* Readable once there is about one exec's worth of events on a CPU. Borrowed. */
int mmap_events_fd(const struct mmap_events *m);
/* Takes notice of what the rings hold now. */
void mmap_events_look(struct mmap_events *m);
/*
 * The earliest of the events that were noticed, unless it is later than until_ns; false when there
 * is none. The path is borrowed: valid until the next call.
 */
bool mmap_events_next(struct mmap_events *m, uint64_t until_ns, struct mmap_event *ret);
/* Begins on CPUs that came online since. What those that went offline still hold counts as lost. */
int mmap_events_follow_cpus(struct mmap_events *m, struct err *e) MUST_CHECK;
void mmap_events_stats(const struct mmap_events *m, struct mmap_events_stats *ret);

#endif
