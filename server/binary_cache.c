/* SPDX-License-Identifier: Apache-2.0 */
#include "server/binary_cache.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdio.h>

// At the limit everything is forgotten at once: simple, bounded, and the catalog has it all.
enum { ROWS_MAX = 8192, VERDICTS_MAX = 16384, KEY_MAX = BUILD_ID_TEXT + 1 };

struct binary_cache {
	struct catalog *catalog;
	pthread_mutex_t lock; // guards what follows
	uint64_t changes;     // so that a row read before a change is not kept after it
	struct map rows;      // key of candidates → struct binary_row
	struct map verdicts;  // key of candidates → struct verdict
};

void binary_row_unref(struct binary_row *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	free(r->reason);
	free(r->detail);
	free((void *)(uintptr_t)r->headers.p);
	free(r);
}

static int copy_failure(struct binary_row *r, const struct binary *b)
{
	if (!b->reason_code[0])
		return 0;
	r->reason = mem_strdup(b->reason_code);
	r->detail = mem_strdup(b->reason);
	return r->reason && r->detail ? 0 : -1;
}

static struct binary_row *new_row(const struct binary *b)
{
	struct binary_row *r = mem_zalloc(sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->refs, 1);
	r->id = b->id;
	r->generation = b->generation;
	r->quality = b->quality;
	r->needs_index = b->needs_index;
	r->headers.n = b->headers_size / sizeof(struct program_header);
	r->headers.trusted = b->headers_trusted && r->headers.n;
	if (r->headers.n)
		r->headers.p = mem_dup(b->headers, r->headers.n * sizeof(struct program_header));
	if ((r->headers.n && !r->headers.p) || copy_failure(r, b)) {
		binary_row_unref(r);
		return NULL;
	}
	return r;
}

int binary_cache_new(struct catalog *catalog, struct binary_cache **ret, struct err *e)
{
	struct binary_cache *c = mem_zalloc(sizeof(*c));

	if (!c)
		return err_nomem(e);
	c->catalog = catalog;
	c->rows = MAP_INIT;
	c->verdicts = MAP_INIT;
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

static void clear_rows(struct binary_cache *c)
{
	size_t pos = 0;
	void *row;

	while (map_next(&c->rows, &pos, NULL, &row))
		binary_row_unref(row);
	map_deinit(&c->rows);
	c->rows = MAP_INIT;
}

static void clear_verdicts(struct binary_cache *c)
{
	size_t pos = 0;
	void *verdict;

	while (map_next(&c->verdicts, &pos, NULL, &verdict))
		free(verdict);
	map_deinit(&c->verdicts);
	c->verdicts = MAP_INIT;
}

void binary_cache_free(struct binary_cache *c)
{
	if (!c)
		return;
	clear_rows(c);
	clear_verdicts(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/*
 * The candidates of one text: the first one's text, and a '?' where there is a second (32 hex digits).
 */
static struct str candidates_key(const struct build_id *ids, size_t n, char out[static KEY_MAX])
{
	size_t len;

	build_id_text(&ids[0], out);
	len = strlen(out);
	if (n > 1)
		out[len++] = '?';
	return (struct str){out, len};
}

// ---- rows -------------------------------------------------------------------------------------------------

static struct binary_row *find_row(struct binary_cache *c, struct str key, uint64_t *ret_changes)
{
	struct binary_row *r;

	pthread_mutex_lock(&c->lock);
	r = map_get(&c->rows, key);
	if (r)
		atomic_fetch_add(&r->refs, 1);
	*ret_changes = c->changes;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void keep_row(struct binary_cache *c, struct str key, struct binary_row *r, uint64_t changes)
{
	void *old = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->rows.n >= ROWS_MAX)
		clear_rows(c);
	if (c->changes == changes) {
		atomic_fetch_add(&r->refs, 1);
		if (map_set(&c->rows, key, r, &old))
			old = r;
	}
	pthread_mutex_unlock(&c->lock);
	binary_row_unref(old);
}

int binary_cache_find(struct binary_cache *c, const struct build_id *ids, size_t n,
		      struct binary_row **ret, struct err *e)
{
	_cleanup_free_ struct binary *b = NULL; // large
	char text[KEY_MAX];
	struct str key = candidates_key(ids, n, text);
	struct binary_row *r;
	uint64_t changes;
	int rc;

	r = find_row(c, key, &changes);
	if (!r) {
		b = mem_alloc(sizeof(*b));
		if (!b)
			return err_nomem(e);
		rc = catalog_find(c->catalog, ids, n, b, e);
		if (rc)
			return rc;
		r = new_row(b);
		if (!r)
			return err_nomem(e);
		keep_row(c, key, r, changes);
	}
	*ret = r;
	return 0;
}

void binary_cache_changed(struct binary_cache *c, int64_t binary)
{
	size_t pos = 0;
	struct str key;
	void *value;

	pthread_mutex_lock(&c->lock);
	c->changes++;
	while (map_next(&c->rows, &pos, &key, &value)) {
		struct binary_row *r = value;

		if (r->id != binary)
			continue;
		map_del(&c->rows, key);
		binary_row_unref(r);
	}
	pthread_mutex_unlock(&c->lock);
}

// ---- verdicts ---------------------------------------------------------------------------------------------

bool binary_cache_verdict(struct binary_cache *c, const struct build_id *ids, size_t n,
			  unsigned want, struct verdict *ret)
{
	char text[KEY_MAX];
	struct str key = candidates_key(ids, n, text);
	uint64_t now = clock_mono_ms();
	const struct verdict *v;
	bool holds;

	pthread_mutex_lock(&c->lock);
	v = map_get(&c->verdicts, key);
	holds = v && (v->lacking & want) && now < v->until_ms;
	if (holds)
		*ret = *v;
	pthread_mutex_unlock(&c->lock);
	return holds;
}

void binary_cache_judge(struct binary_cache *c, const struct build_id *ids, size_t n,
			const struct verdict *v)
{
	char text[KEY_MAX];
	struct str key = candidates_key(ids, n, text);
	struct verdict *copy = mem_dup(v, sizeof(*v));
	void *old = NULL;

	if (!copy)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->verdicts.n >= VERDICTS_MAX)
		clear_verdicts(c);
	if (map_set(&c->verdicts, key, copy, &old))
		old = copy;
	pthread_mutex_unlock(&c->lock);
	free(old);
}

static void pardon_key(struct binary_cache *c, struct str key)
{
	free(map_del(&c->verdicts, key));
}

// A file hash may also have been asked for as 32 bare digits, whose first candidate is a GNU ID.
static void pardon(struct binary_cache *c, struct build_id id)
{
	char text[KEY_MAX];

	pardon_key(c, candidates_key(&id, 1, text));
	pardon_key(c, candidates_key(&id, 2, text));
	if (id.kind == BUILD_ID_HTL) {
		id.kind = BUILD_ID_GNU;
		pardon_key(c, candidates_key(&id, 2, text));
	}
}

void binary_cache_pardon(struct binary_cache *c, const struct build_id *ids, size_t n)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n; i++)
		pardon(c, ids[i]);
	pthread_mutex_unlock(&c->lock);
}
