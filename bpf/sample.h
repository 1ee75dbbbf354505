/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * One sample: whose it is, its kernel stack, its user stack, and its way into the ring. Stacks are
 * streamed rather than counted here: at tens of hertz the volume is small, time order is kept, and
 * there is no table that could be full.
 *
 * The ring does not wake its reader for each record; the reader comes by once a second. It is woken
 * at once for a process not seen before, because /proc is read for its mappings and a short-lived
 * process is still there then, and when the ring is half full.
 */
#ifndef BPF_SAMPLE_H
#define BPF_SAMPLE_H

#include "bpf/profile.h"
#include "bpf/tables.h"

#include "bpf/filter.h"
#include "bpf/registers.h"

enum {
	/* Kernel frames, then the copy. */
	PAYLOAD_WORDS = 128 + PROFILE_COPY_HEAD + PROFILE_COPY_WORDS,
};

/* Set before load. */
const volatile __u32 ring_bytes = 0;

/* What a walk touches lies side by side: at tens of hertz, all of it comes from memory. */
struct scratch {
	struct unwind_walk walk;
	__u32 calls;
	/* what is sent, from here */
	struct profile_record record;
	__u64 ip[PAYLOAD_WORDS];
};

struct seen {
	__u64 start_ns;
	__u64 exec_id;
	__u32 copies;
	__u32 reserved; /* named, so that it is set: before 6.3 no byte of a value may be left as it was */
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
	__uint(max_entries, PROFILE_SEEN_MIN);
	__type(key, __u32);
	__type(value, struct seen);
} seen_processes SEC(".maps");

/* On kernels without bpf_get_current_task_btf() (5.11): each read is a call. */
static __always_inline void fill_names_by_calls(struct profile_record *r)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	r->start_ns = BPF_CORE_READ(leader, start_boottime);
	r->exec_id = BPF_CORE_READ(leader, self_exec_id);
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	BPF_CORE_READ_STR_INTO(&r->leader_comm, leader, comm);
}

static __always_inline void fill_names(struct profile_record *r)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct task_struct *leader = task->group_leader;

	r->start_ns = leader->start_boottime;
	r->exec_id = leader->self_exec_id;
	__builtin_memcpy(r->comm, task->comm, sizeof(r->comm));
	__builtin_memcpy(r->leader_comm, leader->comm, sizeof(r->leader_comm));
}

