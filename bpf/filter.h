/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/* Which processes are sampled: all, or those of --pid and --cgroup; never the agent if it says so. */
#ifndef BPF_FILTER_H
#define BPF_FILTER_H

#include "bpf/profile.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Set before load. */
const volatile __u32 self_tgid = 0; /* 0: the agent is sampled like anything else */
const volatile __u32 pid_filter = 0;
const volatile __u32 cgroup_count = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROFILE_PIDS_MAX);
	__type(key, __u32);
	__type(value, __u8);
} target_pids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, PROFILE_CGROUPS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} target_cgroups SEC(".maps");

static __always_inline int in_target_cgroup(void)
{
	for (__u32 i = 0; i < PROFILE_CGROUPS_MAX; i++) {
		if (i >= cgroup_count)
			break;
		if (bpf_current_task_under_cgroup(&target_cgroups, i) == 1)
			return 1;
	}
	return 0;
}

static __always_inline int is_wanted(__u32 tgid)
{
	if (self_tgid && tgid == self_tgid)
		return 0;
	if (!pid_filter && !cgroup_count)
		return 1;
	if (pid_filter && bpf_map_lookup_elem(&target_pids, &tgid))
		return 1;
	return in_target_cgroup();
}

#endif
