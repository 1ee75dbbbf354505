/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/uhx_names.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/pb.h"
#include "symbolizer/indexer/demangle.h"
#include "symbolizer/uhx_format.h"
#include <string.h>

struct function_key {
	uint32_t function;
	uint32_t file;
	uint32_t source;
};

int uhx_names_init(struct uhx_names *n, struct uhx_tables *tables)
{
	const struct uhx_function_entry no_function = {0};
	const uint32_t no_display = 0;

	*n = (struct uhx_names){
		.tables = tables,
		.strings.bytes = BUF_INIT(UINT32_MAX),
		.cold_strings.bytes = BUF_INIT(UINT32_MAX),
		.functions = BUF_INIT(sizeof(struct uhx_function_entry) * (size_t)UINT32_MAX),
		.displays = BUF_INIT(sizeof(uint32_t) * (size_t)UINT32_MAX),
		.aliases = BUF_INIT(sizeof(struct uhx_alias) * (size_t)UINT32_MAX),
		.demangled = BUF_INIT(DEMANGLE_OUT_MAX),
	};
	buf_append_c(&n->strings.bytes, 0);
	buf_append_c(&n->cold_strings.bytes, 0);
	buf_append(&n->functions, &no_function, sizeof(no_function));
	buf_append(&n->displays, &no_display, sizeof(no_display));
	n->recent = mem_calloc(tables->functions.n, sizeof(*n->recent));
	return n->recent ? record_set_init(&n->set, sizeof(struct function_key)) : -1;
}

void uhx_names_deinit(struct uhx_names *n)
{
	buf_deinit(&n->strings.bytes);
	buf_deinit(&n->cold_strings.bytes);
	free(n->strings.at);
	free(n->cold_strings.at);
	record_set_deinit(&n->set);
	free(n->recent);
	buf_deinit(&n->functions);
	buf_deinit(&n->displays);
	buf_deinit(&n->aliases);
	buf_deinit(&n->demangled);
}

// Makes room for all strings of the tables.
static int grow_pool(struct string_pool *p, size_t n)
{
	if (n <= p->n)
		return 0;
	if (mem_grow(&p->at, &p->cap, n, sizeof(*p->at), UINT32_MAX))
		return -1;
	memset(p->at + p->n, 0, (p->cap - p->n) * sizeof(*p->at));
	p->n = p->cap;
	return 0;
}

static uint32_t put_string(struct uhx_names *n, struct string_pool *p, uint32_t id)
{
	struct str s;

	if (!id)
		return 0;
	if (grow_pool(p, n->tables->strings.n)) {
		n->nomem = true;
		return 0;
	}
	if (!p->at[id]) {
		s = string_table_at(&n->tables->strings, id);
		p->at[id] = (uint32_t)p->bytes.n;
		pb_put_varint(&p->bytes, s.n);
		buf_append_str(&p->bytes, s);
	}
	return p->at[id];
}

static const struct function_record *record_of(const struct uhx_names *n, uint32_t function)
{
	return (const void *)record_set_at(&n->tables->functions, function);
}

static uint32_t file_string(const struct uhx_names *n, uint32_t file)
{
	uint32_t string;

	memcpy(&string, record_set_at(&n->tables->files, file), sizeof(string));
	return string;
}

// The string to show for a function; 0 where that is its linkage name.
static uint32_t display_of(struct uhx_names *n, const struct function_record *f)
{
	bool failed = false;
	uint32_t id;

	if (f->display)
		return f->display == f->linkage ? 0 : f->display;
	buf_clear(&n->demangled);
	if (!demangle(string_table_at(&n->tables->strings, f->linkage), &n->demangled)) {
		n->nomem = n->nomem || n->demangled.nomem;
		return 0;
	}
	id = string_table_put(&n->tables->strings, buf_str(&n->demangled), &failed);
	n->nomem = n->nomem || failed;
	return id == f->linkage ? 0 : id;
}

static void put_function(struct uhx_names *n, const struct function_key *key)
{
	struct function_record f = *record_of(n, key->function);
	const uint32_t max = (1U << UHX_START_LINE_BITS) - 1;
	struct uhx_function_entry entry = {
		.linkage = put_string(n, &n->strings, f.linkage),
		.file = put_string(n, &n->strings, file_string(n, key->file)),
		.start_line = f.start_line <= max ? f.start_line & max : 0,
		.source = key->source & ((1U << (32 - UHX_START_LINE_BITS)) - 1),
	};
	uint32_t display = put_string(n, &n->cold_strings, display_of(n, &f));

	n->displays_needed = n->displays_needed || display;
	buf_append(&n->functions, &entry, sizeof(entry));
	buf_append(&n->displays, &display, sizeof(display));
}

uint32_t uhx_names_function(struct uhx_names *n, uint32_t function, uint32_t file,
			    enum frame_source source)
{
	const struct function_key key = {function, file, source};
	uint32_t recent = n->recent[function];
	size_t known = n->set.n;
	uint32_t id;

	// Most functions have one file and one source.
	if (recent && memcmp(record_set_at(&n->set, recent), &key, sizeof(key)) == 0)
		return recent;
	id = record_set_put(&n->set, &key);
	if (!id)
		n->nomem = true;
	else if (id == known)
		put_function(n, &key);
	n->recent[function] = id;
	return id;
}

static const struct alias_record *alias_at(const struct uhx_names *n, uint32_t i)
{
	return (const void *)record_set_at(&n->tables->aliases, i);
}

// The aliases of each function as a list: head by function, next by alias, 0 ends it.
static void link_aliases(const struct uhx_names *n, uint32_t *head, uint32_t *next)
{
	for (uint32_t i = (uint32_t)n->tables->aliases.n - 1; i > 0; i--) {
		uint32_t function = alias_at(n, i)->function;

		next[i] = head[function];
		head[function] = i;
	}
}

static void put_aliases(struct uhx_names *n, const uint32_t *head, const uint32_t *next)
{
	for (uint32_t id = 1; id < n->set.n; id++) {
		struct function_key key;

		memcpy(&key, record_set_at(&n->set, id), sizeof(key));
		for (uint32_t i = head[key.function]; i; i = next[i]) {
			struct uhx_alias alias = {
				.function = id,
				.linkage = put_string(n, &n->cold_strings, alias_at(n, i)->linkage),
			};

			buf_append(&n->aliases, &alias, sizeof(alias));
		}
	}
}

void uhx_names_finish(struct uhx_names *n)
{
	_cleanup_free_ uint32_t *head = mem_calloc(n->tables->functions.n, sizeof(*head));
	_cleanup_free_ uint32_t *next = mem_calloc(n->tables->aliases.n, sizeof(*next));

	if (head && next) {
		link_aliases(n, head, next);
		put_aliases(n, head, next);
	} else {
		n->nomem = true;
	}
	if (!n->displays_needed)
		buf_clear(&n->displays);
}
