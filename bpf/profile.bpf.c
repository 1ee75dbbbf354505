// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/*
 * The sampler's kernel half: at each tick of a CPU's clock event, the kernel and the user stack of
 * what is running, written to a ring buffer. Stacks are streamed rather than counted here: at tens
 * of hertz the volume is small, time order is kept, and there is no table that could be full.
 *
 * The ring does not wake its reader for each record; the reader comes by once a second. It is woken
 * at once for a process not seen before, because /proc is read for its mappings and a short-lived
 * process is still there then, and when the ring is half full.
 */
#include "bpf/kernel_types.h"
#include "bpf/profile.h"

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { IP_SLOTS = 256 }; /* a power of two >= 2 * PROFILE_DEPTH, so that masks bound it */

/* Set before load. */
const volatile __u32 self_tgid = 0; /* 0: the agent is sampled like anything else */
const volatile __u32 pid_filter = 0;
const volatile __u32 cgroup_count = 0;
const volatile __u32 ring_bytes = 0;

struct scratch {
	struct profile_record record;
	__u64 ip[IP_SLOTS];
};

struct seen {
	__u64 start_ns;
	__u64 exec_id;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* the agent sets its own */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct profile_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PROFILE_SEEN_MAX);
	__type(key, __u32);
	__type(value, struct seen);
} seen_processes SEC(".maps");

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

static __always_inline void fill_identity(struct profile_record *r, __u64 id)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	r->ktime_ns = bpf_ktime_get_ns();
	r->start_ns = BPF_CORE_READ(leader, start_boottime);
	r->exec_id = BPF_CORE_READ(leader, self_exec_id);
	r->cgroup_id = bpf_get_current_cgroup_id();
	r->tgid = id >> 32;
	r->tid = (__u32)id;
	r->flags = 0;
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	BPF_CORE_READ_STR_INTO(&r->leader_comm, leader, comm);
}

static __always_inline void fill_stacks(void *ctx, struct scratch *s)
{
	struct profile_record *r = &s->record;
	const __u32 max = PROFILE_DEPTH * sizeof(__u64);
	/* -EFAULT is normal here: the sample interrupted user code. */
	long n = bpf_get_stack(ctx, s->ip, max, 0);
	__u32 kernel = n > 0 ? ((__u32)n >> 3) & 127 : 0;

	n = bpf_get_stack(ctx, &s->ip[kernel], max, BPF_F_USER_STACK);
	__u32 user = n > 0 ? ((__u32)n >> 3) & 127 : 0;

	r->kernel_count = kernel;
	r->user_count = user;
	r->unwinder = user ? PROFILE_UNWINDER_FRAME_POINTER : PROFILE_UNWINDER_NONE;
	if (user >= PROFILE_DEPTH)
		r->why = PROFILE_END_DEPTH;
	else if (user)
		r->why = PROFILE_END_FRAME_POINTER;
	else
		r->why = kernel ? PROFILE_END_NO_USER : PROFILE_END_FAULT;
}

/* Is this the first sample of this process image since it was last pushed out of the map? */
static __always_inline int is_new(const struct profile_record *r)
{
	struct seen *known = bpf_map_lookup_elem(&seen_processes, &r->tgid);

	if (known && known->start_ns == r->start_ns && known->exec_id == r->exec_id)
		return 0;

	struct seen now = {r->start_ns, r->exec_id};

	bpf_map_update_elem(&seen_processes, &r->tgid, &now, BPF_ANY);
	return 1;
}

static __always_inline __u64 wakeup(const struct profile_record *r)
{
	if (r->user_count && is_new(r))
		return BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > ring_bytes / 2)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

SEC("perf_event")
int profile_sample(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 zero = 0;

	if (!(__u32)id)
		return 0; /* the idle task */

	struct profile_counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!count || !s)
		return 0;
	if (!is_wanted(id >> 32)) {
		count->filtered++;
		return 0;
	}
	fill_identity(&s->record, id);
	fill_stacks(ctx, s);

	__u32 frames = (s->record.kernel_count + s->record.user_count) & (IP_SLOTS - 1);
	__u64 size = sizeof(s->record) + frames * sizeof(__u64);

	if (bpf_ringbuf_output(&ring, s, size, wakeup(&s->record)))
		count->lost++;
	else
		count->samples++;
	return 0;
}
