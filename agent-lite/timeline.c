/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/timeline.h"

#include "agent-lite/process_track.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum {
	SAMPLES_MAX = TIMELINE_BYTES_MAX / sizeof(struct profile_record),
	ROUNDS_MAX = 8, // of samples that came while others were handed on; then others have a turn
};

void timeline_init(struct timeline *t, struct processes *processes, struct mmap_merge *events,
		   sampler_fn *deliver, void *deliver_ctx)
{
	*t = (struct timeline){
		.processes = processes,
		.events = events,
		.deliver = deliver,
		.deliver_ctx = deliver_ctx,
		.batches = {{.bytes = BUF_INIT(TIMELINE_BYTES_MAX)},
			    {.bytes = BUF_INIT(TIMELINE_BYTES_MAX)}},
	};
}

void timeline_deinit(struct timeline *t)
{
	for (size_t i = 0; i < countof(t->batches); i++) {
		buf_deinit(&t->batches[i].bytes);
		free(t->batches[i].samples);
		t->batches[i].samples = NULL;
		t->batches[i].count = t->batches[i].cap = 0;
	}
}

/* ---- samples --------------------------------------------------------------------------------- */

/* Bytes that follow the head in the ring: see bpf/profile.h. */
static size_t payload_bytes(const struct profile_record *head)
{
	return ((size_t)head->kernel_count + head->user_count + head->copy_words) *
	       sizeof(uint64_t);
}

/* CPUs write side by side: what is earlier moves before what is later. */
static void sort_in(struct timeline_batch *b, struct timeline_sample sample)
{
	size_t at = b->count++;

	for (; at > 0 && b->samples[at - 1].time_ns > sample.time_ns; at--)
		b->samples[at] = b->samples[at - 1];
	b->samples[at] = sample;
}

static bool has_room(const struct timeline_batch *b, size_t size)
{
	return b->bytes.n + size <= TIMELINE_BYTES_MAX && b->count < SAMPLES_MAX;
}

static int append(struct timeline_batch *b, const struct record *r, size_t payload, struct err *e)
{
	const struct timeline_sample sample = {
		.time_ns = r->head.ktime_ns,
		.offset = (uint32_t)b->bytes.n,
		.size = (uint32_t)(sizeof(r->head) + payload),
	};

	if (mem_grow(&b->samples, &b->cap, b->count + 1, sizeof(*b->samples), SAMPLES_MAX) < 0)
		return err_nomem(e);
	buf_append(&b->bytes, &r->head, sizeof(r->head));
	buf_append(&b->bytes, r->kernel_ips, payload); // the first of all words
	if (buf_check(&b->bytes, "the samples that wait", e) < 0)
		return -1;
	sort_in(b, sample);
	return 0;
}

int timeline_add(void *timeline, const struct record *r, struct err *e)
{
	struct timeline *t = timeline;
	const size_t payload = payload_bytes(&r->head);
	const size_t size = sizeof(r->head) + payload;
	int ran;

	if (!has_room(&t->batches[t->filling], size)) {
		if (t->running) {
			t->dropped++;
			return 0;
		}
		t->draining = true;
		ran = timeline_run(t, 0, e);
		t->draining = false;
		if (ran < 0)
			return -1;
	}
	return append(&t->batches[t->filling], r, payload, e);
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

static int hand_on(struct timeline *t, const struct timeline_batch *b,
		   const struct timeline_sample *s, struct err *e)
{
	struct record r;

	// It was checked when it came out of the ring.
	if (record_parse(b->bytes.p + s->offset, s->size, &r, e) < 0)
		return -1;
	return t->deliver(t->deliver_ctx, &r, e);
}

static int merge(struct timeline *t, struct timeline_batch *b, uint64_t seen_ns, struct err *e)
{
	int r = 0;

	if (t->events)
		mmap_merge_look(t->events);
	for (size_t i = 0; i < b->count && r == 0; i++) {
		r = apply_events(t, b->samples[i].time_ns, e);
		if (r == 0)
			r = hand_on(t, b, &b->samples[i], e);
	}
	b->count = 0;
	buf_clear(&b->bytes);
	return r < 0 ? -1 : apply_events(t, seen_ns, e);
}

static int run_rounds(struct timeline *t, uint64_t seen_ns, struct err *e)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		struct timeline_batch *b = &t->batches[t->filling];

		t->filling ^= 1;
		if (merge(t, b, seen_ns, e) < 0)
			return -1;
		processes_settle(t->processes);
		if (t->batches[t->filling].count == 0)
			break;
	}
	return 0;
}

int timeline_run(struct timeline *t, uint64_t seen_ns, struct err *e)
{
	int r;

	t->running = true;
	t->breathed_ms = clock_mono_ms();
	r = run_rounds(t, seen_ns, e);
	t->running = false;
	return r;
}

int timeline_breathe(void *timeline, struct err *e)
{
	struct timeline *t = timeline;
	uint64_t now = clock_mono_ms();

	if (!t->running || now - t->breathed_ms < TIMELINE_BREATHE_MS)
		return 0;
	t->breathed_ms = now;
	// In the order of every turn: events of before the samples are there then.
	if (t->drain && !t->draining && t->drain(t->drain_ctx, e) < 0)
		return -1;
	if (t->events)
		mmap_merge_look(t->events);
	return 0;
}
