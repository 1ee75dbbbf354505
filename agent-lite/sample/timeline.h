/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples and events of mappings in one order of time, so that a sample is looked up in its
 * process's mappings as they were when it was taken. Samples are copied and wait for the events of
 * before them; events of after them wait, too.
 *
 *   seen = clock_mono_ns();
 *   sampler_drain(…)            each sample goes to timeline_add()
 *   timeline_run(t, seen)       hands them on, oldest first
 *
 * Where files have to be read for a sample, that takes a while. Between two of them all rings are
 * emptied (timeline_breathe), so that they do not overflow meanwhile.
 *
 * Owns the copies; borrows the rest. One owner thread.
 */
#ifndef AGENT_TIMELINE_H
#define AGENT_TIMELINE_H

#include "agent-lite/process/mmap_merge.h"
#include "agent-lite/process/process.h"
#include "agent-lite/sample/sampler.h"
#include "base/buf.h"

enum {
	TIMELINE_BYTES_MAX = 4 << 20, /* of samples that wait; more are handed on at once */
	TIMELINE_BREATHE_MS = 10,
};

/* Empties the samples' ring into timeline_add(). */
typedef int timeline_drain_fn(void *ctx, struct err *e);

struct timeline_batch {
	struct buf bytes; /* as they came out of the ring */
	struct timeline_sample {
		uint64_t time_ns;
		uint32_t offset;
		uint32_t size;
	} *samples; /* ascending by time */
	size_t count, cap;
	size_t met; /* bytes whose processes were looked for */
};

struct timeline {
	struct processes *processes;
	struct mmap_merge *events; /* NULL: there are none */
	sampler_fn *deliver;
	void *deliver_ctx;
	timeline_drain_fn *drain; /* NULL, or set after init: by whom rings are emptied */
	void *drain_ctx;
	struct timeline_batch batches[2];
	unsigned filling; /* which of them timeline_add() adds to; the other one is handed on */
	bool running;
	bool draining; /* a ring is being emptied: not to be done anew inside */
	uint64_t breathed_ms;
	uint64_t dropped; /* samples that found no room while others were handed on */
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
/* Of type process_breathe_fn: for when samples are handed on and it takes long. */
int timeline_breathe(void *timeline, struct err *e) MUST_CHECK;
/* Of type process_replaced_fn. */
bool timeline_replaced(void *timeline, uint64_t pid);

#endif
