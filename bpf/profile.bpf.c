// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/*
 * The sampler's kernel half. At each tick of a CPU's clock event the kernel and the user stack of
 * what is running are written to a ring buffer (sample.h); of the programs that do it, which differ
 * in how they walk the user stack, the agent loads one. With --off-cpu, so are the stacks of what
 * waits (off_cpu.h).
 */
#include "bpf/sample.h"

#include "bpf/off_cpu.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	FRAMES_PER_CALL = 8,
	CALLS = PROFILE_DEPTH / FRAMES_PER_CALL + 1, /* the kernel allows 33 */
};

/* profile_tail_step, to call itself. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tail_programs SEC(".maps");

/* NULL: this tick is of no interest. */
static __always_inline struct scratch *begin_sample(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 zero = 0;

	if (!(__u32)id)
		return NULL; /* the idle task */

	struct profile_counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!count || !s)
		return NULL;
	if (!is_wanted(id >> 32)) {
		count->filtered++;
		return NULL;
	}
	fill_identity(&s->record, id);
	clear_stacks(&s->record);
	s->record.kind = PROFILE_KIND_CPU;
	s->record.weight_ns = 0;
	s->record.count = 1;
	return s;
}

/* The kernel stack, and the user stack up to where it can be walked from. 0: walk. */
static __always_inline int begin_stacks(struct bpf_perf_event_data *ctx, struct scratch *s)
{
	if (is_user_mode(&ctx->regs)) {
		take_registers(&s->walk, &ctx->regs);
	} else {
		fill_kernel_stack(ctx, s, 0);
		if (is_kernel_thread() || take_task_registers(&s->walk))
			return -1;
	}
	return begin_walk(s);
}

/* One of the three is loaded: by bpf_loop() (5.17), by tail calls (5.10), by the kernel (5.8). */
SEC("perf_event")
int profile_loop(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = begin_sample();

	if (!s)
		return 0;
	if (!begin_stacks(ctx, s))
		walk_by_loop(s);
	return send(ctx, s);
}

SEC("perf_event")
int profile_tail(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = begin_sample();

	if (!s)
		return 0;
	if (!begin_stacks(ctx, s)) {
		s->calls = 0;
		bpf_tail_call(ctx, &tail_programs, 0);
		end_walk(s);
	}
	return send(ctx, s);
}

SEC("perf_event")
int profile_tail_step(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = bpf_map_lookup_elem(&scratch, &(__u32){0});
	int over = 0;

	if (!s)
		return 0;
	for (int i = 0; i < FRAMES_PER_CALL && !over; i++)
		over = unwind_step(&s->walk, &s->ip[s->record.kernel_count & 127]);
	if (!over && ++s->calls < CALLS)
		bpf_tail_call(ctx, &tail_programs, 0);
	end_walk(s);
	return send(ctx, s);
}

SEC("perf_event")
int profile_frame_pointer(struct bpf_perf_event_data *ctx)
{
	struct scratch *s = begin_sample();

	if (!s)
		return 0;
	fill_kernel_stack(ctx, s, 0);
	s->record.why = s->record.kernel_count ? PROFILE_END_NO_USER : PROFILE_END_FAULT;
	walk_by_kernel(ctx, s);
	return send(ctx, s);
}

SEC("tp_btf/sched_switch")
int profile_switch(__u64 *ctx)
{
	struct task_struct *previous = (struct task_struct *)ctx[1];
	struct task_struct *next = (struct task_struct *)ctx[2];

	take_back(next);
	if (bpf_get_prandom_u32() <= off_cpu_probability)
		park(ctx, previous);
	return 0;
}
