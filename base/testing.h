/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit tests share: cmocka with the headers it wants, checks on errors (message included, since
 * it is an interface) and views, and a scratch folder. For test-*.c alone.
 */
#ifndef BASE_TESTING_H
#define BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <ftw.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* The error is of this kind and its message holds the text. */
static inline void assert_err(const struct err *e, enum err_kind kind, const char *part)
{
	if (e->kind != kind || !strstr(e->msg, part))
		fail_msg("expected %s with '%s', got %s with '%s'", err_code(kind), part,
			 err_code(e->kind), e->msg);
}

/* The call returned 0; otherwise the test fails with the error's message. */
#define assert_ok(call)                                                                            \
	do {                                                                                       \
		if ((call) != 0)                                                                   \
			fail_msg("%s: %s", #call, e.msg);                                          \
	} while (0)

static inline void assert_str(struct str got, const char *want)
{
	if (!str_is(got, want))
		fail_msg("expected '%s', got '" STR_FMT "'", want, STR_ARG(got));
}

static inline void assert_holds(struct str text, const char *part)
{
	if (!memmem(text.p, text.n, part, strlen(part)))
		fail_msg("'%s' is not in:\n" STR_FMT, part, STR_ARG(text));
}

/* A fresh folder; test_dir_remove() takes it away with all it holds. */
static inline void test_dir_make(char out[static 64])
{
	snprintf(out, 64, "/tmp/unhex-test-XXXXXX");
	assert_non_null(mkdtemp(out));
}

static inline int test_dir_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void test_dir_remove(const char *dir)
{
	nftw(dir, test_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
