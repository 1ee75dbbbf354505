/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

enum {
	PROC_PATH = 2 * MAPPING_PATH_MAX,
	MAPS_MAX = 16 << 20, // bytes of /proc/PID/maps
	SMALL_FILE_MAX = 64 << 10,
	RESCAN_PAUSE_MS = 1000,
	RESCAN_PAUSE_MAX_MS = 16 * 1000,
	RESCAN_ALWAYS_MS = 60 * 1000,
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

bool process_container_id(struct str text, char ret[static CONTAINER_ID])
{
	const size_t digits = CONTAINER_ID - 1;
	size_t run = 0;
	bool found = false;

	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && isxdigit((unsigned char)text.p[i])) {
			run++;
			continue;
		}
		if (run == digits) {
			memcpy(ret, text.p + i - digits, digits);
			ret[digits] = 0;
			found = true;
		}
		run = 0;
	}
	return found;
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

/*
 * map_files is the very file that is mapped, whatever became of its name, but needs
 * CAP_CHECKPOINT_RESTORE. Next the path as the process sees it; last, for a process that ended
 * since its maps were read, the path as we see it.
 */
static int open_mapped_file(const struct processes *ps, uint64_t pid, const struct mapping *m)
{
	char path[PROC_PATH];
	int fd;

	snprintf(path, sizeof(path), "%s/%llu/map_files/%llx-%llx", ps->proc,
		 (unsigned long long)pid, (unsigned long long)m->start, (unsigned long long)m->end);
	fd = module_open(path);
	if (fd >= 0 || m->deleted)
		return fd;
	snprintf(path, sizeof(path), "%s/%llu/root%s", ps->proc, (unsigned long long)pid, m->path);
	fd = module_open_mapped(path, m, false);
	return fd >= 0 ? fd : module_open_mapped(m->path, m, true);
}

static int set_module(struct processes *ps, uint64_t pid, struct mapping *m, struct err *e)
{
	_cleanup_close_ int fd = m->kind == MAPPING_FILE ? open_mapped_file(ps, pid, m) : -1;

	ps->stats.files_unopened += m->kind == MAPPING_FILE && fd < 0;
	return module_cache_of_mapping(ps->modules, m, fd, &m->module, e);
}

static bool same_mapping(const struct mapping *a, const struct mapping *b)
{
	return a->start == b->start && a->end == b->end && a->offset == b->offset &&
	       a->device == b->device && a->inode == b->inode && a->kind == b->kind;
}

