/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where names come from, as seen by those who need names: the pprof path and the JSON path ask a
 * resolver, and do not know whether it is the server's (index cache, result cache, fetches on their way)
 * or a tool's (local files). A resolver is used by one thread at a time.
 */
#ifndef SYMBOLIZER_RESOLVER_H
#define SYMBOLIZER_RESOLVER_H

#include "base/err.h"
#include "base/str.h"
#include "symbolizer/frame.h"
#include "symbolizer/program_header.h"

enum module_status {
	MODULE_OK,      /* names are at hand */
	MODULE_PENDING, /* on its way: asking later makes sense */
	MODULE_MISSING, /* nobody has it */
	MODULE_INVALID, /* not a build-ID, or the file was refused; see reason */
};

struct module {
	enum module_status status;
	/*
	 * Why there are no names, NULL when OK: a stable code ("pending", "not_found", "upstream_failed",
	 * "bad_build_id", what indexing failed with), and that in words, which may be NULL. Static or
	 * resolver-owned.
	 */
	const char *reason;
	const char *detail;
	struct program_headers headers; /* n == 0: unknown */
	void *handle;                   /* the resolver's own; released by release() */
};

struct resolver {
	void *ctx;
	/* build_id: text as it came in. Never blocks on fetching or indexing. */
	int (*module)(void *ctx, struct str build_id, struct module *ret, struct err *e);
	/* ret->n == 0: nothing known at that address. Strings live until release(). */
	int (*lookup)(void *ctx, const struct module *m, uint64_t va, struct frames *ret,
		      struct err *e);
	void (*release)(void *ctx, struct module *m);
};

#endif
