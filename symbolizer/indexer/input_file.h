/* SPDX-License-Identifier: Apache-2.0 */
/* Files named on the command line: by path, or as fd:N, a descriptor inherited from the caller. */
#ifndef SYMBOLIZER_INDEXER_INPUT_FILE_H
#define SYMBOLIZER_INDEXER_INPUT_FILE_H

#include "base/err.h"

/* 1: `name` is fd:N, *ret_fd is N; 0: it is a path; -1: ERR_USAGE, N is not open. */
int inherited_fd(const char *name, int *ret_fd, struct err *e) MUST_CHECK;
/* The descriptor, or -1 with ERR_NOT_FOUND, ERR_IO, ERR_USAGE (a bad fd:N). */
int input_file_open(const char *name, struct err *e) MUST_CHECK;
/* Do two descriptors lead to one file? */
bool input_file_same(int a, int b);
/* Does what -o names lead to the file behind fd? */
bool output_file_is(const char *name, int fd);

#endif
