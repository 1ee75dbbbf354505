/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debuginfod protocol (debuginfod/protocol.h) plus HEAD, one Range, ETag. A hit that needs no
 * decompression is answered on the I/O thread; the rest goes to a worker. What may pass (overload,
 * an upstream that fails or takes too long) is answered with a TCP reset: clients remember every
 * status other than 200 as "does not exist" for ten minutes.
 */
#include "server/doors.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "debuginfod/protocol.h"
#include "server/app.h"
#include "server/negotiate.h"
#include "server/waiting.h"
#include <inttypes.h>

enum {
	WAIT_MS = 90 * 1000, // what stock clients wait for the first byte
	ASK_AGAIN_MAX = 3,
};

struct fetch {
	struct debuginfod_request asked;
	enum file_type type;
	char forwarded[DEBUGINFOD_FORWARDED_MAX];
	bool local_only;
	uint64_t deadline_ms;
	unsigned asked_again;
	bool found; // on the I/O thread, which then deferred
	struct catalog_file file;
};

static int parse(struct request *rq, struct fetch *f, struct err *e)
{
	struct str path = rq->target.raw;
	const char *mark = memchr(path.p, '?', path.n);

	if (mark)
		path.n = (size_t)(mark - path.p);
	if (debuginfod_parse(path, &f->asked, e))
		return -1;
	build_id_text(&f->asked.ids[0], rq->build_id);
	switch (f->asked.artifact) {
	case DEBUGINFOD_DEBUGINFO:
		f->type = FILE_DEBUGINFO;
		return 0;
	case DEBUGINFOD_EXECUTABLE:
		f->type = FILE_EXECUTABLE;
		return 0;
	default:
		return err_set(e, ERR_NOT_FOUND, "this server does not serve %s yet",
			       debuginfod_artifact_name(f->asked.artifact));
	}
}

static void note_hops(const struct request *rq, struct fetch *f)
{
	struct str before = request_header(rq, "X-Forwarded-For");

	f->local_only = debuginfod_hops(before, upstream_token(app_of(rq)->upstream)) != HOPS_FINE;
	debuginfod_forwarded(before, rq->peer, f->forwarded);
}

static int begin(struct request *rq, struct err *e)
{
	struct fetch *f = rq->state;

	if (f)
		return 0;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return err_nomem(e);
	rq->state = f;
	rq->state_free = free;
	f->deadline_ms = clock_mono_ms() + WAIT_MS;
	note_hops(rq, f);
	return parse(rq, f, e);
}

// ---- what is sent -----------------------------------------------------------------------------

struct copy {
	int fd; // -1: none open
	bool zstd;
	uint64_t offset;
	uint64_t size;
};

static void add_headers(struct request *rq, const struct debuginfod_header *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		respond_header(rq, h[i].name, "%s", h[i].value);
}

static struct str etag_of(const struct debuginfod_header *h, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_is(str_from(h[i].name), "ETag"))
			return str_from(h[i].value);
	}
	return STR_EMPTY;
}

// A range that was made for another representation is void (RFC 9110, 13.1.5).
static bool range_holds(const struct request *rq, struct str etag)
{
	struct str condition = request_header(rq, "If-Range");

	return !condition.n || str_eq(condition, etag);
}

static void answer(struct request *rq, struct copy *c, struct str etag)
{
	uint64_t whole = c->size;
	enum range_outcome range = RANGE_NONE;

	if (debuginfod_etag_matches(request_header(rq, "If-None-Match"), etag)) {
		respond_empty(rq, 304);
		return;
	}
	if (!c->zstd && range_holds(rq, etag))
		range = range_parse(request_header(rq, "Range"), whole, &c->offset, &c->size);
	if (range == RANGE_UNSATISFIABLE) {
		respond_empty(rq, 416);
		respond_header(rq, "Content-Range", "bytes */%" PRIu64, whole);
		return;
	}
	respond_fd(rq, range == RANGE_ONE ? 206 : 200, "application/octet-stream", steal_fd(&c->fd),
		   c->offset, c->size);
	if (range == RANGE_ONE)
		respond_header(rq, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
			       c->offset, c->offset + c->size - 1, whole);
	if (c->zstd)
		respond_header(rq, "Content-Encoding", "zstd");
}

/*
 * The stored bytes for who takes zstd and wants the whole; else the identity copy, which is made on
 * first use: too long for an I/O thread.
 */
static int open_copy(struct request *rq, const struct catalog_file *file, struct copy *c,
		     struct err *e)
{
	struct blob_store *blobs = app_of(rq)->blobs;

