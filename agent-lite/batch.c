/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/batch.h"

#include "agent-lite/clean_text.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { SERIES_KEY = 256 };

void batch_init(struct batch *b, bool merged)
{
	*b = (struct batch){
		.index = MAP_INIT,
		.merged = merged,
		.time_ns = clock_unix_ns(),
		.start_mono_ns = clock_mono_ns(),
	};
}

static void series_free(struct series *s)
{
	if (!s)
		return;
	stacks_deinit(&s->stacks);
	free(s->service);
	free(s->container);
	free(s);
}
DEFINE_CLEANUP(struct series *, series_free)

void batch_deinit(struct batch *b)
{
	for (size_t i = 0; i < b->series_count; i++)
		series_free(b->series[i]);
	map_deinit(&b->index);
	b->series_count = 0;
}

static int add_series(struct batch *b, struct str key, const char *service, const char *container,
		      struct series **ret, struct err *e)
{
	_cleanup_(series_freep) struct series *s = mem_zalloc(sizeof(*s));

	if (!s)
		return err_nomem(e);
	stacks_init(&s->stacks, b->merged ? STACKS_FILE_MAX : STACKS_PUSH_MAX);
	s->service = mem_strdup(service);
	s->container = mem_strdup(container);
	if (!s->service || !s->container || map_set(&b->index, key, s, NULL) < 0)
		return err_nomem(e);
	clean_text(s->service);
	b->series[b->series_count++] = s;
	*ret = steal_ptr(s);
	return 0;
}

static int find_series(struct batch *b, const char *service, const char *container,
		       struct series **ret, struct err *e)
{
	char key[SERIES_KEY];
	struct series *known;
	struct str bytes;

	if (b->merged)
		service = container = "";
	snprintf(key, sizeof(key), "%s\n%s", container, service);
	bytes = str_from(key);
	known = map_get(&b->index, bytes);
	if (!known && b->series_count >= BATCH_SERIES_MAX) {
		bytes = STR("other");
		known = map_get(&b->index, bytes);
		service = "other";
		container = "";
	}
	if (!known)
		return add_series(b, bytes, service, container, ret, e);
	*ret = known;
	return 0;
}

int batch_add(struct batch *b, const char *service, const char *container,
	      const struct stack_sample *sample, struct err *e)
{
	struct series *s;
	int r;

	if (find_series(b, service, container, &s, e) < 0)
		return -1;
	r = stacks_add(&s->stacks, sample, e);
	if (r == 0)
		b->samples += sample->count;
	return r;
}

size_t batch_stacks(const struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->series_count; i++)
		n += b->series[i]->stacks.stack_count;
	return n;
}

struct profile_info batch_info(const struct batch *b, unsigned hz)
{
	return (struct profile_info){
		.hz = hz,
		.time_ns = b->time_ns,
		.duration_ns = b->duration_ns ? b->duration_ns
					      : (int64_t)(clock_mono_ns() - b->start_mono_ns),
	};
}
