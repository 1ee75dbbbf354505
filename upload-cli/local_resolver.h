/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolver over this machine's files, for `unhex symbolize` without a server. A build-ID is looked for
 * as a debug file under the debug folders (DIR/.build-id/ab/cdef….debug, the layout of every distribution),
 * as the file the profile itself names (if its ID matches), and, where DEBUGINFOD_URLS is set, through
 * libdebuginfod. What is found is indexed once by unhex-indexer into a temporary file.
 */
#ifndef UPLOAD_CLI_LOCAL_RESOLVER_H
#define UPLOAD_CLI_LOCAL_RESOLVER_H

#include "base/err.h"
#include "symbolizer/resolver.h"

struct local_resolver;

/* debug_dirs: NULL-terminated, borrowed. */
int local_resolver_new(char *const *debug_dirs, struct local_resolver **ret, struct err *e) MUST_CHECK;
/* The profile says that this file has that build-ID; it is checked before it is believed. */
int local_resolver_hint(struct local_resolver *l, struct str build_id, struct str path,
			struct err *e) MUST_CHECK;
const struct resolver *local_resolver_resolver(struct local_resolver *l);
void local_resolver_free(struct local_resolver *l);

#endif
