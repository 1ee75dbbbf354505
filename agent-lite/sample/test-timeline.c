/* SPDX-License-Identifier: Apache-2.0 */
/* Events of two CPUs' rings and samples, which come in another order than they happened. */
#include "agent-lite/sample/timeline.h"

#include "agent-lite/elf/testing.h"
#include "agent-lite/process/testing_ring.h"
#include "base/clock.h"

enum { PID = 4000000, OTHER = 4000001 }; /* beyond what the kernel gives out */

static struct module_cache *modules;
static struct processes ps;
static struct mmap_merge merge;
static struct test_ring rings[2];
static struct timeline timeline;
static char proc[64];

/* What the receiver got: when, and in which module the leaf lay. */
static struct {
	uint64_t time_ns;
	char where[64];
} got[64];
static size_t got_count;

static int receive(void *ctx, const struct record *r, struct err *e)
{
	const struct process_key key = {r->head.start_ns, r->head.exec_id, r->head.tgid};
	struct process *p;
	struct frame f[1];
	size_t n;

	(void)ctx;
	if (r->head.user_count == 0) {
		got_count++;
		return 0;
	}
	assert_true(got_count < countof(got));
	if (processes_get(&ps, &key, &p, e) < 0 ||
	    processes_frames(&ps, p, (uint64_t[]){r->user_ips[0]}, 1, f, &n, e) < 0)
		return -1;
	got[got_count].time_ns = r->head.ktime_ns;
	snprintf(got[got_count].where, sizeof(got[0].where), "%s",
		 n ? f[0].module->filename : "nowhere");
	got_count++;
	return 0;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	memset(rings, 0, sizeof(rings));
	got_count = 0;
	assert_ok(module_cache_new(NULL, &modules, &e));
	test_dir_make(proc);
	processes_init(&ps, modules, proc);
	ps.tracked = true;
	ps.breathe = timeline_breathe;
	ps.replaced = timeline_replaced;
	ps.timeline_ctx = &timeline;
	assert_ok(mmap_merge_init(&merge, countof(rings), &e));
	for (size_t i = 0; i < countof(rings); i++)
		mmap_merge_open(&merge, i, &rings[i].page, rings[i].data, sizeof(rings[i].data));
	timeline_init(&timeline, &ps, &merge, receive, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	timeline_deinit(&timeline);
	mmap_merge_deinit(&merge);
	processes_deinit(&ps);
	module_cache_free(modules);
	test_dir_remove(proc);
	return 0;
}

static void put(int cpu, struct test_record r)
{
	assert_true(test_write(&rings[cpu], r));
}

static void sample(uint64_t time_ns, uint32_t pid, uint64_t exec_id, uint64_t ip)
{
	struct record r = {.head = {.ktime_ns = time_ns,
				    .exec_id = exec_id,
				    .tgid = pid,
				    .user_count = 1,
				    .why = PROFILE_END_FRAME_POINTER,
				    .unwinder = PROFILE_UNWINDER_FRAME_POINTER},
			   .kernel_ips = &ip,
			   .user_ips = &ip};
	struct err e = ERR_INIT;

	assert_ok(timeline_add(&timeline, &r, &e));
}

static void run(uint64_t seen_ns)
{
	struct err e = ERR_INIT;

	assert_ok(timeline_run(&timeline, seen_ns, &e));
}

static void samples_see_the_mappings_of_their_time(void **state)
{
	(void)state;
	put(0, test_comm(100, PID, PID, true, "first"));
	put(0, test_mmap2(110, PID, 0x7000, 0x1000, 1, "/bin/first"));
	put(1, test_comm(200, PID, PID, true, "second"));
	put(1, test_mmap2(210, PID, 0x7000, 0x1000, 2, "/bin/second"));
	sample(250, PID, 2, 0x7800);
	sample(150, PID, 1, 0x7800);
	run(300);
	assert_int_equal(got_count, 2);
	assert_int_equal(got[0].time_ns, 150);
	assert_string_equal(got[0].where, "/bin/first");
	assert_string_equal(got[1].where, "/bin/second");
	assert_int_equal(merge.stats.events, 4);
	assert_int_equal(ps.stats.scans, 0);
}

/* A sample taken while the rings were read comes next time; what is later than it must wait, too. */
static void later_events_wait_for_later_samples(void **state)
{
	(void)state;
	put(0, test_comm(100, PID, PID, true, "first"));
	put(0, test_mmap2(110, PID, 0x7000, 0x1000, 1, "/bin/first"));
	put(0, test_comm(200, PID, PID, true, "second"));
	put(0, test_mmap2(210, PID, 0x7000, 0x1000, 2, "/bin/second"));
	run(150);
	assert_int_equal(merge.stats.events, 2);
	sample(190, PID, 1, 0x7800);
	sample(220, PID, 2, 0x7800);
	run(230);
	assert_string_equal(got[0].where, "/bin/first");
	assert_string_equal(got[1].where, "/bin/second");
}

/* execve() has replaced the mappings, but the registers are still those of the caller. */
static void the_replaced_image_is_remembered_for_a_moment(void **state)
{
	(void)state;
	put(0, test_comm(100, PID, PID, true, "first"));
	put(0, test_mmap2(110, PID, 0x7000, 0x1000, 1, "/bin/first"));
	put(0, test_comm(200, PID, PID, true, "second"));
	put(0, test_mmap2(210, PID, 0x9000, 0x1000, 2, "/bin/second"));
	sample(205, PID, 1, 0x7800);
	sample(215, PID, 2, 0x7800);
	sample(220, PID, 2, 0x9800);
	run(300);
	assert_string_equal(got[0].where, "/bin/first");
	assert_string_equal(got[1].where, "/bin/first");
	assert_string_equal(got[2].where, "/bin/second");
}

/* What /proc says of PID. */
static void put_maps(const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%d", proc, PID);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/maps", proc, PID);
	write_text(path, text);
}

