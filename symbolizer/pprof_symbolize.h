/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof in, the same pprof with names out (DESIGN: "What comes out"). Each distinct (module, address) is
 * resolved once, in the order of addresses. Every location leaves with at least one line: an unresolved
 * one is `basename+0xVA`. On input, a location whose only line is such a stub (`name+0x…`, `name!0x…`, no
 * file, line 0) counts as unresolved.
 */
#ifndef SYMBOLIZER_PPROF_SYMBOLIZE_H
#define SYMBOLIZER_PPROF_SYMBOLIZE_H

#include "symbolizer/pprof.h"
#include "symbolizer/pprof_stub.h"
#include "symbolizer/resolver.h"

/*
 * What becomes of frames that arrive with real names. BETTER: ours replace them where they name the same
 * function and add something (inline chain, lines, files) without losing anything.
 */
enum rename_policy { RENAME_BETTER, RENAME_NEVER, RENAME_ALWAYS };

struct symbolize_stats {
	size_t locations;
	size_t resolved;   /* named by us in this run */
	size_t unresolved; /* left as a stub */
	size_t kept;       /* arrived with real names and kept them */
	size_t pending_modules; /* distinct build-IDs on their way */
	size_t missing_modules;
	size_t invalid_modules;
	size_t without_build_id; /* unresolved locations whose mapping names no build-ID */
};

/*
 * Called once per distinct build-ID that was looked up, however many mappings have it: what its samples
 * weigh, and whether it resolved. Everything is borrowed for the call.
 */
struct module_weight {
	struct str build_id;
	struct str filename;
	enum module_status status;
	const char *reason;      /* why something is unresolved ("no_symbol", …); NULL: nothing is */
	int64_t weight;          /* of samples with at least one unresolved location there; default sample type */
	struct str unit;
	uint64_t samples;
	size_t unresolved_locations;
};
typedef void symbolize_weight_fn(void *ctx, const struct module_weight *w);

struct symbolize_options {
	enum rename_policy rename;
	bool weigh_only; /* look everything up and tell on_module, but leave the profile as it is */
	bool addresses_are_virtual; /* the producer's contract (rule 1), e.g. OTLP */
	symbolize_weight_fn *on_module; /* may be NULL */
	void *on_module_ctx;
};

/*
 * Rewrites p in place; new lines and functions go to p->arena, so p lives on without the resolver.
 * has_functions is set where every location of a mapping has a line, stubs included; has_filenames and
 * has_line_numbers where all lines of all its resolved locations have them; has_inline_frames where each
 * resolved location's inline chain was looked for (named from DWARF or gopclntab, or kept in a mapping
 * that had the flag). Locations that share a mapping share these flags, mappings without a location keep
 * theirs. Functions that nothing refers to any more are dropped.
 *
 * Errors: the resolver's, ERR_NOMEM (also at the arena's cap); p is then fit for nothing but its arena's
 * end.
 */
int pprof_symbolize(struct pprof *p, const struct resolver *r, const struct symbolize_options *opt,
		    struct symbolize_stats *ret, struct err *e) MUST_CHECK;

#endif
