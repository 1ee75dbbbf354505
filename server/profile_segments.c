/* SPDX-License-Identifier: Apache-2.0 */
#include "server/profile_segments.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/profile_merge.h"
#include "symbolizer/pprof_symbolize.h"

enum { ARENA_CAP = 1 << 30, UNRESOLVED_MAX = 4096, SEGMENTS_MAX = 1 << 24 };

static struct metric unmerged_profiles = {
	.name = "unhex_profiles_unmerged_total",
	.help = "Profiles written as they were pushed, because merging or symbolizing them failed.",
	.type = METRIC_COUNTER,
};

static struct metric dropped_segments = {
	.name = "unhex_profile_segments_dropped_total",
	.help = "Segments that the profile store could never take.",
	.type = METRIC_COUNTER,
};

/* All segments of a window. Their bytes are those of the head, or in `encoded`. */
struct drafts {
	struct binaries *binaries;
	struct profile_segment *segment;
	char **encoded; /* beside segment; NULL: the head's */
	size_t n;
	size_t segment_cap, encoded_cap;
	struct arena unresolved;
};

static void drafts_deinit(struct drafts *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->encoded[i]);
	free(d->encoded);
	free(d->segment);
	arena_deinit(&d->unresolved);
}

/* Takes over `encoded`, whatever comes. What the store could never take must not hold up all else.
 */
static int add_segment(struct drafts *d, const struct profile_segment *s, char *encoded,
		       struct err *e)
{
	struct err why = ERR_INIT;

	if (profile_dir_check(s, &why) < 0) {
		log_err(LOG_ERROR, "profile_segment_dropped", &why, NULL);
		metric_inc(&dropped_segments);
		free(encoded);
		return 0;
	}
	if (mem_grow(&d->segment, &d->segment_cap, d->n + 1, sizeof(*d->segment), SEGMENTS_MAX) ||
	    mem_grow(&d->encoded, &d->encoded_cap, d->n + 1, sizeof(*d->encoded), SEGMENTS_MAX)) {
		free(encoded);
		return err_nomem(e);
	}
	d->segment[d->n] = *s;
	d->encoded[d->n++] = encoded;
	return 0;
}

/* ---- some profiles of a series as one segment ------------------------------------------------ */

struct chunk {
	const struct head_series *series;
	const struct head_profile *first;
	size_t n;
	struct arena arena;
	struct str *unresolved;
	size_t unresolved_count;
};

static void note_unresolved(void *ctx, const struct module_weight *w)
{
	struct chunk *c = ctx;
	struct str id;

	if (w->unresolved_locations == 0 || w->build_id.n == 0 ||
	    c->unresolved_count == UNRESOLVED_MAX)
		return;
	id = arena_str(&c->arena, w->build_id);
	if (id.p)
		c->unresolved[c->unresolved_count++] = id;
}

static int symbolize(struct pprof *p, struct binaries *binaries, struct chunk *c, struct err *e)
{
	struct symbolize_options options = {.on_module = note_unresolved, .on_module_ctx = c};
	struct symbolize_stats stats;
	struct binaries_view *view;
	int r;

	c->unresolved = arena_array(&c->arena, UNRESOLVED_MAX, struct str);
	if (!c->unresolved)
		return err_nomem(e);
	if (binaries_view_new(binaries, &view, e) < 0)
		return -1;
	r = pprof_symbolize(p, binaries_view_resolver(view), &options, &stats, e);
	binaries_view_free(view);
	return r;
}

/* The IDs outlive the chunk. */
static int keep_unresolved(struct drafts *d, const struct chunk *c, struct profile_segment *s,
			   struct err *e)
{
	struct str *ids = arena_array(&d->unresolved, c->unresolved_count, struct str);

	if (!ids)
		return err_nomem(e);
	for (size_t i = 0; i < c->unresolved_count; i++) {
		ids[i] = arena_str(&d->unresolved, c->unresolved[i]);
		if (!ids[i].p)
			return err_nomem(e);
	}
	s->unresolved = ids;
	s->unresolved_count = c->unresolved_count;
	return 0;
}

static struct profile_segment segment_of(const struct chunk *c)
{
	struct profile_segment s = {
		.series = c->series->labels,
		.from_unix_ns = c->first->from_unix_ns,
		.to_unix_ns = c->first->to_unix_ns,
	};
	const struct head_profile *p = c->first;

