/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/mmap_events.h"

#include "agent-lite/privilege.h"
#include "agent-lite/sampler.h"
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

struct cpu_ring {
	int fd; /* -1: none; the CPU is offline */
	struct perf_event_mmap_page *page;
	struct mmap_ring ring;
	bool has_next;
	bool borrowed; /* `next` was handed out: its bytes go back to the kernel at the next call */
	struct mmap_event next;
	uint8_t *scratch; /* for a record that wraps around */
};

struct mmap_events {
	struct cpu_ring *cpus;
	size_t cpu_count; /* possible ones */
	int epoll;
	bool no_build_ids; /* the kernel does not know the attribute */
	uint64_t lost_unsaid; /* of rings that are no more */
	struct mmap_events_stats stats;
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

static int map_ring(struct cpu_ring *c, int fd)
{
	void *p = mmap(NULL, page_size() + MMAP_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	c->page = p;
	c->ring = (struct mmap_ring){
		.data = (const uint8_t *)p + page_size(),
		.size = MMAP_RING_BYTES,
	};
	return 0;
}

static int open_cpu(struct mmap_events *m, size_t cpu, struct err *e)
{
	struct epoll_event watch = {.events = EPOLLIN, .data = {.u64 = cpu}};
	struct cpu_ring *c = &m->cpus[cpu];
	_cleanup_free_ uint8_t *scratch = NULL;
	_cleanup_close_ int fd = open_event(m, cpu);

	if (fd < 0 && errno == EINVAL && !m->no_build_ids) {
		m->no_build_ids = true; // before 5.12
		fd = open_event(m, cpu);
	}
	if (fd < 0 && errno == ENODEV)
		return 0; // went offline meanwhile
	if (fd < 0)
		return privilege_explain(errno, "opening a mapping event with perf_event_open", e);
	scratch = mem_alloc(MMAP_RECORD_MAX);
	if (!scratch)
		return err_nomem(e);
	if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &watch) < 0)
		return err_sys(e, errno, "watching a mapping event");
	if (map_ring(c, fd) < 0)
		return err_sys(e, errno, "mapping the ring of a mapping event");
	c->scratch = steal_ptr(scratch);
	c->fd = steal_fd(&fd);
	return 0;
}

static void close_cpu(struct mmap_events *m, struct cpu_ring *c)
{
	if (c->fd < 0)
		return;
	m->lost_unsaid += c->has_next || c->page->data_head != c->ring.tail;
	munmap(c->page, page_size() + MMAP_RING_BYTES);
	close(c->fd); // leaves the epoll set by itself
	free(c->scratch);
	*c = (struct cpu_ring){.fd = -1};
}

int mmap_events_follow_cpus(struct mmap_events *m, struct err *e)
{
	_cleanup_free_ bool *online = mem_calloc(m->cpu_count, sizeof(*online));

	if (!online)
		return err_nomem(e);
	if (sampler_online_cpus(online, m->cpu_count, e) < 0)
		return -1;
	for (size_t cpu = 0; cpu < m->cpu_count; cpu++) {
		struct cpu_ring *c = &m->cpus[cpu];

		if (!online[cpu])
			close_cpu(m, c);
		else if (c->fd < 0 && open_cpu(m, cpu, e) < 0)
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
		close_cpu(m, &m->cpus[i]);
	free(m->cpus);
	if (m->epoll >= 0)
		close(m->epoll);
	free(m);
}

int mmap_events_fd(const struct mmap_events *m)
{
	return m->epoll;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What was read goes back to the kernel; what is to come next stays. */
static void give_back(struct cpu_ring *c)
{
	if (!c->has_next)
		__atomic_store_n(&c->page->data_tail, c->ring.tail, __ATOMIC_RELEASE);
	c->borrowed = false;
}

/* Reads on to the next event of this CPU, if there is one among what was noticed. */
static void advance(struct mmap_events *m, struct cpu_ring *c)
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

void mmap_events_look(struct mmap_events *m)
{
	for (size_t i = 0; i < m->cpu_count; i++) {
		struct cpu_ring *c = &m->cpus[i];

		if (c->fd < 0)
			continue;
		c->ring.head = __atomic_load_n(&c->page->data_head, __ATOMIC_ACQUIRE);
		advance(m, c);
	}
}

static struct cpu_ring *earliest(struct mmap_events *m)
{
	struct cpu_ring *first = NULL;

	for (size_t i = 0; i < m->cpu_count; i++) {
		struct cpu_ring *c = &m->cpus[i];

		if (c->borrowed)
			advance(m, c);
		if (c->has_next && (!first || c->next.time_ns < first->next.time_ns))
			first = c;
	}
	return first;
}

/* What was lost with a ring is told like what was lost because it was full. */
static bool next_loss(struct mmap_events *m, uint64_t time_ns, struct mmap_event *ret)
{
	if (m->lost_unsaid == 0)
		return false;
	*ret = (struct mmap_event){
		.kind = MMAP_EVENT_LOST, .time_ns = time_ns, .lost = m->lost_unsaid};
	m->lost_unsaid = 0;
	m->stats.lost += ret->lost;
	return true;
}

bool mmap_events_next(struct mmap_events *m, uint64_t until_ns, struct mmap_event *ret)
{
	struct cpu_ring *c = earliest(m);

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

void mmap_events_stats(const struct mmap_events *m, struct mmap_events_stats *ret)
{
	*ret = m->stats;
	ret->build_ids = !m->no_build_ids;
}
