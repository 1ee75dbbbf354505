/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/collector.h"

#include "agent-lite/sample/unwind_replay.h"

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
	struct frame loaded;

	if (!core && c->loaded && kernel_loaded_frame(c->loaded, ip, &loaded))
		return loaded;
	return (struct frame){
		.module = module_cache_special(c->modules,
					       core ? MODULE_KERNEL : MODULE_KERNEL_OTHER),
		.address = k->known && core ? ip - k->bias : ip,
	};
}

/* The stack that came as a copy, walked by what is known of the process now. */
static void walk_copy(struct collector *c, const struct record *r, const struct process *p,
		      struct unwind_result *ret)
{
	struct unwind_replay in = {
		.table = unwind_store_table,
		.ctx = c->tables,
		.copy = r->copy,
		.copy_words = r->copy_words,
	};

	in.mappings = unwind_store_mappings(c->tables, p, &in.mapping_count);
	unwind_replay(&in, ret);
	c->stats.copies++;
}

static int user_frames(struct collector *c, const struct record *r, struct frame *frames,
		       size_t *ret_n, struct process **ret_process, struct err *e)
{
	const struct process_key key = {r->head.start_ns, r->head.exec_id, r->head.tgid};
	size_t n = r->head.user_count;
	const uint64_t *from = r->user_ips;
	struct unwind_result walked;
	uint64_t ips[PROFILE_DEPTH];
	enum profile_end why = r->head.why;

	if (processes_get(c->processes, &key, ret_process, e) < 0)
		return -1;
	if (r->copy && c->tables) {
		walk_copy(c, r, *ret_process, &walked);
		from = walked.ips;
		n = walked.count;
		why = walked.why;
	}
	for (size_t i = 0; i < n; i++)
		ips[i] = address_into_call(from[i], i);
	if (processes_frames(c->processes, *ret_process, ips, n, frames, ret_n, e) < 0)
		return -1;
	c->stats.ends[why]++;
	c->stats.cut += *ret_n < n;
	return 0;
}

/* PROCESS_DROPPED: a rule does not want it. */
static int labels_of(struct collector *c, const struct record *r, const struct process *p,
		     struct str *ret, struct err *e)
{
	const struct process_subject subject = {
		.key = {r->head.start_ns, r->head.exec_id, r->head.tgid},
		.cgroup_id = r->head.cgroup_id,
		.comm = r->head.leader_comm,
		.parent = p ? p->ppid : 0,
	};

	*ret = STR("");
	return c->labels ? process_labels_get(c->labels, &subject, ret, e) : 0;
}

static int count(struct collector *c, const struct record *r, const struct process *p,
		 const struct stack_sample *sample, struct err *e)
{
	struct str labels;
	int full, wanted = labels_of(c, r, p, &labels, e);

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
	if (full == 0)
		c->stats.counted += sample->count;
	return full < 0 ? -1 : 0;
}

int collector_add(void *collector, const struct record *r, struct err *e)
{
	struct collector *c = collector;
	struct frame frames[2 * PROFILE_DEPTH];
	size_t kernel_count = r->head.kernel_count, user_count = 0;
	struct process *p = NULL;

	c->stats.samples++;
	if (kernel_count + r->head.user_count == 0 && !r->copy) {
		c->stats.empty++;
		return 0;
	}
	for (size_t i = 0; i < kernel_count; i++)
		frames[i] = kernel_frame(c, address_into_call(r->kernel_ips[i], i));
	if ((r->head.user_count > 0 || r->head.why == PROFILE_END_NO_PROCESS) &&
	    user_frames(c, r, frames + kernel_count, &user_count, &p, e) < 0)
		return -1;

	struct stack_sample sample = {
		.comm = r->head.leader_comm,
		.thread = r->head.comm,
		.pid = r->head.tgid,
		.frames = frames,
		.frame_count = kernel_count + user_count,
		.type = r->head.kind == PROFILE_KIND_OFF_CPU ? STACK_OFF_CPU : STACK_CPU,
		.count = r->head.count,
		.value_ns = r->head.weight_ns,
	};

	return count(c, r, p, &sample, e);
}

int collector_flush(struct collector *c, struct err *e)
{
	bool merged = c->batch.merged;
	int r = 0;

	c->stats.stacks += batch_stacks(&c->batch);
	c->stats.overflowed += c->batch.overflowed;
	if (c->batch.samples > 0 && c->ship)
		r = c->ship(c->ship_ctx, &c->batch, e);
	batch_deinit(&c->batch);
	batch_init(&c->batch, merged);
	return r;
}
