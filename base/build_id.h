/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity of a binary: (kind, bytes), and its one text form used in URLs, pprof, JSON and sqlite.
 *
 *   gnu   lower-case hex                      NT_GNU_BUILD_ID of owner "GNU"
 *   go    "go-" + hex of the ASCII build ID   the Go note (owner "Go", type 4)
 *   htl   "htl-" + 32 hex                     SHA-256 over first 4 KiB, last 4 KiB and length of the
 *                                             file, first 16 bytes, as the OpenTelemetry profiler does
 */
#ifndef BASE_BUILD_ID_H
#define BASE_BUILD_ID_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum build_id_kind { BUILD_ID_GNU = 0, BUILD_ID_GO = 1, BUILD_ID_HTL = 2 };

enum {
	BUILD_ID_MAX = 128,                     /* bytes */
	BUILD_ID_TEXT = 4 + 2 * BUILD_ID_MAX + 1, /* text form with NUL */
	BUILD_ID_MIN_GNU = 2,
};

struct build_id {
	enum build_id_kind kind;
	uint8_t size;
	uint8_t bytes[BUILD_ID_MAX];
};

const char *build_id_kind_name(enum build_id_kind kind); /* "gnu", "go", "htl" */
void build_id_text(const struct build_id *id, char out[static BUILD_ID_TEXT]);
bool build_id_eq(const struct build_id *a, const struct build_id *b);
int build_id_set(struct build_id *id, enum build_id_kind kind, const void *bytes, size_t n,
		 struct err *e) MUST_CHECK;

/*
 * Accepts the text forms in any case, a raw Go build ID (recognised by its slashes), hex. Writes the
 * candidates to try in order: 32 bare hex digits give two (GNU, then file hash), anything else one.
 * Returns their number, or -1 with ERR_BAD_BUILD_ID.
 */
int build_id_parse(struct str text, struct build_id ret[static 2], struct err *e) MUST_CHECK;

/* The htl hash of an open file. */
int build_id_htl(int fd, struct build_id *ret, struct err *e) MUST_CHECK;

#endif
