/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.db: which binaries exist, under which IDs, what files we hold of them and from where, which
 * index is current, what upstream servers answered, which tokens may do what, and which IDs profiles
 * asked for. sqlite, WAL; one writer thread owns the writing connection and groups what is queued into
 * one transaction; readers use a pool of read-only connections. Thread-safe; every call is short (reads:
 * microseconds) except that a write returns when it is on disk.
 *
 * A binary is a row; its IDs (kind, bytes) are the alias table. Adding a file whose IDs belong to
 * different binaries joins them: the older row survives. A binary has at most one GNU and one Go build-ID:
 * what differs in one of these is never joined, whoever asks for it.
 *
 * Which data wins: trust first, then quality (DESIGN "State").
 */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "base/build_id.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"

struct catalog;

int catalog_open(const char *path, struct catalog **ret, struct err *e) MUST_CHECK;
void catalog_close(struct catalog *c);

enum catalog_outcome { CATALOG_NOT_FOUND = 1, CATALOG_EXISTS = 2, CATALOG_WORSE = 3 };

/* Numbers are stored: never renumber. */
enum file_type { FILE_DEBUGINFO = 1, FILE_EXECUTABLE = 2, FILE_SOURCES = 3, FILE_KALLSYMS = 4 };
enum trust { TRUST_AGENT = 1, TRUST_UPSTREAM = 2, TRUST_UPLOAD = 3 };

const char *file_type_name(enum file_type t);
bool file_type_parse(struct str s, enum file_type *ret);
const char *trust_name(enum trust t); /* "agent", "upstream", "upload" */

/* One binary as the server needs it on every lookup. */
struct binary {
	int64_t id;
	uint32_t generation;   /* of the current index; 0: never indexed */
	int quality;           /* of the current index (symbolizer/quality.h) */
	bool index_current;    /* an index of `generation` was published (its file may be lost) */
	bool needs_index;      /* files were added since an index was last made or tried */
	uint32_t files_version; /* counts additions of files: hand it to catalog_set_index() */
	char name[256];        /* basename it was seen under, or "" */
	char reason_code[64];  /* why indexing failed, "" otherwise */
	char reason[512];
	char machine[16];
	size_t headers_size;   /* bytes of packed struct program_header */
	bool headers_trusted;
	uint8_t headers[256 * 48];
};

/* By any of the ids (candidates of build_id_parse()). 0 or CATALOG_NOT_FOUND. */
int catalog_find(struct catalog *c, const struct build_id *ids, size_t n, struct binary *ret,
		 struct err *e) MUST_CHECK;
int catalog_get(struct catalog *c, int64_t binary, struct binary *ret, struct err *e) MUST_CHECK;

struct catalog_file {
	int64_t id;
	enum file_type type;
	enum trust trust;
	int quality;
	char sha256[SHA256_HEX];
	uint64_t size;
	uint64_t stored_size;
	char origin[512]; /* token name, upstream URL */
	int64_t added_unix_s;
};

struct catalog_new_file {
	const struct build_id *ids;
	size_t id_count;
	struct catalog_file file; /* id and added are ignored */
	const char *name;         /* basename, may be NULL */
	const char *machine;
	const void *headers;      /* packed program headers, may be NULL */
	size_t headers_size;
	bool headers_trusted;
	const char *probe_json;   /* kept for GET /v1/debuginfo/ID; may be NULL */
	bool force;               /* replace even if no better */
};

/*
 * Registers IDs and file in one transaction and marks the binary as in need of an index. 0 added;
 * CATALOG_EXISTS: the same bytes of that type were there (IDs are still joined); CATALOG_WORSE: other
 * bytes are there and these are no better. *ret is set in all three. The first ID says whose file it is:
 * ERR_ID_MISMATCH when that is a binary of another GNU or Go build-ID, or when the IDs contradict each
 * other. Further IDs that belong to such a binary stay there.
 */
int catalog_add_file(struct catalog *c, const struct catalog_new_file *f, struct binary *ret,
		     struct err *e) MUST_CHECK;
/*
 * Only the IDs, and only of a binary that is known by one of them: what is known of a file that was not
 * taken. Of *f, ids and file.trust count. 0, CATALOG_NOT_FOUND; ERR_ID_MISMATCH as above.
 */
