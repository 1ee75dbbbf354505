/* SPDX-License-Identifier: Apache-2.0 */
#include "server/binaries.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/binaries_internal.h"
#include "server/binaries_metrics.h"
#include <stdio.h>

// ---- blobs nobody uses -----------------------------------------------------------------------------------

// Asked while no upload of the same bytes can come in between.
static int blob_in_use(void *ctx, const char *sha256, struct err *e)
{
	struct binaries *b = ctx;
	bool used;

	if (catalog_blob_used(b->cfg.catalog, sha256, &used, e))
		return -1;
	return used ? BLOB_USED : BLOB_UNUSED;
}

/*
 * What a crash left between a blob and its row. A catalog without any file may be one that was lost, and
 * then the blobs are all there is.
 */
static int sweep_blobs(struct binaries *b, struct err *e)
{
	struct blob_usage before;
	struct blob_usage after;
	bool any;

	if (catalog_has_files(b->cfg.catalog, &any, e))
		return -1;
	blob_store_usage(b->cfg.blobs, &before);
	if (!any && before.blobs)
		LOG(LOG_WARN, "blobs_not_swept", {"blobs", LOG_U(before.blobs)},
		    {"why", LOG_S("the catalog has no files; it may have been lost")});
	if (!any)
		return 0;
	if (blob_sweep(b->cfg.blobs, blob_in_use, b, e))
		return -1;
	blob_store_usage(b->cfg.blobs, &after);
	if (after.blobs < before.blobs)
		LOG(LOG_INFO, "blobs_swept", {"blobs", LOG_U(before.blobs - after.blobs)},
		    {"bytes", LOG_U(before.stored_bytes - after.stored_bytes)});
	return 0;
}

// ---- beginning and end ----------------------------------------------------------------------------------

/*
 * A failure stays with a binary until new files come, or until another version of the program is tried on
 * it: DIR/version tells which one was here last.
 */
static int note_version(struct binaries *b, struct err *e)
{
	static const char now[] = UNHEX_VERSION " " UNHEX_COMMIT "\n";
	_cleanup_(buf_deinit) struct buf before = BUF_INIT(256);
	char path[INDEX_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/version", index_cache_dir(b->indexes));

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ERR_CONFIG, "the path of the index folder is too long");
	if (io_read_file(path, &before, NULL) == 0 && str_is(buf_str(&before), now))
		return 0;
	b->retry_failed = before.n > 0;
	return io_write_file(path, now, sizeof(now) - 1, 0644, e);
}

bool binaries_first_retry(struct binaries *b, int64_t binary)
{
	uint64_t ignored;
	bool first;

	if (!b->retry_failed)
		return false;
	pthread_mutex_lock(&b->retried_lock);
	first = !map64_get(&b->retried, (uint64_t)binary, &ignored) &&
		map64_set(&b->retried, (uint64_t)binary, 1) == 0;
	pthread_mutex_unlock(&b->retried_lock);
	return first;
}

bool binaries_failed_before(struct binaries *b, int64_t binary, uint32_t files_version)
{
	uint64_t before;
	bool again;

	pthread_mutex_lock(&b->retried_lock);
	again = map64_get(&b->failed_once, (uint64_t)binary, &before) && before == files_version;
	if (!again && map64_set(&b->failed_once, (uint64_t)binary, files_version))
		again = true; // without memory for it, it would be tried without end
	pthread_mutex_unlock(&b->retried_lock);
	return again;
}

static int queue_row(struct binaries *b, int64_t row, struct err *e)
{
	_cleanup_free_ struct build_id *ids = NULL;
	struct flight_ask ask = {.binary = row, .wants = FLIGHT_INDEX};

	if (catalog_ids(b->cfg.catalog, row, &ids, &ask.n, e))
		return -1;
	ask.ids = ids;
	return ask.n ? flights_join(b->flights, &ask, e) : 0;
}

// What a crash left between store and index. Those too many to queue wait until somebody asks for them.
static int queue_unindexed(struct binaries *b, struct err *e)
{
	_cleanup_free_ int64_t *rows = NULL;
	struct err why;
	size_t n;

	if (catalog_unindexed(b->cfg.catalog, &rows, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!queue_row(b, rows[i], &why))
			continue;
		if (why.kind == ERR_OVERLOADED)
			break;
		*e = why;
		return -1;
	}
	return 0;
}

