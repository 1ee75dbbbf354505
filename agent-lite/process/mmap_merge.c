/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mmap_merge.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <linux/perf_event.h>
#include <string.h>

enum {
	HELD_KEPT = 64 << 10, // memory that is not given back when nothing waits
	HELD_MIN = 128 << 10, // of a ring, however many there are
	HELD_ALL = 16 << 20,
};

struct mmap_merge_ring {
	struct perf_event_mmap_page *page; /* NULL: there is none here */
	const uint8_t *data;
	uint64_t size;
	uint64_t tail;	 /* what was copied, in bytes since the ring's beginning */
	struct buf held; /* what was copied */
	size_t read;	 /* of it */
	bool has_next;
	struct mmap_event next; /* its path lies in held */
	size_t next_at;		/* where its record begins there */
};

int mmap_merge_init(struct mmap_merge *m, size_t count, struct err *e)
{
	struct mmap_merge_ring *rings = mem_calloc(count, sizeof(*rings));

	if (!rings)
		return err_nomem(e);
	*m = (struct mmap_merge){
		.rings = rings,
		.count = count,
		.held_max = MIN(MAX((size_t)HELD_ALL / count, (size_t)HELD_MIN),
				(size_t)MMAP_MERGE_HELD_MAX),
	};
	return 0;
}

void mmap_merge_deinit(struct mmap_merge *m)
{
	for (size_t i = 0; i < m->count; i++)
		mmap_merge_close(m, i);
	free(m->rings);
	*m = (struct mmap_merge){0};
}

void mmap_merge_open(struct mmap_merge *m, size_t place, struct perf_event_mmap_page *page,
		     const void *data, size_t size)
{
	m->rings[place] = (struct mmap_merge_ring){
		.page = page,
		.data = data,
		.size = size,
		.tail = page->data_tail,
		.held = BUF_INIT(m->held_max),
	};
}

void mmap_merge_close(struct mmap_merge *m, size_t place)
{
	struct mmap_merge_ring *r = &m->rings[place];

	if (!r->page)
		return;
	m->lost_unsaid += r->has_next || r->read < r->held.n || r->page->data_head != r->tail;
	buf_deinit(&r->held);
	*r = (struct mmap_merge_ring){0};
}

/* ---- from the rings -------------------------------------------------------------------------- */

/* The n bytes from the tail on, which may wrap around. */
static void hold(struct mmap_merge_ring *r, uint64_t n)
{
	const uint64_t at = r->tail & (r->size - 1);
	const uint64_t first = MIN(n, r->size - at);
	const size_t path = r->has_next ? (size_t)(r->next.path.p - r->held.p) : 0;

	buf_append(&r->held, r->data + at, first);
	buf_append(&r->held, r->data, n - first);
	if (r->has_next && r->next.path.n > 0)
		r->next.path.p = r->held.p + path; // the memory may have moved
}

/*
 * Makes room for n bytes more. Where programs start all the time something always waits: then what
 * was read is cut off in front, but only once that is the larger part, or there is no room.
 */
static void forget_read(struct mmap_merge_ring *r, uint64_t n)
{
	size_t from = r->has_next ? r->next_at : r->read;
	struct buf *held = &r->held;

	if (from == held->n) {
		if (held->cap > HELD_KEPT)
			buf_deinit(held);
		buf_clear(held);
		r->read = 0;
		return;
	}
	if (from <= held->n / 2 && held->n + n <= held->max)
		return;
	memmove(held->p, held->p + from, held->n - from);
	held->n -= from;
	r->read -= from;
	r->next_at = 0;
	if (r->has_next && r->next.path.n > 0)
		r->next.path.p -= from;
}

