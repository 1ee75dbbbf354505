/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's view: the resolver over index cache and result cache. It never waits: what is not at hand
 * is set on its way and counted as pending.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/binaries_internal.h"
#include "server/binaries_metrics.h"
#include <stdio.h>

enum {
	REASONS_CAP = 16 << 20,
	RESULTS_CAP = 256 << 20,     // of one module's frames out of the result cache
	FRAMES_BYTES_MAX = 32 << 20, // of one address
	PENDING_MAX = 1 << 16,
	OLDER_GENERATIONS = 4,
	IMPROVE_EVERY_MS = 60000,
};

struct wanted {
	struct build_id ids[2];
	size_t n;
	int64_t binary; // 0: not known
};

// As struct module has them.
struct why {
	const char *code;
	const char *detail;
};

struct binaries_view {
	struct binaries *b;
	struct resolver resolver;
	struct arena reasons;
	struct buf scratch;
	struct view_module *modules; // not released yet
	struct map pending_ids; // texts of what is in pending
	struct wanted *pending;
	size_t pending_count;
	size_t pending_cap;
};

struct view_module {
	struct view_module *next;
	struct view_module **at;
	struct wanted id;
	struct binary_row *row;
	struct uhx *index;   // NULL: lost, or evicted from the disk; the result cache answers
	struct arena frames; // strings out of the result cache
	bool asked;          // for the index, after the result cache did not know
	bool hopeless;       // it will not come
	uint64_t sources[SOURCE_COUNT];
	uint64_t tiers[TIER_NOWHERE + 1];
};

// ---- what is pending -------------------------------------------------------------------------------------

static int note_pending(struct binaries_view *v, const struct wanted *w, struct err *e)
{
	char text[BUILD_ID_TEXT];

	build_id_text(&w->ids[0], text);
	if (map_get(&v->pending_ids, str_from(text)))
		return 0;
	if (map_set(&v->pending_ids, str_from(text), v, NULL) ||
	    mem_grow(&v->pending, &v->pending_cap, v->pending_count + 1, sizeof(*w), PENDING_MAX))
		return err_nomem(e);
	v->pending[v->pending_count++] = *w;
	return 0;
}

// Sets it on its way. 1: it is; 0: not now, for there is too much on its way already.
static int send_for(struct binaries_view *v, const struct wanted *w, unsigned wants, struct err *e)
{
	struct flight_ask ask = {.ids = w->ids, .n = w->n, .binary = w->binary, .wants = wants};
	struct err why;

	if (flights_join(v->b->flights, &ask, &why) == 0)
		return 1;
	if (why.kind == ERR_OVERLOADED || why.kind == ERR_SHUTTING_DOWN)
		return 0;
	*e = why;
	return -1;
}

static int answer_pending(struct binaries_view *v, const struct wanted *w, unsigned wants,
			  struct module *ret, struct err *e)
{
	int rc = send_for(v, w, wants, e);

	if (rc < 0 || (rc && note_pending(v, w, e)))
		return -1;
	ret->status = MODULE_PENDING;
	ret->reason = "pending";
	ret->detail = rc ? "being fetched or indexed" : "too much is being fetched or indexed; ask later";
	return 0;
}

static int answer_without(struct binaries_view *v, enum module_status status,
			  struct why why, struct module *ret)
{
	ret->status = status;
	ret->reason = arena_str(&v->reasons, str_from(why.code)).p;
	ret->detail = arena_str(&v->reasons, str_from(why.detail)).p;
	if (!ret->reason)
		ret->reason = err_code(ERR_NOMEM);
	return 0;
}

// ---- modules without an index ----------------------------------------------------------------------------

static int may_ask_any(struct binaries *b, const struct wanted *w, bool *ret, struct err *e)
{
	if (binaries_may_ask(b, w->ids, w->n, FILE_DEBUGINFO, ret, e))
		return -1;
	return *ret ? 0 : binaries_may_ask(b, w->ids, w->n, FILE_EXECUTABLE, ret, e);
}

