/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent.h"

#include "agent-lite/collector.h"
#include "agent-lite/jitter.h"
#include "agent-lite/rights.h"
#include "agent-lite/sampler.h"
#include "agent-lite/sink.h"
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
	HOUSEKEEPING_MS = 10 * 1000,
	PROCESS_IDLE_MS = 120 * 1000,
};

struct agent {
	const struct options *options;
	struct module_cache *modules;
	struct processes processes;
	struct kernel_image kernel;
	struct process_labels *labels;
	struct collector collector;
	struct sampler *sampler;
	struct sink sink;
	int signals;	 /* signalfd */
	uint64_t end_ms; /* UINT64_MAX: none */
	uint64_t next_tick_ms, next_flush_ms, next_housekeeping_ms;
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

	sink_config_of(a->options, &config);
	return sink_open(&a->sink, &config, e);
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
	};

	return sampler_new(&config, collector_add, &a->collector, &a->sampler, e);
}

static int start(struct agent *a, struct err *e)
{
	struct err unnamed = ERR_INIT;
	bool known;

	if (open_signals(a, e) < 0 || module_cache_new(NULL, &a->modules, e) < 0)
		return -1;
	processes_init(&a->processes, a->modules, "/proc");
	// Before sampling starts: it takes a while. Said after: without sampling it does not
	// matter.
	known = kernel_image_read(&a->kernel, &unnamed) == 0;
	if (known)
		module_cache_set_kernel(a->modules, &a->kernel.id);
	if (open_labels(a, e) < 0 || open_sink(a, e) < 0)
		return -1;
	collector_init(&a->collector, &a->processes, &a->kernel, sink_is_file(&a->sink));
	a->collector.labels = a->labels;
	a->collector.ship_ctx = &a->sink;
	// One profile to a file: only at the end.
	a->collector.ship = sink_is_file(&a->sink) ? NULL : sink_ship;
	if (start_sampler(a, e) < 0)
		return -1;
	if (!known)
		log_err(LOG_WARN, "kernel_unnamed", &unnamed, NULL);
	return rights_keep(sink_is_file(&a->sink) ? RIGHTS_FOR_SAMPLING_TO_FILE
						  : RIGHTS_FOR_SAMPLING,
			   e);
}

static void agent_deinit(struct agent *a)
{
	sampler_free(a->sampler);
	collector_deinit(&a->collector);
	sink_deinit(&a->sink);
	process_labels_free(a->labels);
	processes_deinit(&a->processes);
	module_cache_free(a->modules);
	if (a->signals >= 0)
		close(a->signals);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static uint64_t next_event_ms(const struct agent *a)
{
	uint64_t next = MIN(a->next_tick_ms, a->end_ms);

	return a->collector.ship ? MIN(next, a->next_flush_ms) : next;
}

static void keep_house(struct agent *a, uint64_t now)
{
	struct err err = ERR_INIT;

	if (now < a->next_housekeeping_ms)
		return;
	a->next_housekeeping_ms = now + HOUSEKEEPING_MS;
	processes_expire(&a->processes, PROCESS_IDLE_MS);
	process_labels_expire(a->labels, PROCESS_IDLE_MS);
	// The CPUs that are sampled go on being sampled.
	if (sampler_follow_cpus(a->sampler, &err) < 0)
		log_err(LOG_WARN, "cpus_not_followed", &err, NULL);
}

/* Drains the ring, ships when a window is over. */
static int turn(struct agent *a, struct err *e)
{
	uint64_t now = clock_mono_ms();

	if (sampler_drain(a->sampler, e) < 0)
		return -1;
	if (now >= a->next_tick_ms)
		a->next_tick_ms = now + TICK_MS;
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

static int loop(struct agent *a, struct err *e)
{
	uint64_t now = clock_mono_ms();

	a->end_ms = a->options->once_ms ? now + a->options->once_ms : UINT64_MAX;
	a->next_tick_ms = now + TICK_MS;
	a->next_flush_ms = now + jitter_first_interval(a->options->interval_ms);
	a->next_housekeeping_ms = now + HOUSEKEEPING_MS;
	for (now = clock_mono_ms(); now < a->end_ms && !told_to_stop(a); now = clock_mono_ms()) {
		struct pollfd fds[] = {{a->signals, POLLIN, 0},
				       {sampler_fd(a->sampler), POLLIN, 0}};
		uint64_t next = next_event_ms(a);

		if (poll(fds, countof(fds), next > now ? (int)(next - now) : 0) < 0 &&
		    errno != EINTR)
			return err_sys(e, errno, "waiting for samples");
		if (turn(a, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static double seconds_of(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static void log_stats(const struct agent *a, const struct pusher_stats *push)
{
	const struct collector_stats *c = &a->collector.stats;
	const struct process_stats *p = &a->processes.stats;
	struct module_cache_stats m;
	struct sampler_stats s = {0};
	struct rusage self;

	if (a->sampler)
		sampler_stats(a->sampler, &s);
	module_cache_stats(a->modules, &m);
	getrusage(RUSAGE_SELF, &self);
	LOG(LOG_INFO, "stats", {"samples", LOG_U(c->samples)}, {"stacks", LOG_U(c->stacks)},
	    {"lost", LOG_U(s.lost + s.malformed)}, {"truncated", LOG_U(c->truncated)},
	    {"cut", LOG_U(p->stacks_cut)}, {"empty", LOG_U(c->empty)},
	    {"dropped", LOG_U(c->dropped)}, {"unmapped", LOG_U(p->leaves_unmapped)},
	    {"scans", LOG_U(p->scans)}, {"gone", LOG_U(p->gone)},
	    {"mappings_dropped", LOG_U(p->mappings_dropped)},
	    {"files_unopened", LOG_U(p->files_unopened)}, {"files_read", LOG_U(m.files_read)},
	    {"files_failed", LOG_U(m.files_failed)}, {"elf_readers", LOG_U(m.reader_starts)},
	    {"pushes", LOG_U(push->pushes)}, {"push_retries", LOG_U(push->retries)},
	    {"push_dropped", LOG_U(push->dropped)}, {"push_bytes", LOG_U(push->bytes)},
	    {"cpu_s", LOG_F(seconds_of(&self.ru_utime) + seconds_of(&self.ru_stime))},
	    {"rss_kib", LOG_I(self.ru_maxrss)}, {"bpf_runs", LOG_U(s.run_count)},
	    {"bpf_s", LOG_F((double)s.run_ns / 1e9)});
}

static int ship_rest(struct agent *a, struct err *e)
{
	if (a->collector.batch.samples == 0 && sink_is_file(&a->sink))
		return err_set(e, ERR_NOT_FOUND, "nothing was sampled: no profile is written");
	a->collector.ship = sink_ship;
	return collector_flush(&a->collector, e);
}

static int finish(struct agent *a, struct err *e)
{
	struct pusher_stats push = {0};
	int r;

	if (a->sampler) {
		sampler_stop(a->sampler);
		if (sampler_drain(a->sampler, e) < 0)
			return -1;
	}
	r = ship_rest(a, e);
	if (r == 0)
		r = sink_finish(&a->sink, &push, e);
	log_stats(a, &push);
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
