/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flight does next.
 *
 *   plan ─┬─▶ ask upstream ─▶ take in ─▶ plan        intake pool; upstream thread; intake pool
 *         ├─▶ index ─▶ plan                         index pool
 *         └─▶ settle
 *
 * Files that came by upload are indexed at once; then, if names were asked for, upstream is asked for
 * what is lacking: debuginfo first, then the executable where names, program headers or the Go function
 * table are still missing; then everything is indexed together.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/binaries_internal.h"
#include "server/binaries_metrics.h"
#include <inttypes.h>
#include <stdio.h>

enum { VERDICT_MS = 60000, VERDICT_MIN_MS = 1000 };

/* What the catalog and the disk say when a plan is made. */
struct holdings {
	struct binary row; // row.id 0: there is none
	bool files;                     // anything to index
	bool have[FILE_KALLSYMS + 1];   // an ELF file of this type that agents did not send
	int best_quality;               // of these
	bool index_at_hand;
};

static int survey_file(struct flight *f, struct holdings *h, const struct catalog_file *file,
		       struct err *e)
{
	struct blob_info info;
	struct err why;

	if (blob_stat(f->binaries->cfg.blobs, file->sha256, &info, &why)) {
		if (why.kind == ERR_NOT_FOUND)
			return catalog_file_lost(f->binaries->cfg.catalog, file->id, e);
		*e = why;
		return -1;
	}
	h->files = true;
	if (file->type == FILE_KALLSYMS || file->trust <= TRUST_AGENT)
		return 0; // a stopgap: whatever upstream has is better, and it is not given out
	h->have[file->type] = true;
	h->best_quality = MAX(h->best_quality, file->quality);
	return 0;
}

static int survey_files(struct flight *f, struct holdings *h, struct err *e)
{
	_cleanup_free_ struct catalog_file *files = NULL;
	size_t n;

	if (catalog_files(f->binaries->cfg.catalog, h->row.id, &files, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (files[i].type != FILE_SOURCES && survey_file(f, h, &files[i], e))
			return -1;
	}
	return 0;
}

static int survey(struct flight *f, struct holdings *h, struct err *e)
{
	struct binaries *b = f->binaries;
	int rc = catalog_find(b->cfg.catalog, f->ids, f->id_count, &h->row, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (survey_files(f, h, e))
		return -1;
	h->index_at_hand = h->row.generation &&
			   index_cache_has_file(b->indexes, h->row.id, h->row.generation);
	return 0;
}

// ---- deciding -----------------------------------------------------------------------------------------------

const struct build_id *binaries_gnu_id(const struct build_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ids[i].kind == BUILD_ID_GNU)
			return &ids[i];
	}
	return NULL;
}

int binaries_may_ask(struct binaries *b, const struct build_id *ids, size_t n, enum file_type type,
		     bool *ret, struct err *e)
{
	const struct build_id *id = binaries_gnu_id(ids, n);
	enum upstream_answer answer;
	int rc;

	*ret = false;
	if (!id || !upstream_configured(b->cfg.upstream))
		return 0;
	rc = catalog_upstream_get(b->cfg.catalog, id, type, &answer, e);
	if (rc < 0)
		return -1;
	*ret = rc == CATALOG_NOT_FOUND || answer == UPSTREAM_FOUND;
	return 0;
}

static bool lacks_debuginfo(const struct flight *f, const struct holdings *h)
{
	if ((f->asked & FLIGHT_DEBUGINFO) && !h->have[FILE_DEBUGINFO])
		return true;
	return (f->asked & FLIGHT_NAMES) && !h->have[FILE_DEBUGINFO] &&
	       h->best_quality < QUALITY_GOPCLNTAB;
}

static bool lacks_executable(const struct flight *f, const struct holdings *h)
{
	if ((f->asked & FLIGHT_EXECUTABLE) && !h->have[FILE_EXECUTABLE])
		return true;
	return (f->asked & FLIGHT_NAMES) && !h->have[FILE_EXECUTABLE] &&
	       (!h->row.headers_trusted || h->best_quality < QUALITY_GOPCLNTAB);
}

// Which file to ask upstream for; 0: none.
static int choose_fetch(struct flight *f, const struct holdings *h, struct err *e)
{
	static const enum file_type order[] = {FILE_DEBUGINFO, FILE_EXECUTABLE};

	for (size_t i = 0; i < countof(order); i++) {
		enum file_type type = order[i];
		bool lacking = type == FILE_DEBUGINFO ? lacks_debuginfo(f, h) : lacks_executable(f, h);
		bool may;

		if (!lacking || (f->tried & (1u << type)))
			continue;
		if (binaries_may_ask(f->binaries, f->ids, f->id_count, type, &may, e))
			return -1;
		if (may)
			return (int)type;
	}
	return 0;
}

static bool wants_index(const struct flight *f, const struct holdings *h)
{
	bool failed = h->row.reason_code[0] != '\0';

	if (!h->files || f->index_tried)
		return false;
	if (h->row.needs_index || (failed && (f->asked & FLIGHT_RETRY)))
		return true;
	return !h->index_at_hand && !failed;
}

