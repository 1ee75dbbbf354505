/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's walk (bpf/unwind_walk.h), done here: over a copy of the registers and the stack that
 * came because a process was sampled before its mappings were known. So its first samples are as
 * complete as later ones, up to the size of the copy. No state; thread-safe.
 */
#ifndef AGENT_UNWIND_REPLAY_H
#define AGENT_UNWIND_REPLAY_H

#include "base/base.h"
#include "bpf/profile.h"
#include "bpf/unwind.h"

/* Looks up a table's slots; NULL: there is none. */
typedef const uint64_t *unwind_table_fn(void *ctx, uint32_t table, size_t *ret_n);

struct unwind_replay {
	const struct unwind_mapping *mappings; /* ascending */
	size_t mapping_count;
	unwind_table_fn *table;
	void *ctx;
	const struct profile_stack_copy *copy;
	size_t copy_words; /* of words; the head is not counted */
};

struct unwind_result {
	uint64_t ips[PROFILE_DEPTH + 1]; /* leaf first */
	size_t count;
	enum profile_end why;
	unsigned table_steps, frame_pointer_steps;
};

void unwind_replay(const struct unwind_replay *in, struct unwind_result *ret);

#endif
