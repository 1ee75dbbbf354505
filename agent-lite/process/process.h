/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of this host that samples or events (mmap_events.h) told of: for each its
 * executable mappings with their modules, and its name. A process image is named by
 * (pid, start time, exec count), so neither a reused PID nor an execve() can lend one program's
 * mappings to another.
 *
 * What events tell is followed from execve or fork on: then nothing has to be read from /proc, and
 * a process may have ended long before its samples are looked at. Of a process that was there
 * before, /proc is read when it is first sampled. It is read again when events were lost, when an
 * address lies in no known mapping, at most once a second per process and more seldom when that
 * does not help, and now and then because mappings also go away. Files are opened only for what is
 * sampled. Bounded, in processes and in all they map: what was not sampled for longest goes first.
 * One owner thread.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include "agent-lite/process/mappings.h"
#include "agent-lite/process/module_cache.h"
#include "agent-lite/process/perf_map_file.h"
#include "base/map.h"

enum {
	PROCESSES_MAX = 8192,
	PROCESSES_MAPPINGS_MAX = 1 << 18, /* of all processes together */
	PROCESS_NAME = 16,
};

struct process_key {
	uint64_t start_ns; /* since boot; 0: not known, so not checked */
	uint64_t exec_id;  /* of a process that was not sampled yet: not known, 0 */
	uint64_t pid;
};

struct process {
	struct process_key key;
	struct mappings mappings; /* modules referenced; NULL where the file was not looked at yet */
	struct mappings before;	  /* of the image that execve() replaced a moment ago */
	size_t mappings_counted;  /* of both, in struct processes */
	struct perf_map_file *jit; /* names of code in no file; NULL: none was sampled */
	size_t jit_bytes;	   /* of it, counted in struct processes */
	char comm[PROCESS_NAME];  /* of the leader, from events; may be empty */
	uint32_t ppid;		      /* 0: not known */
	bool keyed;		      /* the key was told by a sample */
	bool sampled;
	bool complete;	 /* events tell of all its mappings */
	bool gone;	 /* it had ended before anything could be learnt of its mappings */
	bool unresolved; /* modules are missing or guessed, or the listener is not told yet */
	bool touched;	 /* waits for processes_settle() */
	bool told;	 /* the listener has its mappings */
	bool tell_late;	 /* but not the last change: it was too soon, or there were too many others */
	uint64_t born_ns;  /* CLOCK_MONOTONIC, of the fork; 0: not known */
	uint64_t known_ns; /* since when events tell of it */
	uint64_t told_ms;
	uint64_t exec_ms;  /* when `before` was replaced */
	uint64_t exit_ms;  /* 0: none was told of */
	uint64_t scanned_ns; /* 0: never */
	uint64_t rescan_pause_ms; /* doubled by each scan that found nothing for a missed address */
	uint64_t used_ms;
	/* The listener's own: which of the kernel side's mapping slots are this process's. */
	uint32_t unwind_first, unwind_count;
};

/*
 * Is told of changes, so that what is made from mappings (the kernel's unwind tables) can follow.
 * All mappings have their modules then.
 */
struct process_listener {
	void *ctx;
	void (*changed)(void *ctx, struct process *p); /* the mappings are others now */
	/* What it has of p is of no use any more. p may be another program from now on, or end. */
	void (*forgotten)(void *ctx, struct process *p);
};

/* Called between two files that are read: each takes a while. */
typedef int process_breathe_fn(void *ctx, struct err *e);
/* Has that process called execve(), and events that tell of it were not applied yet? */
typedef bool process_replaced_fn(void *ctx, uint64_t pid);

struct processes {
	struct map by_pid;	      /* uint64_t -> struct process *: its image as of now */
	struct module_cache *modules; /* borrowed */
	const char *proc;	      /* "/proc", borrowed; tests have their own */
	size_t mapping_count;	      /* of all processes */
	struct {
		uint64_t bytes;	       /* of all maps */
		uint64_t second, read; /* bytes of text that were read in that second */
	} jit;
	bool tracked;		      /* events are applied; set after init */
	uint64_t doubt_ns;	      /* events before that were lost */
	struct process_listener listener; /* members may be NULL */
	process_breathe_fn *breathe;	  /* may be NULL, as may the next */
	process_replaced_fn *replaced;
	void *timeline_ctx; /* of both */
	uint32_t *touched;	      /* PIDs that wait for processes_settle() */
	size_t touched_count, touched_cap;
	uint64_t early_ms; /* the second in which `early_count` were told early */
	unsigned early_count;
	struct process_stats {
		uint64_t scans;
		uint64_t gone;
		uint64_t inherited; /* gone, but named by its parent's mappings */
		uint64_t evicted;
		uint64_t early; /* told to the listener before any sample */
		uint64_t files_unopened;
		uint64_t mappings_dropped;
		uint64_t leaves_unmapped; /* shipped as [unknown] */
		uint64_t jit_frames;	  /* in no file; `named` of them by a perf map */
		uint64_t jit_named;
		uint64_t stacks_cut;	  /* at a caller in no executable mapping */
	} stats;
};

void processes_init(struct processes *ps, struct module_cache *modules, const char *proc);
void processes_deinit(struct processes *ps);
/*
 * The process of that key, scanned if neither samples nor events told of it. Borrowed: valid until
 * the next call.
 */
int processes_get(struct processes *ps, const struct process_key *key, struct process **ret,
		  struct err *e) MUST_CHECK;
/*
 * Scans the process of that key if it is new, but reads no files: that can wait until its samples
 * are looked at, while the process may not.
 */
int processes_meet(struct processes *ps, const struct process_key *key, struct err *e) MUST_CHECK;
/* Is there nothing to meet? */
bool processes_has_met(const struct processes *ps, uint64_t pid);
/*
 * What to ship for a user stack of n run-time addresses, leaf first. Callers in no executable
 * mapping end the stack: they are what a walk over frame pointers finds where a function keeps
 * none. Of a process that had ended too early everything is [unknown], uncut. Code in no file is
 * named where the process says how (perf_map_file.h). Modules and names are borrowed: valid until
 * the next call of any function here.
 */
int processes_frames(struct processes *ps, struct process *p, const uint64_t *addresses, size_t n,
		     struct frame *ret, size_t *ret_n, struct err *e) MUST_CHECK;
/* Forgets what was neither sampled nor told of for `idle_ms`. */
void processes_expire(struct processes *ps, uint64_t idle_ms);
/* Once a second: forgets what has ended two seconds ago, and images that execve() replaced. */
void processes_reap(struct processes *ps);

/* ---- for the parts of this table (process_scan.c, process_track.c) ---- */

struct process *processes_find(const struct processes *ps, uint64_t pid); /* or NULL */
/* Is there no room for another one, unless some go? */
bool processes_are_full(const struct processes *ps);
/* If so, some go, and pointers to processes are not valid any more. */
void processes_make_room(struct processes *ps);
/* To be called where the mappings of p have become more, or fewer. */
void process_count_mappings(struct processes *ps, struct process *p);
/* An empty one in place of the one with that PID. */
int processes_add(struct processes *ps, uint64_t pid, struct process **ret, struct err *e) MUST_CHECK;
/*
 * Tells the listener what p maps now, or that what it has is void. Who maps much and changes it all
 * the time would take much of what the listener has for all: that is told of the later the more it
 * is (p->tell_late).
 */
void process_tell(struct processes *ps, struct process *p);
void process_untell(struct processes *ps, struct process *p);

#endif
