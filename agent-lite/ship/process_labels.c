/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/process_labels.h"

#include "agent-lite/ship/cgroup_name.h"
#include "agent-lite/ship/otel_env.h"
#include "agent-lite/process/process_scan.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CGROUP_TEXT_MAX = 64 << 10,
	STAT_TEXT_MAX = 4096,
	ENVIRONMENT_MAX = 128 << 10, // what is longer is read as far as that
	PROC_PATH = 256,
	CGROUPS_MAX = 4096,
	SHORT_ID = 12, // as docker shows it
	LONG_ID = 64, // digits: of a runtime's own making, not a name
	ROOT_CGROUP = 1,
};

#define NS_PER_S 1000000000u

struct entry {
	char *packed;
	size_t packed_size;
	uint64_t used_ms;
	bool keep;
};

struct process_labels {
	char *proc;
	struct relabel *rules; /* NULL: none */
	struct labels fixed;   /* node, --label */
	struct map by_process; /* struct process_key -> struct entry * */
	struct map by_cgroup;  /* cgroup ID -> struct cgroup_name * */
	struct process_labels_stats stats;
};

/* ---- what /proc says ------------------------------------------------------------------------- */

/* All that was found out of one process. */
struct facts {
	struct cgroup_name cgroup;
	struct otel_env env;
	char executable[PATH_MAX];
	bool kernel; /* a thread of the kernel's */
	bool gone;
};

static void path_of(const struct process_labels *pl, uint64_t pid, const char *name,
		    char out[static PROC_PATH])
{
	snprintf(out, PROC_PATH, "%s/%llu/%s", pl->proc, (unsigned long long)pid, name);
}

static int read_text(const struct process_labels *pl, uint64_t pid, const char *name, struct buf *b)
{
	char path[PROC_PATH];
	struct err ignored;

	path_of(pl, pid, name, path);
	return io_read_file(path, b, &ignored);
}

/* It holds secrets: nothing of it stays in memory. */
static void read_environment(const struct process_labels *pl, uint64_t pid, struct otel_env *ret)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(ENVIRONMENT_MAX);

	// All at once: one that grows leaves copies where it was.
	if (!buf_reserve(&b, ENVIRONMENT_MAX))
		return;
	// One that is longer fails after as much as fits was read.
	if (read_text(pl, pid, "environ", &b) == 0 || b.n == ENVIRONMENT_MAX)
		otel_env_parse(buf_str(&b), ret);
	if (b.n > 0)
		explicit_bzero(b.p, b.n);
}

static void read_executable(const struct process_labels *pl, uint64_t pid, struct facts *ret)
{
	char path[PROC_PATH];
	ssize_t n;

	path_of(pl, pid, "exe", path);
	n = readlink(path, ret->executable, sizeof(ret->executable) - 1);
	ret->kernel = n < 0 && errno == ENOENT;
	ret->executable[MAX(n, (ssize_t)0)] = 0;
}

/* Is the PID still the process that was sampled? Asked last, so it holds for what was read before. */
static bool is_still_it(const struct process_labels *pl, const struct process_key *key)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(STAT_TEXT_MAX);
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t ticks;

	if (read_text(pl, key->pid, "stat", &b) < 0)
		return false;
	return key->start_ns == 0 || (process_start_ticks(buf_str(&b), &ticks) &&
				      ticks == key->start_ns / (NS_PER_S / hz));
}

static void read_facts(const struct process_labels *pl, const struct process_key *key,
		       struct facts *ret)
{
	_cleanup_(buf_deinit) struct buf cgroup = BUF_INIT(CGROUP_TEXT_MAX);

	*ret = (struct facts){.gone = false};
	if (read_text(pl, key->pid, "cgroup", &cgroup) == 0)
		cgroup_name_parse(buf_str(&cgroup), &ret->cgroup);
	read_environment(pl, key->pid, &ret->env);
	read_executable(pl, key->pid, ret);
	if (!is_still_it(pl, key))
		*ret = (struct facts){.gone = true};
}

/*
 * A child mostly has its parent's cgroup and environment. Not that of what starts containers or
 * services, which is somewhere else: so only where the parent is in a container, or has a name.
 */
static void read_parents_facts(const struct process_labels *pl, uint64_t parent, struct facts *ret)
{
	const struct process_key key = {.pid = parent};
	struct facts facts;

	if (parent == 0)
		return;
	read_facts(pl, &key, &facts);
	if (!facts.cgroup.container_id[0] && !facts.env.service[0])
		return;
	ret->cgroup = facts.cgroup;
	ret->env = facts.env;
}

/* ---- cgroups of the gone --------------------------------------------------------------------- */