/* /proc can only tell of the program that is there now. */
static void a_scan_too_late_is_not_believed(void **state)
{
	(void)state;
	put_maps("7000-8000 r-xp 0 00:01 2 /bin/second\n");
	put(0, test_comm(200, PID, PID, true, "second"));
	put(0, test_mmap2(210, PID, 0x7000, 0x1000, 2, "/bin/second"));
	sample(150, PID, 1, 0x7800);
	sample(220, PID, 2, 0x7800);
	run(300);
	assert_string_equal(got[0].where, "[unknown]");
	assert_string_equal(got[1].where, "/bin/second");
}

/* While files are read for the first process the second one may end: it is looked at before. */
static void strangers_are_met_before_files_are_read(void **state)
{
	(void)state;
	put_maps("7000-8000 r-xp 0 00:01 2 /bin/first\n");
	sample(140, OTHER, 1, 0x7800);
	sample(150, PID, 1, 0x7800);
	run(300);
	assert_string_equal(got[0].where, "[unknown]");
	assert_string_equal(got[1].where, "/bin/first");
	assert_int_equal(ps.stats.scans, 2);
	assert_int_equal(ps.stats.gone, 1);
}

static void full_rings_are_told_of(void **state)
{
	uint64_t t = 1;

	(void)state;
	while (test_write(&rings[0], test_mmap2(t, PID, 0x7000, 0x1000, 1, "/bin/x")))
		t++;
	run(t);
	assert_int_equal(rings[0].page.data_tail, rings[0].page.data_head);
	put(0, test_lost(t + 1, 3));
	run(t + 2);
	assert_int_equal(merge.stats.lost, 3);
	assert_int_equal(ps.doubt_ns, t + 1);
}

static void a_ring_that_goes_away_is_a_loss(void **state)
{
	uint64_t begin = clock_mono_ns();

	(void)state;
	put(1, test_comm(100, PID, PID, true, "first"));
	mmap_merge_look(&merge);
	mmap_merge_close(&merge, 1);
	put(0, test_comm(120, OTHER, OTHER, true, "second"));
	run(200);
	assert_int_equal(merge.stats.events, 1);
	assert_int_equal(merge.stats.lost, 1);
	assert_true(ps.doubt_ns >= begin);
}

static void many_samples_do_not_pile_up(void **state)
{
	static const uint64_t ips[PROFILE_DEPTH];
	struct record r = {.head = {.kernel_count = PROFILE_DEPTH,
				    .tgid = PID,
				    .why = PROFILE_END_NO_USER},
			   .kernel_ips = ips,
			   .user_ips = ips};
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 6000; i++) {
		r.head.ktime_ns = i;
		assert_ok(timeline_add(&timeline, &r, &e));
	}
	assert_true(got_count > 0);
	run(6000);
	assert_int_equal(got_count, 6000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(samples_see_the_mappings_of_their_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(later_events_wait_for_later_samples, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_replaced_image_is_remembered_for_a_moment, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_scan_too_late_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_met_before_files_are_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(full_rings_are_told_of, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ring_that_goes_away_is_a_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(many_samples_do_not_pile_up, setup, teardown),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
