/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head: profiles that were acknowledged but are not in a segment yet, by series. A series is
 * its labels plus its sample types, so that what lies in one can be merged. Profiles are kept as
 * identity bytes, unsymbolized. Not thread-safe: struct profiles locks.
 */
#ifndef SERVER_HEAD_H
#define SERVER_HEAD_H

#include "base/err.h"
#include "base/map.h"
#include "store/profile_dir.h"
#include "symbolizer/pprof.h"
#include "symbolizer/push_request.h"

struct head_profile {
	struct head_profile *next;
	int64_t from_unix_ns;
	int64_t to_unix_ns;
	uint64_t samples;
	size_t n;
	char bytes[]; /* identity pprof */
};

struct head_series {
	struct profile_series labels; /* owned, one block */
	struct head_profile *first;
	struct head_profile *last;
};

struct head {
	struct map series; /* key → struct head_series * */
	size_t bytes;
	uint64_t
		last_position; /* of the push log: the last record that came in, wholly or so far */
	uint64_t opened_ms;    /* monotonic; 0: empty */
	unsigned refs;	       /* struct profiles counts them; see profile_query.c */
};

struct head *head_new(void);
void head_free(struct head *h);
/* `decoded` is what `identity` holds. A profile without a time gets received_unix_ns. ERR_NOMEM. */
int head_add(struct head *h, const struct push_series *series, const struct pprof *decoded,
	     struct str identity, int64_t received_unix_ns, struct err *e) MUST_CHECK;

#endif
