/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The eBPF sampler: loads bpf/profile.bpf.c, opens a clock event on each online CPU, and reads the
 * ring buffer. Owns program, maps, events. One owner thread; the kernel side runs by itself.
 *
 * Errors when eBPF cannot be used are ERR_NO_CAPABILITY or ERR_NO_KERNEL_SUPPORT and say what is
 * missing and how to get it (see privilege.h).
 */
#ifndef AGENT_SAMPLER_H
#define AGENT_SAMPLER_H

#include "agent-lite/sample/record.h"
#include "agent-lite/sample/unwind_store.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum { SAMPLER_HZ_MAX = 1000 };

/* How user stacks are walked: the first that this kernel takes, unless one is asked for. */
enum sampler_unwinder {
	SAMPLER_ANY,
	SAMPLER_LOOP,	       /* tables, by bpf_loop(): Linux 5.17 */
	SAMPLER_TAIL,	       /* tables, by tail calls: 5.10 */
	SAMPLER_FRAME_POINTER, /* no tables */
	SAMPLER_UNWINDER_COUNT,
};

struct sampler_config {
	unsigned hz;		    /* per CPU, 1..SAMPLER_HZ_MAX */
	const uint32_t *pids;	    /* processes to sample; none and no cgroups: all */
	size_t pid_count;	    /* at most PROFILE_PIDS_MAX */
	const char *const *cgroups; /* folders of the v2 hierarchy, their descendants included */
	size_t cgroup_count;	    /* at most PROFILE_CGROUPS_MAX */
	bool skip_self;
	enum sampler_unwinder unwinder;
	bool off_cpu;		 /* waits too; needs SAMPLER_LOOP */
	uint64_t off_cpu_min_ns; /* shorter ones are left out */
};

struct sampler_stats {
	uint64_t samples;
	uint64_t lost; /* the ring was full */
	uint64_t parked; /* threads whose stack was taken when they were switched out */
	uint64_t filtered;
	uint64_t malformed; /* records that record_parse() refused */
	bool timed;	    /* kernel.bpf_stats_enabled: the next two are valid */
	uint64_t run_count;
	uint64_t run_ns;
	unsigned cpus;
	unsigned verified_instructions; /* what the kernel's verifier went through; 0: not told */
};

struct sampler;

/* Called by sampler_drain() for each sample; a negative result ends the drain. */
typedef int sampler_fn(void *ctx, const struct record *r, struct err *e);

int sampler_new(const struct sampler_config *config, sampler_fn *fn, void *ctx,
		struct sampler **ret, struct err *e) MUST_CHECK;
/* Detaches from all CPUs; what is in the ring can still be drained. */
void sampler_stop(struct sampler *s);
void sampler_free(struct sampler *s);
/* Readable when the program wants to be drained early. Borrowed. */
int sampler_fd(const struct sampler *s);
/* All that is in the ring; -1 with the callback's error. */
int sampler_drain(struct sampler *s, struct err *e) MUST_CHECK;
/* To be called about once a second: keeps the walks for waits within bounds. */
void sampler_pace(struct sampler *s);
/* Opens events on CPUs that came online since. */
int sampler_follow_cpus(struct sampler *s, struct err *e) MUST_CHECK;
/* "auto", "bpf_loop", "tail_call", "frame_pointer"; ERR_USAGE for another. */
int sampler_parse_unwinder(const char *name, enum sampler_unwinder *ret, struct err *e) MUST_CHECK;
/* Which was chosen, and its name. */
enum sampler_unwinder sampler_unwinder(const struct sampler *s, const char **ret_name);
/* The maps that an unwind_store fills. False: the walk takes no tables. */
bool sampler_unwind_maps(const struct sampler *s, struct unwind_maps *ret);
void sampler_stats(const struct sampler *s, struct sampler_stats *ret);

/* "0-3,8" → online[cpu] = true for cpu < n. False when the text is malformed. */
bool sampler_parse_cpus(struct str list, bool *online, size_t n);
/* The CPUs that are online now; the others' members are left as they are. */
int sampler_online_cpus(bool *online, size_t n, struct err *e) MUST_CHECK;

#endif
