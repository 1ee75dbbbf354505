/* SPDX-License-Identifier: Apache-2.0 */
#include "server/seen.h"

#include "base/clock.h"

int seen_batch_init(struct seen_batch *b, struct arena *arena, struct err *e)
{
	b->n = 0;
	b->seen = arena_array(arena, SEEN_BATCH_MAX, struct catalog_seen);
	return b->seen ? 0 : err_nomem(e);
}

static void copy_cut(char *to, size_t cap, struct str from)
{
	size_t n = MIN(from.n, cap - 1);

	memcpy(to, from.p, n);
	to[n] = '\0';
}

void seen_batch_note(void *ctx, const struct module_weight *w)
{
	struct seen_batch *b = ctx;
	struct catalog_seen *s;

	if (b->n == SEEN_BATCH_MAX || !w->unresolved_locations)
		return;
	s = &b->seen[b->n++];
	*s = (struct catalog_seen){
		.weight = w->weight,
		.samples = w->samples,
		.last_seen_unix_s = clock_unix_s(),
	};
	copy_cut(s->build_id, sizeof(s->build_id), w->build_id);
	copy_cut(s->filename, sizeof(s->filename), str_basename(w->filename));
	copy_cut(s->unit, sizeof(s->unit), w->unit);
}

int seen_batch_add(const struct seen_batch *b, struct catalog *c, struct err *e)
{
	return b->n ? catalog_seen_add(c, b->seen, b->n, e) : 0;
}
