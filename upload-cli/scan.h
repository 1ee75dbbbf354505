/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files a path means: the file itself, or every ELF file below a folder (by magic, symlinks not
 * followed, at most SCAN_FILES_MAX). Owned by one thread.
 */
#ifndef UPLOAD_CLI_SCAN_H
#define UPLOAD_CLI_SCAN_H

#include "base/base.h"
#include "base/err.h"

enum { SCAN_FILES_MAX = 100000, SCAN_DEPTH_MAX = 64 };

struct scan {
	char **paths;
	size_t n;
	size_t cap;
};

#define SCAN_INIT ((struct scan){NULL, 0, 0})

/*
 * Adds what `path` means. A single file is added whatever it is: its upload will say what is wrong. A folder
 * that cannot be read is an error, ERR_TOO_DEEP and ERR_TOO_LARGE tell of the limits.
 */
int scan_add(struct scan *s, const char *path, struct err *e) MUST_CHECK;
void scan_deinit(struct scan *s);

#endif
