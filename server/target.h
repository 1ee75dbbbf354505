/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a request line (RFC 9112 3.2.1 origin-form, 3.2.2 absolute-form): path segments and
 * query arguments, percent-decoded once, by us and not by the HTTP library, whose decoding lets %00
 * cut a path short. Everything decoded lives in the arena.
 */
#ifndef SERVER_TARGET_H
#define SERVER_TARGET_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { TARGET_MAX = 16 * 1024, TARGET_SEGMENTS_MAX = 64, TARGET_ARGS_MAX = 128 };

struct target_arg {
	struct str name;
	struct str value;
};

struct target {
	struct str raw;	      /* as sent, for the log; capped */
	struct str path;      /* decoded, with its leading slash */
	struct str *segments; /* between the slashes; a trailing slash makes a last empty one */
	size_t segment_count;
	struct target_arg *args;
	size_t arg_count;
};

/* ERR_BAD_PATH: malformed escapes, NUL, too long, too many segments; ERR_BAD_REQUEST: the query. */
int target_parse(struct arena *a, struct str raw, struct target *ret, struct err *e) MUST_CHECK;

/* The first argument of that name. */
bool target_arg(const struct target *t, const char *name, struct str *ret);

/* Segments from `first` on, with the slashes between them. */
struct str target_tail(const struct target *t, size_t first);

/* Is any of the segments before `end` a "." or ".."? */
bool target_has_dots(const struct target *t, size_t end);

#endif
