/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer with a mandatory maximum. A failed append (out of memory or beyond the
 * maximum) latches `failed` and leaves the bytes as they were; later appends are no-ops, so a writer
 * may append many times and check once. Owned by one thread.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct buf {
	char *p; /* NUL-terminated whenever non-NULL; the NUL is not counted in n */
	size_t n;
	size_t cap;
	size_t max;
	bool failed;
	bool nomem; /* why it failed: memory rather than the maximum */
};

#define BUF_INIT(max_bytes) ((struct buf){NULL, 0, 0, (max_bytes), false, false})

void buf_deinit(struct buf *b); /* frees, and leaves a usable empty buffer */
void buf_clear(struct buf *b);  /* keeps the memory, clears `failed` */
void buf_append(struct buf *b, const void *p, size_t n);
void buf_append_str(struct buf *b, struct str s);
void buf_append_c(struct buf *b, char c);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Room for n more bytes, uninitialised; NULL on failure. Commit with buf_commit(). */
char *buf_reserve(struct buf *b, size_t n) MUST_CHECK;
void buf_commit(struct buf *b, size_t n);
/* 0, or -1 with ERR_TOO_LARGE / ERR_NOMEM naming `what`. */
int buf_check(const struct buf *b, const char *what, struct err *e) MUST_CHECK;
/* The bytes, to be released with free(); the buffer is empty after. Never NULL unless failed. */
char *buf_steal(struct buf *b, size_t *ret_n);

static inline struct str buf_str(const struct buf *b)
{
	return (struct str){b->p ? b->p : "", b->n};
}

#endif
