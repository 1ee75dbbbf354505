/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/fault.h"
#include <malloc.h>
#include <string.h>

static struct fault fault;

void *mem_alloc(size_t size)
{
	return fault_hits(&fault) ? NULL : malloc(MAX(size, 1U));
}

void *mem_zalloc(size_t size)
{
	return mem_calloc(1, size);
}

void *mem_calloc(size_t count, size_t size)
{
	size_t total;

	// Checked here as well, since a sanitizer's calloc() ends the process instead.
	if (fault_hits(&fault) || mul_overflows(count, size, &total))
		return NULL;
	return calloc(MAX(count, 1U), MAX(size, 1U));
}

void *mem_reallocarray(void *old, size_t count, size_t size)
{
	size_t total;

	if (fault_hits(&fault) || mul_overflows(count, size, &total))
		return NULL;
	// A size of 0 must not free the old block behind the caller's back.
	return realloc(old, MAX(total, 1U));
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

char *mem_strndup(const char *s, size_t n)
{
	char *copy;
	size_t size;

	if (add_overflows(n, 1, &size))
		return NULL;
	copy = mem_alloc(size);
	if (!copy)
		return NULL;
	if (n)
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (copy && n)
		memcpy(copy, p, n);
	return copy;
}

int mem_grow(void *items, size_t *cap, size_t need, size_t item_size, size_t max)
{
	size_t want = *cap ? *cap : 8;
	void *old;
	void *grown;

	if (need <= *cap)
		return 0;
	if (need > max)
		return -1;
	while (want < need && !mul_overflows(want, 2, &want))
		;
	want = MIN(MAX(want, need), max);
	memcpy(&old, items, sizeof(old));
	grown = mem_reallocarray(old, want, item_size);
	if (!grown)
		return -1;
	memcpy(items, &grown, sizeof(grown));
	*cap = want;
	return 0;
}

void mem_fault_at(unsigned long nth, unsigned long times)
{
	fault_arm(&fault, nth, times);
}

bool mem_fault_off(void)
{
	return fault_disarm(&fault);
}

void mem_keep_freed(size_t bytes)
{
	mallopt(M_TRIM_THRESHOLD, (int)MIN(bytes, (size_t)INT32_MAX));
	mallopt(M_MMAP_THRESHOLD, (int)MIN(bytes / 2, (size_t)INT32_MAX));
}
