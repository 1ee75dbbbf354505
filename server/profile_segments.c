/* SPDX-License-Identifier: Apache-2.0 */
#include "server/profile_segments.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/profile_merge.h"
#include "symbolizer/pprof_symbolize.h"

enum { ARENA_CAP = 1 << 30, UNRESOLVED_MAX = 4096 };

static struct metric dropped_series = {
	.name = "unhex_profile_series_dropped_total",
	.help = "Series of a window that could not be merged into a segment.",
	.type = METRIC_COUNTER,
};

/* One series on its way to a segment; everything lives in `arena`, the bytes in `encoded`. */
struct draft {
	struct arena arena;
	struct buf encoded;
	struct str *unresolved;
	size_t unresolved_count;
};

struct drafts {
	struct draft *draft;
	size_t n;
	struct profile_segment *segment;
	size_t segment_count;
};

static void drafts_deinit(struct drafts *d)
{
	for (size_t i = 0; i < d->n; i++) {
		arena_deinit(&d->draft[i].arena);
		buf_deinit(&d->draft[i].encoded);
	}
	free(d->draft);
	free(d->segment);
}

static void note_unresolved(void *ctx, const struct module_weight *w)
{
	struct draft *d = ctx;

	if (w->unresolved_locations == 0 || w->build_id.n == 0 || d->unresolved_count == UNRESOLVED_MAX)
		return;
	d->unresolved[d->unresolved_count] = arena_str(&d->arena, w->build_id);
	if (d->unresolved[d->unresolved_count].p)
		d->unresolved_count++;
}

static int merge_series(const struct head_series *s, struct profile_merge *m, struct err *e)
{
	for (const struct head_profile *p = s->first; p; p = p->next) {
		if (profile_merge_add(m, (struct str){p->bytes, p->n}, e) < 0)
			return -1;
	}
	return 0;
}

static int symbolize(struct pprof *p, struct binaries *binaries, struct draft *d, struct err *e)
{
	struct symbolize_options options = {.on_module = note_unresolved, .on_module_ctx = d};
	struct symbolize_stats stats;
	struct binaries_view *view;
	int r;

	if (binaries_view_new(binaries, &view, e) < 0)
		return -1;
	r = pprof_symbolize(p, binaries_view_resolver(view), &options, &stats, e);
	binaries_view_free(view);
	return r;
}

static int make_draft(const struct head_series *s, struct binaries *binaries, struct draft *d,
		      struct profile_segment *ret, struct err *e)
{
	struct profile_merge merge = PROFILE_MERGE_INIT;
	struct pprof merged;
	int r = -1;

	d->unresolved = arena_array(&d->arena, UNRESOLVED_MAX, struct str);
	if (!d->unresolved)
		return err_nomem(e);
	if (merge_series(s, &merge, e) == 0 && profile_merge_finish(&merge, &d->arena, &merged, e) == 0 &&
	    symbolize(&merged, binaries, d, e) == 0 && pprof_encode(&merged, &d->encoded, e) == 0) {
		*ret = (struct profile_segment){
			.series = s->labels,
			.from_unix_ns = s->from_unix_ns,
			.to_unix_ns = s->to_unix_ns,
			.samples = merged.sample_count,
			.pprof = buf_str(&d->encoded),
			.unresolved = d->unresolved,
			.unresolved_count = d->unresolved_count,
		};
		r = 0;
	}
	profile_merge_deinit(&merge);
	return r;
}

/*
 * A series that cannot be merged (it passes a limit) must not keep the others of its window from being
 * written for ever: it is left out, said so and counted.
 */
static bool left_out(const struct err *e)
{
	if (e->kind != ERR_BAD_PPROF && e->kind != ERR_TOO_LARGE)
		return false;
	log_err(LOG_ERROR, "profile_series_dropped", e, NULL);
	metric_inc(&dropped_series);
	return true;
}

static int make_drafts(const struct head *h, struct binaries *binaries, struct drafts *all, struct err *e)
{
	struct str key;
	size_t pos = 0;
	void *series;

	while (map_next(&h->series, &pos, &key, &series)) {
		struct draft *d = &all->draft[all->n];

		d->arena = ARENA_INIT(ARENA_CAP);
		d->encoded = BUF_INIT(pprof_limits_default.identity_bytes);
		all->n++;
		if (make_draft(series, binaries, d, &all->segment[all->segment_count], e) == 0)
			all->segment_count++;
		else if (!left_out(e))
			return -1;
	}
	return 0;
}

int profile_segments_write(const struct head *h, struct binaries *binaries, struct profile_dir *dir,
			   struct err *e)
{
	struct drafts all = {NULL, 0, NULL, 0};
	int r = -1;

	metric_register(&dropped_series);
	if (h->series.n == 0)
		return 0;
	all.draft = mem_calloc(h->series.n, sizeof(*all.draft));
	all.segment = mem_calloc(h->series.n, sizeof(*all.segment));
	if (!all.draft || !all.segment)
		err_nomem(e);
	else if (make_drafts(h, binaries, &all, e) == 0)
		r = profile_dir_write(dir, all.segment, all.segment_count, e);
	drafts_deinit(&all);
	return r;
}
