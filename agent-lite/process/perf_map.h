/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of code that a process made itself (JIT), from the text that run-times write for perf(1)
 * into /tmp/perf-PID.map: lines of `START SIZE name`, hexadecimal (linux/tools/perf/Documentation/
 * jit-interface.txt). What is later in the text is newer and hides what it overlaps. The text is
 * anybody's: sizes, counts and names are bounded, names become clean UTF-8. Opens nothing. One owner
 * thread.
 */
#ifndef AGENT_PERF_MAP_H
#define AGENT_PERF_MAP_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
	PERF_MAP_ENTRIES_MAX = 1 << 18,
	PERF_MAP_NAMES_MAX = 8 << 20, /* bytes, of all */
	PERF_MAP_NAME_MAX = 255,
};

/* Ascending, not overlapping. */
struct perf_map_entry {
	uint64_t start;
	uint32_t size;
	uint32_t name; /* in names; of the newer entry, the greater */
};

struct perf_map {
	struct perf_map_entry *entries;
	size_t n, cap;
	struct buf names;
	uint64_t dropped; /* lines that make no sense, or found no room */
};

#define PERF_MAP_INIT ((struct perf_map){NULL, 0, 0, BUF_INIT(PERF_MAP_NAMES_MAX), 0})

void perf_map_deinit(struct perf_map *m); /* and leaves an empty one */
/* More text, newer than what there is; whole lines. -1: ERR_NOMEM, and the map is as it was. */
int perf_map_add(struct perf_map *m, struct str text, struct err *e) MUST_CHECK;
/* Borrowed until the next perf_map_add(); NULL: no entry has the address. */
const char *perf_map_find(const struct perf_map *m, uint64_t address);
size_t perf_map_bytes(const struct perf_map *m);

#endif
