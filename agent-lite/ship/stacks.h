/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of one series, with equal stacks counted rather than kept: names, modules, locations
 * and stacks are each stored once and referred to by index, which is also the shape of a pprof.
 * Bounded: when it is full the caller ships what it has and starts anew. One owner thread.
 */
#ifndef AGENT_STACKS_H
#define AGENT_STACKS_H

#include "agent-lite/process/module.h"
#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/map.h"

enum {
	STACKS_PUSH_MAX = 15000, // distinct ones; Pyroscope's limit is 16000 samples a profile
	STACKS_FILE_MAX = 200000,
	STACK_DEPTH_MAX = 256,
	STACK_NAME_MAX = 63,	  // bytes of comm, thread
	STACK_FUNCTION_MAX = 255, // bytes of frame.function; what is longer is cut
};

/* Each is a profile type of its own: series, value types and period differ. */
enum stack_type {
	STACK_CPU = 0, /* was running: count samples */
	STACK_OFF_CPU, /* was waiting: count waits of value_ns altogether */
	STACK_TYPE_COUNT,
};

struct stack_sample {
	enum stack_type type;
	const char *comm;   /* of the process */
	const char *thread; /* name of the thread */
	uint64_t pid;
	const struct frame *frames; /* leaf first */
	size_t frame_count;	    /* at most STACK_DEPTH_MAX */
	uint64_t count;
	uint64_t value_ns; /* of STACK_OFF_CPU; otherwise it follows from count and rate */
};

/* Everything below is read-only outside stacks.c. */
struct stack {
	enum stack_type type;
	uint32_t comm;	 /* into names */
	uint32_t thread; /* into names */
	uint64_t pid;
	uint64_t count;
	uint64_t value_ns;
	uint32_t *locations; /* indices, leaf first */
	size_t location_count;
};

struct stack_location {
	uint32_t module; /* into modules */
	uint64_t address;
	uint32_t function; /* 1 + index into functions; 0: none, the server names it */
};

struct stacks {
	struct arena arena;
	struct map index; /* tagged key bytes -> 1 + position */
	const char **names;
	size_t name_count, name_cap;
	const char **functions;
	size_t function_count, function_cap;
	struct module **modules; /* one reference each */
	size_t module_count, module_cap;
	struct stack_location *locations;
	size_t location_count, location_cap;
	struct stack *stacks;
	size_t stack_count, stack_cap;
	uint64_t samples; /* sum of counts */
	unsigned types;	  /* bits 1 << enum stack_type of what was added */
	size_t max;	  /* of stacks; bounds the rest too */
};

enum { STACKS_FULL = 1 };

/* max_stacks: distinct ones. Memory is bounded by about 2 KiB for each. */
void stacks_init(struct stacks *s, size_t max_stacks);
void stacks_deinit(struct stacks *s);
/* 0 counted; STACKS_FULL: not counted, ship and retry; -1: ERR_NOMEM, ERR_TOO_DEEP. */
int stacks_add(struct stacks *s, const struct stack_sample *sample, struct err *e) MUST_CHECK;

#endif
