/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAP = 64 };

void buf_deinit(struct buf *b)
{
	free(b->p);
	*b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->failed = false;
	b->nomem = false;
	if (b->p)
		b->p[0] = '\0';
}

static char *fail(struct buf *b, bool nomem)
{
	b->failed = true;
	b->nomem = nomem;
	return NULL;
}

char *buf_reserve(struct buf *b, size_t n)
{
	size_t need;
	size_t cap;
	char *grown;

	if (b->failed)
		return NULL;
	if (n > b->max - MIN(b->n, b->max) || add_overflows(b->n + 1, n, &need))
		return fail(b, false);
	if (need <= b->cap)
		return b->p + b->n;
	if (mul_overflows(b->cap, 2, &cap))
		cap = need;
	cap = MAX(MAX(cap, need), (size_t)FIRST_CAP);
	if (b->max < SIZE_MAX)
		cap = MIN(cap, MAX(b->max + 1, need));
	grown = mem_reallocarray(b->p, cap, 1);
	if (!grown)
		return fail(b, true);
	b->p = grown;
	b->cap = cap;
	b->p[b->n] = '\0';
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n < b->cap - b->n);
	b->n += n;
	b->p[b->n] = '\0';
}

void buf_append(struct buf *b, const void *p, size_t n)
{
	char *to = buf_reserve(b, n);

	if (!to)
		return;
	if (n)
		memcpy(to, p, n);
	buf_commit(b, n);
}

void buf_append_str(struct buf *b, struct str s)
{
	buf_append(b, s.p, s.n);
}

void buf_append_c(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	char *to;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		fail(b, false);
		return;
	}
	to = buf_reserve(b, (size_t)n);
	if (!to)
		return;
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf_commit(b, (size_t)n);
}

int buf_check(const struct buf *b, const char *what, struct err *e)
{
	if (!b->failed)
		return 0;
	if (b->nomem)
		return err_set(e, ERR_NOMEM, "%s: out of memory after %zu bytes", what, b->n);
	return err_set(e, ERR_TOO_LARGE, "%s is larger than the limit of %zu bytes", what, b->max);
}

char *buf_steal(struct buf *b, size_t *ret_n)
{
	char *p = NULL;
	size_t n = b->n;

	if (buf_reserve(b, 0)) {
		p = b->p;
		b->p = NULL;
	}
	buf_deinit(b);
	if (p && ret_n)
		*ret_n = n;
	return p;
}
