/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the builder's scopes to the nodes of the file. A scope says in which function an address is and
 * what that was inlined into; a node says besides in which file its lines are, so that neither a row
 * nor a call has to. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_UHX_PLACES_H
#define SYMBOLIZER_INDEXER_UHX_PLACES_H

#include "base/map.h"
#include "symbolizer/indexer/uhx_blocks.h"
#include "symbolizer/indexer/uhx_names.h"

/* Most scopes have lines in one file only: the first is kept here, others in a map. */
struct place {
	uint32_t node; /* 0: none yet */
	uint32_t file;
};

struct uhx_places {
	const struct uhx_tables *tables;
	struct uhx_names *names;
	struct uhx_nodes *nodes;
	struct place *first; /* by scope */
	struct map64 others; /* scope, file → node */
	bool nomem;
};

/* What it is given is borrowed. Call uhx_places_deinit() also after -1 (out of memory). */
int uhx_places_init(struct uhx_places *p, const struct uhx_tables *tables, struct uhx_names *names,
		    struct uhx_nodes *nodes) MUST_CHECK;
void uhx_places_deinit(struct uhx_places *p);
/* The node of a scope (not 0) whose lines are in `file`; 0 when out of memory, which latches. */
uint32_t uhx_places_node(struct uhx_places *p, uint32_t scope, uint32_t file);

#endif
