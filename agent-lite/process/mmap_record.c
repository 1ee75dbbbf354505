/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mmap_record.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/sysmacros.h>

/* struct sample_id of perf_event_open(2), for PERF_SAMPLE_TID | PERF_SAMPLE_TIME: ends each record. */
struct sample_id {
	uint32_t pid, tid;
	uint64_t time;
};

struct mmap2_body {
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	union {
		struct {
			uint32_t maj, min;
			uint64_t ino, ino_generation;
		};
		struct {
			uint8_t build_id_size;
			uint8_t reserved_1;
			uint16_t reserved_2;
			uint8_t build_id[MAPPING_ID_MAX];
		};
	};
	uint32_t prot, flags;
};

struct comm_body {
	uint32_t pid, tid;
};

struct task_body {
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

struct lost_body {
	uint64_t id, lost;
};

_Static_assert(sizeof(struct mmap2_body) == 64, "as in linux/perf_event.h");

/* Cuts the next n bytes off the front. */
static bool take(struct str *s, void *ret, size_t n)
{
	if (s->n < n)
		return false;
	memcpy(ret, s->p, n);
	*s = str_skip(*s, n);
	return true;
}

/* The name that ends the body, NUL-terminated and padded with NULs. */
static struct str take_name(struct str s)
{
	return (struct str){s.p, strnlen(s.p, s.n)};
}

static bool parse_mmap2(struct str s, uint16_t misc, struct mmap_event *ret)
{
	struct mmap2_body b;

	if (!take(&s, &b, sizeof(b)) || b.len == 0 || b.addr + b.len < b.addr)
		return false;
	ret->kind = MMAP_EVENT_MMAP;
	ret->pid = b.pid;
	ret->tid = b.tid;
	ret->start = b.addr;
	ret->len = b.len;
	ret->offset = b.pgoff;
	ret->prot = b.prot;
	if (!(misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
		ret->device = makedev(b.maj, b.min);
		ret->inode = b.ino;
		ret->generation = b.ino_generation;
	} else if (b.build_id_size <= MAPPING_ID_MAX) {
		ret->build_id_size = b.build_id_size;
		memcpy(ret->build_id, b.build_id, b.build_id_size);
	} else {
		return false;
	}
	ret->path = take_name(s);
	return true;
}

static bool parse_comm(struct str s, uint16_t misc, struct mmap_event *ret)
{
	struct comm_body b;
	struct str name;

	if (!take(&s, &b, sizeof(b)))
		return false;
	ret->kind = misc & PERF_RECORD_MISC_COMM_EXEC ? MMAP_EVENT_EXEC : MMAP_EVENT_COMM;
	ret->pid = b.pid;
	ret->tid = b.tid;
	name = take_name(s);
	name.n = MIN(name.n, (size_t)MMAP_COMM - 1);
	memcpy(ret->comm, name.p, name.n);
	return true;
}

static bool parse_task(struct str s, uint32_t type, struct mmap_event *ret)
{
	struct task_body b;

	if (!take(&s, &b, sizeof(b)))
		return false;
	ret->kind = type == PERF_RECORD_FORK ? MMAP_EVENT_FORK : MMAP_EVENT_EXIT;
	ret->pid = b.pid;
	ret->tid = b.tid;
	ret->ppid = b.ppid;
	return true;
}

static bool parse_lost(struct str s, struct mmap_event *ret)
{
	struct lost_body b;

	if (!take(&s, &b, sizeof(b)))
		return false;
	ret->kind = MMAP_EVENT_LOST;
	ret->lost = b.lost;
	return true;
}

/* Other threads' names, births and ends change nothing. */
static bool is_of_interest(const struct mmap_event *ev)
{
	switch (ev->kind) {
	case MMAP_EVENT_FORK:
		return ev->pid != ev->ppid;
	case MMAP_EVENT_EXIT:
	case MMAP_EVENT_COMM:
		return ev->tid == ev->pid;
	default:
		return true;
	}
}

static bool parse_body(struct str s, const struct perf_event_header *h, struct mmap_event *ret)
{
	switch (h->type) {
	case PERF_RECORD_MMAP2:
		return parse_mmap2(s, h->misc, ret);
	case PERF_RECORD_COMM:
		return parse_comm(s, h->misc, ret);
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return parse_task(s, h->type, ret);
	default:
		return parse_lost(s, ret);
	}
}

static bool is_known_type(uint32_t type)
{
	return type == PERF_RECORD_MMAP2 || type == PERF_RECORD_COMM || type == PERF_RECORD_FORK ||
	       type == PERF_RECORD_EXIT || type == PERF_RECORD_LOST;
}

bool mmap_record_parse(const void *record, size_t n, struct mmap_event *ret, bool *ret_malformed)
{
	struct str s = {record, n};
	struct mmap_event ev = {0};
	struct perf_event_header h;
	struct sample_id id;

	*ret_malformed = true;
	if (!take(&s, &h, sizeof(h)))
		return false;
	if (!is_known_type(h.type)) {
		*ret_malformed = false;
		return false;
	}
	if (s.n < sizeof(id))
		return false;
	memcpy(&id, s.p + s.n - sizeof(id), sizeof(id));
	s.n -= sizeof(id);
	ev.time_ns = id.time;
	if (!parse_body(s, &h, &ev))
		return false;
	*ret_malformed = false;
	if (!is_of_interest(&ev))
		return false;
	*ret = ev;
	return true;
}

const void *mmap_records_next(struct str *rest, size_t *ret_n, bool *ret_broken)
{
	const void *record = rest->p;
	struct perf_event_header h;

	*ret_broken = false;
	if (rest->n == 0)
		return NULL;
	h.size = 0;
	if (rest->n >= sizeof(h))
		memcpy(&h, record, sizeof(h));
	if (h.size < sizeof(h) || h.size > rest->n) {
		*ret_broken = true;
		*rest = str_skip(*rest, rest->n);
		return NULL;
	}
	*rest = str_skip(*rest, h.size);
	*ret_n = h.size;
	return record;
}
