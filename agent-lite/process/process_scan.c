/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/process_scan.h"

#include "agent-lite/process/regular_file.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	PROC_PATH = 256,
	MAPS_MAX = 16 << 20, // bytes of /proc/PID/maps
	SMALL_FILE_MAX = 64 << 10,
	STAT_START_FIELD = 22,
};

#define NS_PER_S 1000000000u

/* ---- what /proc says ------------------------------------------------------------------------- */

bool process_start_ticks(struct str stat_text, uint64_t *ret)
{
	const char *paren = stat_text.n ? memrchr(stat_text.p, ')', stat_text.n) : NULL;
	struct str field;

	// The name, field 2, is in parentheses and may hold anything.
	if (!paren)
		return false;
	stat_text = str_skip(stat_text, (size_t)(paren - stat_text.p) + 2);
	for (int i = 3; str_next(&stat_text, ' ', &field); i++) {
		if (i == STAT_START_FIELD)
			return str_to_u64(field, UINT64_MAX, ret);
	}
	return false;
}

static int read_proc(const struct processes *ps, uint64_t pid, const char *name, struct buf *b)
{
	char path[PROC_PATH];
	struct err ignored;

	snprintf(path, sizeof(path), "%s/%llu/%s", ps->proc, (unsigned long long)pid, name);
	return io_read_file(path, b, &ignored);
}

/* Is the PID still the process that was sampled? */
static bool is_same_process(const struct processes *ps, const struct process_key *key)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(SMALL_FILE_MAX);
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t ticks;

	if (key->start_ns == 0)
		return true;
	if (read_proc(ps, key->pid, "stat", &b) < 0 || !process_start_ticks(buf_str(&b), &ticks))
		return false;
	return ticks == key->start_ns / (NS_PER_S / hz);
}

/* ---- modules of mappings --------------------------------------------------------------------- */

/* Where a mapped file may be found, best first. */
enum file_place {
	/* The very file, whatever became of its name; needs CAP_CHECKPOINT_RESTORE. */
	PLACE_MAP_FILES,
	/* The path as the process sees it. */
	PLACE_ROOT,
	/* As its parent does, when it has ended: mostly in the same container. */
	PLACE_PARENT_ROOT,
	/* As we do. */
	PLACE_OURS,
	PLACE_COUNT,
};

struct resolver {
	struct processes *ps;
	uint64_t pid, ppid;
	bool alive; /* /proc/PID is that process */
};

static int open_place(const struct resolver *r, const struct mapping *m, enum file_place place)
{
	unsigned long long pid = place == PLACE_PARENT_ROOT ? r->ppid : r->pid;
	char path[PROC_PATH];
	struct stat st;

	switch (place) {
	case PLACE_MAP_FILES:
		snprintf(path, sizeof(path), "%s/%llu/map_files/%llx-%llx", r->ps->proc, pid,
			 (unsigned long long)m->start, (unsigned long long)m->end);
		return regular_file_open(path);
	case PLACE_ROOT:
	case PLACE_PARENT_ROOT:
		snprintf(path, sizeof(path), "%s/%llu/root", r->ps->proc, pid);
		return regular_file_open_inside(path, m->path, &st);
	default:
		return regular_file_open(m->path);
	}
}

