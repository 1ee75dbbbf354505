/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/batch.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

void batch_init(struct batch *b, bool merged)
{
	*b = (struct batch){
		.merged = merged,
		.time_ns = clock_unix_ns(),
		.start_mono_ns = clock_mono_ns(),
	};
	for (size_t i = 0; i < countof(b->index); i++)
		b->index[i] = MAP_INIT;
}

static void series_free(struct series *s)
{
	if (!s)
		return;
	stacks_deinit(&s->stacks);
	free(s->labels);
	free(s);
}
DEFINE_CLEANUP(struct series *, series_free)

void batch_deinit(struct batch *b)
{
	for (size_t i = 0; i < b->series_count; i++)
		series_free(b->series[i]);
	for (size_t i = 0; i < countof(b->index); i++)
		map_deinit(&b->index[i]);
	b->series_count = 0;
}

static int add_series(struct batch *b, enum stack_type type, struct str labels, struct series **ret,
		      struct err *e)
{
	_cleanup_(series_freep) struct series *s = mem_zalloc(sizeof(*s));

	if (!s)
		return err_nomem(e);
	stacks_init(&s->stacks, b->merged ? STACKS_FILE_MAX : STACKS_PUSH_MAX);
	s->type = type;
	s->labels_size = labels.n;
	s->labels = labels.n ? mem_dup(labels.p, labels.n) : mem_zalloc(1);
	if (!s->labels || map_set(&b->index[type], labels, s, NULL) < 0)
		return err_nomem(e);
	b->series[b->series_count++] = s;
	*ret = steal_ptr(s);
	return 0;
}

static int get_series(struct batch *b, enum stack_type type, struct str labels, struct series **ret,
		      struct err *e)
{
	struct series *known = map_get(&b->index[type], labels);

	if (!known)
		return add_series(b, type, labels, ret, e);
	*ret = known;
	return 0;
}

/* One more series than there may be: what it would hold goes to the host's "other". */
static int get_other(struct batch *b, enum stack_type type, struct str labels, struct series **ret,
		     struct err *e)
{
	_cleanup_(labels_deinit) struct labels other = {.n = 0};
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(LABELS_PACKED_MAX);

	if (labels_set(&other, STR("service_name"), STR("other"), e) < 0 ||
	    labels_set(&other, STR("node"), labels_find(labels, STR("node")), e) < 0 ||
	    labels_pack(&other, &packed, e) < 0)
		return -1;
	return get_series(b, type, buf_str(&packed), ret, e);
}

static bool has_room_for(const struct batch *b, enum stack_type type, struct str labels)
{
	return b->series_count < BATCH_SERIES_MAX || map_get(&b->index[type], labels);
}

int batch_add(struct batch *b, struct str labels, const struct stack_sample *sample, struct err *e)
{
	enum stack_type type = b->merged ? STACK_CPU : sample->type;
	bool other = false;
	struct series *s;
	int r;

	if (b->merged)
		labels = STR("");
	other = !has_room_for(b, type, labels);
	r = other ? get_other(b, type, labels, &s, e) : get_series(b, type, labels, &s, e);
	if (r < 0)
		return -1;
	r = stacks_add(&s->stacks, sample, e);
	if (r != 0)
		return r;
	b->samples += sample->count;
	b->overflowed += other ? sample->count : 0;
	return 0;
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
