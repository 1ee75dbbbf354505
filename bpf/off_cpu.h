/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * Where threads wait, and for how long. When a thread is switched out it is still the current one,
 * so its stack can be walked then, and only then; how long it stays away is known when it comes
 * back. A walk costs more than a switch does, so a few switches are selected, at random, each with
 * the probability that the agent last gave; the stack is parked under the thread's ID. When the
 * thread is switched in again after long enough, it is sent, and stands for as many waits as the
 * selection left out: its time is multiplied by the inverse of that probability.
 *
 * Needs bpf_loop(). Runs with interrupts off, so nothing else uses the CPU's scratch meanwhile.
 */
#ifndef BPF_OFF_CPU_H
#define BPF_OFF_CPU_H

#include "bpf/sample.h"

enum {
	OFF_CPU_IPS = 2 * PROFILE_DEPTH,
	OFF_CPU_OWN_FRAMES = 2, /* this program, and what calls it from the scheduler */
};

#define OFF_CPU_AWAY_MAX_NS (1ull << 41) /* 36 minutes: times the largest inverse, 63 bits */

struct parked {
	struct profile_record record;
	__u64 ip[OFF_CPU_IPS];
	__u64 thread_start_ns;
	__u64 inverse; /* of the probability, times 2^8 */
};

_Static_assert(__builtin_offsetof(struct parked, thread_start_ns) ==
		       __builtin_offsetof(struct scratch, ip) -
			       __builtin_offsetof(struct scratch, record) + OFF_CPU_IPS * sizeof(__u64),
	       "what is parked is the first part of what is sent");

/* By thread ID. What waits for longest without being selected anew may be pushed out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* the agent sets its own */
	__type(key, __u32);
	__type(value, struct parked);
} parked_threads SEC(".maps");

/* Set before load. */
const volatile __u64 off_cpu_min_ns = 0;

/*
 * Of a switch to be selected, times 2^32, less 1; the agent changes it as switches become more or
 * fewer. At least 2^-14.
 */
__u32 off_cpu_probability = 0x0fffffff;

/* The current thread is about to leave the CPU: its stacks, and since when. */
static __always_inline void park(void *ctx, struct task_struct *task)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct scratch *s = bpf_map_lookup_elem(&scratch, &(__u32){0});
	struct profile_counters *count = bpf_map_lookup_elem(&counters, &(__u32){0});
	__u32 tid = (__u32)id;

	if (!tid || !s || !count || !is_wanted(id >> 32) || is_kernel_thread())
		return;
	fill_identity(&s->record, id);
	clear_stacks(&s->record);
	s->record.kind = PROFILE_KIND_OFF_CPU;
	fill_kernel_stack(ctx, s, OFF_CPU_OWN_FRAMES);
	if (!take_task_registers(&s->walk) && !begin_walk(s))
		walk_by_loop(s);
	s->ip[OFF_CPU_IPS] = task->start_boottime;
	s->ip[OFF_CPU_IPS + 1] = (1ull << 40) / ((__u64)off_cpu_probability + 1);
	if (!bpf_map_update_elem(&parked_threads, &tid, &s->record, BPF_ANY))
		count->parked++;
}

static __always_inline void send_parked(struct parked *p)
{
	__u32 words = p->record.kernel_count + p->record.user_count;
	int is_new = 0;

	if (p->record.unwinder != PROFILE_UNWINDER_TABLE)
		see(&p->record, &is_new);
	if (words > OFF_CPU_IPS)
		words = OFF_CPU_IPS;
	put(p, words, is_new);
}

/* The thread that comes next: if it was parked, and away for long enough, that is sent. */
static __always_inline void take_back(struct task_struct *next)
{
	__u32 tid = next->pid;
	struct parked *p = bpf_map_lookup_elem(&parked_threads, &tid);
	__u64 now, away;

	if (!p)
		return;
	now = bpf_ktime_get_ns();
	// On another CPU the clock may be a little behind.
	away = now > p->record.ktime_ns ? now - p->record.ktime_ns : 0;
	if (away > OFF_CPU_AWAY_MAX_NS)
		away = OFF_CPU_AWAY_MAX_NS;
	if (away >= off_cpu_min_ns && p->thread_start_ns == next->start_boottime) {
		p->record.ktime_ns = now;
		p->record.weight_ns = (away * p->inverse) >> 8;
		// Rounded up as often as its fraction says, so that sums come right.
		p->record.count = (p->inverse + (bpf_get_prandom_u32() & 255)) >> 8;
		send_parked(p);
	}
	bpf_map_delete_elem(&parked_threads, &tid);
}

#endif
