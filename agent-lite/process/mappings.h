/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executable mappings of one process: a sorted array of address ranges with what backs each,
 * from /proc/PID/maps (proc(5)) or, one by one, from the kernel's events. Opens nothing. A struct
 * mappings owns its array and paths. One owner thread.
 */
#ifndef AGENT_MAPPINGS_H
#define AGENT_MAPPINGS_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum {
	MAPPINGS_MAX = 4096, /* executable ranges of one process; more are counted, not kept */
	MAPPING_PATH_MAX = 1024,
	MAPPING_ID_MAX = 20, /* bytes; what the kernel tells of a longer build-ID is nothing */
};

struct module;

enum mapping_kind {
	MAPPING_FILE,
	MAPPING_ANON, /* JIT code and the like; also [heap], [stack] */
	MAPPING_VDSO,
	MAPPING_VSYSCALL,
};

struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file */
	uint64_t device; /* makedev(major, minor); 0 where build_id is known instead */
	uint64_t inode;	 /* 0: not known */
	uint64_t generation; /* of the inode; evented only */
	enum mapping_kind kind;
	bool deleted; /* the path no longer names this file */
	bool evented; /* told by an event, with the file's identity when it was mapped */
	bool guessed; /* the module is that of the inode, which may have been rewritten since */
	uint8_t build_id_size; /* 0: not known */
	uint8_t build_id[MAPPING_ID_MAX]; /* GNU; evented only */
	/* MAPPING_FILE only; without " (deleted)"; valid UTF-8. NULL where only module needs it. */
	char *path;
	struct module *module; /* for the owner's use; NULL after parsing, never touched here */
};

struct mappings {
	struct mapping *items; /* ascending, not overlapping */
	size_t n;
	size_t cap;
	size_t dropped; /* beyond MAPPINGS_MAX, or lines that could not be read */
};

#define MAPPINGS_INIT ((struct mappings){NULL, 0, 0, 0})

void mappings_deinit(struct mappings *m);
/* Replaces what m held. Lines that make no sense are counted in `dropped`; -1: ERR_NOMEM only. */
int mappings_parse(struct mappings *m, struct str maps_text, struct err *e) MUST_CHECK;
/* What the mapping is, by its path; the inode must be set where it is known. */
enum mapping_kind mapping_kind_of(const struct mapping *m, struct str path);
/* Gives a MAPPING_FILE a copy of its path. */
int mapping_set_path(struct mapping *m, struct str path, struct err *e) MUST_CHECK;
/* The range that holds the address; NULL when none does. */
struct mapping *mappings_find(const struct mappings *m, uint64_t address);

#endif
