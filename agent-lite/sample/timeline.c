/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/timeline.h"

#include "agent-lite/process/process_track.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum {
	SAMPLES_MAX = TIMELINE_BYTES_MAX / sizeof(struct profile_record),
	SHORT_COPY_WORDS = 256,
	MEET_MAX = 64, // processes
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

/* What follows the head in the ring: see bpf/profile.h. */
static size_t payload_bytes(const struct profile_record *head)
{
	return ((size_t)head->kernel_count + head->user_count + head->copy_words) *
	       sizeof(uint64_t);
}

static int append(struct timeline_batch *b, const struct profile_record *head, const void *payload,
		  struct err *e)
{
	const struct timeline_sample sample = {
		.time_ns = head->ktime_ns,
		.offset = (uint32_t)b->bytes.n,
		.size = (uint32_t)(sizeof(*head) + payload_bytes(head)),
	};

	if (mem_grow(&b->samples, &b->cap, b->count + 1, sizeof(*b->samples), SAMPLES_MAX) < 0)
		return err_nomem(e);
	buf_append(&b->bytes, head, sizeof(*head));
	buf_append(&b->bytes, payload, payload_bytes(head));
	if (buf_check(&b->bytes, "the samples that wait", e) < 0)
		return -1;
	sort_in(b, sample);
	return 0;
}

/* Runs what waits. Called while a ring is being emptied, which is not to begin anew inside. */
static int make_room(struct timeline *t, struct err *e)
{
	int r;

	t->draining = true;
	r = timeline_run(t, 0, e);
	t->draining = false;
	return r;
}

int timeline_add(void *timeline, const struct record *r, struct err *e)
{
	struct timeline *t = timeline;
	struct profile_record head = r->head;

	// Copies of stacks take most of the room: half of a stack is better than none.
	if (t->batches[t->filling].bytes.n > TIMELINE_BYTES_MAX / 2)
		head.copy_words = MIN(head.copy_words, PROFILE_COPY_HEAD + SHORT_COPY_WORDS);
	if (!has_room(&t->batches[t->filling], sizeof(head) + payload_bytes(&head))) {
		if (t->running) {
			t->dropped++;
			return 0;
		}
		if (make_room(t, e) < 0)
			return -1;
	}
	return append(&t->batches[t->filling], &head, r->kernel_ips, e); // the first of all words
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

/* The processes of new samples that nothing is known of. */
struct strangers {
	size_t n;
	struct process_key keys[MEET_MAX]; /* ascending by PID, once each */
};

static void note_stranger(struct strangers *s, const struct process_key *key)
{
	size_t at = s->n;

	if (s->n == MEET_MAX)
		return;
	while (at > 0 && s->keys[at - 1].pid > key->pid)
		at--;
	if (at > 0 && s->keys[at - 1].pid == key->pid)
		return;
	memmove(s->keys + at + 1, s->keys + at, (s->n - at) * sizeof(*s->keys));
	s->keys[at] = *key;
	s->n++;
}

static void find_strangers(const struct timeline *t, const struct timeline_batch *b,
			   struct strangers *ret)
{
	for (size_t i = 0; i < b->count; i++) {
		struct profile_record head;

		if (b->samples[i].offset < b->met)
			continue;
		memcpy(&head, b->bytes.p + b->samples[i].offset, sizeof(head));
		if (head.user_count + head.copy_words > 0 &&
		    !processes_has_met(t->processes, head.tgid))
			note_stranger(ret, &(struct process_key){head.start_ns, head.exec_id,
								 head.tgid});
	}
}

/*
 * Strangers that no event is going to tell of either: their mappings are read before files are,
 * since they may end meanwhile.
 */
static int meet_strangers(struct timeline *t, struct timeline_batch *b, struct err *e)
{
	struct strangers s = {.n = 0};
	uint32_t pids[MEET_MAX];
	bool told[MEET_MAX] = {false};

	find_strangers(t, b, &s);
	b->met = b->bytes.n;
	for (size_t i = 0; i < s.n; i++)
		pids[i] = (uint32_t)s.keys[i].pid;
	if (t->events && s.n > 0)
		mmap_merge_tells_of(t->events, MMAP_EVENT_ANY, pids, told, s.n);
	for (size_t i = 0; i < s.n; i++) {
		if (!told[i] && processes_meet(t->processes, &s.keys[i], e) < 0)
			return -1;
	}
	return 0;
}

static int merge(struct timeline *t, struct timeline_batch *b, uint64_t seen_ns, struct err *e)
{
	int r;

	if (t->events)
		mmap_merge_look(t->events);
	r = meet_strangers(t, b, e);
	for (size_t i = 0; i < b->count && r == 0; i++) {
		r = apply_events(t, b->samples[i].time_ns, e);
		if (r == 0)
			r = hand_on(t, b, &b->samples[i], e);
	}
	b->count = 0;
	b->met = 0;
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
	return meet_strangers(t, &t->batches[t->filling], e);
}

bool timeline_replaced(void *timeline, uint64_t pid)
{
	struct timeline *t = timeline;
	const uint32_t one = (uint32_t)pid;
	bool told = false;

	if (!t->events)
		return false;
	mmap_merge_look(t->events);
	mmap_merge_tells_of(t->events, MMAP_EVENT_EXEC, &one, &told, 1);
	return told;
}