	c->zstd = accept_weight(request_header(rq, "Accept-Encoding"), "zstd") &&
		  !request_header(rq, "Range").n;
	c->size = c->zstd ? file->stored_size : file->size;
	if (c->zstd)
		c->fd = blob_open_stored(blobs, file->sha256, e);
	else if (rq->on_io_thread)
		c->fd = blob_open_identity_hot(blobs, file->sha256);
	else
		c->fd = blob_open_identity(blobs, file->sha256, e);
	if (c->fd >= 0)
		return DOOR_DONE;
	return !c->zstd && rq->on_io_thread ? DOOR_DEFER : -1;
}

static int send_file(struct request *rq, struct fetch *f, struct err *e)
{
	const struct catalog_file *file = &f->file;
	struct debuginfod_header h[DEBUGINFOD_HEADERS_MAX];
	struct debuginfod_answer a = {
		.size = file->size,
		.sha256 = file->sha256,
		.modified_unix_s = file->added_unix_s,
	};
	struct copy c = {.fd = -1};
	struct binary b;
	size_t n;
	int rc = open_copy(rq, file, &c, e);

	if (rc != DOOR_DONE)
		return rc;
	if (catalog_find(app_of(rq)->catalog, f->asked.ids, f->asked.id_count, &b, NULL) == 0)
		a.file = b.name[0] ? b.name : NULL;
	a.encoding = c.zstd ? "zstd" : NULL;
	n = debuginfod_headers(&a, h);
	answer(rq, &c, etag_of(h, n));
	add_headers(rq, h, n);
	if (c.fd >= 0)
		close(c.fd);
	return DOOR_DONE;
}

// ---- the walk ---------------------------------------------------------------------------------

static int refuse_large(struct request *rq, uint64_t max)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "File too large, max size=%" PRIu64 "\n", max);

	respond_bytes(rq, 406, "text/plain", (struct str){text, (size_t)n});
	return DOOR_DONE;
}

static int wait_for_files(struct request *rq, struct fetch *f, struct err *e)
{
	int rc;

	if (rq->on_io_thread)
		return DOOR_DEFER;
	rc = wait_for_binary(rq, app_of(rq)->binaries,
			     &(struct wait_binary){.ids = f->asked.ids,
						   .n = f->asked.id_count,
						   .until = UNTIL_FILES,
						   .deadline_ms = f->deadline_ms},
			     e);
	if (rc != DOOR_DONE)
		return rc;
	// It may have settled between the two questions; then asking again has an answer.
	if (f->asked_again++ < ASK_AGAIN_MAX)
		return DOOR_DONE;
	return err_set(e, ERR_TIMEOUT, "%s is still on its way", rq->build_id);
}

static int artifact(struct request *rq, struct fetch *f, struct err *e)
{
	const struct binaries_ask ask = {
		.ids = f->asked.ids,
		.n = f->asked.id_count,
		.type = f->type,
		.local_only = f->local_only,
		.quick = rq->on_io_thread,
		.forwarded = f->forwarded[0] ? f->forwarded : NULL,
	};

	return binaries_artifact(app_of(rq)->binaries, &ask, &f->file, e);
}

// ARTIFACT_READY with f->file, ARTIFACT_ABSENT, -1; the door goes on only where *ret_door is
// DOOR_DONE.
static int find(struct request *rq, struct fetch *f, int *ret_door, struct err *e)
{
	int rc;

	*ret_door = DOOR_DONE;
	if (f->found)
		return ARTIFACT_READY;
	while ((rc = artifact(rq, f, e)) == ARTIFACT_PENDING) {
		*ret_door = wait_for_files(rq, f, e);
		if (*ret_door != DOOR_DONE)
			return *ret_door < 0 ? -1 : ARTIFACT_PENDING;
	}
	f->found = rc == ARTIFACT_READY;
	return rc;
}

int door_buildid(struct request *rq, struct err *e)
{
	struct fetch *f;
	uint64_t max;
	int door;
	int rc;

	if (begin(rq, e))
		return -1;
	f = rq->state;
	rc = find(rq, f, &door, e);
	if (rc < 0 || door != DOOR_DONE)
		return rc < 0 ? -1 : door;
	if (rc == ARTIFACT_ABSENT)
		return err_set(e, ERR_NOT_FOUND, "not found");
	max = debuginfod_max_size(request_header(rq, "X-DEBUGINFOD-MAXSIZE"));
	return f->file.size > max ? refuse_large(rq, max) : send_file(rq, f, e);
}
