/* SPDX-License-Identifier: Apache-2.0 */
/* Building and publishing the index of one binary, on an index worker's thread. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/binaries_internal.h"
#include "server/binaries_metrics.h"
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

struct index_run {
	struct binaries *b;
	struct binary row; /* as it was at the start */
	bool rebuild;      /* the files are those of the current generation; only its index was lost */
	int fds[2];        /* executable, debuginfo; -1: none */
	struct io_pending out;
	char *report;
	struct uhx *index;
	uint64_t ms;
};

static void close_files(struct index_run *r)
{
	for (size_t i = 0; i < countof(r->fds); i++) {
		if (r->fds[i] >= 0)
			close(r->fds[i]);
		r->fds[i] = -1;
	}
}

static void run_deinit(struct index_run *r)
{
	close_files(r);
	io_pending_deinit(&r->out);
	free(r->report);
	uhx_unref(r->index);
}

// ---- input ------------------------------------------------------------------------------------------------

// The files to choose from, best first within a type.
struct choice {
	struct catalog_file *files;
	size_t n;
	int quality; /* of the ELF files chosen so far */
	bool agents; /* those that agents sent count, too */
};

static bool may_use(const struct choice *c, const struct catalog_file *f, enum file_type type)
{
	return f->type == type && (c->agents || f->trust > TRUST_AGENT);
}

// The best file of a type whose blob is still there: its descriptor, -1 with ERR_NONE where there is none.
static int open_best(struct index_run *r, struct choice *c, enum file_type type, struct err *e)
{
	*e = ERR_INIT;
	for (size_t i = 0; i < c->n; i++) {
		struct catalog_file *f = &c->files[i];
		int fd;

		if (!may_use(c, f, type))
			continue;
		fd = blob_open_identity(r->b->cfg.blobs, f->sha256, e);
		if (fd >= 0)
			c->quality = MAX(c->quality, f->quality);
		if (fd >= 0 || e->kind != ERR_NOT_FOUND)
			return fd;
		if (catalog_file_lost(r->b->cfg.catalog, f->id, e))
			return -1;
		*e = ERR_INIT;
	}
	return -1;
}

// An unstripped binary is filed as both: there is no use in reading it twice.
static void drop_twin(struct index_run *r)
{
	struct stat a, b;

	if (r->fds[0] < 0 || r->fds[1] < 0 || fstat(r->fds[0], &a) || fstat(r->fds[1], &b))
		return;
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
		close(r->fds[1]);
		r->fds[1] = -1;
	}
}

static int open_elf(struct index_run *r, struct choice *c, struct err *e)
{
	static const enum file_type types[] = {FILE_EXECUTABLE, FILE_DEBUGINFO};
	struct err why;

	for (size_t i = 0; i < countof(types); i++) {
		if (r->fds[i] >= 0)
			continue;
		r->fds[i] = open_best(r, c, types[i], &why);
		if (r->fds[i] < 0 && why.kind) {
			*e = why;
			return -1;
		}
	}
	drop_twin(r);
	return 0;
}

// A kernel's symbol list, which has no more than names, instead of files that have none.
static int open_list(struct index_run *r, struct choice *c, struct err *e)
{
	struct err why;
	int fd = open_best(r, c, FILE_KALLSYMS, &why);

	if (fd < 0) {
		*e = why;
		return why.kind ? -1 : 0;
	}
	close_files(r);
	r->fds[0] = fd;
	return 0;
}

/*
 * What agents sent fills gaps: it counts where the names in all else are poor. A kernel's symbol list comes
 * last of all, whoever sent it.
 */
static int open_files(struct index_run *r, struct err *e)
{
	_cleanup_free_ struct catalog_file *files = NULL;
	struct choice c = {.n = 0};

	if (catalog_files(r->b->cfg.catalog, r->row.id, &files, &c.n, e))
		return -1;
	c.files = files;
	if (open_elf(r, &c, e))
		return -1;
	c.agents = true;
	if (c.quality < QUALITY_SYMTAB && open_elf(r, &c, e))
		return -1;
	if (c.quality < QUALITY_SYMTAB && open_list(r, &c, e))
		return -1;
	return r->fds[0] < 0 && r->fds[1] < 0 ? INDEX_SKIPPED : 0;
}

// ---- building ---------------------------------------------------------------------------------------------

static int build(struct index_run *r, struct err *e)
{
	bool both = r->fds[0] >= 0 && r->fds[1] >= 0;
	struct indexer_files files = {
		.elf = r->fds[0] >= 0 ? r->fds[0] : r->fds[1],
		.debug = both ? r->fds[1] : -1,
	};
	uint64_t began = clock_mono_ms();

	if (io_pending_open(&r->out, index_cache_dir(r->b->indexes), e))
		return -1;
	files.out = r->out.fd;
	if (indexer_index(r->b->indexer, &files, &r->report, e))
		return -1;
	r->ms = clock_mono_ms() - began;
	metric_observe(&metric_index_seconds, 0, (double)r->ms / 1e3);
	// What the sandbox wrote is not trusted for having come out of it.
	if (uhx_open_fd(r->out.fd, &r->index, e) || uhx_verify(r->index, e))
		return -1;
	return 0;
}

