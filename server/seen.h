/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What profiles lost to binaries nobody could name, on its way from pprof_symbolize() to the
 * catalog: the callback collects, one call adds. Owned by one thread.
 */
#ifndef SERVER_SEEN_H
#define SERVER_SEEN_H

#include "store/catalog.h"
#include "symbolizer/pprof_symbolize.h"

enum { SEEN_BATCH_MAX = 1024 }; /* modules of one profile; more are not worth a row each */

struct seen_batch {
	struct catalog_seen *seen; /* SEEN_BATCH_MAX of them */
	size_t n;
};

int seen_batch_init(struct seen_batch *b, struct arena *arena, struct err *e) MUST_CHECK;
/* A symbolize_weight_fn; ctx is the batch. */
void seen_batch_note(void *ctx, const struct module_weight *w);
int seen_batch_add(const struct seen_batch *b, struct catalog *c, struct err *e) MUST_CHECK;

#endif
