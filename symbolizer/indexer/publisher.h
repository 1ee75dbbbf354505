/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output that -o names by path appears whole or not at all (base/output.h). Who reads a foreign binary
 * is locked in and cannot give a file its name; so a child does all the work, and its parent, which never
 * looks at the binary, publishes what the child wrote once that ended well. The child dies with its
 * parent, signals that end programs are passed on to it, and what it says on stdout is held back until
 * the output is there. To be called by a single-threaded process that has printed nothing yet.
 */
#ifndef SYMBOLIZER_INDEXER_PUBLISHER_H
#define SYMBOLIZER_INDEXER_PUBLISHER_H

#include "base/err.h"

/* Runs in the child; what it returns is the exit code. 0: publish. */
typedef int (*publisher_work)(void *ctx, int out_fd);

/* The child's exit code, or -1 with the parent's own trouble. Ends by the signal that ended the child. */
int publisher_run(const char *path, publisher_work work, void *ctx, struct err *e) MUST_CHECK;

#endif
