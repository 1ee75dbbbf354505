/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR = 24 };

void progress_update(void *ctx, uint64_t done, uint64_t total)
{
	struct progress *p = ctx;
	unsigned percent = total ? (unsigned)(done * 100 / total) : 0;
	int filled = (int)(percent * BAR / 100);

	if (total == 0 || !isatty(STDERR_FILENO) || (p->shown && percent == p->last_percent))
		return;
	p->shown = true;
	p->last_percent = percent;
	fprintf(stderr, "\r\033[K%.40s [%.*s%*s] %3u%% of %" PRIu64 " KiB", p->what, filled,
		"########################", BAR - filled, "", percent, total >> 10);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
