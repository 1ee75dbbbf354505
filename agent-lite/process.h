/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes seen in samples: for each its executable mappings with their modules, its name and
 * its container. A process image is named by (pid, start time, exec count), so neither a reused PID
 * nor an execve() can lend one program's mappings to another.
 *
 * /proc is read when an image is first seen, and again when an address lies in no known mapping
 * (dlopen, JIT), at most once a second per process and more seldom when that does not help, and now
 * and then because mappings also go away. Bounded: what was not sampled for longest goes first. One
 * owner thread.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include "agent-lite/mappings.h"
#include "agent-lite/module_cache.h"
#include "base/map.h"

enum {
	PROCESSES_MAX = 8192,
	PROCESS_NAME = 16,
	CONTAINER_ID = 65, /* 64 hex digits and NUL */
};

struct process_key {
	uint64_t start_ns; /* since boot; 0: not known, so not checked */
	uint64_t exec_id;
	uint64_t pid;
};

struct process {
	struct process_key key;
	struct mappings mappings;     /* modules referenced */
	char container[CONTAINER_ID]; /* empty: none, or not known */
	bool gone;		      /* it had ended before /proc could be read */
	uint64_t scanned_ms;
	uint64_t rescan_pause_ms; /* doubled by each scan that found nothing for a missed address */
	uint64_t used_ms;
	/* The listener's own: which of the kernel side's mapping slots are this process's. */
	uint32_t unwind_first, unwind_count;
};

/* Is told of changes, so that what is made from mappings (the kernel's unwind tables) can follow. */
struct process_listener {
	void *ctx;
	void (*changed)(void *ctx, struct process *p); /* the mappings are others now */
	void (*forgotten)(void *ctx, struct process *p); /* its last appearance */
};

struct processes {
	struct map by_key;	      /* struct process_key -> struct process * */
	struct module_cache *modules; /* borrowed */
	const char *proc;	      /* "/proc", borrowed; tests have their own */
	struct process_listener listener; /* members may be NULL */
	struct process_stats {
		uint64_t scans;
		uint64_t gone;
		uint64_t evicted;
		uint64_t files_unopened;
		uint64_t mappings_dropped;
		uint64_t leaves_unmapped; /* shipped as [unknown] */
		uint64_t stacks_cut;	  /* at a caller in no executable mapping */
	} stats;
};

void processes_init(struct processes *ps, struct module_cache *modules, const char *proc);
void processes_deinit(struct processes *ps);
/* The process of that key, scanned if it is new. Borrowed: valid until the next call. */
int processes_get(struct processes *ps, const struct process_key *key, struct process **ret,
		  struct err *e) MUST_CHECK;
/*
 * What to ship for a user stack of n run-time addresses, leaf first. Callers in no executable
 * mapping end the stack: they are what a walk over frame pointers finds where a function keeps
 * none. Of a process that had ended too early everything is [unknown], uncut. The modules are
 * borrowed: valid until the next call of any function here.
 */
int processes_frames(struct processes *ps, struct process *p, const uint64_t *addresses, size_t n,
		     struct frame *ret, size_t *ret_n, struct err *e) MUST_CHECK;
/* Forgets what was not sampled for `idle_ms`. */
void processes_expire(struct processes *ps, uint64_t idle_ms);

/* The container ID in the text of /proc/PID/cgroup: its last run of exactly 64 hex digits. */
bool process_container_id(struct str cgroup_text, char ret[static CONTAINER_ID]);
/* Field 22 of /proc/PID/stat: clock ticks since boot. */
bool process_start_ticks(struct str stat_text, uint64_t *ret);

#endif
