/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/stacks.h"

#include "agent-lite/process/clean_text.h"
#include "base/mem.h"

#include <string.h>

enum { ARENA_BYTES_PER_STACK = 1 << 10 };

/* Of locations, names, modules. */
static size_t items_max(const struct stacks *s)
{
	return s->max * 16;
}

/* The first byte of an index key: one map serves five tables. */
enum tag { TAG_NAME, TAG_FUNCTION, TAG_MODULE, TAG_LOCATION, TAG_STACK };

struct location_key {
	uint64_t tag;
	uint32_t module;
	uint32_t function;
	uint64_t address;
};

struct module_key {
	uint64_t tag;
	const struct module *module;
};

struct stack_key {
	uint32_t tag;
	uint32_t type;
	uint64_t pid;
	uint32_t comm;
	uint32_t thread;
	uint32_t locations[STACK_DEPTH_MAX];
};

void stacks_init(struct stacks *s, size_t max_stacks)
{
	*s = (struct stacks){
		.arena = ARENA_INIT(max_stacks * ARENA_BYTES_PER_STACK),
		.index = MAP_INIT,
		.max = max_stacks,
	};
}

void stacks_deinit(struct stacks *s)
{
	for (size_t i = 0; i < s->module_count; i++)
		module_unref(s->modules[i]);
	free(s->names);
	free(s->functions);
	free(s->modules);
	free(s->locations);
	free(s->stacks);
	map_deinit(&s->index);
	arena_deinit(&s->arena);
	stacks_init(s, s->max);
}

static bool look_up(const struct stacks *s, struct str key, uint32_t *ret)
{
	uintptr_t found = (uintptr_t)map_get(&s->index, key);

	if (!found)
		return false;
	*ret = (uint32_t)(found - 1);
	return true;
}

static int remember(struct stacks *s, struct str key, size_t position, struct err *e)
{
	if (map_set(&s->index, key, (void *)(uintptr_t)(position + 1), NULL) < 0)
		return err_nomem(e);
	return 0;
}

/* A table of texts in the arena: names or functions. */
struct texts {
	const char ***items;
	size_t *n, *cap;
	enum tag tag;
	size_t text_max;
};

static int add_text(struct stacks *s, const struct texts *t, struct str key, struct str text,
		    struct err *e)
{
	char *copy;

	if (*t->n >= items_max(s))
		return STACKS_FULL;
	copy = arena_alloc(&s->arena, text.n + 1);
	if (!copy)
		return STACKS_FULL;
	memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	clean_text(copy);
	if (mem_grow(t->items, t->cap, *t->n + 1, sizeof(**t->items), items_max(s)) < 0)
		return err_nomem(e);
	if (remember(s, key, *t->n, e) < 0)
		return -1;
	(*t->items)[(*t->n)++] = copy;
	return 0;
}

static int intern_text(struct stacks *s, const struct texts *t, const char *text, uint32_t *ret,
		       struct err *e)
{
	char key[1 + STACK_FUNCTION_MAX] = {(char)t->tag};
	size_t n = strnlen(text, t->text_max);
	struct str bytes = {key, n + 1};
	int r;

	memcpy(key + 1, text, n);
	if (look_up(s, bytes, ret))
		return 0;
	r = add_text(s, t, bytes, (struct str){key + 1, n}, e);
	if (r == 0)
		*ret = (uint32_t)*t->n - 1;
	return r;
}

static int intern_name(struct stacks *s, const char *name, uint32_t *ret, struct err *e)
{
	const struct texts names = {&s->names, &s->name_count, &s->name_cap, TAG_NAME,
				    STACK_NAME_MAX};

	return intern_text(s, &names, name, ret, e);
}

/* *ret: 0 where there is none. */
static int intern_function(struct stacks *s, const char *function, uint32_t *ret, struct err *e)
{
	const struct texts functions = {&s->functions, &s->function_count, &s->function_cap,
					TAG_FUNCTION, STACK_FUNCTION_MAX};
	uint32_t at;
	int r;

	*ret = 0;
	if (!function || !*function)
		return 0;
	r = intern_text(s, &functions, function, &at, e);
	if (r == 0)
		*ret = at + 1;
	return r;
}