static __always_inline void fill_identity(struct profile_record *r, __u64 id)
{
	r->ktime_ns = bpf_ktime_get_ns();
	r->cgroup_id = bpf_get_current_cgroup_id();
	r->tgid = id >> 32;
	r->tid = (__u32)id;
	if (kernel_stack_bytes) /* 5.14 or older */
		fill_names_by_calls(r);
	else
		fill_names(r);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

/* Without its first frames, as many as skip says. */
static __always_inline void fill_kernel_stack(void *ctx, struct scratch *s, __u64 skip)
{
	long n = bpf_get_stack(ctx, s->ip, PROFILE_DEPTH * sizeof(__u64), skip);

	s->record.kernel_count = n > 0 ? ((__u32)n >> 3) & 127 : 0;
}

static __always_inline void clear_stacks(struct profile_record *r)
{
	r->kernel_count = 0;
	r->user_count = 0;
	r->copy_words = 0;
	r->unwinder = PROFILE_UNWINDER_NONE;
	r->why = PROFILE_END_NO_USER;
}

/*
 * Sets the walk up in the mappings of the thread's process; its registers have been taken. 0: walk;
 * else it has none yet, and record.why says so.
 */
static __always_inline int begin_walk(struct scratch *s)
{
	const struct unwind_process *p;
	struct profile_record *r = &s->record;

	r->why = PROFILE_END_NO_PROCESS;
	p = bpf_map_lookup_elem(&unwind_processes, &r->tgid);
	if (!p || (p->start_ns && (p->start_ns != r->start_ns || p->exec_id != r->exec_id)))
		return -1;
	unwind_begin(&s->walk, p->first_mapping, p->mapping_count);
	return 0;
}

static __always_inline void end_walk(struct scratch *s)
{
	struct profile_record *r = &s->record;

	r->user_count = s->walk.count;
	r->why = s->walk.end;
	r->unwinder = PROFILE_UNWINDER_TABLE;
}

struct loop {
	struct scratch *s;
};

static long loop_step(__u32 i, struct loop *loop)
{
	struct scratch *s = loop->s;

	(void)i;
	return unwind_step(&s->walk, &s->ip[s->record.kernel_count & 127]);
}

/* After begin_walk(). */
static __always_inline void walk_by_loop(struct scratch *s)
{
	struct loop loop = {s};

	bpf_loop(PROFILE_DEPTH + 1, loop_step, &loop, 0);
	end_walk(s);
}

static __always_inline int ring_is_filling(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > ring_bytes / 2;
}

/*
 * As much of the stack as can be read. Chunks end where their addresses are multiples of their
 * size, so that none lies on two pages: a read fails as a whole.
 */
static __always_inline void copy_stack(struct scratch *s)
{
	const __u32 begin = (s->record.kernel_count & 127) + PROFILE_COPY_HEAD;
	const __u64 from = s->walk.sp & ~7ull;
	const __u32 first = PROFILE_COPY_CHUNK - ((from >> 3) & (PROFILE_COPY_CHUNK - 1));
	// When many are new at once, all of them come, with less each.
	const int chunks = ring_is_filling() ? 2 : PROFILE_COPY_CHUNKS;
	__u32 words = 0;

	s->ip[begin - 4] = s->walk.ip;
	s->ip[begin - 3] = s->walk.sp;
	s->ip[begin - 2] = s->walk.fp;
	s->ip[begin - 1] = s->walk.lr;
	if (!bpf_probe_read_user(&s->ip[begin], first * sizeof(__u64), (const void *)from)) {
		words = first;
		for (int i = 1; i < PROFILE_COPY_CHUNKS; i++) {
			if (i >= chunks)
				break;
			if (bpf_probe_read_user(&s->ip[begin + words],
						PROFILE_COPY_CHUNK * sizeof(__u64),
						(const void *)(from + words * sizeof(__u64))))
				break;
			words += PROFILE_COPY_CHUNK;
		}
	}
	s->record.copy_words = PROFILE_COPY_HEAD + words;
	s->record.unwinder = PROFILE_UNWINDER_COPY;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* What is remembered of this process image; anew after it was pushed out of the map. */
static __always_inline struct seen *see(const struct profile_record *r, int *is_new)
{
	struct seen *known = bpf_map_lookup_elem(&seen_processes, &r->tgid);

	*is_new = !known || known->start_ns != r->start_ns || known->exec_id != r->exec_id;
	if (*is_new) {
		struct seen now = {r->start_ns, r->exec_id, 0, 0};

		bpf_map_update_elem(&seen_processes, &r->tgid, &now, BPF_ANY);
		known = bpf_map_lookup_elem(&seen_processes, &r->tgid);
	}
	return known;
}

static __always_inline __u64 wakeup(int is_new)
{
	return is_new || ring_is_filling() ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void put(const void *record, __u32 words, int is_new)
{
	struct profile_counters *count = bpf_map_lookup_elem(&counters, &(__u32){0});
	__u64 size = sizeof(struct profile_record) + words * sizeof(__u64);

	if (!count)
		return;
	if (bpf_ringbuf_output(&ring, (void *)record, size, wakeup(is_new)))
		count->lost++;
	else
		count->samples++;
}

/* By the kernel, over frame pointers. */
static __always_inline void walk_by_kernel(void *ctx, struct scratch *s)
{
	const __u32 max = PROFILE_DEPTH * sizeof(__u64);
	struct profile_record *r = &s->record;
	long n = bpf_get_stack(ctx, &s->ip[r->kernel_count & 127], max, BPF_F_USER_STACK);

	if (n <= 0)
		return;
	r->user_count = ((__u32)n >> 3) & 127;
	r->unwinder = PROFILE_UNWINDER_FRAME_POINTER;
	r->why = r->user_count >= PROFILE_DEPTH ? PROFILE_END_DEPTH : PROFILE_END_FRAME_POINTER;
}

/* The stack of a process whose mappings are not known. */
static __always_inline void take_unmapped(void *ctx, struct scratch *s, struct seen *seen)
{
	if (seen && seen->copies < PROFILE_COPIES) {
		seen->copies++;
		copy_stack(s);
	} else {
		walk_by_kernel(ctx, s);
	}
}

static __always_inline int send(void *ctx, struct scratch *s)
{
	struct profile_record *r = &s->record;
	int is_new = 0;
	__u32 words;

	// A walk by tables says that the agent knows the process.
	if (r->why != PROFILE_END_NO_USER && r->unwinder != PROFILE_UNWINDER_TABLE) {
		struct seen *seen = see(r, &is_new);

		if (r->why == PROFILE_END_NO_PROCESS)
			take_unmapped(ctx, s, seen);
	}
	words = r->kernel_count + r->user_count + r->copy_words;
	if (words > PAYLOAD_WORDS)
		words = PAYLOAD_WORDS;
	put(r, words, is_new);
	return 0;
}

#endif
