/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/unwind_store.h"

#include "agent-lite/sample/slot_ranges.h"
#include "base/cleanup.h"
#include "base/mem.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct table {
	int fd;		 /* of the inner map */
	size_t n;	 /* slots; 0: this index is free */
	uint64_t *slots; /* shared with the kernel; NULL: not looked at, as mostly */
	uint32_t published; /* mappings in the kernel's hands that lead here */
	bool is_orphan;	    /* its module is gone */
};

struct unwind_store {
	struct unwind_maps maps;
	struct unwind_mapping *mappings; /* shared with the kernel */
	struct slot_ranges ranges;	 /* of mappings */
	struct table *tables;		 /* UNWIND_TABLES_MAX */
	uint32_t table_hint;		 /* no index below is free */
	uint16_t mapped[UNWIND_TABLES_MAX]; /* indices of tables that were looked at, some twice */
	size_t mapped_count;
	struct unwind_store_stats stats;
};

/* ---- tables ---------------------------------------------------------------------------------- */

static size_t page_rounded(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static bool map_table(struct table *t)
{
	void *shared = mmap(NULL, page_rounded(t->n * sizeof(uint64_t)), PROT_READ | PROT_WRITE,
			    MAP_SHARED, t->fd, 0);

	if (shared == MAP_FAILED)
		return false;
	t->slots = shared;
	return true;
}

/* Mapped, a table counts as the agent's memory a second time. */
static void unmap_table(struct table *t)
{
	if (t->slots)
		munmap(t->slots, page_rounded(t->n * sizeof(uint64_t)));
	t->slots = NULL;
}

static void close_table(struct table *t)
{
	if (t->n == 0)
		return;
	unmap_table(t);
	close(t->fd);
	*t = (struct table){.fd = -1};
}

/* An array with the table's contents that the kernel's program can be given. */
static bool fill_table(const uint64_t *slots, size_t n, struct table *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	struct table t = {.n = n};

	t.fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_table", sizeof(uint32_t),
			      sizeof(uint64_t), (uint32_t)n, &opts);
	if (t.fd < 0)
		return false;
	if (!map_table(&t)) {
		close(t.fd);
		return false;
	}
	memcpy(t.slots, slots, n * sizeof(uint64_t));
	unmap_table(&t);
	*ret = t;
	return true;
}

static bool find_free_index(struct unwind_store *s, uint32_t *ret)
{
	while (s->table_hint < UNWIND_TABLES_MAX && s->tables[s->table_hint].n > 0)
		s->table_hint++;
	*ret = s->table_hint;
	return s->table_hint < UNWIND_TABLES_MAX;
}

static void drop_table(struct unwind_store *s, uint32_t index)
{
	struct table *t = &s->tables[index];

	bpf_map_delete_elem(s->maps.tables, &index);
	s->stats.tables--;
	s->stats.slots -= t->n;
	s->table_hint = MIN(s->table_hint, index);
	close_table(t);
}

/*
 * A process's mappings change here before the kernel is told: what it was told last may still lead to
 * this table, whose index must not become another's until then.
 */
static void release_table(void *ctx, struct module *m)
{
	struct unwind_store *s = ctx;

	s->tables[m->unwind.table].is_orphan = true;
	if (s->tables[m->unwind.table].published == 0)
		drop_table(s, m->unwind.table);
}

bool unwind_store_add(void *ctx, struct module *m, const struct unwind_table *t,
		      const uint64_t *slots)
{
	struct unwind_store *s = ctx;
	size_t n = (size_t)t->pages + t->rows;
	uint32_t index;

	if (t->rows == 0)
		return true;
	if (s->stats.slots + n > UNWIND_STORE_SLOTS_MAX || !find_free_index(s, &index) ||
	    !fill_table(slots, n, &s->tables[index]))
		return false;
	if (bpf_map_update_elem(s->maps.tables, &index, &s->tables[index].fd, BPF_ANY) < 0) {
		close_table(&s->tables[index]);
		return false;
	}
	s->stats.tables++;
	s->stats.slots += n;
	m->unwind = (struct module_unwind){
		.base = t->base,
		.table = index,
		.pages = t->pages,
		.release = release_table,
		.ctx = s,
	};
	return true;
}

const uint64_t *unwind_store_table(void *ctx, uint32_t table, size_t *ret_n)
{
	struct unwind_store *s = ctx;
	struct table *t = table < UNWIND_TABLES_MAX ? &s->tables[table] : NULL;

	if (!t || t->n == 0)
		return NULL;
	if (!t->slots) {
		if (s->mapped_count == countof(s->mapped) || !map_table(t))
			return NULL;
		s->mapped[s->mapped_count++] = (uint16_t)table;
	}
	*ret_n = t->n;
	return t->slots;
}

static void unmap_tables(struct unwind_store *s)
{
	while (s->mapped_count > 0)
		unmap_table(&s->tables[s->mapped[--s->mapped_count]]);
}

/* ---- processes ------------------------------------------------------------------------------- */

static struct unwind_mapping describe(const struct mapping *m)
{
	struct unwind_mapping u = {m->start, m->end, 0, UNWIND_NO_TABLE, 0};
	const struct module *module = m->module;
	uint64_t vaddr;