static int open_at(const struct resolver *r, const struct mapping *m, enum file_place place)
{
	bool is_mapping = place == PLACE_MAP_FILES && !m->evented; // of just now: surely the one
	int fd = open_place(r, m, place);

	if (fd >= 0 && !is_mapping && !module_is_mapped(fd, m, place == PLACE_OURS)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_worth_a_look(const struct resolver *r, const struct mapping *m,
			    enum file_place place)
{
	switch (place) {
	case PLACE_MAP_FILES:
		return r->alive;
	case PLACE_ROOT:
		return r->alive && !m->deleted;
	case PLACE_PARENT_ROOT:
		return !r->alive && r->ppid && !m->deleted;
	default:
		return !m->deleted;
	}
}

/* 1: *ret is the module of the file that is mapped; 0: it is not to be had. */
static int find_file(const struct resolver *r, const struct mapping *m, struct module **ret,
		     struct err *e)
{
	for (enum file_place place = 0; place < PLACE_COUNT; place++) {
		_cleanup_close_ int fd = is_worth_a_look(r, m, place) ? open_at(r, m, place) : -1;
		int found = fd >= 0 ? module_cache_match(r->ps->modules, m, fd, ret, e) : 0;

		if (found != 0)
			return found;
	}
	return 0;
}

static int set_module(const struct resolver *r, struct mapping *m, struct err *e)
{
	struct module *module = NULL;
	int found = m->kind == MAPPING_FILE ? find_file(r, m, &module, e) : 0;

	if (found < 0)
		return -1;
	if (found == 0) {
		r->ps->stats.files_unopened += m->kind == MAPPING_FILE;
		// A guess is better than nothing.
		if (!m->module && module_cache_of_mapping(r->ps->modules, m, -1, &module, e) < 0)
			return -1;
	}
	if (module) {
		module_unref(m->module);
		m->module = module;
	}
	m->guessed = false;
	return 0;
}

static int resolve(struct processes *ps, const struct process *p, struct mappings *in,
		   struct err *e)
{
	struct resolver r = {.ps = ps, .pid = p->key.pid, .ppid = p->ppid};
	bool looked = false;

	for (size_t i = 0; i < in->n; i++) {
		struct mapping *m = &in->items[i];

		if (!m->module)
			m->module = m->evented ? module_cache_find(ps->modules, m) : NULL;
		if (m->module && !m->guessed)
			continue;
		if (!looked)
			r.alive = p->exit_ms == 0 && is_same_process(ps, &p->key);
		looked = true;
		if (set_module(&r, m, e) < 0)
			return -1;
		if (ps->breathe && ps->breathe(ps->timeline_ctx, e) < 0)
			return -1;
	}
	return 0;
}

int process_resolve(struct processes *ps, struct process *p, struct err *e)
{
	if (resolve(ps, p, &p->mappings, e) < 0)
		return -1;
	p->unresolved = false;
	process_tell(ps, p);
	return 0;
}

int process_resolve_before(struct processes *ps, struct process *p, struct err *e)
{
	return resolve(ps, p, &p->before, e);
}

/* ---- scanning -------------------------------------------------------------------------------- */

/* Events with a build-ID tell no inode. */
static bool same_file(const struct mapping *old, const struct mapping *now)
{
	if (old->build_id_size && now->path)
		return strcmp(old->module->filename, now->path) == 0;
	return old->device == now->device && old->inode == now->inode;
}

static bool same_mapping(const struct mapping *old, const struct mapping *now)
{
	return old->start == now->start && old->end == now->end && old->offset == now->offset &&
	       old->kind == now->kind && same_file(old, now);
}

/* What was known stays; only the rest is to be looked for. */
static void keep_modules(struct mappings *now, const struct mappings *before)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct mapping *old = mappings_find(before, now->items[i].start);

		if (old && old->module && !old->guessed && same_mapping(old, &now->items[i]))
			now->items[i].module = module_ref(old->module);
	}
}

static bool same_mappings(const struct mappings *a, const struct mappings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct mapping *x = &a->items[i], *y = &b->items[i];

		if (x->start != y->start || x->end != y->end || x->offset != y->offset ||
		    x->module != y->module)
			return false;
	}
	return true;
}

/* False: the process has ended, or is another one or another program now. */
static bool read_maps(struct processes *ps, struct process *p, struct buf *maps)
{
	uint64_t begin_ns = clock_mono_ns();

	ps->stats.scans++;
	if (read_proc(ps, p->key.pid, "maps", maps) < 0 || maps->n == 0 ||
	    !is_same_process(ps, &p->key))
		return false;
	if (ps->replaced && ps->replaced(ps->timeline_ctx, p->key.pid))
		return false;
	p->scanned_ns = begin_ns;
	return true;
}

int process_scan(struct processes *ps, struct process *p, struct err *e)
{
	_cleanup_(buf_deinit) struct buf maps = BUF_INIT(MAPS_MAX);
	_cleanup_(module_release_mappings) struct mappings now = MAPPINGS_INIT;
	struct mappings before;

	if (!read_maps(ps, p, &maps)) {
		p->gone = p->mappings.n == 0;
		return 0;
	}
	if (mappings_parse(&now, buf_str(&maps), e) < 0)
		return -1;
	keep_modules(&now, &p->mappings);
	ps->stats.mappings_dropped += now.dropped;
	if (!same_mappings(&now, &p->mappings))
		p->unresolved = true;
	before = p->mappings;
	p->mappings = now;
	now = before;
	process_count_mappings(ps, p);
	p->complete = ps->tracked;
	return 0;
}
