/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/gsym_inlines.h"

#include "base/mem.h"
#include "base/pb.h"

enum { NODES_MAX = INT32_MAX };

struct gsym_inline_range {
	uint64_t start;
	uint64_t end;
	uint32_t next; // 0: the last of its node
};

// Children and ranges are lists in order of address; 0 ends one.
struct gsym_inline_node {
	struct gsym_call call;
	uint32_t parent;
	uint32_t first_child;
	uint32_t last_child;
	uint32_t next; // sibling
	uint32_t first_range;
	uint32_t last_range;
	uint32_t range_count;
};

// What makes two calls the same; without padding, for it is compared as bytes.
struct key {
	uint32_t parent;
	struct gsym_call call;
};
_Static_assert(sizeof(struct key) == 16, "no padding");

void gsym_inlines_deinit(struct gsym_inlines *t)
{
	free(t->nodes);
	free(t->ranges);
	str_set_deinit(&t->index);
	arena_deinit(&t->keys);
	*t = GSYM_INLINES_INIT;
}

void gsym_inlines_clear(struct gsym_inlines *t)
{
	t->node_count = t->range_count = t->depth = 0;
	if (!t->index.n)
		return;
	str_set_deinit(&t->index);
	arena_deinit(&t->keys);
}

bool gsym_inlines_any(const struct gsym_inlines *t)
{
	return t->nomem || t->node_count > 1; // encoding tells
}

static uint32_t new_node(struct gsym_inlines *t, uint32_t parent, const struct gsym_call *call)
{
	uint32_t id = (uint32_t)t->node_count;

	if (mem_grow(&t->nodes, &t->node_cap, t->node_count + 1, sizeof(*t->nodes), NODES_MAX)) {
		t->nomem = true;
		return 0;
	}
	t->nodes[t->node_count++] = (struct gsym_inline_node){.call = *call, .parent = parent};
	if (!id)
		return 0;
	if (t->nodes[parent].last_child)
		t->nodes[t->nodes[parent].last_child].next = id;
	else
		t->nodes[parent].first_child = id;
	t->nodes[parent].last_child = id;
	return id;
}

static bool is_call(const struct gsym_inline_node *n, uint32_t parent, const struct gsym_call *call)
{
	return n->parent == parent && n->call.name == call->name && n->call.file == call->file &&
	       n->call.line == call->line;
}

static uint32_t find_node(struct gsym_inlines *t, uint32_t parent, const struct gsym_call *call)
{
	struct key key = {parent, *call};
	uint32_t number;
	int is_new;

	t->index.arena = &t->keys;
	is_new = str_set_copy(&t->index, (struct str){(const char *)&key, sizeof(key)}, &number);
	if (is_new < 0)
		t->nomem = true;
	return is_new > 0 ? new_node(t, parent, call) : is_new < 0 ? 0 : number + 1;
}

static void extend(struct gsym_inlines *t, uint32_t id, uint64_t start, uint64_t end)
{
	struct gsym_inline_node *node = &t->nodes[id];
	uint32_t range = (uint32_t)t->range_count;

	if (node->range_count && t->ranges[node->last_range].end == start) {
		t->ranges[node->last_range].end = end;
		return;
	}
	if (mem_grow(&t->ranges, &t->range_cap, range + 1, sizeof(*t->ranges), NODES_MAX)) {
		t->nomem = true;
		return;
	}
	t->ranges[t->range_count++] = (struct gsym_inline_range){start, end, 0};
	if (node->range_count)
		t->ranges[node->last_range].next = range;
	else
		node->first_range = range;
	node->last_range = range;
	node->range_count++;
}

void gsym_inlines_add(struct gsym_inlines *t, uint64_t start, uint64_t end,
		      const struct gsym_call *calls, size_t n)
{
	static const struct gsym_call none;
	uint32_t parent = 0;

	if (!t->node_count)
		new_node(t, 0, &none);
	for (size_t i = 0; i < n && !t->nomem; i++) {
		// Most rows are inlined like the row before.
		if (i >= t->depth || !is_call(&t->nodes[t->path[i]], parent, &calls[i])) {
			t->path[i] = find_node(t, parent, &calls[i]);
			t->depth = i + 1;
		}
		parent = t->path[i];
		if (!t->nomem)
			extend(t, parent, start, end);
	}
	t->depth = n;
}

static void put_u32(struct buf *b, uint32_t v)
{
	buf_append(b, &v, sizeof(v));
}

// Ranges are told relative to where the first range of the parent starts.
static void put_ranges(const struct gsym_inlines *t, const struct gsym_inline_node *node,
		       uint64_t base, struct buf *out)
{
	uint32_t at = node->first_range;

	pb_put_varint(out, node->range_count);
	for (uint32_t i = 0; i < node->range_count; i++) {
		pb_put_varint(out, t->ranges[at].start - base);
		pb_put_varint(out, t->ranges[at].end - t->ranges[at].start);
		at = t->ranges[at].next;
	}
}

static void put_call(const struct gsym_inline_node *node, struct buf *out)
{
	buf_append_c(out, node->first_child != 0);
	put_u32(out, node->call.name);
	pb_put_varint(out, node->call.file);
	pb_put_varint(out, node->call.line);
}

// The node after `id`; ends the lists of children that end there.
static uint32_t step(const struct gsym_inlines *t, uint32_t id, struct buf *out)
{
	if (t->nodes[id].first_child)
		return t->nodes[id].first_child;
	for (; id; id = t->nodes[id].parent) {
		if (t->nodes[id].next)
			return t->nodes[id].next;
		buf_append_c(out, 0);
	}
	return 0;
}

int gsym_inlines_encode(struct gsym_inlines *t, uint32_t name, uint64_t start, uint64_t end,
			struct buf *out, struct err *e)
{
	if (t->nomem)
		return err_nomem(e);
	t->nodes[0].call.name = name;
	pb_put_varint(out, 1);
	pb_put_varint(out, 0);
	pb_put_varint(out, end - start);
	put_call(&t->nodes[0], out);
	for (uint32_t id = step(t, 0, out); id; id = step(t, id, out)) {
		uint32_t parent = t->nodes[id].parent;

		put_ranges(t, &t->nodes[id],
			   parent ? t->ranges[t->nodes[parent].first_range].start : start, out);
		put_call(&t->nodes[id], out);
	}
	return 0;
}
