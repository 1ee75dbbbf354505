/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that a command's -o names. It appears whole or not at all: what is written goes to a temporary
 * file beside it, which takes its name at the end. "-" is standard output; something that is there and is
 * no regular file (/dev/null, a pipe) is written to as it is. Owned by one thread; `path` is borrowed.
 */
#ifndef BASE_OUTPUT_H
#define BASE_OUTPUT_H

#include "base/err.h"
#include "base/io.h"

struct output {
	int fd; /* write here */
	const char *path;
	struct io_pending pending; /* tmp is empty where the fd is the thing itself */
};

#define OUTPUT_INIT ((struct output){.fd = -1, .pending = IO_PENDING_INIT})

int output_open(struct output *o, const char *path, struct err *e) MUST_CHECK;
/* Gives it its name, with the mode that the umask leaves of 0666. */
int output_publish(struct output *o, struct err *e) MUST_CHECK;
void output_deinit(struct output *o); /* without output_publish() nothing stays behind */

#endif
