/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address ranges painted over one another: at each address the layer added last shows. This is how the
 * innermost inlined function is found (children are added after their parents) and which of two nested
 * symbols names an address (the one that starts later). Owned by one thread; reusable after
 * layers_clear(), which keeps the memory.
 */
#ifndef SYMBOLIZER_INDEXER_LAYERS_H
#define SYMBOLIZER_INDEXER_LAYERS_H

#include "base/base.h"
#include "base/err.h"

struct layer {
	uint64_t start;
	uint64_t end; /* exclusive */
	uint32_t value;
	uint32_t order;
};

struct layers {
	struct layer *items;
	size_t n;
	size_t cap;
	uint32_t *heap;
	size_t heap_cap;
};

#define LAYERS_INIT ((struct layers){NULL, 0, 0, NULL, 0})
enum { LAYERS_MAX = 1 << 26 };

void layers_deinit(struct layers *l);
void layers_clear(struct layers *l);
/* Empty ranges are ignored. ERR_NOMEM, also beyond LAYERS_MAX. */
int layers_add(struct layers *l, uint64_t start, uint64_t end, uint32_t value, struct err *e) MUST_CHECK;

/* Called in address order with pieces that do not overlap, as long as they can be. */
typedef void layers_sink(void *ctx, uint64_t start, uint64_t end, uint32_t value);
/* Reorders the items. ERR_NOMEM. */
int layers_flatten(struct layers *l, layers_sink *sink, void *ctx, struct err *e) MUST_CHECK;

#endif
