/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out: segments and heads that match are merged into one profile and resolved again, so
 * that debug info that came after a profile names it, too.
 *
 * The heads are looked at first, then the segments; these say, as of one state, how far the log was
 * taken. A head up to there has become segments and is left out, any other is not in them: each
 * profile counts once, and nobody waits for a window being written.
 */
#include "base/compress.h"
#include "base/mem.h"
#include "server/profile_merge.h"
#include "server/profiles_internal.h"
#include "server/waiters.h"
#include "symbolizer/pprof_symbolize.h"

enum {
	ARENA_CAP = 2 << 29,
	NAMES_MAX = 16,
	NAME_MAX_BYTES = 128,
};

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

/* ---- heads: what was in them when they were looked at ---------------------------------------- */

/* Profiles are only ever added behind `last`, and the head stays while it is referred to. */
struct part {
	const struct profile_series *labels;
	const struct head_profile *first;
	const struct head_profile *last;
};

struct look {
	struct head *head; /* NULL: there is none */
	uint64_t last_position;
	struct part *parts;
	size_t n;
};

/* The lock is held. */
static int look_at(struct head *h, struct look *l, struct err *e)
{
	struct str key;
	size_t pos = 0;
	void *value;

	if (!h || !h->series.n)
		return 0;
	l->parts = mem_calloc(h->series.n, sizeof(*l->parts));
	if (!l->parts)
		return err_nomem(e);
	while (map_next(&h->series, &pos, &key, &value)) {
		const struct head_series *s = value;

		if (s->first)
			l->parts[l->n++] = (struct part){&s->labels, s->first, s->last};
	}
	l->last_position = h->last_position;
	l->head = h;
	h->refs++;
	return 0;
}

enum { OPEN, CLOSING, HEADS };

static int look_at_heads(struct profiles *p, struct look looks[static HEADS], struct err *e)
{
	int r;

	pthread_mutex_lock(&p->lock);
	r = look_at(p->open, &looks[OPEN], e);
	if (r == 0)
		r = look_at(p->closing, &looks[CLOSING], e);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void look_away(struct profiles *p, struct look looks[static HEADS])
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < HEADS; i++)
		profiles_head_unref(looks[i].head);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < HEADS; i++)
		free(looks[i].parts);
}

static int collect_profile(struct collector *c, const struct part *part,
			   const struct head_profile *h, struct err *e)
{
	if (h->to_unix_ns < c->from || h->from_unix_ns > c->to)
		return 0;
	note_name(c, part->labels);
	return profile_merge_add(&c->merge, (struct str){h->bytes, h->n}, e);
}

static int collect_part(struct collector *c, const struct part *part, struct err *e)
{
	const struct head_profile *h = part->first;

	if (c->matchers && !profile_matchers_match(c->matchers, part->labels))
		return 0;
	while (collect_profile(c, part, h, e) == 0) {
		if (h == part->last)
			return 0;
		h = h->next;
	}
	return -1;
}

static int collect_heads(struct collector *c, const struct look looks[static HEADS], uint64_t taken,
			 struct err *e)
{
	for (size_t i = 0; i < HEADS; i++) {
		for (size_t k = 0; looks[i].last_position > taken && k < looks[i].n; k++) {
			if (collect_part(c, &looks[i].parts[k], e) < 0)
				return -1;
		}
	}
	return 0;
}

static int collect(struct profiles *p, struct collector *c, struct err *e)
{
	struct profile_taken taken = {push_log_id(p->cfg.log), 0};
	const struct profile_search search = {c->matchers, c->from, c->to, &taken};
	struct look looks[HEADS] = {0};
	int r = look_at_heads(p, looks, e);

	if (r == 0)
		r = profile_dir_query(p->cfg.dir, &search, collect_segment, c, e);
	if (r == 0)
		r = collect_heads(c, looks, taken.position, e);
	look_away(p, looks);
	return r;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int check_collected(const struct collector *c, struct err *e)
{
	char list[NAMES_MAX * NAME_MAX_BYTES] = "";
	size_t at = 0;

	if (c->merge.count == 0)
		return err_set(e, ERR_NOT_FOUND, "no profile matches in that time");
	if (c->name_count < 2 || (c->matchers && profile_matchers_name_given(c->matchers)))
		return 0;
	for (size_t i = 0; i < c->name_count; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
				       c->names[i]);
	return err_set(e, ERR_BAD_REQUEST,
		       "several profile types match (%.400s): name one, as in "
		       "match={__name__=\"%s\"}",
		       list, c->names[0]);
}

static int write_out(struct collector *c, struct binaries_view *view, struct arena *arena,
		     struct buf *out, struct err *e)
{
	struct symbolize_options options = {.rename = RENAME_BETTER};
	struct buf identity = BUF_INIT(pprof_limits_default.identity_bytes);
	struct symbolize_stats stats;
	struct pprof merged;
	int r = -1;

	if (profile_merge_finish(&c->merge, arena, &merged, e) == 0 &&
	    pprof_symbolize(&merged, binaries_view_resolver(view), &options, &stats, e) == 0 &&
	    pprof_encode(&merged, &identity, e) == 0)
		r = gzip_compress_fast(buf_str(&identity), out, e);
	buf_deinit(&identity);
	return r;
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
	if (!q->match || !*q->match ||
	    profile_matchers_parse(str_from(q->match), &matchers, e) == 0) {
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

/* ---- waiting for what arrived ---------------------------------------------------------------- */

/* It holds the waiter until so many are taken, also where the waiter's time is over before. */
struct arrival_wait {
	struct arrival_wait *next;
	struct waiter *waiter;
	uint64_t until;
};

struct arrival_wait *profiles_waits_over(struct profiles *p)
{
	struct arrival_wait *first = p->waits;
	struct arrival_wait **end = &p->waits;

	while (*end && (*end)->until <= p->taken)
		end = &(*end)->next;
	if (end == &p->waits)
		return NULL;
	p->waits = *end;
	*end = NULL;
	if (!p->waits)
		p->waits_last = NULL;
	return first;
}

void profiles_waits_wake(struct arrival_wait *over)
{
	while (over) {
		struct arrival_wait *next = over->next;

		waiter_release(over->waiter);
		free(over);
		over = next;
	}
}

/* False: all is taken in. */
static bool wait_for_taken(struct profiles *p, struct arrival_wait *w)
{
	bool waits;

	pthread_mutex_lock(&p->lock);
	w->until = p->arrived;
	waits = p->taken < p->arrived;
	if (waits && p->waits_last)
		p->waits_last->next = w;
	else if (waits)
		p->waits = w;
	if (waits)
		p->waits_last = w;
	pthread_mutex_unlock(&p->lock);
	return waits;
}

int profiles_wait(struct profiles *p, const struct binaries_waiting *what, struct err *e)
{
	struct waiter *waiter = waiter_new(binaries_waiters(p->cfg.binaries), what);
	struct arrival_wait *w = mem_zalloc(sizeof(*w));

	if (!waiter || !w) {
		if (waiter)
			waiter_drop(waiter);
		free(w);
		return err_nomem(e);
	}
	waiter_hold(waiter);
	w->waiter = waiter;
	if (wait_for_taken(p, w))
		return waiter_start(waiter, e);
	waiter_release(waiter);
	waiter_drop(waiter);
	free(w);
	return BINARIES_SETTLED;
}
