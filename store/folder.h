/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that one process owns: made, locked, walked, emptied. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include "base/err.h"

enum { FOLDER_PATH = 4096 };

/*
 * Makes the folder if need be and locks it against other processes (flock(2): the lock goes with the
 * process). fd or -1; ERR_CONFLICT when it is taken.
 */
int folder_own(const char *path, struct err *e) MUST_CHECK;
/* `dir/name` with name formatted; ERR_BAD_PATH when it does not fit. */
int folder_path(char out[static FOLDER_PATH], struct err *e, const char *dir, const char *fmt, ...)
	PRINTF(4, 5) MUST_CHECK;
/*
 * Calls fn with the path and name of each entry but those that begin with a dot, in no order. -1 from fn
 * ends the walk.
 */
typedef int folder_fn(void *ctx, const char *path, const char *name, struct err *e);
int folder_each(const char *dir, folder_fn *fn, void *ctx, struct err *e) MUST_CHECK;
/* Removes the files in it, hidden ones too. Folders stay. */
int folder_empty(const char *dir, struct err *e) MUST_CHECK;
int folder_sync(const char *dir, struct err *e) MUST_CHECK;

#endif
