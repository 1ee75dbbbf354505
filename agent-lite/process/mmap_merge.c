/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mmap_merge.h"

#include "base/buf.h"
#include "base/mem.h"

#include <linux/perf_event.h>

enum { HELD_KEPT = 64 << 10 }; // memory that is not given back when nothing waits

struct mmap_merge_ring {
	struct perf_event_mmap_page *page; /* NULL: there is none here */
	const uint8_t *data;
	uint64_t size;
	uint64_t tail;	 /* what was copied, in bytes since the ring's beginning */
	struct buf held; /* what was copied */
	size_t read;	 /* of it */
	bool has_next;
	struct mmap_event next; /* its path lies in held */
};

int mmap_merge_init(struct mmap_merge *m, size_t count, struct err *e)
{
	struct mmap_merge_ring *rings = mem_calloc(count, sizeof(*rings));

	if (!rings)
		return err_nomem(e);
	*m = (struct mmap_merge){.rings = rings, .count = count};
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
		.held = BUF_INIT(MMAP_MERGE_HELD_MAX),
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

static void forget_read(struct mmap_merge_ring *r)
{
	if (r->has_next || r->read < r->held.n)
		return;
	if (r->held.cap > HELD_KEPT)
		buf_deinit(&r->held);
	buf_clear(&r->held);
	r->read = 0;
}

static void take(struct mmap_merge *m, struct mmap_merge_ring *r)
{
	const uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	const uint64_t n = head - r->tail;

	if (n == 0)
		return;
	forget_read(r);
	if (n <= r->size && r->held.n + n <= MMAP_MERGE_HELD_MAX)
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
		const void *record = mmap_records_next(&rest, &n, &broken);

		r->read = r->held.n - rest.n;
		if (!record) {
			m->stats.malformed += broken;
			m->lost_unsaid++;
			break;
		}
		m->stats.bytes += n;
		r->has_next = mmap_record_parse(record, n, &r->next, &malformed);
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

/* What was lost with a ring is told like what was lost because it was full. */
static bool next_loss(struct mmap_merge *m, uint64_t time_ns, struct mmap_event *ret)
{
	if (m->lost_unsaid == 0)
		return false;
	*ret = (struct mmap_event){
		.kind = MMAP_EVENT_LOST, .time_ns = time_ns, .lost = m->lost_unsaid};
	m->lost_unsaid = 0;
	m->stats.lost += ret->lost;
	return true;
}

bool mmap_merge_next(struct mmap_merge *m, uint64_t until_ns, struct mmap_event *ret)
{
	struct mmap_merge_ring *r = earliest(m);

	if (!r || r->next.time_ns > until_ns)
		return next_loss(m, until_ns, ret);
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
