/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/record_log.h"

#include "base/digest.h"
#include "base/mem.h"
#include <string.h>

int record_log_init(struct record_log *l, size_t item_size)
{
	*l = (struct record_log){.item_size = item_size};
	if (mem_grow(&l->items, &l->cap, 1, item_size, UINT32_MAX))
		return -1;
	memset(l->items, 0, item_size);
	l->n = 1;
	return 0;
}

void record_log_deinit(struct record_log *l)
{
	free(l->items);
	l->items = NULL;
	l->n = l->cap = 0;
}

uint32_t record_log_put(struct record_log *l, const void *item)
{
	// No seed: who makes records collide gets a longer file, and the same one each time.
	uint32_t *recent = &l->recent[xxh3(item, l->item_size) % RECORD_LOG_RECENT];

	if (*recent && memcmp(record_log_at(l, *recent), item, l->item_size) == 0)
		return *recent;
	if (mem_grow(&l->items, &l->cap, l->n + 1, l->item_size, UINT32_MAX))
		return 0;
	memcpy(l->items + l->n * l->item_size, item, l->item_size);
	*recent = (uint32_t)l->n;
	return (uint32_t)l->n++;
}
