/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /metrics of the agent says, under unhex_agent_*. Its parts count for themselves; about once a
 * second the owner collects their numbers into struct agent_numbers, and from here they go to
 * base/metrics.h, where any thread may read them.
 */
#ifndef AGENT_AGENT_METRICS_H
#define AGENT_AGENT_METRICS_H

#include "agent-lite/collector.h"
#include "agent-lite/give/giver.h"
#include "agent-lite/process/mmap_merge.h"
#include "agent-lite/process/module_cache.h"
#include "agent-lite/ship/process_labels.h"
#include "agent-lite/ship/pusher.h"
#include "agent-lite/sample/sampler.h"
#include "agent-lite/sample/unwind_store.h"

/* Zeros for parts that do not run. Counts grow, save where their headers say "now". */
struct agent_numbers {
	struct collector_stats collector;
	struct sampler_stats sampler;
	uint64_t processes; /* now */
	struct process_stats process;
	struct process_labels_stats labels;
	struct module_cache_stats modules;
	struct mmap_merge_stats events;
	struct unwind_store_stats tables;
	struct pusher_stats push;
	struct giver_stats given;
};

/* Before the first update. */
void agent_metrics_register(void);
/* By one thread. */
void agent_metrics_update(const struct agent_numbers *n);

#endif
