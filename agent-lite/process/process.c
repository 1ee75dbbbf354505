/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/process.h"

#include "agent-lite/process/mapping_insert.h"
#include "agent-lite/process/process_jit.h"
#include "agent-lite/process/process_scan.h"
#include "base/clock.h"
#include "base/mem.h"

#include <time.h>

enum {
	RESCAN_PAUSE_MS = 1000,
	RESCAN_PAUSE_MAX_MS = 16 * 1000,
	RESCAN_ALWAYS_MS = 60 * 1000,
	// Where events tell of what is mapped, scans find little: what was unmapped or moved.
	RESCAN_TRACKED_FACTOR = 10,
	EXITED_MS = 2000, // two ticks: samples come later than events
	BEFORE_MS = 1000,
	TELL_PAUSE_MAX_MS = 2000,
};

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u
#define BORN_TOLERANCE_NS NS_PER_S

/* ---- the table ------------------------------------------------------------------------------- */

static struct str key_bytes(const uint64_t *pid)
{
	return (struct str){(const char *)pid, sizeof(*pid)};
}

void process_count_mappings(struct processes *ps, struct process *p)
{
	size_t now = p->mappings.n + p->before.n;

	ps->mapping_count += now - p->mappings_counted; // modulo 2^64
	p->mappings_counted = now;
}

void process_tell(struct processes *ps, struct process *p)
{
	uint64_t now = clock_mono_ms();
	// A millisecond for each mapping: what rests in the kernel (slot_ranges.h) is bounded so.
	uint64_t pause_ms = MIN((uint64_t)p->mappings.n, (uint64_t)TELL_PAUSE_MAX_MS);

	p->tell_late = p->told && now - p->told_ms < pause_ms;
	if (p->tell_late)
		return;
	p->told = true;
	p->told_ms = now;
	if (ps->listener.changed)
		ps->listener.changed(ps->listener.ctx, p);
}

void process_untell(struct processes *ps, struct process *p)
{
	if (p->told && ps->listener.forgotten)
		ps->listener.forgotten(ps->listener.ctx, p);
	p->told = p->tell_late = false;
}

static void forget(struct processes *ps, struct process *p)
{
	process_untell(ps, p);
	process_jit_drop(ps, p);
	module_release_mappings(&p->mappings);
	module_release_mappings(&p->before);
	process_count_mappings(ps, p);
	free(p);
}

void processes_init(struct processes *ps, struct module_cache *modules, const char *proc)
{
	*ps = (struct processes){.by_pid = MAP_INIT, .modules = modules, .proc = proc};
}

void processes_deinit(struct processes *ps)
{
	size_t pos = 0;
	struct str key;
	void *p;

	while (map_next(&ps->by_pid, &pos, &key, &p))
		forget(ps, p);
	map_deinit(&ps->by_pid);
	free(ps->touched);
	ps->touched = NULL;
}

struct process *processes_find(const struct processes *ps, uint64_t pid)
{
	return map_get(&ps->by_pid, key_bytes(&pid));
}

/* ---- going ----------------------------------------------------------------------------------- */

typedef bool is_over_fn(const struct process *p, uint64_t now, uint64_t idle_ms);

static bool is_idle(const struct process *p, uint64_t now, uint64_t idle_ms)
{
	return now - p->used_ms >= idle_ms;
}

static bool is_idle_unsampled(const struct process *p, uint64_t now, uint64_t idle_ms)
{
	return !p->sampled && is_idle(p, now, idle_ms);
}

static bool has_ended(const struct process *p, uint64_t now, uint64_t idle_ms)
{
	return p->exit_ms && now - p->exit_ms >= idle_ms && is_idle(p, now, idle_ms);
}

static void forget_all(struct processes *ps, is_over_fn *is_over, uint64_t idle_ms)
{
	uint64_t now = clock_mono_ms();
	size_t pos = 0;
	struct str key;
	void *value;

	while (map_next(&ps->by_pid, &pos, &key, &value)) {
		struct process *p = value;

		if (!is_over(p, now, idle_ms))
			continue;
		map_del(&ps->by_pid, key);
		forget(ps, p);
	}
}

void processes_expire(struct processes *ps, uint64_t idle_ms)
{
	forget_all(ps, is_idle, idle_ms);
}

void processes_reap(struct processes *ps)
{
	uint64_t now = clock_mono_ms();
	size_t pos = 0;
	struct str key;
	void *value;

	forget_all(ps, has_ended, EXITED_MS);
	while (map_next(&ps->by_pid, &pos, &key, &value)) {
		struct process *p = value;

		if (p->before.n > 0 && now - p->exec_ms >= BEFORE_MS) {
			module_release_mappings(&p->before);
			process_count_mappings(ps, p);
		}
	}
}