int catalog_add_ids(struct catalog *c, const struct catalog_new_file *f, struct binary *ret,
		    struct err *e) MUST_CHECK;
/* Where catalog_add_file() would put a file with these IDs: 0, CATALOG_NOT_FOUND; ERR_ID_MISMATCH. */
int catalog_home(struct catalog *c, const struct build_id *ids, size_t n, struct binary *ret,
		 struct err *e) MUST_CHECK;
/* The files of a binary, best first within a type; *ret is released with free(). */
int catalog_files(struct catalog *c, int64_t binary, struct catalog_file **ret, size_t *ret_n,
		  struct err *e) MUST_CHECK;
int catalog_ids(struct catalog *c, int64_t binary, struct build_id **ret, size_t *ret_n,
		struct err *e) MUST_CHECK;
/* The best file of a type, or CATALOG_NOT_FOUND. */
int catalog_best_file(struct catalog *c, int64_t binary, enum file_type type,
		      struct catalog_file *ret, struct err *e) MUST_CHECK;
/* Does any file have this blob? */
int catalog_blob_used(struct catalog *c, const char *sha256, bool *ret, struct err *e) MUST_CHECK;
/* Is there any file at all? */
int catalog_has_files(struct catalog *c, bool *ret, struct err *e) MUST_CHECK;
/* The blob of this file is lost (found out on opening it). */
int catalog_file_lost(struct catalog *c, int64_t file, struct err *e) MUST_CHECK;

struct catalog_index {
	uint32_t generation;
	int quality;
	uint64_t size;
	const char *report_json; /* may be NULL; one JSON document otherwise */
	/* struct binary.files_version the index was made from, so that files that came meanwhile ask for
	 * another one; 0: whatever is there now. */
	uint32_t files_version;
};
/* CATALOG_NOT_FOUND: deleted or joined meanwhile. ERR_CONFLICT: generation does not grow. */
int catalog_set_index(struct catalog *c, int64_t binary, const struct catalog_index *ix,
		      struct err *e) MUST_CHECK;
/*
 * Binaries with files newer than their index and no failure recorded, oldest first: a crash came between
 * storing and indexing. *ret (ids of rows) is released with free().
 */
int catalog_unindexed(struct catalog *c, int64_t **ret, size_t *ret_n, struct err *e) MUST_CHECK;
/* Indexing failed for good with these files; a new file clears it. CATALOG_NOT_FOUND as above. */
int catalog_set_failure(struct catalog *c, int64_t binary, const char *code, const char *detail,
			struct err *e) MUST_CHECK;
/* The same for the files of files_version: nothing is set when others have come since. */
int catalog_set_failure_at(struct catalog *c, int64_t binary, uint32_t files_version,
			   const char *code, const char *detail, struct err *e) MUST_CHECK;

/* Everything known of one binary, as the JSON of GET /v1/debuginfo/ID. CATALOG_NOT_FOUND. */
int catalog_story_json(struct catalog *c, const struct build_id *ids, size_t n, struct buf *out,
		       struct err *e) MUST_CHECK;
/* {"binaries":[…],"next":"cursor"|null}; after: cursor or empty. */
int catalog_list_json(struct catalog *c, struct str after, size_t limit, struct buf *out,
		      struct err *e) MUST_CHECK;
/* Removes rows; *ret_sha (one block, free()) are the blobs nobody uses any more. CATALOG_NOT_FOUND. */
int catalog_delete(struct catalog *c, int64_t binary, char (**ret_sha)[SHA256_HEX], size_t *ret_n,
		   struct err *e) MUST_CHECK;

/* ---- what upstream servers said -------------------------------------------------------------- */

enum upstream_answer { UPSTREAM_FOUND = 1, UPSTREAM_ABSENT = 2, UPSTREAM_ERROR = 3 };

/*
 * The answer remembered for (id, type), if its time is not over; else CATALOG_NOT_FOUND. But for
 * UPSTREAM_FOUND, what would hold for longer than catalog_upstream_longest() said does not count, either:
 * it was noted before the clock was set back.
 */