static int set_up(struct binaries *b, struct err *e)
{
	const struct binaries_config *cfg = &b->cfg;
	struct err why;

	if (indexer_new(cfg->indexer_path, cfg->indexer_deadline_ms, cfg->indexer_max_memory,
			&b->indexer, e) ||
	    index_cache_new(cfg->index_dir, cfg->open_indexes, &b->indexes, e) ||
	    binary_cache_new(cfg->catalog, &b->rows, e) || waiters_new(&b->waiters, e))
		return -1;
	if (index_cache_sweep(b->indexes, cfg->catalog, e) || note_version(b, e))
		return -1;
	if (sweep_blobs(b, &why))
		log_err(LOG_WARN, "blobs_sweep", &why, NULL);
	if (flights_new(b, cfg->index_workers, &b->flights, e))
		return -1;
	catalog_upstream_longest(cfg->catalog, MAX(cfg->absent_s, cfg->error_s));
	catalog_asks_upstream(cfg->catalog, upstream_configured(cfg->upstream));
	return queue_unindexed(b, e);
}

int binaries_new(const struct binaries_config *cfg, struct binaries **ret, struct err *e)
{
	struct binaries *b = mem_zalloc(sizeof(*b));

	if (!b)
		return err_nomem(e);
	binaries_metrics_register();
	b->cfg = *cfg;
	b->retried = MAP64_INIT;
	b->failed_once = MAP64_INIT;
	pthread_mutex_init(&b->retried_lock, NULL);
	if (set_up(b, e)) {
		binaries_free(b);
		return -1;
	}
	*ret = b;
	return 0;
}

void binaries_stop(struct binaries *b)
{
	flights_close(b->flights);
	upstream_stop(b->cfg.upstream);
	indexer_stop(b->indexer);
}

void binaries_free(struct binaries *b)
{
	if (!b)
		return;
	if (b->flights) {
		binaries_stop(b);
		flights_free(b->flights);
	}
	waiters_free(b->waiters);
	binary_cache_free(b->rows);
	index_cache_free(b->indexes);
	indexer_free(b->indexer);
	map64_deinit(&b->retried);
	map64_deinit(&b->failed_once);
	pthread_mutex_destroy(&b->retried_lock);
	free(b);
}

struct waiters *binaries_waiters(struct binaries *b)
{
	return b->waiters;
}

// ---- giving out ------------------------------------------------------------------------------------------

// READY or ABSENT, from what is here; PENDING only where a quick look does not do.
static int find_stored(struct binaries *b, const struct binaries_ask *ask, int64_t *ret_binary,
		       struct catalog_file *ret, struct err *e)
{
	_cleanup_(binary_row_unrefp) struct binary_row *row = NULL;
	struct catalog_file file;
	struct blob_info info;
	struct err why;
	int rc = binary_cache_find(b->rows, ask->ids, ask->n, &row, e);

