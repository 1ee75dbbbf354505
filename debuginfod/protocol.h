/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debuginfod protocol as seen from a server, free of any HTTP library: what a URL asks for, what the
 * headers of an answer are, and how far a question may travel. Pure functions, no state.
 *
 * Source: elfutils debuginfod(8), section "WEBAPI"; the headers as elfutils 0.190 and later send them.
 * Where elfutils is lax and no client relies on it, this is strict: "/debuginfo/xyz" is not found.
 */
#ifndef DEBUGINFOD_PROTOCOL_H
#define DEBUGINFOD_PROTOCOL_H

#include "base/build_id.h"
#include "base/err.h"
#include "base/str.h"

enum debuginfod_artifact {
	DEBUGINFOD_DEBUGINFO,
	DEBUGINFOD_EXECUTABLE,
	DEBUGINFOD_SOURCE,
	DEBUGINFOD_SECTION,
};

enum {
	DEBUGINFOD_NAME_MAX = 4096, /* bytes of a source path or a section name, with NUL */
	DEBUGINFOD_ID_MAX = 1024,   /* bytes of the ID as written in the URL */
};

struct debuginfod_request {
	struct build_id ids[2]; /* candidates, in the order to try */
	size_t id_count;
	enum debuginfod_artifact artifact;
	char name[DEBUGINFOD_NAME_MAX];      /* source path or section name, decoded; else "" */
	char canonical[DEBUGINFOD_NAME_MAX]; /* source: without "//", "." and ".." (RFC 3986, 5.2.4) */
};

const char *debuginfod_artifact_name(enum debuginfod_artifact a); /* "debuginfo", … */

/*
 * path: of the URL, as sent, percent-encoded, without query. ERR_NOT_FOUND: no such artifact;
 * ERR_BAD_BUILD_ID; ERR_BAD_PATH: a bad escape, a NUL, a name that is missing or too long.
 */
int debuginfod_parse(struct str path, struct debuginfod_request *ret, struct err *e) MUST_CHECK;

/* ---- the answer --------------------------------------------------------------------------------- */

enum { DEBUGINFOD_HEADERS_MAX = 8, DEBUGINFOD_HEADER_VALUE = 1024 };

struct debuginfod_header {
	const char *name; /* static */
	char value[DEBUGINFOD_HEADER_VALUE];
};

struct debuginfod_answer {
	uint64_t size;           /* identity bytes */
	const char *file;        /* name to give; may be NULL. Made safe for a header */
	const char *sha256;      /* hex, of the identity bytes */
	const char *encoding;    /* of the body, as in Content-Encoding; NULL: identity */
	int64_t modified_unix_s; /* 0: unknown */
};

/*
 * X-DEBUGINFOD-SIZE, X-DEBUGINFOD-FILE, ETag, Last-Modified, Cache-Control, Accept-Ranges, Vary. Content-*
 * are the HTTP layer's. Returns their number. Each encoding has an ETag of its own (RFC 9110, 8.8.3).
 */
size_t debuginfod_headers(const struct debuginfod_answer *a,
			  struct debuginfod_header ret[static DEBUGINFOD_HEADERS_MAX]);

/* Does If-None-Match name this ETag (or "*")? Weak comparison (RFC 9110, 13.1.2). */
bool debuginfod_etag_matches(struct str if_none_match, struct str etag);

/*
 * X-DEBUGINFOD-MAXSIZE: the largest body the client wants; a larger one is answered 406. Anything but a
 * number is no limit, as with elfutils. Empty: header absent.
 */
uint64_t debuginfod_max_size(struct str header);

/* ---- how far a question travels ------------------------------------------------------------------- */

/*
 * Every federating server appends an entry to X-Forwarded-For. A question with too many entries, or with
 * our own token (upstream_token()), has gone round: it is answered from what is here, nobody is asked.
 */
enum debuginfod_hops { HOPS_FINE, HOPS_TOO_MANY, HOPS_LOOP };
enum { DEBUGINFOD_HOPS_MAX = 8, DEBUGINFOD_FORWARDED_MAX = 1024 };

enum debuginfod_hops debuginfod_hops(struct str forwarded_for, const char *token);
/* "a, b" and the peer's address make "a, b, peer", what is passed on; "" when it does not fit. */
void debuginfod_forwarded(struct str forwarded_for, const char *peer,
			  char ret[static DEBUGINFOD_FORWARDED_MAX]);

#endif
