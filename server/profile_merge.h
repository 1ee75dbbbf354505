/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging any number of encoded profiles in bounded memory: inputs are kept as bytes; when they pass
 * PROFILE_MERGE_BATCH, or twice what the last merge left if that is more, they are merged into one: so a
 * large result is not merged anew with every small input. Owned by one thread.
 */
#ifndef SERVER_PROFILE_MERGE_H
#define SERVER_PROFILE_MERGE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "symbolizer/pprof.h"

enum { PROFILE_MERGE_BATCH = 32 << 20 };

struct profile_merge {
	struct profile_bytes *first; /* newest first; merging does not care */
	size_t count;
	size_t bytes;
	size_t merged; /* bytes of what the last merge left; 0: there was none */
};

#define PROFILE_MERGE_INIT ((struct profile_merge){NULL, 0, 0, 0})

void profile_merge_deinit(struct profile_merge *m);
/* Copies the identity bytes; merges what is there when it has grown. ERR_BAD_PPROF, ERR_NOMEM. */
int profile_merge_add(struct profile_merge *m, struct str pprof, struct err *e) MUST_CHECK;
/* The same without merging. ERR_NOMEM. */
int profile_merge_keep(struct profile_merge *m, struct str pprof, struct err *e) MUST_CHECK;
/*
 * The merged profile in `arena`; it borrows from m, which must outlive it. ERR_BAD_PPROF where the sample
 * types differ. m must not be empty.
 */
int profile_merge_finish(struct profile_merge *m, struct arena *arena, struct pprof *ret,
			 struct err *e) MUST_CHECK;

#endif
