/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of indexes (DIR/BINARY-GENERATION.uhx) and an LRU of those mapped. A caller gets a reference
 * of its own: what is evicted, superseded or deleted meanwhile stays readable until that is given back.
 *
 * Thread-safe. Its lock is innermost and never held while a file is opened or closed.
 */
#ifndef SERVER_INDEX_CACHE_H
#define SERVER_INDEX_CACHE_H

#include "base/err.h"
#include "store/catalog.h"
#include "symbolizer/uhx_reader.h"

struct index_cache;

enum { INDEX_PATH_MAX = 4096 };

int index_cache_new(const char *dir, size_t max_open, struct index_cache **ret, struct err *e) MUST_CHECK;
void index_cache_free(struct index_cache *c); /* accepts NULL */

const char *index_cache_dir(const struct index_cache *c);
int index_cache_path(const struct index_cache *c, int64_t binary, uint32_t generation,
		     char ret[static INDEX_PATH_MAX], struct err *e) MUST_CHECK;

/*
 * 0: *ret is a reference of the caller's. INDEX_NOT_FOUND: no such file, or one that is damaged or of
 * another version (it is removed, for it can be built anew).
 */
enum { INDEX_NOT_FOUND = 1 };
int index_cache_get(struct index_cache *c, int64_t binary, uint32_t generation, struct uhx **ret,
		    struct err *e) MUST_CHECK;
/* Is the file there? Nothing is opened. */
bool index_cache_has_file(const struct index_cache *c, int64_t binary, uint32_t generation);

/* Takes it out of the LRU and unlinks the file. */
void index_cache_remove(struct index_cache *c, int64_t binary, uint32_t generation);

/* At the start: removes what a crash left behind, files that are no binary's current generation. */
int index_cache_sweep(struct index_cache *c, struct catalog *catalog, struct err *e) MUST_CHECK;

#endif
