/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_places.h"

#include "base/mem.h"

int uhx_places_init(struct uhx_places *p, const struct uhx_tables *tables, struct uhx_names *names,
		    struct uhx_nodes *nodes)
{
	*p = (struct uhx_places){.tables = tables, .names = names, .nodes = nodes, .others = MAP64_INIT};
	p->first = mem_calloc(tables->scopes.n, sizeof(*p->first));
	if (!p->first || mem_grow(&nodes->items, &nodes->cap, 1, sizeof(*nodes->items), UINT32_MAX))
		return -1;
	nodes->items[0] = (struct uhx_node){0};
	nodes->n = 1;
	return 0;
}

void uhx_places_deinit(struct uhx_places *p)
{
	free(p->first);
	map64_deinit(&p->others);
}

static uint64_t key_of(uint32_t scope, uint32_t file)
{
	return (uint64_t)scope << 32 | file;
}

static uint32_t find(const struct uhx_places *p, uint32_t scope, uint32_t file)
{
	const struct place *first = &p->first[scope];
	uint64_t node;

	if (first->node && first->file == file)
		return first->node;
	return first->node && map64_get(&p->others, key_of(scope, file), &node) ? (uint32_t)node : 0;
}

static int remember(struct uhx_places *p, uint32_t scope, uint32_t file, uint32_t node)
{
	if (p->first[scope].node)
		return map64_set(&p->others, key_of(scope, file), node);
	p->first[scope] = (struct place){node, file};
	return 0;
}

static uint32_t add(struct uhx_places *p, uint32_t scope, uint32_t file, uint32_t parent)
{
	const struct scope_record *s = uhx_tables_scope(p->tables, scope);
	struct uhx_nodes *nodes = p->nodes;
	struct uhx_node node = {
		.function = uhx_names_function(p->names, s->function, file,
					       (enum frame_source)s->source),
		.parent = parent,
		.call_line = s->call_line,
		.call_column = s->call_column,
	};

	if (mem_grow(&nodes->items, &nodes->cap, nodes->n + 1, sizeof(node), UINT32_MAX) ||
	    remember(p, scope, file, (uint32_t)nodes->n)) {
		p->nomem = true;
		return 0;
	}
	nodes->items[nodes->n] = node;
	return (uint32_t)nodes->n++;
}

uint32_t uhx_places_node(struct uhx_places *p, uint32_t scope, uint32_t file)
{
	struct {
		uint32_t scope;
		uint32_t file;
	} chain[FRAMES_MAX];
	uint32_t node = 0;
	size_t n = 0;

	// Up to one that is known, and from there down again: parents get the smaller numbers.
	while (scope && n < FRAMES_MAX) {
		const struct scope_record *s = uhx_tables_scope(p->tables, scope);

		node = find(p, scope, file);
		if (node)
			break;
		chain[n].scope = scope;
		chain[n++].file = file;
		scope = s->parent;
		file = s->call_file;
	}
	while (n-- > 0 && !p->nomem)
		node = add(p, chain[n].scope, chain[n].file, node);
	return p->nomem ? 0 : node;
}