	for (size_t i = 0; i < c->n; i++, p = p->next) {
		s.from_unix_ns = MIN(s.from_unix_ns, p->from_unix_ns);
		s.to_unix_ns = MAX(s.to_unix_ns, p->to_unix_ns);
	}
	return s;
}

static int merge(const struct chunk *c, struct profile_merge *m, struct err *e)
{
	const struct head_profile *p = c->first;

	for (size_t i = 0; i < c->n; i++, p = p->next) {
		if (profile_merge_keep(m, (struct str){p->bytes, p->n}, e) < 0)
			return -1;
	}
	return 0;
}

static int make_merged(struct drafts *d, struct chunk *c, struct profile_merge *m, struct err *e)
{
	struct buf encoded = BUF_INIT(pprof_limits_default.identity_bytes);
	struct profile_segment s = segment_of(c);
	struct pprof merged;
	char *bytes;
	size_t n;

	if (merge(c, m, e) < 0 || profile_merge_finish(m, &c->arena, &merged, e) < 0 ||
	    symbolize(&merged, d->binaries, c, e) < 0 || pprof_encode(&merged, &encoded, e) < 0 ||
	    keep_unresolved(d, c, &s, e) < 0) {
		buf_deinit(&encoded);
		return -1;
	}
	bytes = buf_steal(&encoded, &n);
	if (!bytes)
		return err_nomem(e);
	s.samples = merged.sample_count;
	s.pprof = (struct str){bytes, n};
	return add_segment(d, &s, bytes, e);
}

/* They are acknowledged: they are kept, and named when they are asked for. */
static int keep_unmerged(struct drafts *d, const struct chunk *c, struct err *e)
{
	struct chunk one = {.series = c->series, .first = c->first, .n = 1};

	for (size_t i = 0; i < c->n; i++, one.first = one.first->next) {
		struct profile_segment s = segment_of(&one);

		s.samples = one.first->samples;
		s.pprof = (struct str){one.first->bytes, one.first->n};
		if (add_segment(d, &s, NULL, e) < 0)
			return -1;
	}
	metric_add(&unmerged_profiles, 0, c->n);
	return 0;
}

static int make_chunk(struct drafts *d, struct chunk *c, struct err *e)
{
	struct profile_merge m = PROFILE_MERGE_INIT;
	struct err why = ERR_INIT;
	int r;

	c->arena = ARENA_INIT(ARENA_CAP);
	r = make_merged(d, c, &m, &why);
	profile_merge_deinit(&m);
	arena_deinit(&c->arena);
	if (r == 0)
		return 0;
	log_err(LOG_WARN, "profiles_unmerged", &why, NULL);
	return keep_unmerged(d, c, e);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* A series becomes one segment, or several where its profiles pass what is merged at once. */
static int make_series(struct drafts *d, const struct head_series *s, struct err *e)
{
	const struct head_profile *p = s->first;

	while (p) {
		struct chunk c = {.series = s, .first = p};
		size_t bytes = 0;

		while (p && (c.n == 0 || bytes + p->n <= PROFILE_MERGE_BATCH)) {
			bytes += p->n;
			c.n++;
			p = p->next;
		}
		if (make_chunk(d, &c, e) < 0)
			return -1;
	}
	return 0;
}

static int make_drafts(struct drafts *d, const struct head *h, struct err *e)
{
	struct str key;
	size_t pos = 0;
	void *series;

	while (map_next(&h->series, &pos, &key, &series)) {
		if (make_series(d, series, e) < 0)
			return -1;
	}
	return 0;
}

int profile_segments_write(const struct head *h, struct binaries *binaries, struct profile_dir *dir,
			   const char *log, struct err *e)
{
	struct profile_taken taken = {log, h->last_position};
	struct drafts d = {.binaries = binaries};
	int r = -1;

	metric_register(&unmerged_profiles);
	metric_register(&dropped_segments);
	d.unresolved = ARENA_INIT(ARENA_CAP);
	if (make_drafts(&d, h, e) == 0)
		r = profile_dir_write(dir, d.segment, d.n, &taken, e);
	drafts_deinit(&d);
	return r;
}