// ---- publishing ---------------------------------------------------------------------------------------------

// Puts the file where generation `generation` is looked for.
static int place(struct index_run *r, uint32_t generation, struct err *e)
{
	char path[INDEX_PATH_MAX];

	if (index_cache_path(r->b->indexes, r->row.id, generation, path, e))
		return -1;
	return io_publish(&r->out, path, e);
}

static int publish_next(struct index_run *r, struct err *e)
{
	const struct uhx_info *info = uhx_info(r->index);
	struct catalog_index ix = {
		.generation = r->row.generation + 1,
		.quality = (int)info->quality,
		.size = info->file_size,
		.report_json = r->report,
		.files_version = r->row.files_version,
	};
	int rc;

	if (place(r, ix.generation, e))
		return -1;
	rc = catalog_set_index(r->b->cfg.catalog, r->row.id, &ix, e);
	if (rc) { // deleted or joined meanwhile, or the disk is full
		index_cache_remove(r->b->indexes, r->row.id, ix.generation);
		return rc < 0 ? -1 : INDEX_SKIPPED;
	}
	binary_cache_changed(r->b->rows, r->row.id);
	if (r->row.generation)
		index_cache_remove(r->b->indexes, r->row.id, r->row.generation);
	return 0;
}

// Results of this generation stay valid; an index that knows less than it did would contradict them.
static int publish_again(struct index_run *r, struct err *e)
{
	if ((int)uhx_info(r->index)->quality < r->row.quality)
		return INDEX_SKIPPED;
	return place(r, r->row.generation, e);
}

static int pardon(struct index_run *r, struct err *e)
{
	_cleanup_free_ struct build_id *ids = NULL;
	size_t n;

	if (catalog_ids(r->b->cfg.catalog, r->row.id, &ids, &n, e))
		return -1;
	binary_cache_pardon(r->b->rows, ids, n);
	return catalog_seen_resolved(r->b->cfg.catalog, r->row.id, e);
}

static int publish(struct index_run *r, struct err *e)
{
	int rc = r->rebuild ? publish_again(r, e) : publish_next(r, e);

	if (rc)
		return rc;
	LOG(LOG_INFO, "indexed", {"binary", LOG_I(r->row.id)},
	    {"generation", LOG_U(r->row.generation + !r->rebuild)},
	    {"quality", LOG_S(quality_name(uhx_info(r->index)->quality))},
	    {"bytes", LOG_U(uhx_info(r->index)->file_size)}, {"ms", LOG_U(r->ms)});
	return pardon(r, e);
}

// ---- the job --------------------------------------------------------------------------------------------------

static int run(struct index_run *r, struct err *e)
{
	int rc = open_files(r, e);

	if (rc)
		return rc;
	if (build(r, e))
		return -1;
	return publish(r, e);
}

static bool is_final(const struct index_run *r, const struct err *why)
{
	if (indexer_failure_may_pass(why))
		return binaries_failed_before(r->b, r->row.id, r->row.files_version);
	return indexer_failure_is_final(why);
}

// A failure that is about the files stays with the binary until others come.
static void record(struct index_run *r, const struct err *why)
{
	struct err e;

	metric_add(&metric_index_failures, index_failure_label(why->kind), 1);
	log_err(LOG_WARN, "index_failed", why,
		(const struct log_field[]){{"binary", LOG_I(r->row.id)}, {NULL, {0}}});
	if (!is_final(r, why))
		return;
	if (catalog_set_failure_at(r->b->cfg.catalog, r->row.id, r->row.files_version,
				   err_code(why->kind), why->msg, &e) < 0)
		log_err(LOG_ERROR, "index_failure_not_recorded", &e, NULL);
	binary_cache_changed(r->b->rows, r->row.id);
}

int index_job(struct binaries *b, int64_t binary, struct err *e)
{
	_cleanup_free_ struct index_run *r = mem_zalloc(sizeof(*r)); // large
	struct err why;
	int rc;

	if (!r)
		return err_nomem(e);
	rc = catalog_get(b->cfg.catalog, binary, &r->row, e);
	if (rc)
		return rc < 0 ? -1 : INDEX_SKIPPED;
	r->b = b;
	r->fds[0] = r->fds[1] = -1;
	r->out = IO_PENDING_INIT;
	r->rebuild = r->row.generation && !r->row.needs_index && !r->row.reason_code[0];
	rc = run(r, &why);
	run_deinit(r);
	if (rc >= 0)
		return rc;
	if (why.kind != ERR_SHUTTING_DOWN)
		record(r, &why);
	*e = why;
	return -1;
}
