/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/unwind_replay.h"

#include <string.h>

struct native_walk; /* of this file; unwind_walk.h is given its first member */
struct native_table {
	const uint64_t *slots;
	size_t n;
};

struct unwind_walk;
static int read_copy(const struct unwind_walk *w, uint64_t address, void *to, size_t size);
static const struct unwind_mapping *mapping_at(const struct unwind_walk *w, uint32_t index);
static const struct native_table *table_at(struct unwind_walk *w, uint32_t table);
static const uint64_t *slot_at(const struct native_table *table, uint32_t index);

#define unwind_read(w, address, to, size) read_copy(w, address, to, size)
#define unwind_mapping_at(w, index) mapping_at(w, index)
#define unwind_table_at(w, table) table_at(w, table)
#define unwind_slot_at(table, index) slot_at(table, index)
#ifndef UNWIND_AARCH64
#ifdef __aarch64__
#define UNWIND_AARCH64 1
#else
#define UNWIND_AARCH64 0
#endif
#endif
#include "bpf/unwind_walk.h"

struct native_walk {
	struct unwind_walk walk;
	const struct unwind_replay *in;
	struct native_table table; /* the last one looked up */
};

static int read_copy(const struct unwind_walk *w, uint64_t address, void *to, size_t size)
{
	const struct unwind_replay *in = ((const struct native_walk *)w)->in;
	const uint64_t begin = in->copy->sp & ~UINT64_C(7), bytes = in->copy_words * 8;

	if (address < begin || address - begin > bytes || bytes - (address - begin) < size)
		return -1;
	memcpy(to, (const char *)in->copy->words + (address - begin), size);
	return 0;
}

static const struct unwind_mapping *mapping_at(const struct unwind_walk *w, uint32_t index)
{
	const struct unwind_replay *in = ((const struct native_walk *)w)->in;

	return index < in->mapping_count ? &in->mappings[index] : NULL;
}

static const struct native_table *table_at(struct unwind_walk *w, uint32_t table)
{
	struct native_walk *n = (struct native_walk *)w;

	n->table.slots = n->in->table(n->in->ctx, table, &n->table.n);
	return n->table.slots ? &n->table : NULL;
}

static const uint64_t *slot_at(const struct native_table *table, uint32_t index)
{
	return index < table->n ? &table->slots[index] : NULL;
}

void unwind_replay(const struct unwind_replay *in, struct unwind_result *ret)
{
	struct native_walk n = {
		.walk = {.ip = in->copy->ip,
			 .sp = in->copy->sp,
			 .fp = in->copy->fp,
			 .lr = in->copy->lr,
			 .lr_known = UNWIND_AARCH64},
		.in = in,
	};

	unwind_begin(&n.walk, 0, (uint32_t)in->mapping_count);
	while (!unwind_step(&n.walk, (__u64 *)ret->ips))
		;
	ret->count = n.walk.count;
	ret->why = n.walk.end;
	ret->table_steps = n.walk.table_steps;
	ret->frame_pointer_steps = n.walk.frame_pointer_steps;
}
