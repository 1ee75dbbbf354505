/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed-size records without padding, numbered from 1 in order of arrival, where one that equals
 * another of late gets that one's number. For records that are equal only if they come soon after
 * each other: a look is one slot of a small table, where a set of all would be a cache miss. Which
 * equals are found depends on the records alone. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_RECORD_LOG_H
#define SYMBOLIZER_INDEXER_RECORD_LOG_H

#include "base/base.h"

enum { RECORD_LOG_RECENT = 4096 };

struct record_log {
	char *items; /* record 0 is all zero */
	size_t item_size;
	size_t n; /* including record 0 */
	size_t cap;
	uint32_t recent[RECORD_LOG_RECENT]; /* by hash: the last record of that one; 0: none */
};

int record_log_init(struct record_log *l, size_t item_size) MUST_CHECK; /* -1: out of memory */
void record_log_deinit(struct record_log *l);
/* 0 when out of memory or numbers. */
uint32_t record_log_put(struct record_log *l, const void *item);
/* Valid until the next put. number < n. */
static inline const void *record_log_at(const struct record_log *l, uint32_t number)
{
	return l->items + (size_t)number * l->item_size;
}

#endif