	if (rc)
		return rc < 0 ? -1 : ARTIFACT_ABSENT;
	*ret_binary = row->id;
	while ((rc = catalog_best_file(b->cfg.catalog, row->id, ask->type, &file, e)) == 0) {
		if (file.trust < TRUST_UPSTREAM)
			return ARTIFACT_ABSENT;
		if (blob_stat(b->cfg.blobs, file.sha256, &info, &why) == 0) {
			*ret = file;
			return ARTIFACT_READY;
		}
		if (why.kind != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
		if (ask->quick)
			return ARTIFACT_PENDING;
		if (catalog_file_lost(b->cfg.catalog, file.id, e))
			return -1;
	}
	return rc < 0 ? -1 : ARTIFACT_ABSENT;
}

/*
 * "Not there" is an answer that clients keep; "could not be asked" must not be told as one. A failure is
 * remembered for a short while, and so long this is it.
 */
static int failed_lately(struct err *e)
{
	return err_set(e, ERR_UPSTREAM, "the upstream servers failed; whether they have it is not known");
}

static int absent_or_unknown(struct binaries *b, const struct binaries_ask *ask, struct err *e)
{
	const struct build_id *id = binaries_gnu_id(ask->ids, ask->n);
	enum upstream_answer answer;
	int rc;

	if (!id || !upstream_configured(b->cfg.upstream))
		return ARTIFACT_ABSENT;
	rc = catalog_upstream_get(b->cfg.catalog, id, ask->type, &answer, e);
	if (rc < 0)
		return -1;
	return rc == 0 && answer == UPSTREAM_ERROR ? failed_lately(e) : ARTIFACT_ABSENT;
}

// It is not here: READY when it may come, else ABSENT.
static int may_come(struct binaries *b, const struct binaries_ask *ask, unsigned want, struct err *e)
{
	struct verdict verdict;
	bool may;

	if (ask->local_only)
		return ARTIFACT_ABSENT;
	if (binary_cache_verdict(b->rows, ask->ids, ask->n, want, &verdict))
		return verdict.failed ? failed_lately(e) : ARTIFACT_ABSENT;
	if (binaries_may_ask(b, ask->ids, ask->n, ask->type, &may, e))
		return -1;
	return may ? ARTIFACT_READY : absent_or_unknown(b, ask, e);
}

int binaries_artifact(struct binaries *b, const struct binaries_ask *ask, struct catalog_file *ret,
		      struct err *e)
{
	struct flight_ask join = {
		.ids = ask->ids,
		.n = ask->n,
		.wants = ask->type == FILE_DEBUGINFO ? FLIGHT_DEBUGINFO : FLIGHT_EXECUTABLE,
		.forwarded = ask->forwarded,
	};
	int rc = find_stored(b, ask, &join.binary, ret, e);

	if (rc != ARTIFACT_ABSENT)
		return rc;
	rc = may_come(b, ask, join.wants, e);
	if (rc != ARTIFACT_READY)
		return rc;
	return flights_join(b->flights, &join, e) ? -1 : ARTIFACT_PENDING;
}

static int64_t row_of(struct binaries *b, const struct build_id *ids, size_t n)
{
	_cleanup_(binary_row_unrefp) struct binary_row *row = NULL;

	return binary_cache_find(b->rows, ids, n, &row, NULL) == 0 ? row->id : 0;
}

int binaries_wait_id(struct binaries *b, const struct build_id *ids, size_t n,
		     enum binaries_until until, const struct binaries_waiting *what, struct err *e)
{
	struct waiter *w = waiter_new(b->waiters, what);

	if (!w)
		return err_nomem(e);
	if (flights_attach(b->flights, ids, n, row_of(b, ids, n), until, w))
		return waiter_start(w, e);
	waiter_drop(w);
	return BINARIES_SETTLED;
}

// ---- removing, telling --------------------------------------------------------------------------------------

static int remove_blobs(struct binaries *b, char (*sha)[SHA256_HEX], size_t n, struct err *e)
{
	struct err why;

	for (size_t i = 0; i < n; i++) {
		if (blob_remove_unused(b->cfg.blobs, sha[i], blob_in_use, b, &why) < 0 &&
		    why.kind != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

int binaries_delete(struct binaries *b, const struct build_id *ids, size_t n, struct err *e)
{
	_cleanup_(binary_row_unrefp) struct binary_row *row = NULL;
	_cleanup_free_ char(*sha)[SHA256_HEX] = NULL;
	size_t sha_count = 0;
	int rc = binary_cache_find(b->rows, ids, n, &row, e);

	if (rc == 0)
		rc = catalog_delete(b->cfg.catalog, row->id, &sha, &sha_count, e);
	if (rc < 0)
		return -1;
	if (rc)
		return err_set(e, ERR_NOT_FOUND, "no such binary");
	binary_cache_changed(b->rows, row->id);
	index_cache_remove(b->indexes, row->id, row->generation);
	if (results_delete_binary(b->cfg.results, row->id, e))
		return -1;
	return remove_blobs(b, sha, sha_count, e);
}

void binaries_flight_json(struct binaries *b, const struct build_id *ids, size_t n,
			  struct json_out *j)
{
	flights_json(b->flights, ids, n, row_of(b, ids, n), j);
}
