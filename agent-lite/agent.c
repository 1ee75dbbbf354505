/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent.h"

#include "agent-lite/agent_metrics.h"
#include "agent-lite/collector.h"
#include "agent-lite/give/giver.h"
#include "agent-lite/ship/jitter.h"
#include "agent-lite/metrics_server.h"
#include "agent-lite/sample/mmap_events.h"
#include "agent-lite/process/process_open.h"
#include "agent-lite/rights/rights.h"
#include "agent-lite/sample/sampler.h"
#include "agent-lite/ship/sink.h"
#include "agent-lite/sample/timeline.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	TICK_MS = 1000, // the ring is read at least that often
	EVENTS_MS = 20, // and events of mappings at most that often because they are there
	HOUSEKEEPING_MS = 10 * 1000,
	PROCESS_IDLE_MS = 120 * 1000,
};

struct agent {
	const struct options *options;
	struct module_cache *modules;
	struct processes processes;
	struct kernel_image kernel;
	struct kernel_loaded loaded;
	struct process_labels *labels;
	struct collector collector;
	struct mmap_events *events; /* NULL: the kernel does not let us have them */
	struct timeline timeline;
	struct sampler *sampler;
	struct unwind_store *tables; /* NULL: the sampler takes none */
	struct sink sink;
	struct giver *giver; /* NULL: nothing is given */
	struct metrics_server *metrics; /* NULL: not asked for */
	int signals;	 /* signalfd */
	uint64_t end_ms; /* UINT64_MAX: none */
	uint64_t next_tick_ms, next_flush_ms, next_housekeeping_ms;
	bool events_wait; /* until next_events_ms, so that they come in batches */
	uint64_t next_events_ms;
};

/* ---- start ----------------------------------------------------------------------------------- */

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

/* Of type collector_ship_fn. */
static int ship(void *agent, struct batch *b, struct err *e)
{
	struct agent *a = agent;

	if (a->giver)
		giver_saw(a->giver, b);
	return sink_ship(&a->sink, b, e);
}

static int start(struct agent *a, struct err *e)
{
	struct err unnamed = ERR_INIT;
	bool known;

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
	a->collector.ship = sink_is_file(&a->sink) ? NULL : ship;
	follow_mappings(a);
	if (start_sampler(a, e) < 0 || start_tables(a, e) < 0 || start_giver(a, e) < 0)
		return -1;
	if (!known)
		log_err(LOG_WARN, "kernel_unnamed", &unnamed, NULL);
	return rights_keep(sink_is_file(&a->sink) ? RIGHTS_FOR_SAMPLING_TO_FILE
						  : RIGHTS_FOR_SAMPLING,
			   e);
}

static void agent_deinit(struct agent *a)
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

/* ---- the loop -------------------------------------------------------------------------------- */

static uint64_t next_event_ms(const struct agent *a)
{
	uint64_t next = MIN(a->next_tick_ms, a->end_ms);

	if (a->events_wait)
		next = MIN(next, a->next_events_ms);
	return a->collector.ship ? MIN(next, a->next_flush_ms) : next;
}

static void hand_files(struct agent *a)
{
	char id[BUILD_ID_TEXT];
	int fd;

	if (!a->giver || !giver_needs(a->giver, id))
		return;
	fd = processes_open(&a->processes, id);
	giver_hand(a->giver, fd >= 0 ? fd : kernel_loaded_open(&a->loaded, id));
}

static void update_metrics(const struct agent *a)
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
	agent_metrics_update(&n);
}

static void keep_house(struct agent *a, uint64_t now)
{
	struct err err = ERR_INIT;

	if (now < a->next_housekeeping_ms)
		return;
	a->next_housekeeping_ms = now + HOUSEKEEPING_MS;
	processes_expire(&a->processes, PROCESS_IDLE_MS);
	if (kernel_loaded_refresh(&a->loaded, &err) < 0)
		log_err(LOG_WARN, "kernel_modules_unknown", &err, NULL);
	process_labels_expire(a->labels, PROCESS_IDLE_MS);
	// The CPUs that are sampled go on being sampled.
	if (sampler_follow_cpus(a->sampler, &err) < 0)
		log_err(LOG_WARN, "cpus_not_followed", &err, NULL);
	if (a->events && mmap_events_follow_cpus(a->events, &err) < 0)
		log_err(LOG_WARN, "cpus_not_followed", &err, NULL);
}

