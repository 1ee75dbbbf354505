/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent.h"

#include "agent-lite/agent_parts.h"
#include "agent-lite/agent_report.h"
#include "agent-lite/process/process_open.h"
#include "agent-lite/ship/jitter.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	TICK_MS = 1000, // the ring is read at least that often
	EVENTS_MS = 20, // and events of mappings at most that often because they are there
	HOUSEKEEPING_MS = 10 * 1000,
	PROCESS_IDLE_MS = 120 * 1000,
};

/* When what is due. */
struct schedule {
	uint64_t end_ms; /* UINT64_MAX: none */
	uint64_t tick_ms, flush_ms, housekeeping_ms;
	bool events_wait; /* until events_ms, so that they come in batches */
	uint64_t events_ms;
};

/* ---- what is done ---------------------------------------------------------------------------- */

static void hand_files(struct agent *a)
{
	char id[BUILD_ID_TEXT];
	int fd;

	if (!a->giver || !giver_needs(a->giver, id))
		return;
	fd = processes_open(&a->processes, id);
	giver_hand(a->giver, fd >= 0 ? fd : kernel_loaded_open(&a->loaded, id));
}

static void tick(struct agent *a)
{
	processes_reap(&a->processes);
	sampler_pace(a->sampler);
	if (a->tables)
		unwind_store_tick(a->tables);
	hand_files(a);
	if (a->metrics)
		agent_report_metrics(a);
}

static void keep_house(struct agent *a)
{
	struct err err = ERR_INIT;

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
static int take_samples(struct agent *a, struct schedule *s, uint64_t now, struct err *e)
{
	const struct mmap_merge *events = a->events ? mmap_events_merge(a->events) : NULL;
	uint64_t seen_ns = clock_mono_ns(), before = events ? events->stats.events : 0;

	if (sampler_drain(a->sampler, e) < 0 || timeline_run(&a->timeline, seen_ns, e) < 0)
		return -1;
	// Where there were some, more are on their way: these are left alone for a while.
	s->events_wait = events && events->stats.events > before;
	s->events_ms = now + EVENTS_MS;
	return 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static uint64_t next_event_ms(const struct agent *a, const struct schedule *s)
{
	uint64_t next = MIN(s->tick_ms, s->end_ms);

	if (s->events_wait)
		next = MIN(next, s->events_ms);
	return a->collector.ship ? MIN(next, s->flush_ms) : next;
}

/* Until a sample wants to be looked at, there are events, or something is due. */
static int wait_for_work(const struct agent *a, const struct schedule *s, uint64_t now,
			 struct err *e)
{
	uint64_t next = next_event_ms(a, s);
	struct pollfd fds[] = {
		{a->signals, POLLIN, 0},
		{sampler_fd(a->sampler), POLLIN, 0},
		{a->events && !s->events_wait ? mmap_events_fd(a->events) : -1, POLLIN, 0},
	};

	if (poll(fds, countof(fds), next > now ? (int)(next - now) : 0) < 0 && errno != EINTR)
		return err_sys(e, errno, "waiting for samples");
	return 0;
}

/* Drains the rings, ships when a window is over. */
static int turn(struct agent *a, struct schedule *s, struct err *e)
{
	uint64_t now = clock_mono_ms();

	if (take_samples(a, s, now, e) < 0)
		return -1;
	if (now >= s->tick_ms) {
		s->tick_ms = now + TICK_MS;
		tick(a);
	}
	if (a->collector.ship && now >= s->flush_ms) {
		s->flush_ms = now + jitter_interval(a->options->interval_ms);
		if (collector_flush(&a->collector, e) < 0)
			return -1;
	}
	if (now >= s->housekeeping_ms) {
		s->housekeeping_ms = now + HOUSEKEEPING_MS;
		keep_house(a);
	}
	return 0;
}

static bool told_to_stop(const struct agent *a)
{
	struct signalfd_siginfo info;

	return read(a->signals, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

static int loop(struct agent *a, struct err *e)
{
	const struct options *o = a->options;
	uint64_t now = clock_mono_ms();
	struct schedule s = {
		.end_ms = o->once_ms ? now + o->once_ms : UINT64_MAX,
		.tick_ms = now + TICK_MS,
		.flush_ms = now + jitter_first_interval(o->interval_ms),
		.housekeeping_ms = now + HOUSEKEEPING_MS,
	};

	for (; now < s.end_ms && !told_to_stop(a); now = clock_mono_ms()) {
		if (wait_for_work(a, &s, now, e) < 0 || turn(a, &s, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static int ship_rest(struct agent *a, struct err *e)
{
	if (a->collector.batch.samples == 0 && sink_is_file(&a->sink))
		return err_set(e, ERR_NOT_FOUND, "nothing was sampled: no profile is written");
	a->collector.ship = agent_parts_ship;
	return collector_flush(&a->collector, e);
}

static int finish(struct agent *a, struct err *e)
{
	struct pusher_stats push = {0};
	int r;

	sampler_stop(a->sampler);
	if (sampler_drain(a->sampler, e) < 0 ||
	    timeline_run(&a->timeline, clock_mono_ns(), e) < 0)
		return -1;
	r = ship_rest(a, e);
	if (r == 0)
		r = sink_finish(&a->sink, &push, e);
	agent_report_end(a, &push);
	return r;
}

int agent_run(const struct options *o, struct err *e)
{
	_cleanup_(agent_parts_deinit) struct agent a = AGENT_INIT;

	if (agent_parts_start(&a, o, e) < 0)
		return -1;
	agent_report_start(&a);
	if (loop(&a, e) < 0)
		return -1;
	return finish(&a, e);
}
