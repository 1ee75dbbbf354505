/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running kernel's own functions as the list that the server takes (docs/FORMATS.md, "Symbol lists
 * of kernels"): link-time addresses, no data, nothing of modules. No state; thread-safe.
 */
#ifndef AGENT_KERNEL_LIST_H
#define AGENT_KERNEL_LIST_H

#include "agent-lite/process/kernel_image.h"
#include "agent-lite/process/zstd_out.h"

/* The image must be known. As kallsyms_walk() and zstd_out_write(). */
int kernel_list_write(const struct kernel_paths *paths, const struct kernel_image *k,
		      struct zstd_out *to, struct err *e) MUST_CHECK;

#endif