static void take(struct mmap_merge *m, struct mmap_merge_ring *r)
{
	const uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	const uint64_t n = head - r->tail;

	if (n == 0)
		return;
	forget_read(r, n);
	if (n <= r->size && r->held.n + n <= r->held.max)
		hold(r, n);
	else
		m->lost_unsaid++;
	if (r->held.failed) { // out of memory, perhaps half-way: what waits is of no use
		buf_deinit(&r->held);
		r->read = 0;
		r->has_next = false;
		m->lost_unsaid++;
	}
	r->tail = head;
	__atomic_store_n(&r->page->data_tail, head, __ATOMIC_RELEASE);
}

/* Reads on to the next event of this CPU, if there is one. */
static void advance(struct mmap_merge *m, struct mmap_merge_ring *r)
{
	struct str rest = str_skip(buf_str(&r->held), r->read);

	while (!r->has_next && rest.n > 0) {
		bool broken, malformed;
		size_t n = 0;
		const size_t at = r->held.n - rest.n;
		const void *record = mmap_records_next(&rest, &n, &broken);

		r->read = r->held.n - rest.n;
		if (!record) {
			m->stats.malformed += broken;
			m->lost_unsaid++;
			break;
		}
		m->stats.bytes += n;
		r->has_next = mmap_record_parse(record, n, &r->next, &malformed);
		r->next_at = at;
		m->stats.malformed += malformed;
	}
}

void mmap_merge_look(struct mmap_merge *m)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->rings[i].page)
			take(m, &m->rings[i]);
	}
}

/* ---- in order -------------------------------------------------------------------------------- */

static struct mmap_merge_ring *earliest(struct mmap_merge *m)
{
	struct mmap_merge_ring *first = NULL;

	for (size_t i = 0; i < m->count; i++) {
		struct mmap_merge_ring *r = &m->rings[i];

		if (!r->has_next && r->read < r->held.n)
			advance(m, r);
		if (r->has_next && (!first || r->next.time_ns < first->next.time_ns))
			first = r;
	}
	return first;
}

/*
 * What was lost with a ring is told like what was lost because it was full: at once, for nothing that
 * was known before is sure from now on.
 */
static bool next_loss(struct mmap_merge *m, struct mmap_event *ret)
{
	if (m->lost_unsaid == 0)
		return false;
	*ret = (struct mmap_event){
		.kind = MMAP_EVENT_LOST, .time_ns = clock_mono_ns(), .lost = m->lost_unsaid};
	m->lost_unsaid = 0;
	m->stats.lost += ret->lost;
	return true;
}

bool mmap_merge_next(struct mmap_merge *m, uint64_t until_ns, struct mmap_event *ret)
{
	struct mmap_merge_ring *r = earliest(m);

	if (!r || r->next.time_ns > until_ns)
		return next_loss(m, ret);
	*ret = r->next;
	r->has_next = false;
	m->stats.events++;
	if (ret->kind == MMAP_EVENT_LOST)
		m->stats.lost += ret->lost;
	return true;
}

static int by_pid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct query {
	enum mmap_event_kind kind;
	const uint32_t *pids;
	bool *told;
	size_t n;
};

static void answer(const struct query *q, const struct mmap_event *ev)
{
	const uint32_t *at;

	if (q->kind != MMAP_EVENT_ANY && q->kind != ev->kind)
		return;
	at = bsearch(&ev->pid, q->pids, q->n, sizeof(*q->pids), by_pid);
	if (at)
		q->told[at - q->pids] = true;
}

void mmap_merge_tells_of(const struct mmap_merge *m, enum mmap_event_kind kind,
			 const uint32_t *pids, bool *told, size_t n)
{
	const struct query q = {kind, pids, told, n};

	for (size_t i = 0; i < m->count; i++) {
		const struct mmap_merge_ring *r = &m->rings[i];
		struct str rest = str_skip(buf_str(&r->held), r->read);
		struct mmap_event ev;
		const void *record;
		bool broken, malformed;
		size_t size;

		if (r->has_next)
			answer(&q, &r->next);
		while ((record = mmap_records_next(&rest, &size, &broken))) {
			if (mmap_record_parse(record, size, &ev, &malformed))
				answer(&q, &ev);
		}
	}
}
