/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a perf event's ring buffer that tell of mappings and processes (perf_event_open(2),
 * "Mmap layout"; linux/perf_event.h): PERF_RECORD_MMAP2, COMM, FORK, EXIT, LOST, as an event with
 * sample_id_all and PERF_SAMPLE_TID | PERF_SAMPLE_TIME writes them. Nothing in a ring is believed:
 * names in it come from anybody, and a size that cannot be empties the ring. No state; thread-safe.
 */
#ifndef AGENT_MMAP_RECORD_H
#define AGENT_MMAP_RECORD_H

#include "agent-lite/process/mappings.h"
#include "base/base.h"
#include "base/str.h"

enum {
	MMAP_COMM = 16, /* TASK_COMM_LEN */
};

enum mmap_event_kind {
	MMAP_EVENT_MMAP, /* an executable mapping, new or changed */
	MMAP_EVENT_EXEC, /* execve(): nothing of before is mapped any more */
	MMAP_EVENT_COMM, /* another name */
	MMAP_EVENT_FORK, /* a process; threads are not told of */
	MMAP_EVENT_EXIT, /* of the thread whose ID is the process's */
	MMAP_EVENT_LOST, /* records that found the ring full */
	MMAP_EVENT_ANY,	 /* none of them: any, where one is asked for */
};

struct mmap_event {
	enum mmap_event_kind kind;
	uint32_t pid;
	uint32_t tid;
	uint32_t ppid; /* FORK */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t lost;	  /* LOST: how many */
	/* MMAP: */
	uint64_t start;
	uint64_t len;
	uint64_t offset;
	uint32_t prot;
	uint64_t device; /* makedev(major, minor); 0 with inode and generation where build_id is */
	uint64_t inode;
	uint64_t generation;
	uint8_t build_id_size; /* GNU build-ID; 0: none told */
	uint8_t build_id[MAPPING_ID_MAX];
	struct str path; /* borrowed from the record */
	/* EXEC, COMM: */
	char comm[MMAP_COMM];
};

/*
 * One record of n bytes, header included. True with *ret when it is one of those above and makes
 * sense; *ret_malformed says whether it does not.
 */
bool mmap_record_parse(const void *record, size_t n, struct mmap_event *ret, bool *ret_malformed);

/*
 * Cuts the next record, *ret_n bytes, off what was copied out of a ring. NULL when there is none
 * left; *ret_broken: because of a size that cannot be, and the rest is given up.
 */
const void *mmap_records_next(struct str *rest, size_t *ret_n, bool *ret_broken);

#endif
