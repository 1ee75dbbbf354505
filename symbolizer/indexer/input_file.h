/* SPDX-License-Identifier: Apache-2.0 */
/* Files named on the command line: by path, or as fd:N, a descriptor inherited from the caller. */
#ifndef SYMBOLIZER_INDEXER_INPUT_FILE_H
#define SYMBOLIZER_INDEXER_INPUT_FILE_H

#include "base/err.h"

/* The descriptor, or -1 with ERR_NOT_FOUND, ERR_IO, ERR_USAGE (a bad fd:N). */
int input_file_open(const char *name, struct err *e) MUST_CHECK;
/* Created or emptied, for reading and writing; an fd:N is taken as it is. */
int output_file_open(const char *name, struct err *e) MUST_CHECK;

#endif
