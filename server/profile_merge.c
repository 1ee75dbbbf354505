/* SPDX-License-Identifier: Apache-2.0 */
#include "server/profile_merge.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"

enum { ARENA_CAP = 1 << 30 };

struct profile_bytes {
	struct profile_bytes *next;
	size_t n;
	char bytes[];
};

static void free_list(struct profile_bytes *first)
{
	while (first) {
		struct profile_bytes *next = first->next;

		free(first);
		first = next;
	}
}

void profile_merge_deinit(struct profile_merge *m)
{
	free_list(m->first);
	*m = PROFILE_MERGE_INIT;
}

int profile_merge_keep(struct profile_merge *m, struct str pprof, struct err *e)
{
	struct profile_bytes *item = mem_alloc(sizeof(*item) + pprof.n);

	if (!item)
		return err_nomem(e);
	memcpy(item->bytes, pprof.p, pprof.n);
	item->n = pprof.n;
	item->next = m->first;
	m->first = item;
	m->count++;
	m->bytes += pprof.n;
	return 0;
}

static int decode_all(const struct profile_merge *m, struct arena *arena, struct pprof **ret,
		      struct err *e)
{
	struct pprof *all = arena_array(arena, m->count, struct pprof);
	size_t i = 0;

	if (!all)
		return err_nomem(e);
	for (const struct profile_bytes *item = m->first; item; item = item->next) {
		struct str bytes = {item->bytes, item->n};

		if (pprof_decode(bytes, &pprof_limits_default, arena, &all[i++], e) < 0)
			return -1;
	}
	*ret = all;
	return 0;
}

int profile_merge_finish(struct profile_merge *m, struct arena *arena, struct pprof *ret, struct err *e)
{
	const struct pprof **in = arena_array(arena, m->count, const struct pprof *);
	struct pprof *all;

	if (!in)
		return err_nomem(e);
	if (decode_all(m, arena, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < m->count; i++)
		in[i] = &all[i];
	return pprof_merge(in, m->count, arena, ret, e);
}

/* Many inputs become one, so that memory stays bounded. */
static int compact(struct profile_merge *m, struct err *e)
{
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct buf merged_bytes = BUF_INIT(pprof_limits_default.identity_bytes);
	struct profile_merge one = PROFILE_MERGE_INIT;
	struct pprof merged;
	int r = -1;

	if (profile_merge_finish(m, &arena, &merged, e) == 0 && pprof_encode(&merged, &merged_bytes, e) == 0 &&
	    profile_merge_keep(&one, buf_str(&merged_bytes), e) == 0) {
		profile_merge_deinit(m);
		one.merged = one.bytes;
		*m = one;
		r = 0;
	}
	buf_deinit(&merged_bytes);
	arena_deinit(&arena);
	return r;
}

int profile_merge_add(struct profile_merge *m, struct str pprof, struct err *e)
{
	size_t room = MAX((size_t)PROFILE_MERGE_BATCH, 2 * m->merged);

	if (m->count > 1 && m->bytes + pprof.n > room && compact(m, e) < 0)
		return -1;
	return profile_merge_keep(m, pprof, e);
}
