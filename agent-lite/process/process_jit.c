/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/process_jit.h"

#include "base/clock.h"

void process_jit_drop(struct processes *ps, struct process *p)
{
	perf_map_file_free(p->jit);
	p->jit = NULL;
	ps->jit.bytes -= p->jit_bytes;
	p->jit_bytes = 0;
}

static struct process *largest(const struct processes *ps, const struct process *keep)
{
	struct process *found = NULL;
	size_t pos = 0;
	struct str key;
	void *value;

	while (map_next(&ps->by_pid, &pos, &key, &value)) {
		struct process *p = value;

		if (p != keep && p->jit_bytes > (found ? found->jit_bytes : 0))
			found = p;
	}
	return found;
}

static void count_bytes(struct processes *ps, struct process *p)
{
	size_t bytes = perf_map_bytes(&p->jit->map);
	struct process *other;

	ps->jit.bytes += bytes - p->jit_bytes; // modulo 2^64
	p->jit_bytes = bytes;
	while (ps->jit.bytes > PROCESS_JIT_BYTES_MAX && (other = largest(ps, p)))
		process_jit_drop(ps, other);
}

static bool may_read(struct processes *ps)
{
	uint64_t second = clock_mono_ms() / 1000;

	if (second != ps->jit.second)
		ps->jit.read = 0;
	ps->jit.second = second;
	return ps->jit.read < PROCESS_JIT_READ_PER_SECOND;
}

static int follow(struct processes *ps, struct process *p, struct err *e)
{
	uint64_t before, now;
	int r;

	if (!p->jit)
		p->jit = perf_map_file_new();
	if (!p->jit)
		return err_nomem(e);
	if (p->exit_ms || !may_read(ps))
		return 0;
	before = p->jit->read;
	r = perf_map_file_follow(p->jit, ps->proc, p->key.pid, e);
	now = p->jit->read;
	ps->jit.read += now > before ? now - before : 0;
	count_bytes(ps, p);
	return r;
}

int process_jit_name(struct processes *ps, struct process *p, struct frame *frames, size_t n,
		     struct err *e)
{
	const struct module *anon = module_cache_special(ps->modules, MODULE_ANON);
	bool looked = false;

	for (size_t i = 0; i < n; i++) {
		if (frames[i].module != anon)
			continue;
		if (!looked && follow(ps, p, e) < 0)
			return -1;
		looked = true;
		frames[i].function = perf_map_find(&p->jit->map, frames[i].address);
		ps->stats.jit_frames++;
		ps->stats.jit_named += frames[i].function != NULL;
	}
	return 0;
}