bool processes_are_full(const struct processes *ps)
{
	return ps->by_pid.n >= PROCESSES_MAX || ps->mapping_count > PROCESSES_MAPPINGS_MAX;
}

/* So many that it is not to be done again at once. */
static bool enough_went(const struct processes *ps)
{
	return ps->by_pid.n < PROCESSES_MAX &&
	       ps->mapping_count <= PROCESSES_MAPPINGS_MAX / 4 * 3;
}

/* Those go first that nobody asked for. */
void processes_make_room(struct processes *ps)
{
	size_t before = ps->by_pid.n;

	if (!processes_are_full(ps))
		return;
	forget_all(ps, has_ended, 0);
	for (uint64_t idle_ms = 30 * 1000; !enough_went(ps); idle_ms /= 4) {
		forget_all(ps, is_idle_unsampled, idle_ms);
		if (!enough_went(ps))
			forget_all(ps, is_idle, idle_ms);
	}
	ps->stats.evicted += before - ps->by_pid.n;
}

/* ---- coming ---------------------------------------------------------------------------------- */

int processes_add(struct processes *ps, uint64_t pid, struct process **ret, struct err *e)
{
	struct process *p = mem_zalloc(sizeof(*p));
	void *old = NULL;

	if (!p)
		return err_nomem(e);
	p->key.pid = pid;
	p->mappings = MAPPINGS_INIT;
	p->before = MAPPINGS_INIT;
	p->rescan_pause_ms = RESCAN_PAUSE_MS;
	p->used_ms = clock_mono_ms();
	processes_make_room(ps);
	if (map_set(&ps->by_pid, key_bytes(&pid), p, &old) < 0) {
		free(p); // nothing is in it yet
		return err_nomem(e);
	}
	if (old)
		forget(ps, old);
	*ret = p;
	return 0;
}

/* CLOCK_BOOTTIME - CLOCK_MONOTONIC: the time this host was suspended. */
static uint64_t suspended_ns(void)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (uint64_t)(boot.tv_sec - mono.tv_sec) * NS_PER_S + (uint64_t)boot.tv_nsec -
	       (uint64_t)mono.tv_nsec;
}

/* Is what was forked then what the sample says started then? */
static bool was_born_at(const struct process *p, uint64_t start_ns)
{
	int64_t late;

	if (p->born_ns == 0 || start_ns == 0)
		return true;
	late = (int64_t)(p->born_ns + suspended_ns() - start_ns);
	return late > -(int64_t)BORN_TOLERANCE_NS && late < (int64_t)BORN_TOLERANCE_NS;
}

/*
 * Is p's image the key's, or the one that replaced it a moment ago? Events tell of execve() before
 * its count grows, and what they miss they say.
 */
static bool is_image_of(const struct process *p, const struct process_key *key)
{
	if (!p->keyed)
		return was_born_at(p, key->start_ns);
	return p->key.start_ns == key->start_ns &&
	       (p->complete || key->exec_id <= p->key.exec_id);
}

/*
 * Nobody told of its mappings and it has ended. A child that was forked and has not called execve()
 * has its parent's, who may be there still.
 */
static int inherit(struct processes *ps, struct process *p, struct err *e)
{
	struct process *parent = processes_find(ps, p->ppid);

	if (p->ppid == 0 || (!parent && processes_are_full(ps)))
		return 0;
	if (!parent && (processes_add(ps, p->ppid, &parent, e) < 0 ||
			process_scan(ps, parent, e) < 0))
		return -1;
	if (parent->mappings.n == 0)
		return 0;
	if (mappings_copy(&p->mappings, &parent->mappings, e) < 0)
		return -1;
	process_count_mappings(ps, p);
	p->unresolved = parent->unresolved;
	p->gone = false;
	ps->stats.inherited++;
	return 0;
}

/* The first sample of a process. */
static int meet(struct processes *ps, struct process *p, struct err *e)
{
	p->sampled = true;
	if (!p->complete && process_scan(ps, p, e) < 0)
		return -1;
	if (p->gone && inherit(ps, p, e) < 0)
		return -1;
	ps->stats.gone += p->gone;
	return 0;
}

/*
 * The listener compares keys where it has one: what it was told under another is void. Where an event
 * told of the execve(), the key has it already; so that one was missed, and what was known is of
 * the image before.
 */
static void set_key(struct processes *ps, struct process *p, const struct process_key *key)
{
	if (p->keyed) {
		process_untell(ps, p);
		p->scanned_ns = p->known_ns = 0;
	}
	p->key = *key;
	p->keyed = true;
}

static int meet_key(struct processes *ps, const struct process_key *key, struct process **ret,
		    struct err *e)
{
	struct process *p = processes_find(ps, key->pid);

