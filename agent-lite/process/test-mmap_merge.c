/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mmap_merge.h"

#include "agent-lite/process/testing_ring.h"
#include "base/clock.h"
#include "base/testing.h"

static struct mmap_merge merge;
static struct test_ring rings[3];

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	memset(rings, 0, sizeof(rings));
	assert_ok(mmap_merge_init(&merge, countof(rings), &e));
	for (size_t i = 0; i < countof(rings); i++)
		mmap_merge_open(&merge, i, &rings[i].page, rings[i].data, sizeof(rings[i].data));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mmap_merge_deinit(&merge);
	return 0;
}

static bool put(int ring, uint64_t time_ns)
{
	return test_write(&rings[ring],
			  test_mmap2(time_ns, 40, 0x7000, 8, 1, "/lib/some/where"));
}

/* The time of the next event; 0: none. */
static uint64_t next_time(uint64_t until_ns)
{
	struct mmap_event ev;

	if (!mmap_merge_next(&merge, until_ns, &ev))
		return 0;
	if (ev.kind == MMAP_EVENT_MMAP)
		assert_str(ev.path, "/lib/some/where");
	return ev.time_ns;
}

static void rings_are_read_in_order_of_time(void **state)
{
	(void)state;
	for (uint64_t t = 1; t <= 30; t++)
		assert_true(put((int)(t * 7 % 3), t));
	mmap_merge_look(&merge);
	for (uint64_t t = 1; t <= 30; t++)
		assert_int_equal(next_time(UINT64_MAX), t);
	assert_int_equal(next_time(UINT64_MAX), 0);
}

static void what_is_later_waits(void **state)
{
	(void)state;
	assert_true(put(0, 10) && put(0, 20) && put(1, 15));
	assert_int_equal(next_time(UINT64_MAX), 0); // not noticed yet
	mmap_merge_look(&merge);
	assert_int_equal(next_time(9), 0);
	assert_int_equal(next_time(15), 10);
	assert_int_equal(next_time(15), 15);
	assert_int_equal(next_time(15), 0);
	assert_true(put(0, 30)); // noticed while 20 waits
	mmap_merge_look(&merge);
	assert_int_equal(next_time(30), 20);
	assert_int_equal(next_time(30), 30);
}

static void assert_told_of(bool first, bool second)
{
	static const uint32_t pids[] = {40, 41, 42};
	bool told[3] = {false};

	mmap_merge_tells_of(&merge, MMAP_EVENT_ANY, pids, told, countof(pids));
	assert_int_equal(told[0], first);
	assert_int_equal(told[1], second);
	assert_false(told[2]);
}

static bool execs(uint32_t pid)
{
	bool told = false;

	mmap_merge_tells_of(&merge, MMAP_EVENT_EXEC, &pid, &told, 1);
	return told;
}

static void who_waits_is_known(void **state)
{
	(void)state;
	assert_true(put(0, 10) && put(0, 20));
	assert_true(test_write(&rings[1], test_comm(15, 41, 41, true, "x")));
	assert_told_of(false, false); // not noticed yet
	mmap_merge_look(&merge);
	assert_told_of(true, true);
	assert_false(execs(40));
	assert_true(execs(41));
	assert_int_equal(next_time(10), 10);
	assert_told_of(true, true);
	assert_int_equal(next_time(20), 15);
	assert_told_of(true, false);
	assert_int_equal(next_time(20), 20);
	assert_told_of(false, false);
}

/* The kernel has its room again at once; records wrap around at every place they can. */
static void much_may_wait(void **state)
{
	uint64_t written = 0;

	(void)state;
	while (written < 2000) {
		while (written < 2000 && put(0, written + 1))
			written++;
		mmap_merge_look(&merge);
		assert_int_equal(rings[0].page.data_tail, rings[0].page.data_head);
	}
	for (uint64_t t = 1; t <= written; t++)
		assert_int_equal(next_time(UINT64_MAX), t);
	assert_int_equal(merge.stats.events, 2000);
	assert_int_equal(merge.stats.lost + merge.stats.malformed, 0);
}

static void what_waits_is_bounded(void **state)
{
	struct mmap_event ev = {0};
	bool told = false;

	(void)state;
	for (uint64_t t = 1; t < 20000; t++) {
		if (!put(0, t))
			mmap_merge_look(&merge);
	}
	mmap_merge_look(&merge);
	while (mmap_merge_next(&merge, 20000, &ev))
		told = told || ev.kind == MMAP_EVENT_LOST;
	assert_true(told);
	assert_true(merge.stats.lost > 0);
	assert_true(merge.stats.bytes <= MMAP_MERGE_HELD_MAX);
	assert_true(put(0, 30000));
	mmap_merge_look(&merge);
	assert_int_equal(next_time(30000), 30000);
}

/* Where programs start all the time, each look finds what is later than all that may be read. */
static void what_always_waits_does_not_fill(void **state)
{
	uint64_t t = 1;

	(void)state;
	assert_true(put(0, t));
	for (int turn = 0; turn < 40000; turn++) { // 4 MB
		assert_true(put(0, t + 1) && put(0, t + 2));
		mmap_merge_look(&merge);
		assert_int_equal(next_time(t + 1), t);
		assert_int_equal(next_time(t + 1), t + 1);
		assert_int_equal(next_time(t + 1), 0);
		t += 2;
	}
	assert_int_equal(merge.stats.lost + merge.stats.malformed, 0);
}

/* Hosts have hundreds of CPUs. */
static void many_rings_hold_less_each(void **state)
{
	struct mmap_merge few, many;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(mmap_merge_init(&few, 2, &e));
	assert_ok(mmap_merge_init(&many, 256, &e));
	assert_int_equal(few.held_max, MMAP_MERGE_HELD_MAX);
	assert_true(256 * many.held_max <= MIB(32));
	mmap_merge_deinit(&few);
	mmap_merge_deinit(&many);
}

/* It may have told of anything until now, also where less than that is asked for. */
static void a_loss_is_of_now(void **state)
{
	uint64_t begin = clock_mono_ns();
	struct mmap_event ev = {0};

	(void)state;
	rings[0].page.data_head = MIB(1);
	mmap_merge_look(&merge);
	assert_true(mmap_merge_next(&merge, 0, &ev));
	assert_int_equal(ev.kind, MMAP_EVENT_LOST);
	assert_true(ev.time_ns >= begin);
	assert_false(mmap_merge_next(&merge, 0, &ev));
}

static void impossible_positions_are_a_loss(void **state)
{
	struct mmap_event ev = {0};

	(void)state;
	rings[0].page.data_head = MIB(1);
	mmap_merge_look(&merge);
	assert_true(mmap_merge_next(&merge, 5, &ev));
	assert_int_equal(ev.kind, MMAP_EVENT_LOST);
	assert_int_equal(rings[0].page.data_tail, MIB(1));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rings_are_read_in_order_of_time),
		TEST(what_is_later_waits),
		TEST(who_waits_is_known),
		TEST(much_may_wait),
		TEST(what_waits_is_bounded),
		TEST(what_always_waits_does_not_fill),
		TEST(many_rings_hold_less_each),
		TEST(a_loss_is_of_now),
		TEST(impossible_positions_are_a_loss),
	};

	return cmocka_run_group_tests_name("mmap_merge", tests, NULL, NULL);
}
