/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's end of bpf/tables.h: puts unwind tables and the mappings of processes where the walk
 * in the kernel finds them. One table for each module that has call frame information, shared by
 * all processes that map it and freed with the module; for each process the range of slots that
 * its mappings take. Both are written through shared memory; a system call is made per new table
 * (it waits some milliseconds for the kernel's readers) and per change of a process.
 *
 * Bounded: when no slot is left for a table or a process, its frames are walked by frame pointer,
 * and that is counted. Borrows the maps. One owner thread.
 */
#ifndef AGENT_UNWIND_STORE_H
#define AGENT_UNWIND_STORE_H

#include "agent-lite/process/process.h"
#include "agent-lite/elf/unwind_table.h"

enum { UNWIND_STORE_SLOTS_MAX = 4 << 20 }; /* of all tables: 32 MiB */

/* Descriptors of the maps of bpf/tables.h. */
struct unwind_maps {
	int processes;
	int mappings;
	int tables;
};

struct unwind_store_stats {
	uint64_t tables;	   /* now */
	uint64_t slots;		   /* of them all, 8 bytes each */
	uint64_t processes;	   /* now */
	uint64_t processes_refused; /* no room for their mappings */
};

struct unwind_store;

int unwind_store_new(const struct unwind_maps *maps, struct unwind_store **ret,
		     struct err *e) MUST_CHECK;
/* All modules and processes that it was told of must be gone. Accepts NULL. */
void unwind_store_free(struct unwind_store *s);
DEFINE_CLEANUP(struct unwind_store *, unwind_store_free)

/*
 * Of type module_table_fn (module_cache.h); ctx is the store. Takes the table of a module just read;
 * m remembers where it is, and gives it back when it is freed. slots are copied. False: there is no
 * room for it, or the kernel said no.
 */
bool unwind_store_add(void *ctx, struct module *m, const struct unwind_table *t,
		      const uint64_t *slots);
/* Follows processes; ctx is the store. */
struct process_listener unwind_store_listener(struct unwind_store *s);
/*
 * To be called about once a second: ranges given back before the last call may be used again, and
 * tables that were looked at here are let go of.
 */
void unwind_store_tick(struct unwind_store *s);
void unwind_store_stats(const struct unwind_store *s, struct unwind_store_stats *ret);

/* Of type unwind_table_fn (unwind_replay.h); ctx is the store. Valid until the next tick. */
const uint64_t *unwind_store_table(void *ctx, uint32_t table, size_t *ret_n);
/* A process's mappings as the kernel has them; NULL and 0 when it has none. Borrowed. */
const struct unwind_mapping *unwind_store_mappings(const struct unwind_store *s,
						   const struct process *p, size_t *ret_n);

#endif