	if ((!p || !is_image_of(p, key)) && processes_add(ps, key->pid, &p, e) < 0)
		return -1;
	if (!p->keyed || key->exec_id > p->key.exec_id)
		set_key(ps, p, key);
	*ret = p;
	return p->sampled ? 0 : meet(ps, p, e);
}

/* Since when what is known is known. */
static uint64_t known_since_ns(const struct process *p)
{
	return MAX(p->scanned_ns, p->known_ns);
}

static bool is_scan_due(const struct processes *ps, const struct process *p)
{
	uint64_t since_ms = p->used_ms - MIN(p->used_ms, p->scanned_ns / NS_PER_MS);
	uint64_t pause_ms = ps->tracked ? RESCAN_ALWAYS_MS * RESCAN_TRACKED_FACTOR
					: RESCAN_ALWAYS_MS;

	if (p->gone || p->exit_ms)
		return false;
	// Where more starts than can be followed, events are lost all the time.
	if (ps->doubt_ns > known_since_ns(p))
		return since_ms >= RESCAN_PAUSE_MS;
	return p->scanned_ns > 0 && since_ms >= pause_ms;
}

/* All modules are there after, and the listener knows. */
static int settle(struct processes *ps, struct process *p, struct err *e)
{
	if (p->unresolved || p->tell_late || (!p->told && !p->gone))
		return process_resolve(ps, p, e);
	return 0;
}

int processes_get(struct processes *ps, const struct process_key *key, struct process **ret,
		  struct err *e)
{
	struct process *p;

	if (meet_key(ps, key, &p, e) < 0)
		return -1;
	p->used_ms = clock_mono_ms();
	if (is_scan_due(ps, p) && process_scan(ps, p, e) < 0)
		return -1;
	if (settle(ps, p, e) < 0)
		return -1;
	*ret = p;
	return 0;
}

bool processes_has_met(const struct processes *ps, uint64_t pid)
{
	const struct process *p = processes_find(ps, pid);

	return p && (p->sampled || p->complete);
}

int processes_meet(struct processes *ps, const struct process_key *key, struct err *e)
{
	struct process *p;

	// Somebody's process must not go to make room: this is called in the midst of others' turns.
	if (processes_has_met(ps, key->pid) || processes_are_full(ps))
		return 0;
	return meet_key(ps, key, &p, e);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static bool all_mapped(const struct process *p, const uint64_t *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!mappings_find(&p->mappings, addresses[i]))
			return false;
	}
	return true;
}

/* A library just loaded, new JIT code, or a stray address: look, but not for ever. */
static int rescan_after_miss(struct processes *ps, struct process *p, const uint64_t *addresses,
			     size_t n, struct err *e)
{
	uint64_t pause_ms = p->rescan_pause_ms * (p->complete ? RESCAN_TRACKED_FACTOR : 1);

	if (p->gone || p->exit_ms ||
	    clock_mono_ms() < known_since_ns(p) / NS_PER_MS + pause_ms ||
	    all_mapped(p, addresses, n))
		return 0;
	if (process_scan(ps, p, e) < 0 || settle(ps, p, e) < 0)
		return -1;
	if (all_mapped(p, addresses, n))
		p->rescan_pause_ms = RESCAN_PAUSE_MS;
	else
		p->rescan_pause_ms = MIN(p->rescan_pause_ms * 2, (uint64_t)RESCAN_PAUSE_MAX_MS);
	return 0;
}

/*
 * While execve() is under way, and the new image has not run yet, the registers are still those of
 * the old one, which is not mapped any more.
 */
static bool is_of_before(const struct process *p, uint64_t leaf)
{
	return p->before.n > 0 && !mappings_find(&p->mappings, leaf) &&
	       mappings_find(&p->before, leaf);
}

int processes_frames(struct processes *ps, struct process *p, const uint64_t *addresses, size_t n,
		     struct frame *ret, size_t *ret_n, struct err *e)
{
	struct module *unknown = module_cache_special(ps->modules, MODULE_UNKNOWN);
	const struct mappings *in = &p->mappings;
	size_t got;

	if (n > 0 && is_of_before(p, addresses[0])) {
		if (process_resolve_before(ps, p, e) < 0)
			return -1;
		in = &p->before;
	} else if (rescan_after_miss(ps, p, addresses, n, e) < 0) {
		// Before the first answer: a scan may release the modules of the old mappings.
		return -1;
	}
	got = module_frames(in, unknown, addresses, n, !p->gone, ret);
	ps->stats.stacks_cut += got < n;
	ps->stats.leaves_unmapped += got > 0 && ret[0].module == unknown;
	*ret_n = got;
	return process_jit_name(ps, p, ret, got, e);
}
