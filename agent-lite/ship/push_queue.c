/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/push_queue.h"

#include "base/mem.h"

#include <stdlib.h>

int push_body_new(struct buf *body, uint64_t samples, struct push_body **ret, struct err *e)
{
	_cleanup_(push_body_freep) struct push_body *b = mem_zalloc(sizeof(*b));

	if (!b)
		return err_nomem(e);
	b->bytes = buf_steal(body, &b->n);
	if (!b->bytes)
		return err_nomem(e);
	b->samples = samples;
	*ret = steal_ptr(b);
	return 0;
}

void push_body_free(struct push_body *b)
{
	if (!b)
		return;
	free(b->bytes);
	free(b);
}

static void count_in(struct push_queue *q, const struct push_body *b)
{
	q->count++;
	q->bytes += b->n;
}

void push_queue_put_first(struct push_queue *q, struct push_body *b)
{
	b->next = q->first;
	q->first = b;
	if (!q->last)
		q->last = b;
	count_in(q, b);
}

void push_queue_put_last(struct push_queue *q, struct push_body *b)
{
	b->next = NULL;
	if (q->last)
		q->last->next = b;
	else
		q->first = b;
	q->last = b;
	count_in(q, b);
}

struct push_body *push_queue_take(struct push_queue *q)
{
	struct push_body *b = q->first;

	if (!b)
		return NULL;
	q->first = b->next;
	if (!q->first)
		q->last = NULL;
	q->count--;
	q->bytes -= b->n;
	return b;
}
