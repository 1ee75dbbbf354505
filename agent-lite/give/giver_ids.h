/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The build-IDs that this host has sampled, and when the server is to be asked about each: soon for
 * new ones, ever more seldom for those that it does not want, much later for those that were sent
 * or cannot be. Bounded: when it is full, what was not sampled for longest makes room. Its owner
 * locks.
 */
#ifndef AGENT_GIVER_IDS_H
#define AGENT_GIVER_IDS_H

#include "agent-lite/give/wanted.h"
#include "base/map.h"

enum {
	GIVER_IDS_MAX = 4096,
	GIVER_PAUSE_MAX_MS = 3600 * 1000,	/* between questions about what is not wanted */
	GIVER_DONE_MS = 6 * 3600 * 1000,	/* sent: the server may have lost it since */
	GIVER_REFUSED_MS = 24 * 3600 * 1000,	/* cannot be sent */
};

struct giver_ids {
	struct map by_text;
	uint64_t first_pause_ms;
};

void giver_ids_init(struct giver_ids *ids, uint64_t first_pause_ms);
void giver_ids_deinit(struct giver_ids *ids);
/* Sampled now. Where memory is short it is not noted. */
void giver_ids_saw(struct giver_ids *ids, const char *text, bool is_list, uint64_t now_ms);
/* Those to ask about, at most WANTED_ASKED_MAX. */
size_t giver_ids_due(const struct giver_ids *ids, uint64_t now_ms,
		     struct wanted_id ret[static WANTED_ASKED_MAX]);
/* Of `asked`, those at the positions `wanted` are wanted. The others stay due after a full answer. */
void giver_ids_answered(struct giver_ids *ids, const struct wanted_id *asked, size_t n,
			const size_t *wanted, size_t wanted_n, uint64_t now_ms);
void giver_ids_put_off(struct giver_ids *ids, const char *text, uint64_t until_ms);

#endif
