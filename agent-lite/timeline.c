/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/timeline.h"

#include "agent-lite/process_track.h"
#include "base/mem.h"

#include <string.h>

enum { SAMPLES_MAX = TIMELINE_BYTES_MAX / sizeof(struct profile_record) };

void timeline_init(struct timeline *t, struct processes *processes, struct mmap_merge *events,
		   sampler_fn *deliver, void *deliver_ctx)
{
	*t = (struct timeline){
		.processes = processes,
		.events = events,
		.deliver = deliver,
		.deliver_ctx = deliver_ctx,
		.bytes = BUF_INIT(TIMELINE_BYTES_MAX),
	};
}

void timeline_deinit(struct timeline *t)
{
	buf_deinit(&t->bytes);
	free(t->samples);
	t->samples = NULL;
	t->count = t->cap = 0;
}

/* ---- samples --------------------------------------------------------------------------------- */

/* Words that follow the head in the ring: see bpf/profile.h. */
static size_t payload_bytes(const struct profile_record *head)
{
	return ((size_t)head->kernel_count + head->user_count + head->copy_words) *
	       sizeof(uint64_t);
}

/* CPUs write side by side: what is earlier moves before what is later. */
static void sort_in(struct timeline *t, struct timeline_sample sample)
{
	size_t at = t->count++;

	for (; at > 0 && t->samples[at - 1].time_ns > sample.time_ns; at--)
		t->samples[at] = t->samples[at - 1];
	t->samples[at] = sample;
}

int timeline_add(void *timeline, const struct record *r, struct err *e)
{
	struct timeline *t = timeline;
	const size_t payload = payload_bytes(&r->head);
	const size_t size = sizeof(r->head) + payload;

	if ((t->bytes.n + size > TIMELINE_BYTES_MAX || t->count >= SAMPLES_MAX) &&
	    timeline_run(t, 0, e) < 0)
		return -1;
	if (mem_grow(&t->samples, &t->cap, t->count + 1, sizeof(*t->samples), SAMPLES_MAX) < 0)
		return err_nomem(e);
	sort_in(t, (struct timeline_sample){r->head.ktime_ns, (uint32_t)t->bytes.n, (uint32_t)size});
	buf_append(&t->bytes, &r->head, sizeof(r->head));
	buf_append(&t->bytes, r->kernel_ips, payload); // the payload's begin
	return buf_check(&t->bytes, "the samples that wait", e);
}

/* ---- merging --------------------------------------------------------------------------------- */

static int apply_events(struct timeline *t, uint64_t until_ns, struct err *e)
{
	struct mmap_event ev;

	while (t->events && mmap_merge_next(t->events, until_ns, &ev)) {
		if (processes_apply(t->processes, &ev, e) < 0)
			return -1;
	}
	return 0;
}

static int hand_on(struct timeline *t, const struct timeline_sample *s, struct err *e)
{
	struct record r;

	// It was checked when it came out of the ring.
	if (record_parse(t->bytes.p + s->offset, s->size, &r, e) < 0)
		return -1;
	return t->deliver(t->deliver_ctx, &r, e);
}

static int merge(struct timeline *t, uint64_t seen_ns, struct err *e)
{
	for (size_t i = 0; i < t->count; i++) {
		if (apply_events(t, t->samples[i].time_ns, e) < 0 ||
		    hand_on(t, &t->samples[i], e) < 0)
			return -1;
	}
	return apply_events(t, seen_ns, e);
}

int timeline_run(struct timeline *t, uint64_t seen_ns, struct err *e)
{
	int r;

	if (t->events)
		mmap_merge_look(t->events);
	r = merge(t, seen_ns, e);
	t->count = 0;
	buf_clear(&t->bytes);
	processes_settle(t->processes);
	return r;
}
