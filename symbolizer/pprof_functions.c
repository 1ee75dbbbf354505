/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_functions.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"

enum { ITEMS_MAX = 1 << 30 };

enum { SLOTS_MIN = 64 };

// Texts by number. Compared and hashed as bytes.
struct pprof_function_key {
	int64_t start_line;
	uint32_t name, system_name, filename;
	uint32_t own; // position + 1 of a function that none is equal to; 0: any other
};
_Static_assert(sizeof(struct pprof_function_key) == 24, "compared as bytes: no padding");

static int put_text(struct pprof_functions *fs, struct str *s, bool copy, uint32_t *ret)
{
	struct str text = s->n ? *s : STR_EMPTY;
	int is_new = copy ? str_set_copy(&fs->texts, text, ret) :
			    str_set_borrow(&fs->texts, text, ret);

	if (is_new < 0)
		return -1;
	*s = fs->texts.keys[*ret];
	return 0;
}

// Makes the key, and lets the function's text point to the one copy of it.
static int make_key(struct pprof_functions *fs, struct pprof_function *f, bool copy,
		    struct pprof_function_key *ret)
{
	bool mangled = f->system_name.p != f->name.p || f->system_name.n != f->name.n;

	*ret = (struct pprof_function_key){.start_line = f->start_line};
	if (put_text(fs, &f->name, copy, &ret->name))
		return -1;
	if (!mangled) {
		f->system_name = f->name;
		ret->system_name = ret->name;
	} else if (put_text(fs, &f->system_name, copy, &ret->system_name)) {
		return -1;
	}
	return put_text(fs, &f->filename, copy, &ret->filename);
}

static uint64_t hash_of(const struct pprof_function_key *key)
{
	return map_hash(key, sizeof(*key));
}

// The slot of the function with this key, or the free one where it belongs. The table is never full.
static uint32_t *find(const struct pprof_functions *fs, const struct pprof_function_key *key)
{
	size_t mask = fs->slot_count - 1;

	for (size_t i = hash_of(key) & mask;; i = (i + 1) & mask) {
		uint32_t *slot = &fs->slots[i];

		if (!*slot || memcmp(&fs->keys[*slot - 1], key, sizeof(*key)) == 0)
			return slot;
	}
}

static int grow_slots(struct pprof_functions *fs)
{
	size_t count = fs->slot_count ? fs->slot_count * 2 : SLOTS_MIN;
	uint32_t *slots = mem_calloc(count, sizeof(*slots));

	if (!slots)
		return -1;
	free(fs->slots);
	fs->slots = slots;
	fs->slot_count = count;
	for (size_t i = 0; i < fs->n; i++) {
		uint32_t *slot = find(fs, &fs->keys[i]);

		// Of equal functions of the profile the first one is it.
		if (!*slot)
			*slot = (uint32_t)i + 1;
	}
	return 0;
}

static int make_room(struct pprof_functions *fs)
{
	if (fs->n + 1 > fs->slot_count / 2 && grow_slots(fs))
		return -1;
	if (mem_grow(&fs->keys, &fs->key_cap, fs->n + 1, sizeof(*fs->keys), ITEMS_MAX))
		return -1;
	return mem_grow(&fs->items, &fs->cap, fs->n + 1, sizeof(*fs->items), ITEMS_MAX);
}

static void append(struct pprof_functions *fs, const struct pprof_function *f,
		   const struct pprof_function_key *key)
{
	fs->keys[fs->n] = *key;
	fs->items[fs->n++] = *f;
}

// Functions with fields that we do not know are left alone, and new ones are not taken for them.
static int adopt(struct pprof_functions *fs, const struct pprof_function *from)
{
	struct pprof_function f = *from;
	struct pprof_function_key key = {.own = (uint32_t)fs->n + 1};
	uint32_t *slot;

	if ((!f.unknown.n && make_key(fs, &f, false, &key)) || make_room(fs))
		return -1;
	slot = find(fs, &key);
	append(fs, &f, &key);
	if (!*slot)
		*slot = (uint32_t)fs->n;
	return 0;
}