// Indexing failed; but was it this version of the program that failed?
static int answer_failed(struct binaries_view *v, const struct wanted *w,
			 const struct binary_row *row, struct module *ret, struct err *e)
{
	if (binaries_first_retry(v->b, row->id))
		return answer_pending(v, w, FLIGHT_NAMES | FLIGHT_RETRY, ret, e);
	return answer_without(v, MODULE_INVALID, (struct why){row->reason, row->detail}, ret);
}

// Nothing is under way.
static int answer_absent(struct binaries_view *v, const struct wanted *w,
			 const struct binary_row *row, struct module *ret, struct err *e)
{
	struct verdict verdict;
	struct absence absence;
	bool may;

	if (row && row->reason)
		return answer_failed(v, w, row, ret, e);
	if (binary_cache_verdict(v->b->rows, w->ids, w->n, FLIGHT_NAMES, &verdict))
		return answer_without(v, MODULE_MISSING, (struct why){verdict.reason, verdict.detail}, ret);
	may = row && row->needs_index;
	if (!may && may_ask_any(v->b, w, &may, e))
		return -1;
	if (may)
		return answer_pending(v, w, FLIGHT_NAMES, ret, e);
	absence = binaries_why_absent(v->b, w->ids, w->n);
	return answer_without(v, MODULE_MISSING, (struct why){err_code(absence.kind), absence.detail}, ret);
}

// ---- modules at hand -------------------------------------------------------------------------------------

static void link_module(struct binaries_view *v, struct view_module *m)
{
	m->next = v->modules;
	m->at = &v->modules;
	if (m->next)
		m->next->at = &m->next;
	v->modules = m;
}

static void flush_counts(struct view_module *m)
{
	for (unsigned i = 0; i < SOURCE_COUNT; i++) {
		if (m->sources[i])
			metric_add(&metric_lookups, i, m->sources[i]);
	}
	for (unsigned i = 0; i <= TIER_NOWHERE; i++) {
		if (m->tiers[i])
			metric_add(&metric_lookup_tiers, i, m->tiers[i]);
	}
}

static void free_module(struct view_module *m)
{
	*m->at = m->next;
	if (m->next)
		m->next->at = m->at;
	flush_counts(m);
	uhx_unref(m->index);
	binary_row_unref(m->row);
	arena_deinit(&m->frames);
	free(m);
}

// The catalog's were merged from all files there ever were; the index has those of the files it was made of.
static struct program_headers choose_headers(const struct view_module *m)
{
	struct program_headers of_index = {0};

	if (m->index)
		of_index = uhx_info(m->index)->headers;
	return of_index.trusted || !m->row->headers.n ? of_index : m->row->headers;
}

/*
 * Names could be better, or addresses need the executable's program headers: a flight sees what upstream
 * servers have, while the names at hand are given. Now and then is enough.
 */
static int improve(struct binaries_view *v, const struct wanted *w, struct binary_row *row,
		   struct err *e)
{
	uint64_t now = clock_mono_ms();
	bool may;

	if ((row->quality >= QUALITY_GOPCLNTAB && row->headers.trusted) ||
	    now < atomic_load(&row->improve_after_ms))
		return 0;
	atomic_store(&row->improve_after_ms, now + IMPROVE_EVERY_MS);
	if (may_ask_any(v->b, w, &may, e))
		return -1;
	return may && send_for(v, w, FLIGHT_NAMES, e) < 0 ? -1 : 0;
}

static int answer_module(struct binaries_view *v, const struct wanted *w, struct binary_row *row,
			 struct uhx *index, struct module *ret, struct err *e)
{
	struct view_module *m = mem_zalloc(sizeof(*m));

	if (!m) {
		uhx_unref(index);
		binary_row_unref(row);
		return err_nomem(e);
	}
	m->id = *w;
	m->row = row;
	m->index = index;
	m->frames = ARENA_INIT(RESULTS_CAP);
	link_module(v, m);
	*ret = (struct module){.status = MODULE_OK, .headers = choose_headers(m), .handle = m};
	return index ? improve(v, w, row, e) : 0;
}

/*
 * The row in memory may be older than the index it names: a successor was published and the file is gone.
 * Then the row is read again.
 */