static int intern_module(struct stacks *s, struct module *m, uint32_t *ret, struct err *e)
{
	struct module_key key = {TAG_MODULE, m};
	struct str bytes = {(const char *)&key, sizeof(key)};

	if (look_up(s, bytes, ret))
		return 0;
	if (s->module_count >= items_max(s))
		return STACKS_FULL;
	if (mem_grow(&s->modules, &s->module_cap, s->module_count + 1, sizeof(*s->modules),
		     items_max(s)) < 0)
		return err_nomem(e);
	if (remember(s, bytes, s->module_count, e) < 0)
		return -1;
	*ret = (uint32_t)s->module_count;
	s->modules[s->module_count++] = module_ref(m);
	return 0;
}

static int intern_location(struct stacks *s, const struct frame *f, uint32_t *ret, struct err *e)
{
	struct location_key key = {TAG_LOCATION, 0, 0, f->address};
	struct str bytes = {(const char *)&key, sizeof(key)};
	int r = intern_module(s, f->module, &key.module, e);

	if (r == 0)
		r = intern_function(s, f->function, &key.function, e);
	if (r != 0)
		return r;
	if (look_up(s, bytes, ret))
		return 0;
	if (s->location_count >= items_max(s))
		return STACKS_FULL;
	if (mem_grow(&s->locations, &s->location_cap, s->location_count + 1, sizeof(*s->locations),
		     items_max(s)) < 0)
		return err_nomem(e);
	if (remember(s, bytes, s->location_count, e) < 0)
		return -1;
	*ret = (uint32_t)s->location_count;
	s->locations[s->location_count++] = (struct stack_location){
		key.module,
		f->address,
		key.function,
	};
	return 0;
}

static int make_key(struct stacks *s, const struct stack_sample *sample, struct stack_key *key,
		    struct err *e)
{
	int r;

	memset(key, 0, offsetof(struct stack_key, locations));
	key->tag = TAG_STACK;
	key->type = sample->type;
	key->pid = sample->pid;
	r = intern_name(s, sample->comm, &key->comm, e);
	if (r == 0)
		r = intern_name(s, sample->thread, &key->thread, e);
	// Root first: the program then comes before libraries and kernel, and pprof takes the first
	// mapping for the main binary.
	for (size_t i = sample->frame_count; r == 0 && i > 0; i--)
		r = intern_location(s, &sample->frames[i - 1], &key->locations[i - 1], e);
	return r;
}

static int add_stack(struct stacks *s, const struct stack_key *key,
		     const struct stack_sample *sample, struct str bytes, struct err *e)
{
	uint32_t *locations;

	if (s->stack_count >= s->max)
		return STACKS_FULL;
	locations = arena_dup(&s->arena, key->locations, sample->frame_count * sizeof(uint32_t));
	if (!locations)
		return STACKS_FULL;
	if (mem_grow(&s->stacks, &s->stack_cap, s->stack_count + 1, sizeof(*s->stacks), s->max) < 0)
		return err_nomem(e);
	if (remember(s, bytes, s->stack_count, e) < 0)
		return -1;
	s->stacks[s->stack_count++] = (struct stack){
		.type = sample->type,
		.comm = key->comm,
		.thread = key->thread,
		.pid = key->pid,
		.count = sample->count,
		.value_ns = sample->value_ns,
		.locations = locations,
		.location_count = sample->frame_count,
	};
	return 0;
}

int stacks_add(struct stacks *s, const struct stack_sample *sample, struct err *e)
{
	struct stack_key key;
	struct str bytes;
	uint32_t at;
	int r;

	if (sample->frame_count > STACK_DEPTH_MAX)
		return err_set(e, ERR_TOO_DEEP, "a stack of %zu frames; at most %d",
			       sample->frame_count, STACK_DEPTH_MAX);
	r = make_key(s, sample, &key, e);
	if (r != 0)
		return r;
	bytes = (struct str){(const char *)&key, offsetof(struct stack_key, locations) +
							 sample->frame_count * sizeof(uint32_t)};
	if (look_up(s, bytes, &at)) {
		s->stacks[at].count += sample->count;
		s->stacks[at].value_ns += sample->value_ns;
	} else {
		r = add_stack(s, &key, sample, bytes, e);
		if (r != 0)
			return r;
	}
	s->samples += sample->count;
	s->types |= 1u << sample->type;
	return 0;
}
