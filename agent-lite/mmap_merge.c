/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/mmap_merge.h"

#include "base/mem.h"

#include <linux/perf_event.h>

struct mmap_merge_ring {
	struct perf_event_mmap_page *page; /* NULL: there is none here */
	struct mmap_ring ring;
	bool has_next;
	bool borrowed; /* `next` was handed out: its bytes go back to the kernel at the next call */
	struct mmap_event next;
	uint8_t *scratch; /* for a record that wraps around */
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

int mmap_merge_open(struct mmap_merge *m, size_t place, struct perf_event_mmap_page *page,
		    const void *data, size_t size, struct err *e)
{
	uint8_t *scratch = mem_alloc(MMAP_RECORD_MAX);

	if (!scratch)
		return err_nomem(e);
	m->rings[place] = (struct mmap_merge_ring){
		.page = page,
		.ring = {.data = data, .size = size, .head = page->data_tail, .tail = page->data_tail},
		.scratch = scratch,
	};
	return 0;
}

void mmap_merge_close(struct mmap_merge *m, size_t place)
{
	struct mmap_merge_ring *c = &m->rings[place];

	if (!c->page)
		return;
	m->lost_unsaid += c->has_next || c->page->data_head != c->ring.tail;
	free(c->scratch);
	*c = (struct mmap_merge_ring){0};
}

/* What was read goes back to the kernel; what is to come next stays. */
static void give_back(struct mmap_merge_ring *c)
{
	if (!c->has_next)
		__atomic_store_n(&c->page->data_tail, c->ring.tail, __ATOMIC_RELEASE);
	c->borrowed = false;
}

/* Reads on to the next event of this CPU, if there is one among what was noticed. */
static void advance(struct mmap_merge *m, struct mmap_merge_ring *c)
{
	while (!c->has_next && c->ring.tail != c->ring.head) {
		bool broken, malformed;
		size_t n = 0;
		const void *record = mmap_ring_next(&c->ring, c->scratch, &n, &broken);

		if (!record) {
			m->stats.malformed += broken;
			m->lost_unsaid++;
			break;
		}
		m->stats.bytes += n;
		c->has_next = mmap_record_parse(record, n, &c->next, &malformed);
		m->stats.malformed += malformed;
	}
	give_back(c);
}

void mmap_merge_look(struct mmap_merge *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct mmap_merge_ring *c = &m->rings[i];

		if (!c->page)
			continue;
		c->ring.head = __atomic_load_n(&c->page->data_head, __ATOMIC_ACQUIRE);
		advance(m, c);
	}
}

static struct mmap_merge_ring *earliest(struct mmap_merge *m)
{
	struct mmap_merge_ring *first = NULL;

	for (size_t i = 0; i < m->count; i++) {
		struct mmap_merge_ring *c = &m->rings[i];

		if (c->borrowed)
			advance(m, c);
		if (c->has_next && (!first || c->next.time_ns < first->next.time_ns))
			first = c;
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
	struct mmap_merge_ring *c = earliest(m);

	if (!c || c->next.time_ns > until_ns)
		return next_loss(m, until_ns, ret);
	*ret = c->next;
	c->has_next = false;
	c->borrowed = true;
	m->stats.events++;
	if (ret->kind == MMAP_EVENT_LOST)
		m->stats.lost += ret->lost;
	return true;
}