static struct str id_bytes(const uint64_t *id)
{
	return (struct str){(const char *)id, sizeof(*id)};
}

static void forget_cgroups(struct process_labels *pl)
{
	size_t pos = 0;
	struct str key;
	void *name;

	while (map_next(&pl->by_cgroup, &pos, &key, &name)) {
		free(name);
		map_del(&pl->by_cgroup, key);
	}
}

/* On hosts that still use v1 everything is in v2's root: that tells nothing. */
static bool tells(uint64_t cgroup_id)
{
	return cgroup_id > ROOT_CGROUP;
}

static int remember_cgroup(struct process_labels *pl, uint64_t id, const struct cgroup_name *name,
			   struct err *e)
{
	_cleanup_free_ struct cgroup_name *copy = NULL;

	if (!tells(id) || map_get(&pl->by_cgroup, id_bytes(&id)))
		return 0;
	if (pl->by_cgroup.n >= CGROUPS_MAX)
		forget_cgroups(pl);
	copy = mem_dup(name, sizeof(*name));
	if (!copy || map_set(&pl->by_cgroup, id_bytes(&id), copy, NULL) < 0)
		return err_nomem(e);
	steal_ptr(copy);
	return 0;
}

static void recall_cgroup(const struct process_labels *pl, uint64_t id, struct cgroup_name *ret)
{
	const struct cgroup_name *known = tells(id) ? map_get(&pl->by_cgroup, id_bytes(&id)) : NULL;

	if (known)
		*ret = *known;
}

/* ---- labels ---------------------------------------------------------------------------------- */

static struct str service_of(const struct facts *f, const char *comm)
{
	struct str id = str_from(f->cgroup.container_id);
	struct str unit = str_from(f->cgroup.systemd_unit);

	// Workers change their names with their work: a series for each would be one for nothing.
	if (f->kernel)
		return STR("kernel");
	if (f->env.service[0])
		return str_from(f->env.service);
	if (f->env.container[0])
		return str_from(f->env.container);
	if (id.n > 0)
		return (struct str){id.p, id.n >= LONG_ID ? SHORT_ID : id.n};
	if (unit.n > 0)
		return (struct str){unit.p, unit.n - (sizeof(".service") - 1)};
	return str_from(comm);
}

static int copy_fixed(const struct process_labels *pl, struct labels *l, struct err *e)
{
	for (size_t i = 0; i < pl->fixed.n; i++) {
		if (labels_set(l, str_from(pl->fixed.items[i].name),
			       str_from(pl->fixed.items[i].value), e) < 0)
			return -1;
	}
	return 0;
}

static int set_facts(const struct facts *f, const char *comm, struct labels *l, struct err *e)
{
	const struct {
		struct str name, value;
	} all[] = {
		{STR("service_name"), service_of(f, comm)},
		{STR("container_id"), str_from(f->cgroup.container_id)},
		{STR("pod_uid"), str_from(f->cgroup.pod_uid)},
		{STR("systemd_unit"), str_from(f->cgroup.systemd_unit)},
		{STR("namespace"), str_from(f->env.namespace)},
		{STR("pod"), str_from(f->env.pod)},
		{STR("container"), str_from(f->env.container)},
		{STR("__meta_process_comm"), str_from(comm)},
		{STR("__meta_process_executable"), str_from(f->executable)},
		{STR("__meta_cgroup_path"), str_from(f->cgroup.path)},
	};

	for (size_t i = 0; i < countof(all); i++) {
		if (labels_set(l, all[i].name, all[i].value, e) < 0)
			return -1;
	}
	return 0;
}

/* A rule that fails leaves the labels as they are then: no samples are lost to a mistake in it. */
static int apply_rules(struct process_labels *pl, struct labels *l, bool *keep, struct err *e)
{
	*keep = true;
	if (!pl->rules || relabel_apply(pl->rules, l, keep, e) == 0)
		return 0;
	if (e->kind == ERR_NOMEM)
		return -1;
	pl->stats.failed++;
	return 0;
}

static int make_labels(struct process_labels *pl, const struct process_subject *subject,
		       struct buf *packed, bool *keep, struct err *e)
{
	_cleanup_(labels_deinit) struct labels l = {.n = 0};
	struct facts facts;

