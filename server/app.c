/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/subproc.h"
#include "server/doors.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>

static int path_in(const struct config *c, const char *name, char out[static PATH_MAX],
		   struct err *e)
{
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", c->data_dir, name) >= PATH_MAX)
		return err_set(e, ERR_CONFIG, "--data-dir is too long");
	return 0;
}

static int folder_in(const struct config *c, const char *name, char out[static PATH_MAX],
		     struct err *e)
{
	return path_in(c, name, out, e) || io_mkdirs(out, 0700, e) ? -1 : 0;
}

// Two servers on one folder would undo each other's work.
static int lock_data_dir(struct app *a, struct err *e)
{
	char path[PATH_MAX];

	if (io_mkdirs(a->config->data_dir, 0700, e) || path_in(a->config, "lock", path, e))
		return -1;
	a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (a->lock_fd < 0)
		return err_sys(e, errno, "opening %s", path);
	if (flock(a->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(e, errno, "locking %s", path);
	return err_set(e, ERR_CONFLICT, "another unhexd runs on %s (it holds %s)",
		       a->config->data_dir, path);
}

static int open_catalog(struct app *a, struct err *e)
{
	char path[PATH_MAX];

	if (path_in(a->config, "catalog.db", path, e) || catalog_open(path, &a->catalog, e))
		return -1;
	a->auth = (struct auth){
		.catalog = a->catalog,
		.loopback = a->config->loopback,
		.allow_anonymous_write = a->config->allow_anonymous_write,
		.require_read_token = a->config->require_read_token,
	};
	return auth_check_start(&a->auth, e);
}

static int open_blobs(struct app *a, struct err *e)
{
	const struct blob_limits limits = {
		.identity_cache_bytes = a->config->identity_cache,
		.quota_bytes = a->config->quota,
		.level = (int)a->config->compression_level,
	};
	char path[PATH_MAX];

	return folder_in(a->config, "blobs", path, e) ||
			       blob_store_open(path, &limits, &a->blobs, e)
		       ? -1
		       : 0;
}

static int open_results(struct app *a, struct err *e)
{
	char path[PATH_MAX];

	return path_in(a->config, "results.db", path, e) || results_open(path, &a->results, e) ? -1
											       : 0;
}

static int start_upstream(struct app *a, struct err *e)
{
	static char *none[] = {NULL};
	const struct config *c = a->config;
	char path[PATH_MAX];
	const struct upstream_config cfg = {
		.urls = c->upstream.n ? c->upstream.items : none,
		.max_file_bytes = c->upstream_max_file,
		.max_day_bytes = c->upstream_max_day,
		.per_server = (unsigned)c->upstream_transfers,
		.connect_timeout_ms = c->upstream_connect_timeout_ms,
		.first_byte_timeout_ms = c->upstream_head_start_ms,
		.stall_timeout_ms = c->upstream_stall_timeout_ms,
		.staging_dir = path,
		.user_agent = "unhexd/" UNHEX_VERSION,
	};

	return folder_in(c, "staging", path, e) || upstream_new(&cfg, &a->upstream, e) ? -1 : 0;
}

static int indexer_path(const struct config *c, char out[static PATH_MAX], struct err *e)
{
	if (!c->indexer)
		return subproc_sibling("unhex-indexer", out, e);
	if ((size_t)snprintf(out, PATH_MAX, "%s", c->indexer) >= PATH_MAX)
		return err_set(e, ERR_CONFIG, "--indexer is too long");
	return 0;
}

static int start_binaries(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	char indexer[PATH_MAX];
	char index_dir[PATH_MAX];
	const struct binaries_config cfg = {
		.catalog = a->catalog,
		.blobs = a->blobs,
		.results = a->results,
		.upstream = a->upstream,
		.index_dir = index_dir,
		.indexer_path = indexer,
		.index_workers = (unsigned)c->index_workers,
		.indexer_deadline_ms = c->index_deadline_ms,
		.indexer_max_memory = c->index_memory,
		.absent_s = c->upstream_absent_ms / 1000,
		.error_s = c->upstream_error_ms / 1000,
		.open_indexes = c->open_indexes,
	};

	if (folder_in(c, "index", index_dir, e) || indexer_path(c, indexer, e))
		return -1;
	if (access(indexer, X_OK))
		return err_sys(e, errno, "the indexer %s", indexer);
	return binaries_new(&cfg, &a->binaries, e);
}

static int open_profile_dir(struct app *a, struct err *e)
{
	char path[PATH_MAX];

	if (a->config->profile_store)
		return profile_dir_open(a->config->profile_store, &a->profile_dir, e);
	return path_in(a->config, "profiles", path, e) || profile_dir_open(path, &a->profile_dir, e)
		       ? -1
		       : 0;
}

static int start_profiles(struct app *a, struct err *e)
{
	char path[PATH_MAX];

	if (folder_in(a->config, "push-log", path, e) || push_log_open(path, &a->push_log, e) ||
	    open_profile_dir(a, e))
		return -1;
	return profiles_new(&(struct profiles_config){.binaries = a->binaries,
						      .catalog = a->catalog,
						      .log = a->push_log,
						      .dir = a->profile_dir,
						      .window_ms = a->config->profile_window_ms,
						      .head_bytes = a->config->profile_memory},
			    &a->profiles, e);
}

static int authorize(void *app, const struct request *rq, struct principal *ret, struct err *e)
{
	return auth_authorize(&((struct app *)app)->auth, rq, ret, e);
}

static int start_http(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	const struct http_config cfg = {
		.listen = c->listen,
		.io_threads = (unsigned)c->io_threads,
		.max_connections = (unsigned)c->max_connections,
		.max_connections_per_ip = (unsigned)c->max_connections_per_ip,
		.connection_memory = c->connection_memory,
		.idle_timeout_ms = c->idle_timeout_ms,
		.exchange =
			{
				.routes = app_routes,
				.app = a,
				.authorize = authorize,
				.lanes[LANE_WORK] = {(unsigned)c->work_threads, c->queue},
				.lanes[LANE_INGEST] = {(unsigned)c->ingest_threads, c->queue},
				.max_parked = c->max_waiting,
				.max_body = c->max_body,
				.max_body_memory = c->max_body_memory,
			},
	};

	return http_open(&cfg, &a->http, e) || http_start(a->http, e) ? -1 : 0;
}

// Connections, blobs and mapped indexes all cost descriptors; the soft limit is often 1024.
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int app_start(const struct config *c, struct app **ret, struct err *e)
{
	struct app *a = mem_zalloc(sizeof(*a));

	if (!a)
		return err_nomem(e);
	a->config = c;
	a->lock_fd = -1;
	raise_file_limit();
	if (lock_data_dir(a, e) || open_catalog(a, e) || open_blobs(a, e) || open_results(a, e) ||
	    start_upstream(a, e) || start_binaries(a, e) || start_profiles(a, e) ||
	    leases_new(c->wanted_lease_ms, &a->leases, e) || start_http(a, e)) {
		app_stop(a);
		return -1;
	}
	*ret = a;
	return 0;
}

/*
 * The listener goes first, so that nobody asks any more; then whoever uses a part before the part.
 * What each holds in memory is written on the way.
 */
void app_stop(struct app *a)
{
	if (!a)
		return;
	// A worker that still sits in a probe waits for the indexer: end that, not the patience.
	if (a->http && !http_drain(a->http, a->config->drain_timeout_ms))
		binaries_stop(a->binaries);
	http_stop(a->http);
	leases_free(a->leases);
	if (a->profiles)
		profiles_free(a->profiles);
	if (a->push_log)
		push_log_close(a->push_log);
	if (a->profile_dir)
		profile_dir_close(a->profile_dir);
	if (a->upstream)
		upstream_stop(a->upstream);
	if (a->binaries)
		binaries_free(a->binaries);
	upstream_free(a->upstream);
	if (a->results)
		results_close(a->results);
	if (a->blobs)
		blob_store_close(a->blobs);
	if (a->catalog)
		catalog_close(a->catalog);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	free(a);
}
