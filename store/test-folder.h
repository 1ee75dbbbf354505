/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this folder: a temporary folder, and cmocka with what it needs before it. */
#ifndef STORE_TEST_FOLDER_H
#define STORE_TEST_FOLDER_H

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path; test_folder_remove() removes and frees. */
static inline char *test_folder_make(void)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;

	if (asprintf(&path, "%s/unhex-store-XXXXXX", base ? base : "/tmp") < 0 || !mkdtemp(path))
		abort();
	return path;
}

static inline int test_folder_remove_one(const char *path, const struct stat *st, int type,
					 struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void test_folder_remove(char *path)
{
	if (nftw(path, test_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "%s: not removed (errno %d)\n", path, errno);
	free(path);
}

#endif