	read_facts(pl, &subject->key, &facts);
	pl->stats.looked_at++;
	pl->stats.gone += facts.gone;
	if (facts.gone) {
		read_parents_facts(pl, subject->parent, &facts);
		recall_cgroup(pl, subject->cgroup_id, &facts.cgroup);
	} else if (remember_cgroup(pl, subject->cgroup_id, &facts.cgroup, e) < 0) {
		return -1;
	}
	if (copy_fixed(pl, &l, e) < 0 || set_facts(&facts, subject->comm, &l, e) < 0 ||
	    apply_rules(pl, &l, keep, e) < 0)
		return -1;
	pl->stats.dropped += !*keep;
	return labels_pack(&l, packed, e);
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct str key_bytes(const struct process_key *key)
{
	return (struct str){(const char *)key, sizeof(*key)};
}

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	free(entry->packed);
	free(entry);
}
DEFINE_CLEANUP(struct entry *, entry_free)

void process_labels_expire(struct process_labels *pl, uint64_t idle_ms)
{
	uint64_t now = clock_mono_ms();
	size_t pos = 0;
	struct str key;
	void *value;

	while (map_next(&pl->by_process, &pos, &key, &value)) {
		struct entry *entry = value;

		if (now - entry->used_ms < idle_ms)
			continue;
		map_del(&pl->by_process, key);
		entry_free(entry);
	}
}

static void make_room(struct process_labels *pl)
{
	for (uint64_t idle_ms = 30 * 1000; pl->by_process.n >= PROCESSES_MAX; idle_ms /= 4)
		process_labels_expire(pl, idle_ms);
}

static int add_process(struct process_labels *pl, const struct process_subject *subject,
		       struct entry **ret, struct err *e)
{
	_cleanup_(entry_freep) struct entry *entry = mem_zalloc(sizeof(*entry));
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(LABELS_PACKED_MAX);

	if (!entry)
		return err_nomem(e);
	if (make_labels(pl, subject, &packed, &entry->keep, e) < 0)
		return -1;
	entry->packed_size = packed.n;
	// Rules may remove all labels.
	entry->packed = packed.n ? mem_dup(packed.p, packed.n) : mem_zalloc(1);
	if (!entry->packed)
		return err_nomem(e);
	make_room(pl);
	if (map_set(&pl->by_process, key_bytes(&subject->key), entry, NULL) < 0)
		return err_nomem(e);
	*ret = steal_ptr(entry);
	return 0;
}

int process_labels_get(struct process_labels *pl, const struct process_subject *subject,
		       struct str *ret, struct err *e)
{
	struct entry *entry = map_get(&pl->by_process, key_bytes(&subject->key));

	if (!entry && add_process(pl, subject, &entry, e) < 0)
		return -1;
	entry->used_ms = clock_mono_ms();
	*ret = (struct str){entry->packed, entry->packed_size};
	return entry->keep ? 0 : PROCESS_DROPPED;
}

void process_labels_stats(const struct process_labels *pl, struct process_labels_stats *ret)
{
	*ret = pl->stats;
	ret->known = pl->by_process.n;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int set_node(struct process_labels *pl, const char *node, struct err *e)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (!node && gethostname(name, sizeof(name) - 1) < 0)
		return err_sys(e, errno, "asking for the host's name");
	return labels_set(&pl->fixed, STR("node"), str_from(node ? node : name), e);
}

static int set_fixed(struct process_labels *pl, const struct opt_list *list, struct err *e)
{
	for (size_t i = 0; list && i < list->n; i++) {
		struct str value = str_from(list->items[i]), name;

		if (!str_next(&value, '=', &name) || !value.p || !label_name_is_valid(name))
			return err_set(e, ERR_USAGE, "--label %s: give it as NAME=VALUE",
				       list->items[i]);
		if (labels_set(&pl->fixed, name, value, e) < 0)
			return -1;
	}
	return 0;
}

int process_labels_new(const struct process_labels_config *config, struct process_labels **ret,
		       struct err *e)
{
	struct process_labels *pl = mem_zalloc(sizeof(*pl));

	if (!pl)
		return err_nomem(e);
	pl->by_process = MAP_INIT;
	pl->by_cgroup = MAP_INIT;
	pl->proc = mem_strdup(config->proc);
	if (!pl->proc)
		err_nomem(e);
	if (!pl->proc || set_node(pl, config->node, e) < 0 ||
	    set_fixed(pl, config->labels, e) < 0 ||
	    (config->rules && relabel_read(config->rules, &pl->rules, e) < 0)) {
		process_labels_free(pl);
		return -1;
	}
	*ret = pl;
	return 0;
}

void process_labels_free(struct process_labels *pl)
{
	size_t pos = 0;
	struct str key;
	void *entry;

	if (!pl)
		return;
	while (map_next(&pl->by_process, &pos, &key, &entry))
		entry_free(entry);
	map_deinit(&pl->by_process);
	forget_cgroups(pl);
	map_deinit(&pl->by_cgroup);
	labels_deinit(&pl->fixed);
	relabel_free(pl->rules);
	free(pl->proc);
	free(pl);
}
