/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_ids.h"

#include "base/mem.h"

// An array of so many times the ids expected is still smaller than the hash table.
enum { ARRAY_PER_ID = 4 };

void pprof_ids_deinit(struct pprof_ids *ids)
{
	free(ids->by_id);
	map64_deinit(&ids->map);
	*ids = PPROF_IDS_INIT(0);
}

static int use_array(struct pprof_ids *ids)
{
	size_t count = ids->expected * ARRAY_PER_ID + 1;

	ids->by_id = mem_calloc(count, sizeof(*ids->by_id));
	if (!ids->by_id)
		return -1;
	ids->by_id_count = count;
	for (size_t i = 0; i < ids->n; i++)
		ids->by_id[i + 1] = (uint32_t)i + 1;
	ids->kept = PPROF_IDS_ARRAY;
	return 0;
}

static uint64_t id_at(const struct pprof_ids *ids, size_t slot)
{
	return ids->kept == PPROF_IDS_ARRAY ? ids->by_id[slot] : slot;
}

static int use_map(struct pprof_ids *ids)
{
	size_t end = ids->kept == PPROF_IDS_ARRAY ? ids->by_id_count : ids->n + 1;

	for (size_t id = 1; id < end; id++) {
		uint64_t position = id_at(ids, id);

		if (position && map64_set(&ids->map, id, position - 1))
			return -1;
	}
	free(ids->by_id);
	ids->by_id = NULL;
	ids->by_id_count = 0;
	ids->kept = PPROF_IDS_MAP;
	return 0;
}

// Chooses the way to keep the ids so far and this one.
static int make_room(struct pprof_ids *ids, uint64_t id)
{
	if (ids->kept == PPROF_IDS_IN_ORDER && id == ids->n + 1)
		return 0;
	if (ids->kept == PPROF_IDS_IN_ORDER && ids->n < ids->expected &&
	    id <= ids->expected * ARRAY_PER_ID)
		return use_array(ids);
	if (ids->kept == PPROF_IDS_MAP || id < ids->by_id_count)
		return 0;
	return use_map(ids);
}

int pprof_ids_add(struct pprof_ids *ids, uint64_t id)
{
	if (make_room(ids, id))
		return -1;
	if (ids->kept == PPROF_IDS_MAP && map64_set(&ids->map, id, ids->n))
		return -1;
	if (ids->kept == PPROF_IDS_ARRAY)
		ids->by_id[id] = (uint32_t)ids->n + 1;
	ids->n++;
	return 0;
}

bool pprof_ids_find_any(const struct pprof_ids *ids, uint64_t id, uint32_t *ret)
{
	uint64_t position;

	if (ids->kept == PPROF_IDS_MAP) {
		if (!map64_get(&ids->map, id, &position))
			return false;
		*ret = (uint32_t)position;
		return true;
	}
	if (id >= ids->by_id_count || !ids->by_id[id])
		return false;
	*ret = ids->by_id[id] - 1;
	return true;
}