	if (!module || !module->unwind.release)
		return u;
	// The vdso has no file, and is mapped from its first byte.
	if (!module->has_ident || !elf_offset_to_vaddr(&module->ident, m->offset, &vaddr))
		return u;
	u.bias = m->start - vaddr + module->unwind.base;
	u.table = module->unwind.table;
	u.pages = module->unwind.pages;
	return u;
}

static void hold_tables(struct unwind_store *s, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (s->mappings[i].table != UNWIND_NO_TABLE)
			s->tables[s->mappings[i].table].published++;
	}
}

static void let_go_of_tables(struct unwind_store *s, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		uint32_t table = s->mappings[i].table;

		if (table != UNWIND_NO_TABLE && --s->tables[table].published == 0 &&
		    s->tables[table].is_orphan)
			drop_table(s, table);
	}
}

/* The kernel has another one now, or none. */
static void forget_range(struct unwind_store *s, struct process *p)
{
	if (p->unwind_count == 0)
		return;
	let_go_of_tables(s, p->unwind_first, p->unwind_count);
	slot_ranges_give(&s->ranges, p->unwind_first, p->unwind_count);
	p->unwind_count = 0;
	s->stats.processes--;
}

static bool is_as_before(const struct unwind_store *s, const struct process *p)
{
	if (p->unwind_count == 0 || p->unwind_count != p->mappings.n)
		return false;
	for (size_t i = 0; i < p->mappings.n; i++) {
		struct unwind_mapping now = describe(&p->mappings.items[i]);

		if (memcmp(&now, &s->mappings[p->unwind_first + i], sizeof(now)) != 0)
			return false;
	}
	return true;
}

static int publish(struct unwind_store *s, const struct process *p, uint32_t first, uint32_t n)
{
	const struct unwind_process entry = {
		.start_ns = p->key.start_ns,
		.exec_id = p->key.exec_id,
		.first_mapping = first,
		.mapping_count = n,
	};
	uint32_t tgid = (uint32_t)p->key.pid;

	return bpf_map_update_elem(s->maps.processes, &tgid, &entry, BPF_ANY);
}

static void process_changed(void *ctx, struct process *p)
{
	struct unwind_store *s = ctx;
	uint32_t n = (uint32_t)p->mappings.n, first;

	if (n == 0 || is_as_before(s, p))
		return;
	if (!slot_ranges_take(&s->ranges, n, &first)) {
		s->stats.processes_refused++;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		s->mappings[first + i] = describe(&p->mappings.items[i]);
	if (publish(s, p, first, n) < 0) {
		slot_ranges_give(&s->ranges, first, n);
		s->stats.processes_refused++;
		return;
	}
	hold_tables(s, first, n);
	forget_range(s, p);
	p->unwind_first = first;
	p->unwind_count = n;
	s->stats.processes++;
}

/* Its ID may be another process's by now, which then has an entry of its own. */
static bool is_published(const struct unwind_store *s, const struct process *p)
{
	uint32_t tgid = (uint32_t)p->key.pid;
	struct unwind_process entry;

	return bpf_map_lookup_elem(s->maps.processes, &tgid, &entry) == 0 &&
	       entry.first_mapping == p->unwind_first;
}

static void process_forgotten(void *ctx, struct process *p)
{
	struct unwind_store *s = ctx;
	uint32_t tgid = (uint32_t)p->key.pid;

	if (p->unwind_count > 0 && is_published(s, p))
		bpf_map_delete_elem(s->maps.processes, &tgid);
	forget_range(s, p);
}

struct process_listener unwind_store_listener(struct unwind_store *s)
{
	return (struct process_listener){s, process_changed, process_forgotten};
}

const struct unwind_mapping *unwind_store_mappings(const struct unwind_store *s,
						   const struct process *p, size_t *ret_n)
{
	*ret_n = p->unwind_count;
	return p->unwind_count ? &s->mappings[p->unwind_first] : NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

int unwind_store_new(const struct unwind_maps *maps, struct unwind_store **ret, struct err *e)
{
	_cleanup_(unwind_store_freep) struct unwind_store *s = mem_zalloc(sizeof(*s));
	const size_t bytes = UNWIND_MAPPINGS_MAX * sizeof(struct unwind_mapping);
	void *shared;

	if (!s)
		return err_nomem(e);
	s->maps = *maps;
	slot_ranges_init(&s->ranges, UNWIND_MAPPINGS_MAX);
	s->tables = mem_calloc(UNWIND_TABLES_MAX, sizeof(*s->tables));
	if (!s->tables)
		return err_nomem(e);
	shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps->mappings, 0);
	if (shared == MAP_FAILED)
		return err_sys(e, errno, "mapping the BPF map of mappings");
	s->mappings = shared;
	*ret = steal_ptr(s);
	return 0;
}

void unwind_store_free(struct unwind_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; s->tables && i < UNWIND_TABLES_MAX; i++)
		close_table(&s->tables[i]);
	free(s->tables);
	if (s->mappings)
		munmap(s->mappings, UNWIND_MAPPINGS_MAX * sizeof(struct unwind_mapping));
	free(s);
}

void unwind_store_tick(struct unwind_store *s)
{
	slot_ranges_tick(&s->ranges);
	unmap_tables(s);
}

void unwind_store_stats(const struct unwind_store *s, struct unwind_store_stats *ret)
{
	*ret = s->stats;
}
