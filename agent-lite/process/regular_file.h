/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files whose names others choose: by what a process has mapped, or below its root. Opening
 * alone can do harm where the name leads to a device (a watchdog begins to count) or to a FIFO, so
 * what is there is looked at first, and opened only if it is a regular file. Needs /proc. No state;
 * thread-safe.
 */
#ifndef AGENT_REGULAR_FILE_H
#define AGENT_REGULAR_FILE_H

#include "base/base.h"

#include <sys/stat.h>

/* A descriptor to read from, or -1. */
int regular_file_open(const char *path);
/*
 * The same below a folder, as a process sees it whose root that is: links on the way stay below it,
 * and the last part may be none. root: a path, which may be a link itself; path: with or without a
 * slash in front.
 */
int regular_file_open_inside(const char *root, const char *path, struct stat *ret);

#endif
