/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One series' stacks as a pprof (github.com/google/pprof, proto/profile.proto): addresses and
 * build-IDs, and no functions but those that only this host can name (struct frame). Mappings have
 * start, limit and offset 0, which says that location addresses are ELF virtual addresses.
 *
 * Values: of running, cpu/nanoseconds; the number of samples is that divided by the period. Of
 * waiting, off_cpu/nanoseconds and contentions/count. A profile of both has all three columns.
 *
 * No state; thread-safe.
 */
#ifndef AGENT_PROFILE_H
#define AGENT_PROFILE_H

#include "agent-lite/ship/stacks.h"
#include "base/buf.h"

struct profile_info {
	unsigned hz;
	int64_t time_ns; /* Unix, start of the window */
	int64_t duration_ns;
};

/* Appends the profile as it is; failures show in buf_check(). */
void profile_put(const struct stacks *s, const struct profile_info *info, struct buf *out);
/* Appends it gzip-compressed, as a file holds it. ERR_TOO_LARGE, ERR_NOMEM. */
int profile_encode(const struct stacks *s, const struct profile_info *info, struct buf *out,
		   struct err *e) MUST_CHECK;

#endif
