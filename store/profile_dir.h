/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded profile store (`dir:PATH`): immutable segments, each one series × one time window of merged
 * pprof, zstd, as a file; one sqlite row per segment, with its labels, time range and the IDs that were
 * unresolved in it. It knows nothing of pprof: bytes in, bytes out. Thread-safe.
 *
 * With the segments it keeps, in the same transaction, up to which position of a push log they hold what
 * was pushed: so a crash at any moment counts nothing twice, and a reader knows what it need not look for
 * elsewhere.
 *
 *   PATH/segments.db
 *   PATH/2026-11-21/HHMMSS-SERIES-N.pb.zst     UTC; SERIES: a hash of the labels; N grows
 *   PATH/tmp/                                  on their way; emptied on open
 */
#ifndef STORE_PROFILE_DIR_H
#define STORE_PROFILE_DIR_H

#include "base/err.h"
#include "base/str.h"

struct profile_dir;

struct profile_label {
	struct str name;
	struct str value;
};

struct profile_series {
	const struct profile_label *labels; /* sorted by name; __name__ among them */
	size_t n;
};

struct profile_segment {
	struct profile_series series;
	int64_t from_unix_ns;
	int64_t to_unix_ns;
	uint64_t samples;
	struct str pprof; /* identity bytes */
	const struct str *unresolved; /* build-ID texts */
	size_t unresolved_count;
};

/* Everything up to a position of the push log of this ID (push_log_id()) is in segments. */
struct profile_taken {
	const char *log;
	uint64_t position;
};

/* ERR_CONFLICT: another process has it open. */
int profile_dir_open(const char *path, struct profile_dir **ret, struct err *e) MUST_CHECK;
void profile_dir_close(struct profile_dir *d);
/* Can it be written at all? ERR_BAD_REQUEST, ERR_TOO_LARGE: never, however often one tries. */
int profile_dir_check(const struct profile_segment *s, struct err *e) MUST_CHECK;
/*
 * All segments become visible together, and with them what is taken (may be NULL), or none (publish files,
 * then one transaction).
 */
int profile_dir_write(struct profile_dir *d, const struct profile_segment *segments, size_t n,
		      const struct profile_taken *taken, struct err *e) MUST_CHECK;
/* How far that log was taken; 0: not at all. */
int profile_dir_taken(struct profile_dir *d, const char *log, uint64_t *ret, struct err *e) MUST_CHECK;

/* Label matchers as in Prometheus: = != =~ !~ (regular expressions are POSIX extended, anchored). */
struct profile_matchers; /* parsed form */
/* `{service_name="api",host=~"web-.*"}` or `process_cpu{…}`; ERR_BAD_REQUEST says where. */
int profile_matchers_parse(struct str text, struct profile_matchers **ret, struct err *e) MUST_CHECK;
bool profile_matchers_match(const struct profile_matchers *m, const struct profile_series *s);
/* The matcher names __name__. */
bool profile_matchers_name_given(const struct profile_matchers *m);
/* A condition NAME=VALUE with a value, if there is one: what an index can look up. */
bool profile_matchers_equality(const struct profile_matchers *m, const char **ret_name,
			       const char **ret_value);
void profile_matchers_free(struct profile_matchers *m);

struct profile_search {
	const struct profile_matchers *matchers; /* NULL: all */
	int64_t from_unix_ns;
	int64_t to_unix_ns;
	struct profile_taken *taken; /* NULL, or with .log set; .position is filled: as of what is found */
};
/*
 * Calls fn with each segment that overlaps [from, to] and matches; pprof bytes are decompressed. A segment
 * whose file is lost or damaged is left out and counted. What fn returns other than 0 ends the query and is
 * returned. What s points to lives until fn returns.
 */
typedef int profile_dir_fn(void *ctx, const struct profile_segment *s, struct err *e);
int profile_dir_query(struct profile_dir *d, const struct profile_search *search, profile_dir_fn *fn,
		      void *ctx, struct err *e) MUST_CHECK;
/* Segments left out of queries since opening. */
uint64_t profile_dir_unreadable(const struct profile_dir *d);

#endif
