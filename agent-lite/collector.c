/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/collector.h"

void collector_init(struct collector *c, struct processes *processes,
		    const struct kernel_image *kernel, bool merged)
{
	*c = (struct collector){
		.processes = processes,
		.modules = processes->modules,
		.kernel = kernel,
	};
	batch_init(&c->batch, merged);
}

void collector_deinit(struct collector *c)
{
	batch_deinit(&c->batch);
}

static struct frame kernel_frame(const struct collector *c, uint64_t ip)
{
	const struct kernel_image *k = c->kernel;
	bool core = !k->known || (ip >= k->start && ip < k->end);

	return (struct frame){
		.module = module_cache_special(c->modules,
					       core ? MODULE_KERNEL : MODULE_KERNEL_OTHER),
		.address = k->known && core ? ip - k->bias : ip,
	};
}

static int user_frames(struct collector *c, const struct record *r, struct frame *frames,
		       size_t *ret_n, struct process **ret_process, struct err *e)
{
	const struct process_key key = {r->head.start_ns, r->head.exec_id, r->head.tgid};
	uint64_t ips[PROFILE_DEPTH];

	for (size_t i = 0; i < r->head.user_count; i++)
		ips[i] = address_into_call(r->user_ips[i], i);
	if (processes_get(c->processes, &key, ret_process, e) < 0)
		return -1;
	return processes_frames(c->processes, *ret_process, ips, r->head.user_count, frames, ret_n,
				e);
}

/* PROCESS_DROPPED: a rule does not want it. */
static int labels_of(struct collector *c, const struct record *r, struct str *ret, struct err *e)
{
	const struct process_subject subject = {
		.key = {r->head.start_ns, r->head.exec_id, r->head.tgid},
		.cgroup_id = r->head.cgroup_id,
		.comm = r->head.leader_comm,
	};

	*ret = STR("");
	return c->labels ? process_labels_get(c->labels, &subject, ret, e) : 0;
}

static int count(struct collector *c, const struct record *r, const struct stack_sample *sample,
		 struct err *e)
{
	struct str labels;
	int full, wanted = labels_of(c, r, &labels, e);

	if (wanted != 0) {
		c->stats.unwanted += wanted == PROCESS_DROPPED;
		return wanted < 0 ? -1 : 0;
	}
	full = batch_add(&c->batch, labels, sample, e);
	if (full == BATCH_FULL && c->ship) {
		if (collector_flush(c, e) < 0)
			return -1;
		full = batch_add(&c->batch, labels, sample, e);
	}
	if (full == BATCH_FULL)
		c->stats.dropped++;
	return full < 0 ? -1 : 0;
}

int collector_add(void *collector, const struct record *r, struct err *e)
{
	struct collector *c = collector;
	struct frame frames[2 * PROFILE_DEPTH];
	size_t kernel_count = r->head.kernel_count, user_count = 0;
	struct process *p = NULL;

	c->stats.samples++;
	c->stats.truncated += r->head.why == PROFILE_END_DEPTH || r->head.why == PROFILE_END_FAULT;
	if (kernel_count + r->head.user_count == 0) {
		c->stats.empty++;
		return 0;
	}
	for (size_t i = 0; i < kernel_count; i++)
		frames[i] = kernel_frame(c, address_into_call(r->kernel_ips[i], i));
	if (r->head.user_count > 0 &&
	    user_frames(c, r, frames + kernel_count, &user_count, &p, e) < 0)
		return -1;

	struct stack_sample sample = {
		.comm = r->head.leader_comm,
		.thread = r->head.comm,
		.pid = r->head.tgid,
		.frames = frames,
		.frame_count = kernel_count + user_count,
		.count = 1,
	};

	return count(c, r, &sample, e);
}

int collector_flush(struct collector *c, struct err *e)
{
	bool merged = c->batch.merged;
	int r = 0;

	c->stats.stacks += batch_stacks(&c->batch);
	if (c->batch.samples > 0 && c->ship)
		r = c->ship(c->ship_ctx, &c->batch, e);
	batch_deinit(&c->batch);
	batch_init(&c->batch, merged);
	return r;
}
