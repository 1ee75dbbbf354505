/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN = 16, CHUNK_MIN = 16 * 1024, CHUNK_MAX = 1024 * 1024 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data[] */
	size_t used;
	_Alignas(ALIGN) unsigned char data[];
};

void arena_deinit(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c) {
		struct arena_chunk *next = c->next;

		free(c);
		c = next;
	}
	*a = ARENA_INIT(a->cap);
}

// Chunks double, so that a large request costs few of them and a small one little memory.
static size_t chunk_size(const struct arena *a, size_t need)
{
	size_t room = a->cap - a->used;
	size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;

	size = MIN(MAX(size, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX);
	return MIN(MAX(size, need), room - sizeof(struct arena_chunk));
}

static struct arena_chunk *add_chunk(struct arena *a, size_t need)
{
	struct arena_chunk *c;
	size_t size;
	size_t total;

	if (a->used > a->cap || add_overflows(need, sizeof(*c), &total) ||
	    total > a->cap - a->used)
		return NULL;
	size = chunk_size(a, need);
	c = mem_alloc(sizeof(*c) + size);
	if (!c)
		return NULL;
	c->size = size;
	c->used = 0;
	c->next = a->chunks;
	a->chunks = c;
	a->used += sizeof(*c) + size;
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	size_t rounded;
	void *p;

	if (add_overflows(size, ALIGN - 1, &rounded))
		return NULL;
	rounded &= ~(size_t)(ALIGN - 1);
	rounded = MAX(rounded, (size_t)ALIGN);
	if (!c || rounded > c->size - c->used)
		c = add_chunk(a, rounded);
	if (!c)
		return NULL;
	p = c->data + c->used;
	c->used += rounded;
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t total;
	void *p;

	if (mul_overflows(count, size, &total))
		return NULL;
	p = arena_alloc(a, total);
	if (p)
		memset(p, 0, total);
	return p;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
	void *copy = arena_alloc(a, n);

	if (copy && n)
		memcpy(copy, p, n);
	return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
	size_t size;
	char *copy;

	if (add_overflows(s.n, 1, &size))
		return (struct str){NULL, 0};
	copy = arena_alloc(a, size);
	if (!copy)
		return (struct str){NULL, 0};
	if (s.n)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return (struct str){copy, s.n};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	p = arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