int pprof_functions_init(struct pprof_functions *fs, const struct pprof *p)
{
	*fs = (struct pprof_functions){
		.arena = p->arena,
		.texts = STR_SET_INIT(p->arena),
	};
	for (size_t i = 0; i < p->function_count; i++) {
		if (adopt(fs, &p->functions[i]))
			return -1;
	}
	return 0;
}

void pprof_functions_deinit(struct pprof_functions *fs)
{
	free(fs->items);
	free(fs->keys);
	free(fs->slots);
	str_set_deinit(&fs->texts);
}

static int put(struct pprof_functions *fs, const struct pprof_function *f, uint32_t *ret)
{
	struct pprof_function own = *f;
	struct pprof_function_key key;
	uint32_t *slot;

	own.unknown = STR_EMPTY;
	if (make_key(fs, &own, true, &key) || make_room(fs))
		return -1;
	slot = find(fs, &key);
	if (!*slot) {
		append(fs, &own, &key);
		*slot = (uint32_t)fs->n;
	}
	*ret = *slot - 1;
	return 0;
}

static uint32_t *recent_of(struct pprof_functions *fs, const struct pprof_function *f)
{
	uint64_t where = (uintptr_t)f->name.p * 31 + (uintptr_t)f->filename.p +
			 (uint64_t)f->start_line;

	// Fibonacci hashing: the upper bits are the good ones.
	return &fs->recent[(where * 0x9e3779b97f4a7c15) >> 32 & (PPROF_FUNCTIONS_RECENT - 1)];
}

// By content: other text may lie there by now.
static bool is_known(const struct pprof_function *item, const struct pprof_function *f)
{
	return item->start_line == f->start_line && str_eq(item->name, f->name) &&
	       str_eq(item->system_name, f->system_name) && str_eq(item->filename, f->filename);
}

int pprof_functions_put(struct pprof_functions *fs, const struct pprof_function *f, uint32_t *ret)
{
	uint32_t *recent = recent_of(fs, f);

	if (*recent && is_known(&fs->items[*recent - 1], f)) {
		*ret = *recent - 1;
		return 0;
	}
	if (put(fs, f, ret))
		return -1;
	*recent = *ret + 1;
	return 0;
}

int pprof_functions_lines(struct pprof_functions *fs, const struct frames *f,
			  struct pprof_line **ret)
{
	struct pprof_line *lines = arena_array(fs->arena, f->n, struct pprof_line);

	if (!lines)
		return -1;
	for (size_t i = 0; i < f->n; i++) {
		const struct frame *frame = &f->frame[i];
		const struct pprof_function function = {
			.name = frame->function,
			.system_name = frame->system_name,
			.filename = frame->file,
			.start_line = frame->start_line,
		};

		lines[i] = (struct pprof_line){
			.line = frame->line,
			.column = i ? 0 : frame->column,
			.unknown = STR_EMPTY,
		};
		if (pprof_functions_put(fs, &function, &lines[i].function))
			return -1;
	}
	*ret = lines;
	return 0;
}

static void mark_used(const struct pprof *p, uint32_t *moved)
{
	for (size_t i = 0; i < p->location_count; i++) {
		for (size_t k = 0; k < p->locations[i].line_count; k++)
			moved[p->locations[i].lines[k].function] = 1;
	}
}

static void renumber_lines(struct pprof *p, const uint32_t *moved)
{
	for (size_t i = 0; i < p->location_count; i++) {
		for (size_t k = 0; k < p->locations[i].line_count; k++) {
			struct pprof_line *line = &p->locations[i].lines[k];

			line->function = moved[line->function];
		}
	}
}

int pprof_functions_finish(struct pprof_functions *fs, struct pprof *p)
{
	_cleanup_free_ uint32_t *moved = mem_calloc(fs->n, sizeof(*moved));
	struct pprof_function *kept = arena_array(p->arena, fs->n, struct pprof_function);
	uint32_t n = 0;

	if (!moved || !kept)
		return -1;
	mark_used(p, moved);
	for (size_t i = 0; i < fs->n; i++) {
		if (!moved[i])
			continue;
		kept[n] = fs->items[i];
		moved[i] = n++;
	}
	renumber_lines(p, moved);
	p->functions = kept;
	p->function_count = n;
	return 0;
}
