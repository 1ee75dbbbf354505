/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent_parts.h"

#include "agent-lite/agent_metrics.h"
#include "agent-lite/rights/rights.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int open_signals(struct agent *a, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(e, errno, "blocking signals");
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signals < 0 ? err_sys(e, errno, "signalfd") : 0;
}

static int open_sink(struct agent *a, struct err *e)
{
	struct sink_config config;

	options_sink(a->options, &config);
	return sink_open(&a->sink, &config, e);
}

static int drain_sampler(void *sampler, struct err *e)
{
	return sampler_drain(sampler, e);
}

static int open_labels(struct agent *a, struct err *e)
{
	const struct process_labels_config config = {
		.proc = "/proc",
		.node = a->options->node,
		.labels = &a->options->labels,
		.rules = a->options->relabel,
	};

	return process_labels_new(&config, &a->labels, e);
}

static int start_sampler(struct agent *a, struct err *e)
{
	const struct options *o = a->options;
	const struct sampler_config config = {
		.hz = (unsigned)o->hz,
		.pids = o->pids,
		.pid_count = o->pid_texts.n,
		.cgroups = (const char *const *)o->cgroups.items,
		.cgroup_count = o->cgroups.n,
		.unwinder = o->unwinder,
		.off_cpu = o->off_cpu,
		.off_cpu_min_ns = o->off_cpu_min_ms * 1000000,
	};

	timeline_init(&a->timeline, &a->processes, a->events ? mmap_events_merge(a->events) : NULL,
		      collector_add, &a->collector);
	if (sampler_new(&config, timeline_add, &a->timeline, &a->sampler, e) < 0)
		return -1;
	a->timeline.drain = drain_sampler;
	a->timeline.drain_ctx = a->sampler;
	a->processes.breathe = timeline_breathe;
	a->processes.replaced = timeline_replaced;
	a->processes.timeline_ctx = &a->timeline;
	return 0;
}

static int open_metrics(struct agent *a, struct err *e)
{
	if (!a->options->metrics)
		return 0;
	agent_metrics_register();
	return metrics_server_new(a->options->metrics, &a->metrics, e);
}

/* Before the first sample, so that nothing happens in between. */
static void follow_mappings(struct agent *a)
{
	struct err err = ERR_INIT;

	a->processes.tracked = mmap_events_new(&a->events, &err) == 0;
	if (!a->processes.tracked)
		log_err(LOG_WARN, "mappings_not_followed", &err, NULL);
}

/* Processes are told of from the first sample on, so nothing is missed. */
static int start_tables(struct agent *a, struct err *e)
{
	struct unwind_maps maps;

	if (!sampler_unwind_maps(a->sampler, &maps))
		return 0;
	if (unwind_store_new(&maps, &a->tables, e) < 0)
		return -1;
	module_cache_set_tables(a->modules, unwind_store_add, a->tables);
	a->processes.listener = unwind_store_listener(a->tables);
	a->collector.tables = a->tables;
	return 0;
}

static int start_giver(struct agent *a, struct err *e)
{
	const struct options *o = a->options;
	const struct giver_config config = {
		.server = o->server,
		.token_file = o->token_file,
		.tmp_dir = o->spool_dir,
		.paths = &kernel_paths,
		.kernel = &a->kernel,
		.interval_ms = o->upload_interval_ms,
		.bytes_per_s = o->upload_rate,
	};

	return o->upload ? giver_new(&config, &a->giver, e) : 0;
}

int agent_parts_ship(void *agent, struct batch *b, struct err *e)
{
	struct agent *a = agent;

	if (a->giver)
		giver_saw(a->giver, b);
	return sink_ship(&a->sink, b, e);
}

int agent_parts_start(struct agent *a, const struct options *o, struct err *e)
{
	struct err unnamed = ERR_INIT;
	bool known;

	a->options = o;
	if (open_signals(a, e) < 0 || module_cache_new(NULL, &a->modules, e) < 0)
		return -1;
	processes_init(&a->processes, a->modules, "/proc");
	// Said later: without sampling it does not matter.
	kernel_loaded_init(&a->loaded, &kernel_paths, NULL);
	known = kernel_image_read(&kernel_paths, &a->kernel, &unnamed) == 0;
	if (known)
		module_cache_set_kernel(a->modules, &a->kernel.id);
	if (open_labels(a, e) < 0 || open_metrics(a, e) < 0 || open_sink(a, e) < 0)
		return -1;
	collector_init(&a->collector, &a->processes, &a->kernel, sink_is_file(&a->sink));
	a->collector.labels = a->labels;
	a->collector.loaded = &a->loaded;
	a->collector.ship_ctx = a;
	// One profile to a file: only at the end.
	a->collector.ship = sink_is_file(&a->sink) ? NULL : agent_parts_ship;
	follow_mappings(a);
	if (start_sampler(a, e) < 0 || start_tables(a, e) < 0 || start_giver(a, e) < 0)
		return -1;
	if (!known)
		log_err(LOG_WARN, "kernel_unnamed", &unnamed, NULL);
	return rights_keep(sink_is_file(&a->sink) ? RIGHTS_FOR_SAMPLING_TO_FILE
						  : RIGHTS_FOR_SAMPLING,
			   e);
}

void agent_parts_deinit(struct agent *a)
{
	giver_free(a->giver);
	metrics_server_free(a->metrics);
	if (a->sampler)
		sampler_stop(a->sampler);
	timeline_deinit(&a->timeline);
	mmap_events_free(a->events);
	collector_deinit(&a->collector);
	kernel_loaded_deinit(&a->loaded);
	sink_deinit(&a->sink);
	process_labels_free(a->labels);
	processes_deinit(&a->processes);
	module_cache_free(a->modules);
	unwind_store_free(a->tables);
	sampler_free(a->sampler);
	if (a->signals >= 0)
		close(a->signals);
}
