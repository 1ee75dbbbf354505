/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/string_table.h"

#include "base/mem.h"

int string_table_init(struct string_table *t)
{
	*t = (struct string_table){.bytes = BUF_INIT(UINT32_MAX)};
	intern_init(&t->index);
	if (mem_grow(&t->entries, &t->cap, 1, sizeof(*t->entries), UINT32_MAX))
		return -1;
	t->entries[0] = (struct string_entry){0, 0};
	t->n = 1;
	return 0;
}

void string_table_deinit(struct string_table *t)
{
	buf_deinit(&t->bytes);
	free(t->entries);
	intern_deinit(&t->index);
	t->entries = NULL;
	t->n = t->cap = 0;
}

struct str string_table_at(const struct string_table *t, uint32_t id)
{
	const struct string_entry *entry = &t->entries[id];

	return (struct str){buf_str(&t->bytes).p + entry->offset, entry->size};
}

static bool strings_equal(const void *owner, uint32_t id, const void *key)
{
	return str_eq(string_table_at(owner, id), *(const struct str *)key);
}

static uint32_t add(struct string_table *t, struct str s, uint32_t hash)
{
	struct string_entry entry = {(uint32_t)t->bytes.n, (uint32_t)s.n};
	uint32_t id = (uint32_t)t->n;

	buf_append_str(&t->bytes, s);
	if (t->bytes.failed ||
	    mem_grow(&t->entries, &t->cap, t->n + 1, sizeof(*t->entries), UINT32_MAX) ||
	    intern_add(&t->index, hash, id))
		return 0;
	t->entries[t->n++] = entry;
	return id;
}

uint32_t string_table_put(struct string_table *t, struct str s, bool *ret_failed)
{
	uint32_t hash;
	uint32_t id;

	if (!s.n)
		return 0;
	hash = intern_hash(&t->index, s.p, s.n);
	id = intern_find(&t->index, hash, strings_equal, t, &s);
	if (!id)
		id = add(t, s, hash);
	if (!id)
		*ret_failed = true;
	return id;
}
