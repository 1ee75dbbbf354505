/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sampled in one window: stacks by series (type and labels). When a table of it is full,
 * the owner ships the batch and starts another; when there are too many series, the rest go into one
 * of each type whose service_name is "other". One owner thread.
 */
#ifndef AGENT_BATCH_H
#define AGENT_BATCH_H

#include "agent-lite/ship/labels.h"
#include "agent-lite/ship/profile.h"
#include "agent-lite/ship/stacks.h"
#include "base/map.h"

enum { BATCH_SERIES_MAX = 200 }; // of the 256 that Pyroscope takes in one push

struct series {
	enum stack_type type; /* of all stacks; merged batches mix them */
	char *labels;	      /* packed, without __name__ */
	size_t labels_size;
	struct stacks stacks;
};

struct batch {
	struct map index[STACK_TYPE_COUNT]; /* packed labels -> struct series * */
	struct series *series[BATCH_SERIES_MAX + STACK_TYPE_COUNT];
	size_t series_count;
	bool merged;	 /* all in one series of up to STACKS_FILE_MAX, of all types */
	int64_t time_ns; /* Unix, start */
	uint64_t start_mono_ns;
	int64_t duration_ns; /* 0: from the start to now */
	uint64_t samples;    /* sum of counts */
	uint64_t overflowed; /* of these, in "other" for want of series */
};

enum { BATCH_FULL = STACKS_FULL };

/* merged: see above. The window starts now. */
void batch_init(struct batch *b, bool merged);
void batch_deinit(struct batch *b);
/* labels: packed (labels.h). 0; BATCH_FULL: not counted, ship and retry; -1. */
int batch_add(struct batch *b, struct str labels, const struct stack_sample *sample, struct err *e)
	MUST_CHECK;
size_t batch_stacks(const struct batch *b); /* distinct ones, of all series */
/* The window: up to now, or of the duration set. */
struct profile_info batch_info(const struct batch *b, unsigned hz);

#endif
