/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the ids of the wire to positions in an array. Nearly all writers number 1, 2, 3…: then nothing is
 * kept. Ids in another order but of that size go to an array, any others to a hash table.
 *
 * Memory is the heap's, bounded by a few words for each id. Owned by one thread.
 */
#ifndef SYMBOLIZER_PPROF_IDS_H
#define SYMBOLIZER_PPROF_IDS_H

#include "base/map.h"

struct pprof_ids {
	size_t n;
	size_t expected; /* of them; more are taken, too */
	uint32_t *by_id; /* position + 1; 0: no such id */
	size_t by_id_count;
	struct map64 map;
	enum { PPROF_IDS_IN_ORDER, PPROF_IDS_ARRAY, PPROF_IDS_MAP } kept;
};

#define PPROF_IDS_INIT(expected_count) ((struct pprof_ids){.expected = (expected_count)})

void pprof_ids_deinit(struct pprof_ids *ids);
/* Gives the next position, ids->n, this id, which is not 0 and not taken. -1: out of memory. */
int pprof_ids_add(struct pprof_ids *ids, uint64_t id) MUST_CHECK;
bool pprof_ids_find_any(const struct pprof_ids *ids, uint64_t id, uint32_t *ret);

/* False: nothing has this id. */
static inline bool pprof_ids_find(const struct pprof_ids *ids, uint64_t id, uint32_t *ret)
{
	if (ids->kept != PPROF_IDS_IN_ORDER)
		return pprof_ids_find_any(ids, id, ret);
	if (id - 1 >= ids->n)
		return false;
	*ret = (uint32_t)(id - 1);
	return true;
}

#endif
