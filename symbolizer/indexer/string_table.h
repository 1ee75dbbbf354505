/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interned strings: copied once, named by dense ids; id 0 is the empty string. Owned by one
 * thread.
 */
#ifndef SYMBOLIZER_INDEXER_STRING_TABLE_H
#define SYMBOLIZER_INDEXER_STRING_TABLE_H

#include "base/buf.h"
#include "symbolizer/indexer/intern.h"

struct string_entry {
	uint32_t offset;
	uint32_t size;
};

struct string_table {
	struct buf bytes;
	struct string_entry *entries;
	size_t n;
	size_t cap;
	struct intern index;
};

int string_table_init(struct string_table *t) MUST_CHECK; /* -1: out of memory */
void string_table_deinit(struct string_table *t);
/*
 * 0 for the empty string; also, with *ret_failed set, when out of memory or beyond 4 GiB of text.
 */
uint32_t string_table_put(struct string_table *t, struct str s, bool *ret_failed);
/* Valid until the next put. */
struct str string_table_at(const struct string_table *t, uint32_t id);

#endif
