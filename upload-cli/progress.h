/* SPDX-License-Identifier: Apache-2.0 */
/* A progress line on stderr, only where that is a terminal. One at a time. */
#ifndef UPLOAD_CLI_PROGRESS_H
#define UPLOAD_CLI_PROGRESS_H

#include "base/base.h"

struct progress {
	const char *what;
	bool shown;
	unsigned last_percent;
};

/* An http_progress_fn; ctx is a struct progress. */
void progress_update(void *ctx, uint64_t done, uint64_t total);
/* Removes the line. */
void progress_end(struct progress *p);

#endif
