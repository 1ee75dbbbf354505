/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/give/giver_ids.h"

#include "base/mem.h"

#include <stdio.h>

struct entry {
	bool is_list;
	uint64_t seen_ms;
	uint64_t ask_ms;   /* not before */
	uint64_t pause_ms; /* after the next "no" */
};

void giver_ids_init(struct giver_ids *ids, uint64_t first_pause_ms)
{
	*ids = (struct giver_ids){.by_text = MAP_INIT, .first_pause_ms = first_pause_ms};
}

void giver_ids_deinit(struct giver_ids *ids)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(&ids->by_text, &at, &key, &value))
		free(value);
	map_deinit(&ids->by_text);
}

/* Half of them at once, by a limit between the oldest and now: it need not be exact. */
static void make_room(struct giver_ids *ids, uint64_t now_ms)
{
	uint64_t oldest = now_ms;
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(&ids->by_text, &at, &key, &value))
		oldest = MIN(oldest, ((struct entry *)value)->seen_ms);
	at = 0;
	while (map_next(&ids->by_text, &at, &key, &value)) {
		if (((struct entry *)value)->seen_ms <= oldest + (now_ms - oldest) / 2)
			free(map_del(&ids->by_text, key));
	}
}

void giver_ids_saw(struct giver_ids *ids, const char *text, bool is_list, uint64_t now_ms)
{
	struct str key = str_from(text);
	struct entry *known = map_get(&ids->by_text, key);

	if (known) {
		known->seen_ms = now_ms;
		return;
	}
	if (ids->by_text.n >= GIVER_IDS_MAX)
		make_room(ids, now_ms);
	known = mem_zalloc(sizeof(*known));
	if (!known)
		return;
	*known = (struct entry){is_list, now_ms, 0, ids->first_pause_ms};
	if (map_set(&ids->by_text, key, known, NULL) < 0)
		free(known);
}

size_t giver_ids_due(const struct giver_ids *ids, uint64_t now_ms,
		     struct wanted_id ret[static WANTED_ASKED_MAX])
{
	size_t at = 0, n = 0;
	struct str key;
	void *value;

	while (n < WANTED_ASKED_MAX && map_next(&ids->by_text, &at, &key, &value)) {
		const struct entry *x = value;

		if (now_ms < x->ask_ms)
			continue;
		snprintf(ret[n].text, sizeof(ret[n].text), STR_FMT, STR_ARG(key));
		ret[n++].is_list = x->is_list;
	}
	return n;
}

static void not_wanted(struct giver_ids *ids, const char *text, uint64_t now_ms)
{
	struct entry *x = map_get(&ids->by_text, str_from(text));

	if (!x)
		return;
	x->ask_ms = now_ms + x->pause_ms;
	x->pause_ms = MIN(2 * x->pause_ms, (uint64_t)GIVER_PAUSE_MAX_MS);
}

void giver_ids_answered(struct giver_ids *ids, const struct wanted_id *asked, size_t n,
			const size_t *wanted, size_t wanted_n, uint64_t now_ms)
{
	if (wanted_n >= WANTED_FULL)
		return;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < wanted_n && wanted[k] != i)
			k++;
		if (k == wanted_n)
			not_wanted(ids, asked[i].text, now_ms);
	}
}

void giver_ids_put_off(struct giver_ids *ids, const char *text, uint64_t until_ms)
{
	struct entry *x = map_get(&ids->by_text, str_from(text));

	if (x)
		x->ask_ms = until_ms;
}
