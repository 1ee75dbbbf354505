/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples and events of mappings in one order of time, so that a sample is looked up in its
 * process's mappings as they were when it was taken. Samples are copied and wait for the events of
 * before them; events of after them wait in their rings.
 *
 *   seen = clock_mono_ns();
 *   sampler_drain(…)            each sample goes to timeline_add()
 *   timeline_run(t, seen)       hands them on, oldest first
 *
 * Owns the copies; borrows the rest. One owner thread.
 */
#ifndef AGENT_TIMELINE_H
#define AGENT_TIMELINE_H

#include "agent-lite/mmap_merge.h"
#include "agent-lite/process.h"
#include "agent-lite/sampler.h"
#include "base/buf.h"

enum { TIMELINE_BYTES_MAX = 4 << 20 }; /* of samples that wait; more are handed on at once */

struct timeline {
	struct processes *processes;
	struct mmap_merge *events; /* NULL: there are none */
	sampler_fn *deliver;
	void *deliver_ctx;
	/* The waiting samples, as they came out of the ring, and where each begins. */
	struct buf bytes;
	struct timeline_sample {
		uint64_t time_ns;
		uint32_t offset;
		uint32_t size;
	} *samples;
	size_t count, cap;
};

void timeline_init(struct timeline *t, struct processes *processes, struct mmap_merge *events,
		   sampler_fn *deliver, void *deliver_ctx);
void timeline_deinit(struct timeline *t);
/* Of type sampler_fn. */
int timeline_add(void *timeline, const struct record *r, struct err *e) MUST_CHECK;
/*
 * Hands on all samples, each after the events of before it, then applies the events up to seen_ns,
 * the time before which all samples are here. -1 with the receiver's error.
 */
int timeline_run(struct timeline *t, uint64_t seen_ns, struct err *e) MUST_CHECK;

#endif