static int set_modules(struct processes *ps, uint64_t pid, struct mappings *now,
		       const struct mappings *before, struct err *e)
{
	for (size_t i = 0; i < now->n; i++) {
		struct mapping *m = &now->items[i];
		const struct mapping *old = mappings_find(before, m->start);

		if (old && old->module && same_mapping(old, m))
			m->module = module_ref(old->module);
		else if (set_module(ps, pid, m, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- scanning -------------------------------------------------------------------------------- */

/* A process that has ended keeps what is known of it. */
static int scan(struct processes *ps, struct process *p, struct err *e)
{
	_cleanup_(buf_deinit) struct buf maps = BUF_INIT(MAPS_MAX);
	_cleanup_(module_release_mappings) struct mappings now = MAPPINGS_INIT;
	struct mappings before;

	ps->stats.scans++;
	p->scanned_ms = clock_mono_ms();
	if (read_proc(ps, p->key.pid, "maps", &maps) < 0 || maps.n == 0 ||
	    !is_same_process(ps, &p->key)) {
		p->gone = true;
		return 0;
	}
	if (mappings_parse(&now, buf_str(&maps), e) < 0 ||
	    set_modules(ps, p->key.pid, &now, &p->mappings, e) < 0)
		return -1;
	ps->stats.mappings_dropped += now.dropped;
	before = p->mappings;
	p->mappings = now;
	now = before;
	if (ps->listener.changed)
		ps->listener.changed(ps->listener.ctx, p);
	return 0;
}

static void read_container(struct processes *ps, struct process *p)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(SMALL_FILE_MAX);

	if (read_proc(ps, p->key.pid, "cgroup", &b) == 0)
		process_container_id(buf_str(&b), p->container);
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct str key_bytes(const struct process_key *key)
{
	return (struct str){(const char *)key, sizeof(*key)};
}

static void process_free(struct process *p)
{
	if (!p)
		return;
	module_release_mappings(&p->mappings);
	free(p);
}
DEFINE_CLEANUP(struct process *, process_free)

/* Frees a process that the listener may have been told of. */
static void forget(struct processes *ps, struct process *p)
{
	if (ps->listener.forgotten)
		ps->listener.forgotten(ps->listener.ctx, p);
	process_free(p);
}

void processes_init(struct processes *ps, struct module_cache *modules, const char *proc)
{
	*ps = (struct processes){.by_key = MAP_INIT, .modules = modules, .proc = proc};
}

void processes_deinit(struct processes *ps)
{
	size_t pos = 0;
	struct str key;
	void *p;

	while (map_next(&ps->by_key, &pos, &key, &p))
		forget(ps, p);
	map_deinit(&ps->by_key);
}

void processes_expire(struct processes *ps, uint64_t idle_ms)
{
	uint64_t now = clock_mono_ms();
	size_t pos = 0;
	struct str key;
	void *value;

	while (map_next(&ps->by_key, &pos, &key, &value)) {
		struct process *p = value;

		if (now - p->used_ms < idle_ms)
			continue;
		map_del(&ps->by_key, key);
		forget(ps, p);
	}
}

static void make_room(struct processes *ps)
{
	size_t before = ps->by_key.n;

	for (uint64_t idle_ms = 30 * 1000; ps->by_key.n >= PROCESSES_MAX; idle_ms /= 4)
		processes_expire(ps, idle_ms);
	ps->stats.evicted += before - ps->by_key.n;
}

static int add_process(struct processes *ps, const struct process_key *key, struct process **ret,
		       struct err *e)
{
	_cleanup_(process_freep) struct process *p = mem_zalloc(sizeof(*p));

	if (!p)
		return err_nomem(e);
	p->key = *key;
	p->mappings = MAPPINGS_INIT;
	p->rescan_pause_ms = RESCAN_PAUSE_MS;
	if (scan(ps, p, e) < 0)
		return -1;
	if (p->gone)
		ps->stats.gone++;
	else
		read_container(ps, p);
	if (ps->by_key.n >= PROCESSES_MAX)
		make_room(ps);
	if (map_set(&ps->by_key, key_bytes(key), p, NULL) < 0)
		return err_nomem(e);
	*ret = steal_ptr(p);
	return 0;
}

int processes_get(struct processes *ps, const struct process_key *key, struct process **ret,
		  struct err *e)
{
	struct process *p = map_get(&ps->by_key, key_bytes(key));

	if (!p && add_process(ps, key, &p, e) < 0)
		return -1;
	p->used_ms = clock_mono_ms();
	if (!p->gone && p->used_ms - p->scanned_ms >= RESCAN_ALWAYS_MS && scan(ps, p, e) < 0)
		return -1;
	*ret = p;
	return 0;
}

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
	if (p->gone || clock_mono_ms() - p->scanned_ms < p->rescan_pause_ms ||
	    all_mapped(p, addresses, n))
		return 0;
	if (scan(ps, p, e) < 0)
		return -1;
	if (all_mapped(p, addresses, n))
		p->rescan_pause_ms = RESCAN_PAUSE_MS;
	else
		p->rescan_pause_ms = MIN(p->rescan_pause_ms * 2, (uint64_t)RESCAN_PAUSE_MAX_MS);
	return 0;
}

int processes_frames(struct processes *ps, struct process *p, const uint64_t *addresses, size_t n,
		     struct frame *ret, size_t *ret_n, struct err *e)
{
	struct module *unknown = module_cache_special(ps->modules, MODULE_UNKNOWN);
	size_t got;

	// Before the first answer: a scan may release the modules of the old mappings.
	if (rescan_after_miss(ps, p, addresses, n, e) < 0)
		return -1;
	got = module_frames(&p->mappings, unknown, addresses, n, !p->gone, ret);
	ps->stats.stacks_cut += got < n;
	ps->stats.leaves_unmapped += got > 0 && ret[0].module == unknown;
	*ret_n = got;
	return 0;
}
