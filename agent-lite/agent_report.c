/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent_report.h"

#include "agent-lite/agent_metrics.h"
#include "base/log.h"

#include <sys/resource.h>

static struct agent_numbers numbers_of(const struct agent *a)
{
	struct agent_numbers n = {
		.collector = a->collector.stats,
		.processes = a->processes.by_pid.n,
		.process = a->processes.stats,
	};

	sampler_stats(a->sampler, &n.sampler);
	process_labels_stats(a->labels, &n.labels);
	module_cache_stats(a->modules, &n.modules);
	if (a->events)
		n.events = mmap_events_merge(a->events)->stats;
	if (a->tables)
		unwind_store_stats(a->tables, &n.tables);
	sink_stats(&a->sink, &n.push);
	if (a->giver)
		giver_stats(a->giver, &n.given);
	return n;
}

void agent_report_metrics(const struct agent *a)
{
	const struct agent_numbers n = numbers_of(a);

	agent_metrics_update(&n);
}

void agent_report_start(const struct agent *a)
{
	const struct options *o = a->options;
	struct sampler_stats s;

	sampler_stats(a->sampler, &s);
	LOG(LOG_INFO, "start", {"version", LOG_S(UNHEX_VERSION)}, {"hz", LOG_U(o->hz)},
	    {"cpus", LOG_U(s.cpus)},
	    {"to", LOG_S(o->server   ? o->server
			 : o->output ? o->output
				     : "stdout")});
}

/* ---- the end --------------------------------------------------------------------------------- */

/* How user stacks ended: at their root, cut at the depth we keep, or broken off. */
static void log_stacks(const struct agent *a, const struct agent_numbers *n)
{
	const uint64_t *ends = n->collector.ends;
	const struct unwind_store_stats *t = &n->tables;
	const char *unwinder;

	sampler_unwinder(a->sampler, &unwinder);
	LOG(LOG_INFO, "stacks", {"unwinder", LOG_S(unwinder)},
	    {"root", LOG_U(ends[PROFILE_END_ROOT] + ends[PROFILE_END_FRAME_POINTER_ROOT])},
	    {"depth", LOG_U(ends[PROFILE_END_DEPTH])},
	    {"frame_pointer", LOG_U(ends[PROFILE_END_FRAME_POINTER])},
	    {"fault", LOG_U(ends[PROFILE_END_FAULT])},
	    {"bad_table", LOG_U(ends[PROFILE_END_BAD_TABLE])},
	    {"no_process", LOG_U(ends[PROFILE_END_NO_PROCESS])},
	    {"cut", LOG_U(n->collector.cut)}, {"copies", LOG_U(n->collector.copies)},
	    {"tables", LOG_U(t->tables)}, {"slots", LOG_U(t->slots)},
	    {"tables_refused", LOG_U(n->modules.tables_refused)}, {"processes", LOG_U(t->processes)},
	    {"processes_refused", LOG_U(t->processes_refused)});
}

/* Added up before it is divided: a sum of two fractions prints with 17 digits. */
static double cpu_seconds(const struct rusage *ru)
{
	int64_t us = INT64_C(1000000) * (ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) +
		     ru->ru_utime.tv_usec + ru->ru_stime.tv_usec;

	return (double)us / 1e6;
}

static void log_stats(const struct agent *a, const struct agent_numbers *n,
		      const struct pusher_stats *push)
{
	const struct collector_stats *c = &n->collector;
	const struct process_stats *p = &n->process;
	const struct module_cache_stats *m = &n->modules;
	const struct sampler_stats *s = &n->sampler;
	const struct mmap_merge_stats *ev = &n->events;
	struct rusage self;

	getrusage(RUSAGE_SELF, &self);
	LOG(LOG_INFO, "stats", {"samples", LOG_U(c->samples)}, {"counted", LOG_U(c->counted)},
	    {"stacks", LOG_U(c->stacks)}, {"lost", LOG_U(s->lost + s->malformed)},
	    {"unwanted", LOG_U(c->unwanted)}, {"cut", LOG_U(p->stacks_cut)},
	    {"empty", LOG_U(c->empty)}, {"dropped", LOG_U(c->dropped)},
	    {"unmapped", LOG_U(p->leaves_unmapped)}, {"scans", LOG_U(p->scans)},
	    {"gone", LOG_U(p->gone)}, {"inherited", LOG_U(p->inherited)},
	    {"early", LOG_U(p->early)}, {"events", LOG_U(ev->events)},
	    {"event_bytes", LOG_U(ev->bytes)}, {"events_lost", LOG_U(ev->lost)},
	    {"late", LOG_U(a->timeline.dropped)}, {"processes", LOG_U(n->processes)},
	    {"mappings_dropped", LOG_U(p->mappings_dropped)},
	    {"files_unopened", LOG_U(p->files_unopened)}, {"files_read", LOG_U(m->files_read)},
	    {"files_failed", LOG_U(m->files_failed)}, {"elf_readers", LOG_U(m->reader_starts)},
	    {"pushes", LOG_U(push->pushes)}, {"push_retries", LOG_U(push->retries)},
	    {"push_dropped", LOG_U(push->dropped)}, {"push_bytes", LOG_U(push->bytes)},
	    {"cpu_s", LOG_F(cpu_seconds(&self))},
	    {"rss_kib", LOG_I(self.ru_maxrss)}, {"bpf_runs", LOG_U(s->run_count)},
	    {"bpf_s", LOG_F((double)s->run_ns / 1e9)});
}

static void log_given(const struct giver_stats *g)
{
	LOG(LOG_INFO, "given", {"questions", LOG_U(g->questions)}, {"wanted", LOG_U(g->wanted)},
	    {"files", LOG_U(g->files)}, {"lists", LOG_U(g->lists)}, {"bytes", LOG_U(g->bytes)},
	    {"unreadable", LOG_U(g->unreadable)}, {"refused", LOG_U(g->refused)},
	    {"failures", LOG_U(g->failures)});
}

void agent_report_end(const struct agent *a, const struct pusher_stats *push)
{
	const struct agent_numbers n = numbers_of(a);

	log_stacks(a, &n);
	log_stats(a, &n, push);
	if (a->giver)
		log_given(&n.given);
}
