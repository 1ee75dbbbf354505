/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation with overflow checks and a place to inject failure. Memory from here is released with
 * free(). All functions return NULL when out of memory (or when told to fail); callers report
 * err_nomem(). Thread-safe.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/base.h"
#include <stdlib.h>

void *mem_alloc(size_t size) MUST_CHECK;
void *mem_zalloc(size_t size) MUST_CHECK;
void *mem_calloc(size_t count, size_t size) MUST_CHECK;
/* NULL leaves the old block alone. */
void *mem_reallocarray(void *old, size_t count, size_t size) MUST_CHECK;
char *mem_strdup(const char *s) MUST_CHECK;
char *mem_strndup(const char *s, size_t n) MUST_CHECK;
void *mem_dup(const void *p, size_t n) MUST_CHECK;

/*
 * Grow the array *items of *cap items of item_size so that it holds at least `need` (amortized
 * doubling, at most max items). Returns 0, or -1 when out of memory or beyond max.
 */
int mem_grow(void *items /* T ** */, size_t *cap, size_t need, size_t item_size, size_t max)
	MUST_CHECK;

/*
 * Memory that is freed stays with the process, up to so many bytes for each of malloc's arenas, and
 * blocks of up to half of that come from there: pages given back and taken anew cost a fault each, which
 * for a profile of 1 MB is as much time as decoding it. For a server, at its start.
 */
void mem_keep_freed(size_t bytes);

/*
 * Fault injection for tests: the nth (1-based) allocation from now on fails, `times` in a row
 * (0 = for ever). mem_fault_off() returns whether the fault has fired.
 */
void mem_fault_at(unsigned long nth, unsigned long times);
bool mem_fault_off(void);

#endif
