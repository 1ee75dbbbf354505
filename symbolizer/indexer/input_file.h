/* SPDX-License-Identifier: Apache-2.0 */
/* Files named on the command line: by path, or as fd:N, a descriptor inherited from the caller. */
#ifndef SYMBOLIZER_INDEXER_INPUT_FILE_H
#define SYMBOLIZER_INDEXER_INPUT_FILE_H

#include "base/err.h"

/* The descriptor, or -1 with ERR_NOT_FOUND, ERR_IO, ERR_USAGE (a bad fd:N). */
int input_file_open(const char *name, struct err *e) MUST_CHECK;
/* Created where it is not there, for reading and writing. */
int output_file_open(const char *name, struct err *e) MUST_CHECK;
/* Once it is known to be no input: cut to nothing, where it is a regular file. */
int output_file_clear(int fd, const char *name, struct err *e) MUST_CHECK;
/* Do two descriptors lead to one file? */
bool input_file_same(int a, int b);

#endif
