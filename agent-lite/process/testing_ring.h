/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A perf event's ring as the kernel would have written it (linux/perf_event.h), for tests of what
 * reads it. For test-*.c and bench-*.c alone.
 */
#ifndef AGENT_TESTING_RING_H
#define AGENT_TESTING_RING_H

#include "base/base.h"

#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_RING_BYTES = 4096 };

struct test_ring {
	struct perf_event_mmap_page page;
	uint8_t data[TEST_RING_BYTES];
};

/* What a record tells of, in front of its sample_id. */
struct test_record {
	uint8_t bytes[512];
	size_t n;
};

static inline void test_put(struct test_record *r, const void *p, size_t n)
{
	if (r->n + n > sizeof(r->bytes))
		abort();
	memcpy(r->bytes + r->n, p, n);
	r->n += n;
}

static inline void test_put_u32(struct test_record *r, uint32_t v)
{
	test_put(r, &v, sizeof(v));
}

static inline void test_put_u64(struct test_record *r, uint64_t v)
{
	test_put(r, &v, sizeof(v));
}

/* NUL-terminated, and padded with NULs to a multiple of 8. */
static inline void test_put_name(struct test_record *r, const char *name)
{
	static const char zeros[8];

	test_put(r, name, strlen(name) + 1);
	test_put(r, zeros, (8 - r->n % 8) % 8);
}

static inline struct test_record test_begin(uint32_t type, uint16_t misc)
{
	const struct perf_event_header h = {.type = type, .misc = misc};
	struct test_record r = {.n = 0};

	test_put(&r, &h, sizeof(h));
	return r;
}

/* The sample_id, and the size. */
static inline void test_end(struct test_record *r, uint32_t pid, uint64_t time)
{
	uint16_t size;

	test_put_u32(r, pid);
	test_put_u32(r, pid);
	test_put_u64(r, time);
	size = (uint16_t)r->n;
	memcpy(r->bytes + offsetof(struct perf_event_header, size), &size, sizeof(size));
}

static inline struct test_record test_mmap2(uint64_t time, uint32_t pid, uint64_t start,
					    uint64_t len, uint64_t inode, const char *path)
{
	struct test_record r = test_begin(PERF_RECORD_MMAP2, 0);

	test_put_u32(&r, pid);
	test_put_u32(&r, pid);
	test_put_u64(&r, start);
	test_put_u64(&r, len);
	test_put_u64(&r, 0x1000); // offset
	test_put_u32(&r, 0xfe);
	test_put_u32(&r, 1);
	test_put_u64(&r, inode);
	test_put_u64(&r, 5); // generation
	test_put_u32(&r, 5); // PROT_READ | PROT_EXEC
	test_put_u32(&r, 2); // MAP_PRIVATE
	test_put_name(&r, path);
	test_end(&r, pid, time);
	return r;
}

/* id: 20 bytes */
static inline struct test_record test_mmap2_id(uint64_t time, uint32_t pid, uint64_t start,
					       uint64_t len, uint64_t offset, const uint8_t *id,
					       const char *path)
{
	struct test_record r = test_begin(PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_BUILD_ID);

	test_put_u32(&r, pid);
	test_put_u32(&r, pid);
	test_put_u64(&r, start);
	test_put_u64(&r, len);
	test_put_u64(&r, offset);
	test_put_u32(&r, 20);
	test_put(&r, id, 20);
	test_put_u32(&r, 5);
	test_put_u32(&r, 2);
	test_put_name(&r, path);
	test_end(&r, pid, time);
	return r;
}

static inline struct test_record test_comm(uint64_t time, uint32_t pid, uint32_t tid, bool exec,
					   const char *name)
{
	struct test_record r =
		test_begin(PERF_RECORD_COMM, exec ? PERF_RECORD_MISC_COMM_EXEC : 0);

	test_put_u32(&r, pid);
	test_put_u32(&r, tid);
	test_put_name(&r, name);
	test_end(&r, pid, time);
	return r;
}

/* PERF_RECORD_FORK or PERF_RECORD_EXIT */
static inline struct test_record test_task(uint32_t type, uint64_t time, uint32_t pid,
					   uint32_t tid, uint32_t ppid)
{
	struct test_record r = test_begin(type, 0);

	test_put_u32(&r, pid);
	test_put_u32(&r, ppid);
	test_put_u32(&r, tid);
	test_put_u32(&r, ppid);
	test_put_u64(&r, time);
	test_end(&r, pid, time);
	return r;
}

static inline struct test_record test_lost(uint64_t time, uint64_t count)
{
	struct test_record r = test_begin(PERF_RECORD_LOST, 0);

	test_put_u64(&r, 7);
	test_put_u64(&r, count);
	test_end(&r, 0, time);
	return r;
}

/* Writes it where the kernel would; false when the ring is full. */
static inline bool test_write(struct test_ring *ring, struct test_record r)
{
	if (ring->page.data_head + r.n - ring->page.data_tail > sizeof(ring->data))
		return false;
	for (size_t i = 0; i < r.n; i++)
		ring->data[(ring->page.data_head + i) % sizeof(ring->data)] = r.bytes[i];
	ring->page.data_head += r.n;
	return true;
}

#endif
