/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a running agent: sampler → timeline → collector → sink, and what they look things up
 * in. Put together in the order that loses nothing (events of mappings before the first sample), and
 * taken apart. For agent.c and agent_report.c; one owner thread.
 */
#ifndef AGENT_AGENT_PARTS_H
#define AGENT_AGENT_PARTS_H

#include "agent-lite/collector.h"
#include "agent-lite/give/giver.h"
#include "agent-lite/metrics_server.h"
#include "agent-lite/options.h"
#include "agent-lite/sample/mmap_events.h"
#include "agent-lite/sample/sampler.h"
#include "agent-lite/sample/timeline.h"
#include "agent-lite/ship/sink.h"

struct agent {
	const struct options *options; /* borrowed */
	struct module_cache *modules;
	struct processes processes;
	struct kernel_image kernel;
	struct kernel_loaded loaded;
	struct process_labels *labels;
	struct collector collector; /* ships to `sink`; to a file only at the end, so ship is NULL */
	struct mmap_events *events; /* NULL: the kernel does not let us have them */
	struct timeline timeline;
	struct sampler *sampler;
	struct unwind_store *tables; /* NULL: the sampler takes none */
	struct sink sink;
	struct giver *giver; /* NULL: nothing is given */
	struct metrics_server *metrics; /* NULL: not asked for */
	int signals; /* signalfd of SIGTERM and SIGINT */
};

#define AGENT_INIT ((struct agent){.signals = -1, .sink = SINK_INIT})

/*
 * Opens all parts, samples, and gives up the rights that only starting takes. Errors: of
 * sampler_new(), of the sink, and of what else was asked for.
 */
int agent_parts_start(struct agent *a, const struct options *o, struct err *e) MUST_CHECK;
/* Of type collector_ship_fn. */
int agent_parts_ship(void *agent, struct batch *b, struct err *e) MUST_CHECK;
/* Also of what was started in part. */
void agent_parts_deinit(struct agent *a);

#endif