/* Samples first: the events of before them are there then. */
static int take_samples(struct agent *a, uint64_t now, struct err *e)
{
	const struct mmap_merge *events = a->events ? mmap_events_merge(a->events) : NULL;
	uint64_t seen_ns = clock_mono_ns(), before = events ? events->stats.events : 0;

	if (sampler_drain(a->sampler, e) < 0 || timeline_run(&a->timeline, seen_ns, e) < 0)
		return -1;
	// Where there were some, more are on their way: these are left alone for a while.
	a->events_wait = events && events->stats.events > before;
	a->next_events_ms = now + EVENTS_MS;
	return 0;
}

/* Drains the rings, ships when a window is over. */
static int turn(struct agent *a, struct err *e)
{
	uint64_t now = clock_mono_ms();

	if (take_samples(a, now, e) < 0)
		return -1;
	if (now >= a->next_tick_ms) {
		a->next_tick_ms = now + TICK_MS;
		processes_reap(&a->processes);
		sampler_pace(a->sampler);
		if (a->tables)
			unwind_store_tick(a->tables);
		hand_files(a);
		if (a->metrics)
			update_metrics(a);
	}
	if (a->collector.ship && now >= a->next_flush_ms) {
		a->next_flush_ms = now + jitter_interval(a->options->interval_ms);
		if (collector_flush(&a->collector, e) < 0)
			return -1;
	}
	keep_house(a, now);
	return 0;
}