// ---- settling -----------------------------------------------------------------------------------------------

static unsigned still_lacking(const struct flight *f, const struct holdings *h)
{
	unsigned lacking = 0;

	if (!h->index_at_hand)
		lacking |= FLIGHT_NAMES;
	if (!h->have[FILE_DEBUGINFO])
		lacking |= FLIGHT_DEBUGINFO;
	if (!h->have[FILE_EXECUTABLE])
		lacking |= FLIGHT_EXECUTABLE;
	return lacking & f->asked;
}

// Did a server fail when last asked for one of the files, and does that still count?
static int failed_lately(struct binaries *b, const struct build_id *id, bool *ret, struct err *e)
{
	static const enum file_type types[] = {FILE_DEBUGINFO, FILE_EXECUTABLE};
	enum upstream_answer answer;

	*ret = false;
	for (size_t i = 0; i < countof(types) && !*ret; i++) {
		int rc = catalog_upstream_get(b->cfg.catalog, id, types[i], &answer, e);

		if (rc < 0)
			return -1;
		*ret = rc == 0 && answer == UPSTREAM_ERROR;
	}
	return 0;
}

struct absence binaries_why_absent(struct binaries *b, const struct build_id *ids, size_t n)
{
	const struct build_id *id = binaries_gnu_id(ids, n);
	bool configured = upstream_configured(b->cfg.upstream);
	bool failed = false;
	struct err why;

	if (configured && id && failed_lately(b, id, &failed, &why))
		return (struct absence){why.kind, "not uploaded; what upstream servers said cannot be read"};
	if (failed)
		return (struct absence){ERR_UPSTREAM, "not uploaded, and the upstream servers could not be"
						      " asked: whether they have it is not known"};
	return (struct absence){ERR_NOT_FOUND, catalog_why_absent(configured, id != NULL)};
}

// Its detail lives as long as the flight's last error.
static struct absence why_lacking(const struct flight *f)
{
	if (f->why.kind)
		return (struct absence){f->why.kind, f->why.msg};
	return binaries_why_absent(f->binaries, f->ids, f->id_count);
}

/*
 * What is not to be had is not looked for again for a while: what upstream servers said is remembered by
 * the catalog, the verdict is for what is not (and saves asking the catalog).
 */
static void judge(struct flight *f, const struct holdings *h)
{
	const struct binaries_config *cfg = &f->binaries->cfg;
	struct verdict v = {.lacking = still_lacking(f, h)};
	struct absence why;
	uint64_t ms;

	if (!v.lacking || f->why.kind == ERR_SHUTTING_DOWN)
		return;
	why = why_lacking(f);
	v.failed = why.kind != ERR_NOT_FOUND;
	v.reason = err_code(why.kind);
	snprintf(v.detail, sizeof(v.detail), "%s", why.detail);
	ms = 1000 * (v.failed ? cfg->error_s : cfg->absent_s);
	v.until_ms = clock_mono_ms() + MAX(MIN(ms, (uint64_t)VERDICT_MS), (uint64_t)VERDICT_MIN_MS);
	// As it was asked: a text has at most two candidates, and they came first.
	binary_cache_judge(f->binaries->rows, f->ids, MIN(f->id_count, (size_t)2), &v);
	if (f->id_count > 1)
		binary_cache_judge(f->binaries->rows, f->ids, 1, &v);
}

// The flight ends for want of the catalog or the disk.
static void give_up(struct flight *f, const struct err *why)
{
	log_err(LOG_WARN, "flight", why, NULL);
	f->why = *why;
}

// ---- asking upstream ------------------------------------------------------------------------------------------

static void take_in_fetched(struct flight *f);

static void on_fetched(void *ctx, const struct upstream_result *r)
{
	struct flight *f = flight_fetch_returned(ctx, r);

	if (f)
		flight_to_intake(f, take_in_fetched);
}

static void fetch(struct flight *f, enum file_type type)
{
	struct flight_fetch *out;
	struct upstream *u = f->binaries->cfg.upstream;
	struct upstream_result failed = {.outcome = UPSTREAM_FAILED, .fd = -1};
	struct build_id id = *binaries_gnu_id(f->ids, f->id_count);
	char forwarded[DEBUGINFOD_FORWARDED_MAX];
	struct upstream_ask ask = {
		.id = &id,
		.artifact = file_type_name(type),
		.forwarded = forwarded,
		.done = on_fetched,
	};

	f->tried |= 1u << type;
	atomic_store(&f->state, type == FILE_DEBUGINFO ? FLIGHT_FETCHING_DEBUGINFO
						       : FLIGHT_FETCHING_EXECUTABLE);
	memcpy(forwarded, f->forwarded, sizeof(forwarded));
	out = flight_fetch_out(f, type);
	if (!out) {
		err_nomem(&f->why);
		flight_to_intake(f, flight_plan);
		return;
	}
	ask.ctx = out; // the flight is not ours any more
	if (upstream_fetch(u, &ask, &failed.err))
		on_fetched(out, &failed);
}

