/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source paths as debug info has them, made comparable: joined with the folder of the compilation and
 * freed of "//", "/./" and "/x/../", by text alone (the files are not here). Paths with a drive letter
 * or backslashes are left as they are.
 */
#ifndef SYMBOLIZER_INDEXER_PATH_H
#define SYMBOLIZER_INDEXER_PATH_H

#include "base/buf.h"
#include "base/str.h"

/* Replaces the content of out. `dir` is ignored where `path` is absolute; it may be empty. */
void path_join(struct str dir, struct str path, struct buf *out);

#endif
