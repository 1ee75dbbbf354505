/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * What crosses the ring buffer between profile.bpf.c and the agent: one record per sample, of
 * variable length. The kernel stack comes first, then the user stack, each with its leaf first.
 * Addresses are raw run-time ones; everything about files is found out in user space.
 *
 * A process is named by (tgid, start_ns, exec_id): the PID alone may be reused, and execve() gives
 * the same process another address space.
 */
#ifndef BPF_PROFILE_H
#define BPF_PROFILE_H

#include <linux/types.h>

enum {
	PROFILE_DEPTH = 127, /* per stack; kernel.perf_event_max_stack is 127 by default */
	PROFILE_COMM = 16,   /* TASK_COMM_LEN */
	PROFILE_PIDS_MAX = 1024,
	PROFILE_CGROUPS_MAX = 16,
	PROFILE_SEEN_MIN = 8192, /* more on hosts of many CPUs */
};

/* Why the walk of the user stack stopped. A stack that was cut is shipped all the same. */
enum profile_end {
	PROFILE_END_NO_USER = 0,       /* a kernel thread, or no user registers */
	PROFILE_END_FRAME_POINTER = 1, /* the chain broke off: at code without frame pointers */
	PROFILE_END_DEPTH = 2,	       /* more frames than PROFILE_DEPTH */
	PROFILE_END_FAULT = 3,	       /* the stack could not be read */
	PROFILE_END_ROOT = 4,	       /* the unwind table says: outermost frame */
	PROFILE_END_NO_PROCESS = 5,    /* its mappings are not known yet: the stack comes as a copy */
	PROFILE_END_BAD_TABLE = 6,     /* a row that this walker cannot follow */
	PROFILE_END_FRAME_POINTER_ROOT = 7, /* the chain ended as the ABI has it end */
	PROFILE_END_COUNT,
};

/* Who walked the user stack. */
enum profile_unwinder {
	PROFILE_UNWINDER_NONE = 0,
	PROFILE_UNWINDER_FRAME_POINTER = 1, /* frame pointers alone */
	PROFILE_UNWINDER_TABLE = 2,	    /* tables, and frame pointers where there are none */
	PROFILE_UNWINDER_COPY = 3,	    /* nobody yet: see struct profile_stack_copy */
	PROFILE_UNWINDER_COUNT,
};

/* What a record tells of. */
enum profile_kind {
	PROFILE_KIND_CPU = 0,	  /* was running at a tick of the clock */
	PROFILE_KIND_OFF_CPU = 1, /* was switched out there, for weight_ns */
	PROFILE_KIND_COUNT,
};

struct profile_record {
	__u64 ktime_ns;	 /* CLOCK_MONOTONIC */
	__u64 start_ns;	 /* start of the thread group's leader since boot */
	__u64 exec_id;	 /* grows by one with each execve() */
	__u64 cgroup_id; /* v2 hierarchy */
	__u64 weight_ns; /* PROFILE_KIND_OFF_CPU: of all the waits that this one stands for */
	__u32 tgid;
	__u32 tid;
	char comm[PROFILE_COMM];	/* of the thread */
	char leader_comm[PROFILE_COMM]; /* of the process */
	__u16 kernel_count;
	__u16 user_count;
	__u16 copy_words; /* PROFILE_UNWINDER_COPY only; then user_count is 0 */
	__u8 why;	  /* enum profile_end */
	__u8 unwinder;	  /* enum profile_unwinder */
	__u8 kind;	  /* enum profile_kind */
	__u8 reserved[3];
	__u32 count; /* of the samples or waits that this one stands for */
	/* followed by __u64 ip[kernel_count + user_count], or ip[kernel_count] and a copy */
};

_Static_assert(sizeof(struct profile_record) == 96, "record header has a fixed size");
_Static_assert(__builtin_offsetof(struct profile_record, kernel_count) == 80, "counts after names");

/*
 * The registers and the stack, from where sp points, of a process seen for the first time: its
 * mappings and tables are then looked up, and the walk is made up for. copy_words counts all.
 */
struct profile_stack_copy {
	__u64 ip, sp, fp;
	__u64 lr; /* aarch64 */
	__u64 words[];
};

enum {
	PROFILE_COPY_CHUNK = 128, /* words read at once */
	PROFILE_COPY_CHUNKS = 16, /* 16 KiB */
	PROFILE_COPY_WORDS = PROFILE_COPY_CHUNK * PROFILE_COPY_CHUNKS,
	PROFILE_COPY_HEAD = sizeof(struct profile_stack_copy) / sizeof(__u64),
	PROFILE_COPIES = 32, /* of one process image, in case its mappings cannot be had */
};

/* Counters the program keeps per CPU; they never go down. */
struct profile_counters {
	__u64 samples;  /* records written */
	__u64 lost;     /* records that found the ring full */
	__u64 parked;	/* stacks of threads that were switched out */
	__u64 filtered; /* left out by --pid, --cgroup, or as the agent itself */
};

#endif
