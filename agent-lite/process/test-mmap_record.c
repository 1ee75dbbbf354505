/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mmap_record.h"

#include "agent-lite/process/testing_ring.h"
#include "base/testing.h"
#include <sys/sysmacros.h>

static const uint8_t id[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

static struct mmap_event parsed(struct test_record r)
{
	struct mmap_event ev = {0};
	bool malformed = true;

	assert_true(mmap_record_parse(r.bytes, r.n, &ev, &malformed));
	assert_false(malformed);
	return ev;
}

/* Is it passed over, and called malformed or not? */
static void passed_over(struct test_record r, bool as_malformed)
{
	struct mmap_event ev;
	bool malformed = !as_malformed;

	assert_false(mmap_record_parse(r.bytes, r.n, &ev, &malformed));
	assert_int_equal(malformed, as_malformed);
}

static void mappings_are_read(void **state)
{
	struct test_record r = test_mmap2(77, 40, 0x7000, 0x2000, 131, "/usr/bin/a b");
	struct mmap_event ev = parsed(r);

	(void)state;
	assert_int_equal(ev.kind, MMAP_EVENT_MMAP);
	assert_int_equal(ev.time_ns, 77);
	assert_int_equal(ev.pid, 40);
	assert_int_equal(ev.start, 0x7000);
	assert_int_equal(ev.len, 0x2000);
	assert_int_equal(ev.offset, 0x1000);
	assert_int_equal(ev.device, makedev(0xfe, 1));
	assert_int_equal(ev.inode, 131);
	assert_int_equal(ev.generation, 5);
	assert_int_equal(ev.build_id_size, 0);

	struct test_record with_id = test_mmap2_id(78, 40, 0x7000, 0x2000, 0x1000, id, "/lib/x.so");

	ev = parsed(with_id);
	assert_int_equal(ev.inode, 0);
	assert_int_equal(ev.build_id_size, 20);
	assert_memory_equal(ev.build_id, id, 20);
}

static void the_path_ends_where_its_padding_begins(void **state)
{
	struct test_record r = test_mmap2(77, 40, 0x7000, 0x2000, 131, "/a");
	struct mmap_event ev;
	bool malformed;

	(void)state;
	assert_true(mmap_record_parse(r.bytes, r.n, &ev, &malformed));
	assert_str(ev.path, "/a");
}

static void processes_are_told_apart_from_threads(void **state)
{
	struct mmap_event ev = parsed(test_comm(5, 40, 40, true, "sort"));

	(void)state;
	assert_int_equal(ev.kind, MMAP_EVENT_EXEC);
	assert_string_equal(ev.comm, "sort");
	assert_int_equal(parsed(test_comm(5, 40, 40, false, "x")).kind, MMAP_EVENT_COMM);
	passed_over(test_comm(5, 40, 41, false, "thread"), false);
	ev = parsed(test_task(PERF_RECORD_FORK, 6, 50, 50, 40));
	assert_int_equal(ev.kind, MMAP_EVENT_FORK);
	assert_int_equal(ev.pid, 50);
	assert_int_equal(ev.ppid, 40);
	passed_over(test_task(PERF_RECORD_FORK, 6, 40, 41, 40), false);
	assert_int_equal(parsed(test_task(PERF_RECORD_EXIT, 7, 50, 50, 50)).kind, MMAP_EVENT_EXIT);
	passed_over(test_task(PERF_RECORD_EXIT, 7, 50, 51, 50), false);
	assert_int_equal(parsed(test_lost(8, 9)).lost, 9);
	passed_over(test_begin(PERF_RECORD_KSYMBOL, 0), false);
}

static void long_names_are_cut(void **state)
{
	(void)state;
	assert_string_equal(parsed(test_comm(5, 40, 40, true, "0123456789abcdefghij")).comm,
			    "0123456789abcde");
}

static void senseless_records_are_passed_over(void **state)
{
	struct test_record r = test_mmap2(77, 40, 0x7000, 0x2000, 131, "/a");
	struct test_record wide = test_mmap2(77, 40, UINT64_MAX - 0xfff, 0x2000, 131, "/a");
	struct test_record none = test_mmap2(77, 40, 0x7000, 0, 131, "/a");
	struct test_record long_id = test_mmap2_id(77, 40, 0x7000, 0x2000, 0x1000, id, "/a");

	(void)state;
	long_id.bytes[8 + 32] = 21;
	passed_over(wide, true);
	passed_over(none, true);
	passed_over(long_id, true);
	for (r.n = 0; r.n < 8 + 64 + 16; r.n++) // shorter than what every mapping tells
		passed_over(r, true);
}

static void records_are_cut_off_one_by_one(void **state)
{
	struct test_record a = test_lost(1, 1), b = test_mmap2(2, 40, 0x7000, 8, 1, "/lib/x");
	uint8_t both[1024];
	struct str rest = {(const char *)both, a.n + b.n};
	bool broken = true;
	size_t n = 0;

	(void)state;
	memcpy(both, a.bytes, a.n);
	memcpy(both + a.n, b.bytes, b.n);
	assert_ptr_equal(mmap_records_next(&rest, &n, &broken), both);
	assert_int_equal(n, a.n);
	assert_ptr_equal(mmap_records_next(&rest, &n, &broken), both + a.n);
	assert_int_equal(n, b.n);
	assert_null(mmap_records_next(&rest, &n, &broken));
	assert_false(broken);
}

static void impossible_sizes_give_up_the_rest(void **state)
{
	static const uint16_t sizes[] = {0, 4, 7, 41, 4096, 65535};

	(void)state;
	for (size_t i = 0; i < countof(sizes); i++) {
		struct test_record r = test_lost(1, 1); // 40 bytes
		struct str rest = {(const char *)r.bytes, r.n};
		bool broken = false;
		size_t n = 0;

		memcpy(r.bytes + offsetof(struct perf_event_header, size), &sizes[i], 2);
		assert_null(mmap_records_next(&rest, &n, &broken));
		assert_true(broken);
		assert_int_equal(rest.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mappings_are_read),
		cmocka_unit_test(the_path_ends_where_its_padding_begins),
		cmocka_unit_test(processes_are_told_apart_from_threads),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(senseless_records_are_passed_over),
		cmocka_unit_test(records_are_cut_off_one_by_one),
		cmocka_unit_test(impossible_sizes_give_up_the_rest),
	};

	return cmocka_run_group_tests_name("mmap_record", tests, NULL, NULL);
}
