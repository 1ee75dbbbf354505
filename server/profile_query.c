/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out: segments and heads that match are merged into one profile and resolved again, so that debug
 * info that came after a profile names it, too.
 */
#include "base/compress.h"
#include "base/mem.h"
#include "server/profile_merge.h"
#include "server/profiles_internal.h"
#include "symbolizer/pprof_symbolize.h"

enum { ARENA_CAP = 2 << 29, NAMES_MAX = 16, NAME_MAX_BYTES = 128, TRIES = 4, GZIP_LEVEL = 1, ARRIVAL_WAIT_S = 10 };

struct collector {
	const struct profile_matchers *matchers;
	int64_t from, to;
	struct profile_merge merge;
	char names[NAMES_MAX][NAME_MAX_BYTES]; /* distinct __name__ met */
	size_t name_count;
};

static struct str label_value(const struct profile_series *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (str_is(s->labels[i].name, name))
			return s->labels[i].value;
	}
	return STR_EMPTY;
}

static void note_name(struct collector *c, const struct profile_series *s)
{
	struct str name = label_value(s, "__name__");
	size_t n = MIN(name.n, (size_t)NAME_MAX_BYTES - 1);

	for (size_t i = 0; i < c->name_count; i++) {
		if (str_is((struct str){name.p, n}, c->names[i]))
			return;
	}
	if (c->name_count == NAMES_MAX)
		return;
	memcpy(c->names[c->name_count], name.p, n);
	c->names[c->name_count++][n] = '\0';
}

static int collect_segment(void *ctx, const struct profile_segment *s, struct err *e)
{
	struct collector *c = ctx;

	note_name(c, &s->series);
	return profile_merge_add(&c->merge, s->pprof, e);
}

static int collect_series(struct collector *c, const struct head_series *s, struct err *e)
{
	if (c->matchers && !profile_matchers_match(c->matchers, &s->labels))
		return 0;
	for (const struct head_profile *p = s->first; p; p = p->next) {
		if (p->to_unix_ns < c->from || p->from_unix_ns > c->to)
			continue;
		note_name(c, &s->labels);
		if (profile_merge_keep(&c->merge, (struct str){p->bytes, p->n}, e) < 0)
			return -1;
	}
	return 0;
}

static int collect_head(struct collector *c, const struct head *h, struct err *e)
{
	struct str key;
	size_t pos = 0;
	void *series;

	if (!h)
		return 0;
	while (map_next(&h->series, &pos, &key, &series)) {
		if (collect_series(c, series, e) < 0)
			return -1;
	}
	return 0;
}

/* What is in memory, copied; *ret_epoch says as of which publication. */
static int collect_heads(struct profiles *p, struct collector *c, uint64_t *ret_epoch, struct err *e)
{
	int r;

	pthread_mutex_lock(&p->lock);
	while (p->publishing)
		pthread_cond_wait(&p->published, &p->lock);
	r = collect_head(c, p->open, e);
	if (r == 0)
		r = collect_head(c, p->closing, e);
	*ret_epoch = p->epoch;
	pthread_mutex_unlock(&p->lock);
	return r;
}

static bool published_since(struct profiles *p, uint64_t epoch)
{
	bool changed;

	pthread_mutex_lock(&p->lock);
	changed = p->publishing || p->epoch != epoch;
	pthread_mutex_unlock(&p->lock);
	return changed;
}

/* A head that turned into segments while we looked would count twice or not at all: look again. */
static int collect(struct profiles *p, struct collector *c, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t epoch;

		profile_merge_deinit(&c->merge);
		c->name_count = 0;
		if (collect_heads(p, c, &epoch, e) < 0 ||
		    profile_dir_query(p->cfg.dir, c->matchers, c->from, c->to, collect_segment, c, e) < 0)
			return -1;
		if (!published_since(p, epoch))
			return 0;
	}
	return err_set(e, ERR_OVERLOADED, "profiles are being written faster than they can be read; try again");
}

static int check_collected(const struct collector *c, struct err *e)
{
	char list[NAMES_MAX * NAME_MAX_BYTES] = "";
	size_t at = 0;

	if (c->merge.count == 0)
		return err_set(e, ERR_NOT_FOUND, "no profile matches in that time");
	if (c->name_count < 2 || (c->matchers && profile_matchers_name_given(c->matchers)))
		return 0;
	for (size_t i = 0; i < c->name_count; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", c->names[i]);
	return err_set(e, ERR_BAD_REQUEST, "several profile types match (%.400s): name one, as in "
					   "match={__name__=\"%s\"}", list, c->names[0]);
}

static int write_out(struct collector *c, struct binaries_view *view, struct arena *arena, struct buf *out,
		     struct err *e)
{
	struct symbolize_options options = {.rename = RENAME_BETTER};
	struct buf identity = BUF_INIT(pprof_limits_default.identity_bytes);
	struct symbolize_stats stats;
	struct pprof merged;
	int r = -1;

	if (profile_merge_finish(&c->merge, arena, &merged, e) == 0 &&
	    pprof_symbolize(&merged, binaries_view_resolver(view), &options, &stats, e) == 0 &&
	    pprof_encode(&merged, &identity, e) == 0)
		r = gzip_compress(buf_str(&identity), GZIP_LEVEL, out, e);
	buf_deinit(&identity);
	return r;
}

/*
 * Who pushed and was answered sees it: what was acknowledged before the query is in the head before it is
 * read. The profiles thread never waits for a request, so this ends; the limit is for a slow disk.
 */
static void wait_for_arrivals(struct profiles *p)
{
	struct timespec until;
	uint64_t mine;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ARRIVAL_WAIT_S;
	pthread_mutex_lock(&p->lock);
	mine = p->arrived;
	while (p->taken < mine && pthread_cond_timedwait(&p->published, &p->lock, &until) == 0)
		;
	pthread_mutex_unlock(&p->lock);
}

int profiles_query(struct profiles *p, const struct profiles_query *q, struct binaries_view *view,
		   struct buf *out, struct err *e)
{
	struct collector *c = mem_zalloc(sizeof(*c));
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct profile_matchers *matchers = NULL;
	int r = -1;

	if (!c)
		return err_nomem(e);
	if (!q->match || !*q->match || profile_matchers_parse(str_from(q->match), &matchers, e) == 0) {
		wait_for_arrivals(p);
		c->matchers = matchers;
		c->from = q->from_unix_ns;
		c->to = q->to_unix_ns;
		if (collect(p, c, e) == 0 && check_collected(c, e) == 0)
			r = write_out(c, view, &arena, out, e);
		profile_merge_deinit(&c->merge);
	}
	profile_matchers_free(matchers);
	arena_deinit(&arena);
	free(c);
	return r;
}
