/* SPDX-License-Identifier: Apache-2.0 */
/* What signal handlers for aarch64 get to see: struct ucontext, arch/arm64/include/uapi/asm. */
#ifndef SUBJECTS_AARCH64_CONTEXT_H
#define SUBJECTS_AARCH64_CONTEXT_H

struct context {
	unsigned long flags, link, stack[3], mask[16];
	unsigned long fault, padding; /* struct sigcontext begins here, at a multiple of 16 */
	unsigned long x[31], sp, pc;
};

#endif