int catalog_upstream_get(struct catalog *c, const struct build_id *id, enum file_type type,
			 enum upstream_answer *ret, struct err *e) MUST_CHECK;
int catalog_upstream_put(struct catalog *c, const struct build_id *id, enum file_type type,
			 enum upstream_answer answer, int64_t until_unix_s, const char *detail,
			 struct err *e) MUST_CHECK;
/* In words: not uploaded, and why no upstream server gave it. Static. */
const char *catalog_why_absent(bool asks_upstream, bool can_be_asked_for);
/* For how long an answer is put at most; once, before other threads read. Not said: it is not checked. */
void catalog_upstream_longest(struct catalog *c, uint64_t seconds);
/* Whether upstream servers are asked at all, for those words; once, before other threads read. */
void catalog_asks_upstream(struct catalog *c, bool yes);
/* Forget what was said of an ID: an upload has come. */
int catalog_upstream_forget(struct catalog *c, const struct build_id *ids, size_t n,
			    struct err *e) MUST_CHECK;

/* ---- IDs seen in profiles ----------------------------------------------------------------------- */

struct catalog_seen {
	char build_id[BUILD_ID_TEXT]; /* text form; "" for mappings without one */
	char filename[256];           /* basename */
	int64_t weight;               /* lost to unresolved locations, in unit */
	char unit[32];
	uint64_t samples;
	int64_t last_seen_unix_s;
};
/* Adds weights; queued, not waited for. */
int catalog_seen_add(struct catalog *c, const struct catalog_seen *s, size_t n, struct err *e) MUST_CHECK;
/*
 * {"missing":[{"build_id","filename","weight","unit","share","samples","last_seen","reason","fix"}]},
 * heaviest first: seen IDs with lost weight that still have no index or one that did not help. `fix` is
 * the command that would help.
 */
int catalog_missing_json(struct catalog *c, size_t limit, struct buf *out, struct err *e) MUST_CHECK;
/* An index came: weight lost to this binary until now is forgotten. */
int catalog_seen_resolved(struct catalog *c, int64_t binary, struct err *e) MUST_CHECK;

/*
 * A push ID (RawSample.ID) counts once: the push-log position that came with it first owns it. First the
 * IDs of many are claimed, in one transaction, those of lower positions first; then each is asked about,
 * which only reads: 0: this position owns it (or nobody does), CATALOG_EXISTS: another does. Kept for a day.
 */
struct catalog_push {
	struct str id;
	uint64_t position;
};
int catalog_push_claim(struct catalog *c, const struct catalog_push *p, size_t n, struct err *e) MUST_CHECK;
int catalog_push_counts(struct catalog *c, const struct catalog_push *p, struct err *e) MUST_CHECK;

/* ---- tokens: 32 random bytes, shown once, stored as SHA-256 -------------------------------------- */

/* SCOPE_AGENT: push, ask what is wanted, and upload it with the trust of an agent. */
enum token_scope {
	SCOPE_READ = 1,
	SCOPE_PUSH = 2,
	SCOPE_UPLOAD = 4,
	SCOPE_ADMIN = 8,
	SCOPE_AGENT = 16,
};
struct token_info {
	char name[64];
	unsigned scopes;
	int64_t created_unix_s;
	bool revoked;
};
/* name: 1..63 of [A-Za-z0-9._-], else ERR_USAGE; one in use is ERR_CONFLICT (a revoked one may be used again). */
int token_create(struct catalog *c, const char *name, unsigned scopes, char ret_token[static 80],
		 struct err *e) MUST_CHECK;
int token_list(struct catalog *c, struct token_info **ret, size_t *ret_n, struct err *e) MUST_CHECK;
/* ERR_NOT_FOUND when no token in use has that name. */
int token_revoke(struct catalog *c, const char *name, struct err *e) MUST_CHECK;
/* 0 with *ret, or CATALOG_NOT_FOUND (unknown or revoked). */
int token_check(struct catalog *c, struct str token, struct token_info *ret, struct err *e) MUST_CHECK;
/* Is there any token that has not been revoked? */
int token_any(struct catalog *c, bool *ret, struct err *e) MUST_CHECK;

#endif
