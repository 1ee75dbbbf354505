/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * The few kernel structures that our programs look into, with the few members they read. Offsets
 * are relocated at load time against the running kernel's BTF (preserve_access_index), so neither
 * order nor completeness matters, and a build does not depend on the build host's kernel.
 */
#ifndef BPF_KERNEL_TYPES_H
#define BPF_KERNEL_TYPES_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct {
	unsigned int flags;
	struct task_struct *group_leader;
	__u64 start_boottime; /* since 5.5 */
	__u64 self_exec_id;   /* 64 bits since 5.7 */
	char comm[16];
	void *stack;
	int pid; /* of the thread */
};

#pragma clang attribute pop

#endif
