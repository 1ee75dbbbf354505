/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one sample to one more count in the batch: whose it is, which modules its addresses lie in,
 * what is shipped for each. Callers' addresses are return addresses, so 1 is taken off to make them
 * point into the call; leaves stay. Owns the batch; borrows the rest. One owner thread.
 */
#ifndef AGENT_COLLECTOR_H
#define AGENT_COLLECTOR_H

#include "agent-lite/ship/batch.h"
#include "agent-lite/process/kernel_image.h"
#include "agent-lite/process/kernel_loaded.h"
#include "agent-lite/process/process.h"
#include "agent-lite/ship/process_labels.h"
#include "agent-lite/sample/record.h"
#include "agent-lite/sample/unwind_store.h"

/* Takes a full batch; it is emptied and begun anew after. */
typedef int collector_ship_fn(void *ctx, struct batch *full, struct err *e);

struct collector {
	struct processes *processes;
	struct module_cache *modules;
	const struct kernel_image *kernel;
	struct kernel_loaded *loaded; /* NULL: nothing is known of what is not the kernel's own */
	struct unwind_store *tables; /* NULL: stacks do not come as copies */
	struct process_labels *labels; /* borrowed; NULL: series have none */
	struct batch batch;
	collector_ship_fn *ship; /* NULL: a full batch drops what does not fit */
	void *ship_ctx;
	struct collector_stats {
		uint64_t samples;
		uint64_t empty;	    /* without any address */
		uint64_t ends[PROFILE_END_COUNT]; /* user stacks by why they end */
		uint64_t cut;	    /* a caller was in no executable mapping */
		uint64_t copies;    /* stacks walked here, not in the kernel */
		uint64_t dropped;   /* the batch was full */
		uint64_t unwanted;  /* of processes that a relabel rule drops */
		uint64_t counted;   /* samples (and waits) that the records in batches stand for */
		uint64_t overflowed; /* of these, in "other": see batch.h */
		uint64_t stacks;    /* distinct ones, summed over the batches shipped */
	} stats;
};

/* kernel may be one of which nothing is known. merged: see batch_init(). */
void collector_init(struct collector *c, struct processes *processes,
		    const struct kernel_image *kernel, bool merged);
void collector_deinit(struct collector *c);
/* Of type sampler_fn. */
int collector_add(void *collector, const struct record *r, struct err *e) MUST_CHECK;
/* Hands the batch to `ship` if it holds anything, and begins the next window. */
int collector_flush(struct collector *c, struct err *e) MUST_CHECK;

#endif
