/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/process_track.h"

#include "agent-lite/process/clean_text.h"
#include "agent-lite/process/mapping_insert.h"
#include "agent-lite/process/process_jit.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

/* ---- what waits to be told ------------------------------------------------------------------- */

enum { TOUCHED_MAX = PROCESSES_MAX };

static bool may_tell_early(struct processes *ps)
{
	uint64_t second = clock_mono_ms() / 1000;

	if (second != ps->early_ms)
		ps->early_count = 0;
	ps->early_ms = second;
	return ps->early_count++ < PROCESS_EARLY_PER_SECOND;
}

/* True: it is to be told later, be it sampled or not. */
static bool settle(struct processes *ps, struct process *p)
{
	p->touched = p->tell_late = false;
	if (p->exit_ms || p->unresolved || !p->complete)
		return false;
	if (!p->sampled && !may_tell_early(ps)) {
		p->tell_late = p->told;
		return false;
	}
	ps->stats.early += !p->sampled;
	process_tell(ps, p);
	return p->tell_late;
}

void processes_settle(struct processes *ps)
{
	size_t kept = 0;

	for (size_t i = 0; i < ps->touched_count; i++) {
		struct process *p = processes_find(ps, ps->touched[i]);

		if (!p || !p->touched || !settle(ps, p))
			continue;
		p->touched = true;
		ps->touched[kept++] = ps->touched[i];
	}
	ps->touched_count = kept;
}

/* Those that still wait are told of when they are sampled. */
static void forget_touched(struct processes *ps)
{
	processes_settle(ps);
	for (size_t i = 0; i < ps->touched_count; i++)
		processes_find(ps, ps->touched[i])->touched = false;
	ps->touched_count = 0;
}

static int touch(struct processes *ps, struct process *p, struct err *e)
{
	p->used_ms = clock_mono_ms();
	if (p->touched)
		return 0;
	if (ps->touched_count >= TOUCHED_MAX)
		forget_touched(ps);
	if (mem_grow(&ps->touched, &ps->touched_cap, ps->touched_count + 1, sizeof(*ps->touched),
		     TOUCHED_MAX) < 0)
		return err_nomem(e);
	ps->touched[ps->touched_count++] = (uint32_t)p->key.pid;
	p->touched = true;
	return 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void set_comm(struct process *p, const struct mmap_event *ev)
{
	_Static_assert(sizeof(p->comm) == sizeof(ev->comm), "one length of names");
	memcpy(p->comm, ev->comm, sizeof(p->comm));
	clean_text(p->comm);
}

/* With its module, where that is known; else with its path. */
static int make_mapping(struct processes *ps, const struct mmap_event *ev, struct mapping *ret,
			struct err *e)
{
	struct mapping m = {
		.start = ev->start,
		.end = ev->start + ev->len,
		.offset = ev->offset,
		.device = ev->device,
		.inode = ev->inode,
		.generation = ev->generation,
		.evented = true,
		.build_id_size = ev->build_id_size,
	};

	memcpy(m.build_id, ev->build_id, sizeof(m.build_id));
	m.kind = mapping_kind_of(&m, ev->path);
	m.module = module_cache_find(ps->modules, &m);
	if (m.kind == MAPPING_FILE && (!m.module || m.guessed) &&
	    mapping_set_path(&m, ev->path, e) < 0) {
		module_unref(m.module);
		return -1;
	}
	*ret = m;
	return 0;
}

/* What is known by a scan later than the event is newer. */
static bool is_old_news(const struct process *p, const struct mmap_event *ev)
{
	return ev->time_ns <= p->scanned_ns;
}

static int apply_mmap(struct processes *ps, const struct mmap_event *ev, struct err *e)
{
	struct process *p = processes_find(ps, ev->pid);
	struct mapping m;
	bool resolved;
	int r;

	if (!p || !p->complete || is_old_news(p, ev))
		return 0;
	if (make_mapping(ps, ev, &m, e) < 0)
		return -1;
	resolved = m.module && !m.guessed;
	r = mapping_insert(&p->mappings, &m, e);
	if (r == MAPPING_KNOWN || r < 0)
		return r < 0 ? -1 : 0;
	process_count_mappings(ps, p);
	p->unresolved = p->unresolved || !resolved;
	return touch(ps, p, e);
}

static int apply_exec(struct processes *ps, const struct mmap_event *ev, struct err *e)
{
	struct process *p = processes_find(ps, ev->pid);

	if (!p && processes_add(ps, ev->pid, &p, e) < 0)
		return -1;
	set_comm(p, ev);
	p->known_ns = ev->time_ns;
	p->complete = true;
	p->gone = false;
	p->key.exec_id += p->keyed;
	if (is_old_news(p, ev))
		return 0;
	process_untell(ps, p);
	module_release_mappings(&p->before);
	p->before = p->mappings;
	p->mappings = MAPPINGS_INIT;
	process_count_mappings(ps, p);
	process_jit_drop(ps, p);
	p->exec_ms = clock_mono_ms();
	p->unresolved = false;
	return touch(ps, p, e);
}

/* A child with more is read of in /proc if it is sampled; most call execve() before. */
enum { FORK_MAPPINGS_MAX = 512 };

static int apply_fork(struct processes *ps, const struct mmap_event *ev, struct err *e)
{
	struct process *parent, *p;

	if (processes_add(ps, ev->pid, &p, e) < 0)
		return -1;
	p->ppid = ev->ppid;
	p->born_ns = ev->time_ns;
	p->known_ns = ev->time_ns;
	// After: making room may have taken it.
	parent = processes_find(ps, ev->ppid);
	if (!parent || !parent->complete || parent->mappings.n > FORK_MAPPINGS_MAX)
		return 0;
	if (mappings_copy(&p->mappings, &parent->mappings, e) < 0)
		return -1;
	process_count_mappings(ps, p);
	memcpy(p->comm, parent->comm, sizeof(p->comm));
	p->unresolved = parent->unresolved;
	p->complete = true;
	return touch(ps, p, e);
}

int processes_apply(struct processes *ps, const struct mmap_event *ev, struct err *e)
{
	struct process *p;

	processes_make_room(ps);
	switch (ev->kind) {
	case MMAP_EVENT_MMAP:
		return apply_mmap(ps, ev, e);
	case MMAP_EVENT_EXEC:
		return apply_exec(ps, ev, e);
	case MMAP_EVENT_FORK:
		return apply_fork(ps, ev, e);
	case MMAP_EVENT_LOST:
		ps->doubt_ns = MAX(ps->doubt_ns, ev->time_ns);
		return 0;
	default:
		break;
	}
	p = processes_find(ps, ev->pid);
	if (p && ev->kind == MMAP_EVENT_COMM)
		set_comm(p, ev);
	if (p && ev->kind == MMAP_EVENT_EXIT)
		p->exit_ms = clock_mono_ms();
	return 0;
}
