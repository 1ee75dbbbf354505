/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings of all CPUs (mmap_record.h) read together, in order of time. What is noticed is copied,
 * so that the kernel has its room again; it waits until it is asked for. Borrows the rings' memory,
 * which the kernel writes to. One owner thread.
 */
#ifndef AGENT_MMAP_MERGE_H
#define AGENT_MMAP_MERGE_H

#include "agent-lite/process/mmap_record.h"
#include "base/err.h"

struct perf_event_mmap_page;

struct mmap_merge_stats {
	uint64_t events;
	uint64_t bytes;
	uint64_t lost; /* the ring was full, or went away unread */
	uint64_t malformed;
};

/* Bytes of a ring that wait, fewer where there are many rings; more are lost. */
enum { MMAP_MERGE_HELD_MAX = 1 << 20 };

struct mmap_merge_ring;

struct mmap_merge {
	struct mmap_merge_ring *rings;
	size_t count;
	size_t held_max; /* of each ring */
	uint64_t lost_unsaid; /* what went away unread and no event told of yet */
	struct mmap_merge_stats stats;
};

/* count places for rings, all empty. */
int mmap_merge_init(struct mmap_merge *m, size_t count, struct err *e) MUST_CHECK;
void mmap_merge_deinit(struct mmap_merge *m);
/* data: size bytes, a power of two. Read from its tail on. */
void mmap_merge_open(struct mmap_merge *m, size_t place, struct perf_event_mmap_page *page,
		     const void *data, size_t size);
/* What the ring still holds counts as lost. Nothing where there is none. */
void mmap_merge_close(struct mmap_merge *m, size_t place);
/* Takes notice of what the rings hold now; to be called often enough that none is full. */
void mmap_merge_look(struct mmap_merge *m);
/*
 * The earliest of the events that were noticed, unless it is later than until_ns; false when there
 * is none. What was lost here is an event, too: of now, whatever until_ns is. The path is borrowed: valid until the next call of any function here.
 */
bool mmap_merge_next(struct mmap_merge *m, uint64_t until_ns, struct mmap_event *ret);
/* Of pids[0 .. n), ascending, marks in told[] those that such an event which waits tells of. */
void mmap_merge_tells_of(const struct mmap_merge *m, enum mmap_event_kind kind,
			 const uint32_t *pids, bool *told, size_t n);

#endif