static int find_index(struct binaries_view *v, struct wanted *w, struct binary_row **row,
		      struct uhx **ret, struct err *e)
{
	uint32_t generation = (*row)->generation;
	int rc = index_cache_get(v->b->indexes, (*row)->id, generation, ret, e);

	if (rc != INDEX_NOT_FOUND)
		return rc;
	binary_cache_changed(v->b->rows, (*row)->id);
	binary_row_unref(steal_ptr(*row));
	rc = binary_cache_find(v->b->rows, w->ids, w->n, row, e);
	if (rc)
		return rc < 0 ? -1 : INDEX_NOT_FOUND;
	w->binary = (*row)->id;
	if ((*row)->generation == generation)
		return INDEX_NOT_FOUND;
	return index_cache_get(v->b->indexes, (*row)->id, (*row)->generation, ret, e);
}

// ---- the resolver ----------------------------------------------------------------------------------------

static int find_module(struct binaries_view *v, struct wanted *w, struct module *ret, struct err *e)
{
	_cleanup_(binary_row_unrefp) struct binary_row *row = NULL;
	struct uhx *index = NULL;
	int rc = binary_cache_find(v->b->rows, w->ids, w->n, &row, e);

	if (rc < 0)
		return -1;
	if (!rc) {
		w->binary = row->id;
		if (row->generation && find_index(v, w, &row, &index, e) < 0)
			return -1;
	}
	if (row && row->generation)
		return answer_module(v, w, steal_ptr(row), index, ret, e);
	if (flights_under_way(v->b->flights, w->ids, w->n, w->binary, UNTIL_INDEXED))
		return answer_pending(v, w, FLIGHT_NAMES, ret, e);
	return answer_absent(v, w, row, ret, e);
}

static int resolve_module(void *ctx, struct str build_id, struct module *ret, struct err *e)
{
	struct binaries_view *v = ctx;
	struct wanted w = {.binary = 0};
	int n = build_id_parse(build_id, w.ids, NULL);

	*ret = (struct module){.status = MODULE_INVALID, .reason = err_code(ERR_BAD_BUILD_ID),
			       .detail = "not a build-ID"};
	if (n <= 0)
		return 0;
	w.n = (size_t)n;
	return find_module(v, &w, ret, e);
}

// Write-behind; the result cache knows what it has.
static void remember(struct binaries_view *v, const struct view_module *m, uint64_t va,
		     const struct frames *f)
{
	struct result_key key = {m->row->id, m->row->generation, va};

	buf_clear(&v->scratch);
	frames_encode(f, &v->scratch);
	if (!v->scratch.failed)
		results_put(v->b->cfg.results, &key, buf_str(&v->scratch));
}

// 0 or RESULTS_NOT_FOUND.
static int recall(struct binaries_view *v, struct view_module *m, uint32_t generation, uint64_t va,
		  struct frames *ret, struct err *e)
{
	struct result_key key = {m->row->id, generation, va};
	struct str bytes;
	void *copy;
	int rc;

	buf_clear(&v->scratch);
	rc = results_get(v->b->cfg.results, &key, &v->scratch, e);
	if (rc)
		return rc;
	bytes = buf_str(&v->scratch);
	copy = arena_dup(&m->frames, bytes.p, bytes.n);
	if (!copy)
		return err_set(e, ERR_TOO_LARGE, "the frames of one module exceed %d MiB",
			       RESULTS_CAP >> 20);
	return frames_decode((struct str){copy, bytes.n}, ret, e);
}

// Can the index be had again? Then the module is pending, though names were at hand for other addresses.
static int want_index_back(struct binaries_view *v, struct view_module *m, struct err *e)
{
	struct verdict verdict;
	int rc;

	m->asked = true;
	m->hopeless = m->row->reason || binary_cache_verdict(v->b->rows, m->id.ids, m->id.n,
							     FLIGHT_NAMES, &verdict);
	if (m->hopeless)
		return 0;
	rc = send_for(v, &m->id, FLIGHT_NAMES, e);
	if (rc < 0)
		return -1;
	return rc ? note_pending(v, &m->id, e) : 0;
}

