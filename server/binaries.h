/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a binary inside the server: known by an ID in a profile, asked of upstream, uploaded,
 * probed, stored, indexed, looked up, answered from the result cache when all else is gone.
 *
 * One flight per binary: whoever asks first starts it (fetch debuginfo, then the executable where names,
 * program headers or pclntab are still missing; probe; store; index; publish), the others join. Waiting is
 * a registration, never a blocked thread.
 *
 * struct binaries is shared by all threads. A struct binaries_view belongs to one request and one thread
 * at a time; it remembers what it found pending.
 */
#ifndef SERVER_BINARIES_H
#define SERVER_BINARIES_H

#include "base/err.h"
#include "base/json.h"
#include "debuginfod/upstream.h"
#include "store/blob.h"
#include "store/catalog.h"
#include "store/results.h"
#include "symbolizer/resolver.h"

struct binaries;
struct waiters;

struct binaries_config {
	struct catalog *catalog;
	struct blob_store *blobs;
	struct results *results;
	struct upstream *upstream; /* never NULL; may have no URLs */
	const char *index_dir;
	const char *indexer_path;     /* unhex-indexer */
	unsigned index_workers;       /* concurrent indexer processes */
	uint64_t indexer_deadline_ms;
	uint64_t indexer_max_memory;
	uint64_t absent_s;            /* how long an upstream's "no" is remembered */
	uint64_t error_s;             /* how long an upstream failure is remembered */
	size_t open_indexes;          /* LRU of mapped indexes */
};

int binaries_new(const struct binaries_config *cfg, struct binaries **ret, struct err *e) MUST_CHECK;
/* Takes no more work, ends indexers and fetches: their callers get ERR_SHUTTING_DOWN. Lookups go on. */
void binaries_stop(struct binaries *b);
/* Stops, wakes every waiter, joins. */
void binaries_free(struct binaries *b);

/* ---- looking up ------------------------------------------------------------------------------- */

struct binaries_view;

int binaries_view_new(struct binaries *b, struct binaries_view **ret, struct err *e) MUST_CHECK;
void binaries_view_free(struct binaries_view *v);
/* A resolver over this view; asking for a module that is not at hand starts its flight. */
const struct resolver *binaries_view_resolver(struct binaries_view *v);
size_t binaries_view_pending(const struct binaries_view *v);
/* Before resolving anew after a wait: forgets what was pending. */
void binaries_view_reset(struct binaries_view *v);

/*
 * Calls wake(ctx) once, from another thread, when every binary found pending has settled or wait_ms is
 * over. BINARIES_SETTLED: nothing was found pending, wake is not called. What could not even be set on its
 * way (too much is) has status "pending", but is not counted or waited for.
 */
enum { BINARIES_SETTLED = 1 };
typedef void binaries_wake(void *ctx);
struct binaries_waiting {
	uint64_t wait_ms;
	binaries_wake *wake; /* may come before binaries_wait() has returned */
	void *ctx;
};
int binaries_wait(struct binaries *b, const struct binaries_view *v, const struct binaries_waiting *w,
		  struct err *e) MUST_CHECK;

/* Others may have requests wait here, too (server/waiters.h); all are woken by binaries_free(). */
struct waiters *binaries_waiters(struct binaries *b);

/* ---- taking in ------------------------------------------------------------------------------- */

struct binaries_upload {
	int fd;                      /* staging file with the identity bytes; stays the caller's */
	const struct build_id *claimed; /* candidates of the URL's ID; one of them must be the file's */
	size_t claimed_count;
	const struct build_id *aliases; /* further IDs of the deployed file (`--for`) */
	size_t alias_count;
	enum file_type type;         /* 0: what the probe says: executable if it is no more, else debuginfo */
	enum trust trust;
	const char *origin;          /* token name or "anonymous" */
	const char *name;            /* basename if the client said one, else NULL */
	bool force;
};

enum binaries_put { BINARIES_STORED = 0, BINARIES_ALREADY = 1, BINARIES_WORSE = 2 };

struct binaries_put_result {
	struct binary binary;
	struct blob_info blob;
	enum file_type type;          /* as stored: a file without debug information is an executable */
	int quality;                  /* of this file (symbolizer/quality.h) */
	char build_id[BUILD_ID_TEXT]; /* the ID it is filed under */
	char *probe_json;             /* free() */
};

/*
 * Blocking (probe, compression, fsync): call on a worker thread. ERR_NOT_ELF, ERR_BAD_ELF,
 * ERR_ID_MISMATCH, ERR_NO_SPACE, ERR_QUOTA, ERR_INDEXER_*. Starts indexing before it returns.
 */
int binaries_put(struct binaries *b, const struct binaries_upload *u, struct binaries_put_result *ret,
		 struct err *e) MUST_CHECK;

/* ---- asking hosts ------------------------------------------------------------------------------- */

struct binaries_wants {
	const struct build_id *ids; /* candidates of one text */
	size_t n;
	bool list;                  /* a kernel, of which the host has a symbol list only */
};
/*
 * Should a host that runs it send it? Where the names at hand are poor, nothing is under way, and no upstream
 * server has it. One that was not asked yet is asked by this.
 */
int binaries_wanted(struct binaries *b, const struct binaries_wants *w, bool *ret, struct err *e) MUST_CHECK;

/* ---- giving out ------------------------------------------------------------------------------- */

struct binaries_ask {
	const struct build_id *ids; /* candidates of the URL's ID */
	size_t n;
	enum file_type type;        /* FILE_DEBUGINFO or FILE_EXECUTABLE */
	bool local_only;            /* hop limit or loop: answer with what is here */
	const char *forwarded;      /* X-Forwarded-For to pass on (debuginfod/protocol.h); NULL: none */
	bool quick;                 /* write nothing: PENDING where that were needed, and ask on a worker */
};

enum binaries_artifact { ARTIFACT_READY = 0, ARTIFACT_PENDING = 1, ARTIFACT_ABSENT = 2 };
/*
 * The blob to serve for /buildid/ID/{debuginfo,executable}: READY with *ret; PENDING: a flight was
 * started or joined, wait with binaries_wait_id(), then ask again; ABSENT. Files of agents are not given.
 * ERR_UPSTREAM: nobody here has it, and upstream could not be asked just now.
 */
int binaries_artifact(struct binaries *b, const struct binaries_ask *ask, struct catalog_file *ret,
		      struct err *e) MUST_CHECK;

/* What a waiter waits for: that no more files will come, or that they are indexed as well. */
enum binaries_until { UNTIL_FILES, UNTIL_INDEXED };
/* As binaries_wait(), for one binary: UNTIL_FILES after binaries_artifact(), UNTIL_INDEXED after a put. */
int binaries_wait_id(struct binaries *b, const struct build_id *ids, size_t n,
		     enum binaries_until until, const struct binaries_waiting *w,
		     struct err *e) MUST_CHECK;

int binaries_delete(struct binaries *b, const struct build_id *ids, size_t n, struct err *e) MUST_CHECK;
/* Adds "flight": {...} facts of a binary's story that only this process knows. */
void binaries_flight_json(struct binaries *b, const struct build_id *ids, size_t n,
			  struct json_out *j);

#endif
