/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/mmap_events.h"

#include "agent-lite/rights/privilege.h"
#include "agent-lite/sample/sampler.h"
#include "base/cleanup.h"
#include "base/mem.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	WAKEUP_BYTES = 1 << 10, // an exec tells about as much
};

struct cpu {
	int fd; /* -1: none; the CPU is offline */
	struct perf_event_mmap_page *page;
};

struct mmap_events {
	struct mmap_merge merge; /* a place for each possible CPU */
	struct cpu *cpus;
	size_t cpu_count;
	int epoll;
	bool no_build_ids; /* the kernel does not know the attribute */
};

/* ---- opening --------------------------------------------------------------------------------- */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int open_event(const struct mmap_events *m, size_t cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.build_id = !m->no_build_ids,
		.use_clockid = 1, // bpf_ktime_get_ns() has the same
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = WAKEUP_BYTES,
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* NULL with errno. */
static struct perf_event_mmap_page *map_ring(int fd)
{
	void *p = mmap(NULL, page_size() + MMAP_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       0);

	return p == MAP_FAILED ? NULL : p;
}

static void close_cpu(struct mmap_events *m, size_t cpu)
{
	struct cpu *c = &m->cpus[cpu];

	mmap_merge_close(&m->merge, cpu);
	if (c->page)
		munmap(c->page, page_size() + MMAP_RING_BYTES);
	if (c->fd >= 0)
		close(c->fd); // leaves the epoll set by itself
	*c = (struct cpu){.fd = -1};
}

/* What is half done close_cpu() undoes. */
static int watch_cpu(struct mmap_events *m, size_t cpu, struct err *e)
{
	struct epoll_event watch = {.events = EPOLLIN, .data = {.u64 = cpu}};
	struct cpu *c = &m->cpus[cpu];

	c->page = map_ring(c->fd);
	if (!c->page)
		return err_sys(e, errno, "mapping the ring of a mapping event");
	if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, c->fd, &watch) < 0)
		return err_sys(e, errno, "watching a mapping event");
	mmap_merge_open(&m->merge, cpu, c->page, (const uint8_t *)c->page + page_size(),
			MMAP_RING_BYTES);
	return 0;
}

static int open_cpu(struct mmap_events *m, size_t cpu, struct err *e)
{
	int fd = open_event(m, cpu);

	if (fd < 0 && errno == EINVAL && !m->no_build_ids) {
		m->no_build_ids = true; // before 5.12
		fd = open_event(m, cpu);
	}
	if (fd < 0 && errno == ENODEV)
		return 0; // went offline meanwhile
	if (fd < 0)
		return privilege_explain(errno, "opening a mapping event with perf_event_open", e);
	m->cpus[cpu].fd = fd;
	if (watch_cpu(m, cpu, e) < 0) {
		close_cpu(m, cpu);
		return -1;
	}
	return 0;
}

int mmap_events_follow_cpus(struct mmap_events *m, struct err *e)
{
	_cleanup_free_ bool *online = mem_calloc(m->cpu_count, sizeof(*online));

	if (!online)
		return err_nomem(e);
	if (sampler_online_cpus(online, m->cpu_count, e) < 0)
		return -1;
	for (size_t cpu = 0; cpu < m->cpu_count; cpu++) {
		if (!online[cpu])
			close_cpu(m, cpu);
		else if (m->cpus[cpu].fd < 0 && open_cpu(m, cpu, e) < 0)
			return -1;
	}
	return 0;
}

static int begin(struct mmap_events *m, struct err *e)
{
	int cpus = libbpf_num_possible_cpus();

	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		return err_sys(e, errno, "epoll_create1");
	if (cpus < 1)
		return err_set(e, ERR_NO_KERNEL_SUPPORT, "cannot tell the number of CPUs");
	m->cpus = mem_calloc((size_t)cpus, sizeof(*m->cpus));
	if (!m->cpus)
		return err_nomem(e);
	m->cpu_count = (size_t)cpus;
	for (size_t i = 0; i < m->cpu_count; i++)
		m->cpus[i].fd = -1;
	if (mmap_merge_init(&m->merge, m->cpu_count, e) < 0)
		return -1;
	return mmap_events_follow_cpus(m, e);
}

int mmap_events_new(struct mmap_events **ret, struct err *e)
{
	struct mmap_events *m = mem_zalloc(sizeof(*m));

	if (!m)
		return err_nomem(e);
	m->epoll = -1;
	if (begin(m, e) < 0) {
		mmap_events_free(m);
		return -1;
	}
	*ret = m;
	return 0;
}

void mmap_events_free(struct mmap_events *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->cpu_count; i++)
		close_cpu(m, i);
	mmap_merge_deinit(&m->merge);
	free(m->cpus);
	if (m->epoll >= 0)
		close(m->epoll);
	free(m);
}

int mmap_events_fd(const struct mmap_events *m)
{
	return m->epoll;
}

struct mmap_merge *mmap_events_merge(struct mmap_events *m)
{
	return &m->merge;
}

bool mmap_events_tell_build_ids(const struct mmap_events *m)
{
	return !m->no_build_ids;
}
