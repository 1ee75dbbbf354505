/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * The user registers of the current thread: where it was interrupted, or, when it is in the kernel,
 * where it left user space. Their layout is the ABI of ptrace and does not change.
 */
#ifndef BPF_REGISTERS_H
#define BPF_REGISTERS_H

#include "bpf/kernel_types.h"
#include "bpf/unwind_walk.h"

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

enum { PF_KTHREAD = 0x00200000 }; /* include/linux/sched.h */

#if defined(__TARGET_ARCH_arm64)
enum { REGISTER_FP = 29, REGISTER_LR = 30, PSTATE_MODE = 15 };

/* What the kernel keeps of a thread's registers is more than it shows, and has grown. */
struct pt_regs {
	struct user_pt_regs user_regs;
} __attribute__((preserve_access_index));
#define KERNEL_REGISTERS_BYTES bpf_core_type_size(struct pt_regs)

static __always_inline int is_user_mode(const bpf_user_pt_regs_t *regs)
{
	return (regs->pstate & PSTATE_MODE) == 0; /* EL0t */
}

static __always_inline void take_registers(struct unwind_walk *w, const bpf_user_pt_regs_t *regs)
{
	w->ip = regs->pc;
	w->sp = regs->sp;
	w->fp = regs->regs[REGISTER_FP];
	w->lr = regs->regs[REGISTER_LR];
	w->lr_known = 1;
}
#else
#define KERNEL_REGISTERS_BYTES sizeof(bpf_user_pt_regs_t)

static __always_inline int is_user_mode(const bpf_user_pt_regs_t *regs)
{
	return (regs->cs & 3) != 0;
}

static __always_inline void take_registers(struct unwind_walk *w, const bpf_user_pt_regs_t *regs)
{
	w->ip = regs->rip;
	w->sp = regs->rsp;
	w->fp = regs->rbp;
	w->lr = 0;
	w->lr_known = 0;
}
#endif

/*
 * Kernels before 5.15 have no helper for it; there the registers lie at the top of the kernel
 * stack, whose size the agent gives (0: there is the helper).
 */
const volatile __u32 kernel_stack_bytes = 0;

static __always_inline int take_task_registers(struct unwind_walk *w)
{
	bpf_user_pt_regs_t regs;
	const void *at;

	if (kernel_stack_bytes) {
		struct task_struct *task = (struct task_struct *)bpf_get_current_task();

		at = (const char *)BPF_CORE_READ(task, stack) + kernel_stack_bytes -
		     KERNEL_REGISTERS_BYTES;
	} else {
		at = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	}
	if (bpf_probe_read_kernel(&regs, sizeof(regs), at))
		return -1;
	take_registers(w, &regs);
	return 0;
}

static __always_inline int is_kernel_thread(void)
{
	struct task_struct *task;

	if (kernel_stack_bytes) {
		task = (struct task_struct *)bpf_get_current_task();
		return (BPF_CORE_READ(task, flags) & PF_KTHREAD) != 0;
	}
	task = (struct task_struct *)bpf_get_current_task_btf();
	return (task->flags & PF_KTHREAD) != 0;
}

#endif
