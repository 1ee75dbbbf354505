/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dumps of the SIGPROF sampler (tests/demo/sampler/): what a program sampled of itself, for hosts
 * where eBPF is not permitted. Plain text, one file a process:
 *
 *   unhex-samples 1
 *   hz 99
 *   pid 4711
 *   comm cxx-workload
 *   start_unix_ns 1767225600000000000
 *   duration_ns 10000000000
 *   lost 0
 *   maps
 *   (lines of /proc/self/maps)
 *   stacks
 *   (one line a sample: addresses in hexadecimal, leaf first)
 *   end
 *
 * One owner thread.
 */
#ifndef AGENT_SAMPLES_FILE_H
#define AGENT_SAMPLES_FILE_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum {
	SAMPLES_FILE_MAX = 64 << 20,
	SAMPLES_DEPTH = 127,
};

struct samples_file {
	uint64_t hz;
	uint64_t pid;
	uint64_t start_unix_ns;
	uint64_t duration_ns;
	uint64_t lost;
	char comm[16];
	struct str maps;   /* borrowed from the text */
	struct str stacks; /* borrowed; walk it with samples_file_next() */
};

/* ERR_BAD_REQUEST naming the line that is wrong. */
int samples_file_parse(struct str text, struct samples_file *ret, struct err *e) MUST_CHECK;
/* 1 with one stack, 0 at the end, -1 ERR_BAD_REQUEST. *rest starts as samples_file.stacks. */
int samples_file_next(struct str *rest, uint64_t ips[static SAMPLES_DEPTH], size_t *ret_n,
		      struct err *e) MUST_CHECK;

#endif