/*
 * Older generations answered with what was known then: better than nothing, once nothing better can come.
 * What they did not know, a later one might have.
 */
static int recall_older(struct binaries_view *v, struct view_module *m, uint64_t va,
			struct frames *ret, struct err *e)
{
	uint32_t newest = m->row->generation;

	for (uint32_t back = 1; back <= OLDER_GENERATIONS && back < newest; back++) {
		int rc = recall(v, m, newest - back, va, ret, e);

		if (rc < 0 || (rc == 0 && ret->n))
			return rc;
	}
	ret->n = 0;
	ret->source = SOURCE_NONE;
	return RESULTS_NOT_FOUND;
}

static int lookup_results(struct binaries_view *v, struct view_module *m, uint64_t va,
			  struct frames *ret, struct err *e)
{
	int rc = recall(v, m, m->row->generation, va, ret, e);

	if (rc == RESULTS_NOT_FOUND && !m->asked && want_index_back(v, m, e))
		return -1;
	if (rc == RESULTS_NOT_FOUND && m->hopeless)
		rc = recall_older(v, m, va, ret, e);
	if (rc < 0)
		return -1;
	m->tiers[rc ? TIER_NOWHERE : TIER_RESULTS]++;
	return 0;
}

static int lookup(void *ctx, const struct module *module, uint64_t va, struct frames *ret,
		  struct err *e)
{
	struct binaries_view *v = ctx;
	struct view_module *m = module->handle;

	ret->n = 0;
	ret->source = SOURCE_NONE;
	if (m->index) {
		uhx_lookup(m->index, va, ret);
		remember(v, m, va, ret);
		m->tiers[TIER_INDEX]++;
	} else if (lookup_results(v, m, va, ret, e)) {
		return -1;
	}
	m->sources[ret->source < SOURCE_COUNT ? ret->source : SOURCE_NONE]++;
	return 0;
}

static void release(void *ctx, struct module *module)
{
	struct view_module *m = module->handle;

	(void)ctx;
	if (m)
		free_module(m);
	module->handle = NULL;
}

// ---- the interface ---------------------------------------------------------------------------------------

int binaries_view_new(struct binaries *b, struct binaries_view **ret, struct err *e)
{
	struct binaries_view *v = mem_zalloc(sizeof(*v));

	if (!v)
		return err_nomem(e);
	v->b = b;
	v->resolver = (struct resolver){
		.ctx = v, .module = resolve_module, .lookup = lookup, .release = release};
	v->reasons = ARENA_INIT(REASONS_CAP);
	v->scratch = BUF_INIT(FRAMES_BYTES_MAX);
	v->pending_ids = MAP_INIT;
	*ret = v;
	return 0;
}

void binaries_view_free(struct binaries_view *v)
{
	if (!v)
		return;
	while (v->modules)
		free_module(v->modules);
	arena_deinit(&v->reasons);
	buf_deinit(&v->scratch);
	map_deinit(&v->pending_ids);
	free(v->pending);
	free(v);
}

const struct resolver *binaries_view_resolver(struct binaries_view *v)
{
	return &v->resolver;
}

size_t binaries_view_pending(const struct binaries_view *v)
{
	return v->pending_count;
}

void binaries_view_reset(struct binaries_view *v)
{
	v->pending_count = 0;
	map_deinit(&v->pending_ids);
	v->pending_ids = MAP_INIT;
}

/*
 * Where everything has settled since it was found pending, it is to be looked at again: woken at once.
 */
int binaries_wait(struct binaries *b, const struct binaries_view *v, const struct binaries_waiting *what,
		  struct err *e)
{
	struct waiter *w;

	if (!v->pending_count)
		return BINARIES_SETTLED;
	w = waiter_new(b->waiters, what);
	if (!w)
		return err_nomem(e);
	for (size_t i = 0; i < v->pending_count; i++) {
		const struct wanted *p = &v->pending[i];

		flights_attach(b->flights, p->ids, p->n, p->binary, UNTIL_INDEXED, w);
	}
	return waiter_start(w, e);
}