static int remember(struct flight *f, enum file_type type, enum upstream_answer answer,
		    const char *detail, struct err *e)
{
	const struct binaries_config *cfg = &f->binaries->cfg;
	uint64_t s = answer == UPSTREAM_ABSENT ? cfg->absent_s : cfg->error_s;
	int64_t until = answer == UPSTREAM_FOUND ? INT64_MAX
						 : clock_unix_s() + (int64_t)MIN(s, (uint64_t)INT32_MAX);

	return catalog_upstream_put(cfg->catalog, binaries_gnu_id(f->ids, f->id_count), type, answer,
				    until, detail, e);
}

static void count_answer(enum upstream_label label)
{
	metric_add(&metric_upstream_requests, label, 1);
}

/*
 * Our own troubles say nothing about the server; they are not remembered in the catalog, but by a verdict.
 */
static int note_failure(struct flight *f, enum file_type type, const struct err *why, struct err *e)
{
	f->why = *why;
	if (why->kind == ERR_SHUTTING_DOWN || why->kind == ERR_OVERLOADED || why->kind == ERR_NOMEM)
		return 0;
	f->why.kind = ERR_UPSTREAM; // whatever of it: no news of what it has
	LOG(LOG_INFO, "upstream_failed", {"artifact", LOG_S(file_type_name(type))},
	    {"err", LOG_S(why->msg)});
	return remember(f, type, UPSTREAM_ERROR, why->msg, e);
}

static int keep_fetched(struct flight *f, const struct flight_fetch *got, struct err *e)
{
	struct build_id id = *binaries_gnu_id(f->ids, f->id_count);
	struct binaries_upload u = {
		.fd = got->result.fd,
		.claimed = &id,
		.claimed_count = 1,
		.type = got->type,
		.trust = TRUST_UPSTREAM,
		.origin = got->result.url,
	};
	struct binaries_put_result stored;
	struct err why;

	if (binaries_intake(f->binaries, &u, &stored, &why) < 0) {
		count_answer(ASKED_REFUSED);
		err_wrap(&why, "what %s sent as %s was refused", got->result.url,
			 file_type_name(got->type));
		return note_failure(f, got->type, &why, e);
	}
	count_answer(ASKED_FOUND);
	metric_add(&metric_upstream_bytes, 0, stored.blob.size);
	free(stored.probe_json);
	f->index_tried = false;
	return remember(f, got->type, UPSTREAM_FOUND, got->result.url, e);
}

static int note_answer(struct flight *f, const struct flight_fetch *got, struct err *e)
{
	switch (got->result.outcome) {
	case UPSTREAM_OK:
		return keep_fetched(f, got, e);
	case UPSTREAM_NONE:
		count_answer(ASKED_ABSENT);
		return remember(f, got->type, UPSTREAM_ABSENT, "", e);
	default:
		count_answer(ASKED_FAILED);
		return note_failure(f, got->type, &got->result.err, e);
	}
}

static void take_in_fetched(struct flight *f)
{
	struct flight_fetch *got = steal_ptr(f->fetched);
	struct err why;

	atomic_store(&f->state, FLIGHT_TAKING_IN);
	if (!flight_closing(f) && note_answer(f, got, &why))
		give_up(f, &why);
	flight_fetch_free(got);
	flight_plan(f);
}

// ---- indexing ---------------------------------------------------------------------------------------------------

static void index_it(struct flight *f)
{
	struct err why;

	atomic_store(&f->state, FLIGHT_INDEXING);
	f->index_tried = true;
	if (!flight_closing(f) && index_job(f->binaries, f->binary, &why) < 0)
		f->why = why;
	flight_indexed(f);
	flight_to_intake(f, flight_plan);
}

// ---- planning -----------------------------------------------------------------------------------------------------

// Does what is next. False when there is nothing.
static int go_on(struct flight *f, const struct holdings *h, struct err *e)
{
	bool index = wants_index(f, h);
	int type = 0;

	if (!index || !(f->asked & FLIGHT_INDEX)) {
		type = choose_fetch(f, h, e);
		if (type < 0)
			return -1;
	}
	if (type) {
		fetch(f, (enum file_type)type);
		return 1;
	}
	if (!index)
		return 0;
	flight_files_settled(f);
	atomic_store(&f->state, FLIGHT_WAITING_FOR_INDEXER);
	flight_to_indexers(f, index_it);
	return 1;
}

/*
 * One round: 1 when the flight went on or is gone, 0 when it is to settle.
 */
static int plan_once(struct flight *f, struct holdings *h, struct err *e)
{
	if (flight_take_wants(f) & (FLIGHT_INDEX | FLIGHT_RETRY))
		f->index_tried = false;
	if (flight_closing(f))
		return 0;
	if (survey(f, h, e))
		return -1;
	if (h->row.id && !flight_bind(f, h->row.id))
		return 1;
	return go_on(f, h, e);
}

void flight_plan(struct flight *f)
{
	struct err why;
	int rc;

	do {
		_cleanup_free_ struct holdings *h = mem_zalloc(sizeof(*h)); // large

		rc = h ? plan_once(f, h, &why) : err_nomem(&why);
		if (rc > 0)
			return;
		if (rc < 0)
			give_up(f, &why);
		if (h)
			judge(f, h);
	} while (!flight_settle(f));
}
