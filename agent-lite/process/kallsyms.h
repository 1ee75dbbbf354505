/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running kernel's symbols, line by line (kernel/kallsyms.c, s_show(): "ADDRESS TYPE NAME" and,
 * for what was loaded later, a tab and "[MODULE]"; BPF programs are of "[bpf]"). The kernel makes the
 * text while it is read, which costs some 40 ms of CPU for all of it, so a reader stops as soon as
 * it can. No state; thread-safe.
 */
#ifndef AGENT_KALLSYMS_H
#define AGENT_KALLSYMS_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct kallsym {
	uint64_t address; /* 0 where the kernel hides it */
	char type;
	struct str name;   /* these two live until the function returns */
	struct str module; /* empty: the kernel's own */
};

/* True: go on. */
typedef bool kallsyms_fn(void *ctx, const struct kallsym *s);

/* Lines that are no such lines are passed over. ERR_NOT_FOUND, ERR_IO. */
int kallsyms_walk(const char *path, kallsyms_fn *fn, void *ctx, struct err *e) MUST_CHECK;

#endif
