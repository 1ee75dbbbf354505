/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * What the agent fills for the walk: which mappings a process has, and the unwind tables of the
 * files behind them; and how unwind_walk.h gets at them and at the thread's memory.
 *
 * A process's mappings are a range of one array, which the agent writes through shared memory: the
 * new range first, then the process's entry, and the old range is not used again for a while.
 */
#ifndef BPF_TABLES_H
#define BPF_TABLES_H

#include "bpf/unwind.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNWIND_PROCESSES_MAX);
	__type(key, __u32); /* thread group */
	__type(value, struct unwind_process);
} unwind_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UNWIND_MAPPINGS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct unwind_mapping);
} unwind_mappings SEC(".maps");

/* Each table has its own size: BPF_F_INNER_MAP (5.10). */
struct table_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, UNWIND_TABLES_MAX);
	__type(key, __u32);
	__array(values, struct table_map);
} unwind_tables SEC(".maps");

#define unwind_read(w, address, to, size)                                                          \
	((void)(w), bpf_probe_read_user(to, size, (const void *)(address)))
#define unwind_mapping_at(w, index)                                                                \
	((const struct unwind_mapping *)bpf_map_lookup_elem(&unwind_mappings, &(__u32){index}))
#define unwind_table_at(w, table) bpf_map_lookup_elem(&unwind_tables, &(__u32){table})
#define unwind_slot_at(table, index)                                                               \
	((const __u64 *)bpf_map_lookup_elem((void *)(table), &(__u32){index}))

#if defined(__TARGET_ARCH_arm64)
#define UNWIND_AARCH64 1
#else
#define UNWIND_AARCH64 0
#endif
#include "bpf/unwind_walk.h"

#endif