static bool told_to_stop(const struct agent *a)
{
	struct signalfd_siginfo info;

	return read(a->signals, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* Until a sample wants to be looked at, there are events, or something is due. */
static int wait_for_work(const struct agent *a, uint64_t now, struct err *e)
{
	uint64_t next = next_event_ms(a);
	struct pollfd fds[] = {
		{a->signals, POLLIN, 0},
		{sampler_fd(a->sampler), POLLIN, 0},
		{a->events && !a->events_wait ? mmap_events_fd(a->events) : -1, POLLIN, 0},
	};

	if (poll(fds, countof(fds), next > now ? (int)(next - now) : 0) < 0 && errno != EINTR)
		return err_sys(e, errno, "waiting for samples");
	return 0;
}

static int loop(struct agent *a, struct err *e)
{
	uint64_t now = clock_mono_ms();

	a->end_ms = a->options->once_ms ? now + a->options->once_ms : UINT64_MAX;
	a->next_tick_ms = now + TICK_MS;
	a->next_flush_ms = now + jitter_first_interval(a->options->interval_ms);
	a->next_housekeeping_ms = now + HOUSEKEEPING_MS;
	for (now = clock_mono_ms(); now < a->end_ms && !told_to_stop(a); now = clock_mono_ms()) {
		if (wait_for_work(a, now, e) < 0 || turn(a, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static double seconds_of(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

/* How user stacks ended: at their root, cut at the depth we keep, or broken off. */
static void log_stacks(const struct agent *a)
{
	const struct collector_stats *c = &a->collector.stats;
	const uint64_t *ends = c->ends;
	struct unwind_store_stats t = {0};
	struct module_cache_stats m;
	const char *unwinder;

	sampler_unwinder(a->sampler, &unwinder);
	module_cache_stats(a->modules, &m);
	if (a->tables)
		unwind_store_stats(a->tables, &t);
	LOG(LOG_INFO, "stacks", {"unwinder", LOG_S(unwinder)},
	    {"root", LOG_U(ends[PROFILE_END_ROOT] + ends[PROFILE_END_FRAME_POINTER_ROOT])},
	    {"depth", LOG_U(ends[PROFILE_END_DEPTH])},
	    {"frame_pointer", LOG_U(ends[PROFILE_END_FRAME_POINTER])},
	    {"fault", LOG_U(ends[PROFILE_END_FAULT])},
	    {"bad_table", LOG_U(ends[PROFILE_END_BAD_TABLE])},
	    {"no_process", LOG_U(ends[PROFILE_END_NO_PROCESS])}, {"cut", LOG_U(c->cut)},
	    {"copies", LOG_U(c->copies)}, {"tables", LOG_U(t.tables)}, {"slots", LOG_U(t.slots)},
	    {"tables_refused", LOG_U(m.tables_refused)}, {"processes", LOG_U(t.processes)},
	    {"processes_refused", LOG_U(t.processes_refused)});
}

static void log_stats(const struct agent *a, const struct pusher_stats *push)
{
	const struct collector_stats *c = &a->collector.stats;
	const struct process_stats *p = &a->processes.stats;
	struct module_cache_stats m;
	struct sampler_stats s = {0};
	struct mmap_merge_stats ev = {0};
	struct rusage self;

	if (a->sampler)
		sampler_stats(a->sampler, &s);
	if (a->events)
		ev = mmap_events_merge(a->events)->stats;
	module_cache_stats(a->modules, &m);
	getrusage(RUSAGE_SELF, &self);
	LOG(LOG_INFO, "stats", {"samples", LOG_U(c->samples)}, {"counted", LOG_U(c->counted)},
	    {"stacks", LOG_U(c->stacks)}, {"lost", LOG_U(s.lost + s.malformed)},
	    {"unwanted", LOG_U(c->unwanted)},
	    {"cut", LOG_U(p->stacks_cut)}, {"empty", LOG_U(c->empty)},
	    {"dropped", LOG_U(c->dropped)}, {"unmapped", LOG_U(p->leaves_unmapped)},
	    {"scans", LOG_U(p->scans)}, {"gone", LOG_U(p->gone)},
	    {"inherited", LOG_U(p->inherited)}, {"early", LOG_U(p->early)},
	    {"events", LOG_U(ev.events)}, {"event_bytes", LOG_U(ev.bytes)},
	    {"events_lost", LOG_U(ev.lost)}, {"late", LOG_U(a->timeline.dropped)}, {"processes", LOG_U(a->processes.by_pid.n)},
	    {"mappings_dropped", LOG_U(p->mappings_dropped)},
	    {"files_unopened", LOG_U(p->files_unopened)}, {"files_read", LOG_U(m.files_read)},
	    {"files_failed", LOG_U(m.files_failed)}, {"elf_readers", LOG_U(m.reader_starts)},
	    {"pushes", LOG_U(push->pushes)}, {"push_retries", LOG_U(push->retries)},
	    {"push_dropped", LOG_U(push->dropped)}, {"push_bytes", LOG_U(push->bytes)},
	    {"cpu_s", LOG_F(seconds_of(&self.ru_utime) + seconds_of(&self.ru_stime))},
	    {"rss_kib", LOG_I(self.ru_maxrss)}, {"bpf_runs", LOG_U(s.run_count)},
	    {"bpf_s", LOG_F((double)s.run_ns / 1e9)});
}

static void log_given(const struct agent *a)
{
	struct giver_stats g;

	if (!a->giver)
		return;
	giver_stats(a->giver, &g);
	LOG(LOG_INFO, "given", {"questions", LOG_U(g.questions)}, {"wanted", LOG_U(g.wanted)},
	    {"files", LOG_U(g.files)}, {"lists", LOG_U(g.lists)}, {"bytes", LOG_U(g.bytes)},
	    {"unreadable", LOG_U(g.unreadable)}, {"refused", LOG_U(g.refused)},
	    {"failures", LOG_U(g.failures)});
}

static int ship_rest(struct agent *a, struct err *e)
{
	if (a->collector.batch.samples == 0 && sink_is_file(&a->sink))
		return err_set(e, ERR_NOT_FOUND, "nothing was sampled: no profile is written");
	a->collector.ship = ship;
	return collector_flush(&a->collector, e);
}

static int finish(struct agent *a, struct err *e)
{
	struct pusher_stats push = {0};
	int r;

	if (a->sampler) {
		sampler_stop(a->sampler);
		if (sampler_drain(a->sampler, e) < 0 ||
		    timeline_run(&a->timeline, clock_mono_ns(), e) < 0)
			return -1;
	}
	r = ship_rest(a, e);
	if (r == 0)
		r = sink_finish(&a->sink, &push, e);
	if (a->sampler)
		log_stacks(a);
	log_stats(a, &push);
	log_given(a);
	return r;
}

int agent_run(const struct options *o, struct err *e)
{
	_cleanup_(agent_deinit) struct agent a = {.options = o, .signals = -1, .sink = SINK_INIT};
	struct sampler_stats s;

	if (start(&a, e) < 0)
		return -1;
	sampler_stats(a.sampler, &s);
	LOG(LOG_INFO, "start", {"version", LOG_S(UNHEX_VERSION)}, {"hz", LOG_U(o->hz)},
	    {"cpus", LOG_U(s.cpus)},
	    {"to", LOG_S(o->server   ? o->server
			 : o->output ? o->output
				     : "stdout")});
	if (loop(&a, e) < 0)
		return -1;
	return finish(&a, e);
}
