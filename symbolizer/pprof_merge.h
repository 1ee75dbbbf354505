/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many profiles of the same sample types into one, with the rules of `go tool pprof`
 * (github.com/google/pprof, profile/merge.go): equal mappings, functions, locations and stacks (with
 * equal labels) become one and values are added, saturating; samples of nothing but zeros are dropped;
 * time_nanos is the smallest, durations are added, the period is the largest.
 *
 * Mappings are equal when build-ID (else filename), page-rounded size and file offset are: the same
 * binary loaded elsewhere is the same mapping, and its addresses are moved to the first one's place.
 * One difference from Go: a flag such as has_functions holds only if all merged mappings had it.
 *
 * Strings and unknown fields are borrowed from the inputs, which must outlive the result; everything
 * else lives in the arena. Owned by one thread.
 */
#ifndef SYMBOLIZER_PPROF_MERGE_H
#define SYMBOLIZER_PPROF_MERGE_H

#include "base/cleanup.h"
#include "symbolizer/pprof.h"

/* For inputs that are read as they are merged; pprof_merge() in pprof.h takes all at once. */
struct pprof_merge;

struct pprof_merge *pprof_merge_new(struct arena *arena) MUST_CHECK; /* NULL: out of memory */
void pprof_merge_free(struct pprof_merge *m);                        /* accepts NULL */
DEFINE_CLEANUP(struct pprof_merge *, pprof_merge_free)
/*
 * ERR_BAD_PPROF where sample types or period type differ from the first input's, ERR_NOMEM (also at the
 * arena's cap). After an error only pprof_merge_free() is allowed.
 */
int pprof_merge_add(struct pprof_merge *m, const struct pprof *p, struct err *e) MUST_CHECK;
/* Ends the merge; at least one profile was added. *ret lives as long as arena and inputs. */
int pprof_merge_finish(struct pprof_merge *m, struct pprof *ret, struct err *e) MUST_CHECK;

#endif
