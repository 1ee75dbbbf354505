/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes as events tell of them, over a made-up /proc; files are those of this machine, so that
 * their identities are real.
 */
#include "agent-lite/process/process_track.h"

#include "agent-lite/elf/testing.h"
#include "base/clock.h"

#include <elf.h>

enum { PID = 4000000, CHILD = 4000001 }; /* beyond what the kernel gives out */

static char proc[64], subject[128], bare[128];
static struct module_cache *modules;
static struct processes ps;
static uint64_t now; /* of the events */

static struct {
	unsigned changed, forgotten;
	size_t mappings;
} heard;

static void on_changed(void *ctx, struct process *p)
{
	(void)ctx;
	heard.changed++;
	heard.mappings = p->mappings.n;
	for (size_t i = 0; i < p->mappings.n; i++)
		assert_non_null(p->mappings.items[i].module);
}

static void on_forgotten(void *ctx, struct process *p)
{
	(void)ctx;
	(void)p;
	heard.forgotten++;
}

static int setup_all(void **state)
{
	(void)state;
	test_dir_make(proc);
	snprintf(subject, sizeof(subject), "%s/subject", proc);
	compile("gcc", "-O1 -Wl,--build-id", "tests/subjects/busy.c", subject);
	snprintf(bare, sizeof(bare), "%s/bare", proc);
	compile("gcc", "-O1 -Wl,--build-id=none", "tests/subjects/busy.c", bare);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	test_dir_remove(proc);
	return 0;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(module_cache_new(NULL, &modules, &e));
	processes_init(&ps, modules, proc);
	ps.tracked = true;
	ps.listener = (struct process_listener){NULL, on_changed, on_forgotten};
	memset(&heard, 0, sizeof(heard));
	now = clock_mono_ns();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	processes_deinit(&ps);
	module_cache_free(modules);
	return 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void apply(struct mmap_event ev)
{
	struct err e = ERR_INIT;

	ev.time_ns = ++now;
	assert_ok(processes_apply(&ps, &ev, &e));
}

static void exec_event(uint32_t pid, const char *comm)
{
	struct mmap_event ev = {.kind = MMAP_EVENT_EXEC, .pid = pid, .tid = pid};

	snprintf(ev.comm, sizeof(ev.comm), "%s", comm);
	apply(ev);
}

static void fork_event(uint32_t ppid, uint32_t pid)
{
	apply((struct mmap_event){.kind = MMAP_EVENT_FORK, .pid = pid, .tid = pid, .ppid = ppid});
}

static void exit_event(uint32_t pid)
{
	apply((struct mmap_event){.kind = MMAP_EVENT_EXIT, .pid = pid, .tid = pid});
}

static void anon_event(uint32_t pid, uint64_t start, uint64_t len)
{
	apply((struct mmap_event){.kind = MMAP_EVENT_MMAP,
				  .pid = pid,
				  .start = start,
				  .len = len,
				  .path = STR("//anon")});
}

static struct elf_ident ident_of(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct elf_ident ident;
	struct err e = ERR_INIT;

	assert_ok(elf_ident_read(fd, &ident, &e));
	return ident;
}

/* The mapping of a file's code, as the kernel tells of it: by build-ID, else by inode. */
static struct mmap_event code_of(const char *path, uint32_t pid, uint64_t start)
{
	struct mmap_event ev = {.kind = MMAP_EVENT_MMAP, .pid = pid, .start = start};
	struct elf_ident ident = ident_of(path);
	struct stat st;

	for (uint32_t i = 0; i < ident.load_count; i++) {
		if (!(ident.loads[i].flags & PF_X))
			continue;
		ev.offset = ident.loads[i].offset & ~UINT64_C(4095);
		ev.len = (ident.loads[i].filesz + 8191) & ~UINT64_C(4095);
	}
	ev.path = str_from(path);
	if (ident.id.kind == BUILD_ID_GNU) {
		ev.build_id_size = ident.id.size;
		memcpy(ev.build_id, ident.id.bytes, ident.id.size);
		return ev;
	}
	assert_int_equal(stat(path, &st), 0);
	ev.device = st.st_dev;
	ev.inode = st.st_ino;
	return ev;
}

static struct frame frame_at(uint32_t pid, uint64_t exec_id, uint64_t address)
{
	const struct process_key key = {0, exec_id, pid};
	struct process *p = NULL;
	struct frame f = {0};
	struct err e = ERR_INIT;
	size_t n = 0;

	assert_ok(processes_get(&ps, &key, &p, &e));
	assert_ok(processes_frames(&ps, p, &address, 1, &f, &n, &e));
	assert_int_equal(n, 1);
	return f;
}

/* What /proc says of PID. */
static void put_maps(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%u", proc, PID);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%u/maps", proc, PID);
	write_text(path, "b000-c000 r-xp 0 00:00 0 \n");
}

static uint64_t files_read(void)
{
	struct module_cache_stats stats;

	module_cache_stats(modules, &stats);
	return stats.files_read;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void a_process_that_has_gone_is_named(void **state)
{
	struct elf_ident ident = ident_of(subject);
	char text[BUILD_ID_TEXT];
	struct frame f;

	(void)state;
	build_id_text(&ident.id, text);
	exec_event(PID, "busy");
	apply(code_of(subject, PID, 0x5000000));
	exit_event(PID);
	processes_settle(&ps);
	f = frame_at(PID, 1, 0x5000100);
	assert_string_equal(f.module->build_id, text);
	assert_string_equal(f.module->filename, subject);
	assert_int_equal(f.address, code_of(subject, PID, 0).offset + 0x100);
	assert_int_equal(ps.stats.scans, 0);
	assert_string_equal(processes_find(&ps, PID)->comm, "busy");
}

static void a_child_has_its_parents_mappings(void **state)
{
	(void)state;
	exec_event(PID, "parent");
	apply(code_of(subject, PID, 0x5000000));
	fork_event(PID, CHILD);
	assert_string_equal(frame_at(CHILD, 1, 0x5000100).module->filename, subject);
	assert_string_equal(processes_find(&ps, CHILD)->comm, "parent");
	exec_event(CHILD, "child");
	anon_event(CHILD, 0x9000, 0x1000);
	assert_string_equal(frame_at(CHILD, 2, 0x9800).module->filename, "[anon]");
	assert_string_equal(frame_at(PID, 1, 0x5000100).module->filename, subject);
	assert_string_equal(frame_at(PID, 1, 0x9800).module->filename, "[unknown]");
	assert_int_equal(ps.stats.scans, 0);
}

static void the_newest_mapping_hides_older_ones(void **state)
{
	(void)state;
	exec_event(PID, "x");
	apply(code_of(subject, PID, 0x5000000));
	apply((struct mmap_event){.kind = MMAP_EVENT_MMAP,
				  .pid = PID,
				  .start = 0x5000000,
				  .len = 0x800,
				  .path = STR("//anon")});
	assert_string_equal(frame_at(PID, 1, 0x5000700).module->filename, "[anon]");
	assert_string_equal(frame_at(PID, 1, 0x5000800).module->filename, subject);
	assert_int_equal(frame_at(PID, 1, 0x5000800).address,
			 code_of(subject, PID, 0).offset + 0x800);
}

static void a_reused_pid_is_another_process(void **state)
{
	(void)state;
	exec_event(PID, "old");
	anon_event(PID, 0x9000, 0x1000);
	exit_event(PID);
	fork_event(1, PID);
	assert_string_equal(frame_at(PID, 1, 0x9800).module->filename, "[unknown]");
	assert_int_equal(ps.stats.gone, 1);
}

static void those_that_ended_are_kept_for_two_seconds(void **state)
{
	(void)state;
	exec_event(PID, "x");
	anon_event(PID, 0x9000, 0x1000);
	exit_event(PID);
	clock_shift_ms(1000);
	processes_reap(&ps);
	assert_string_equal(frame_at(PID, 1, 0x9800).module->filename, "[anon]");
	clock_shift_ms(2100);
	processes_reap(&ps);
	assert_null(processes_find(&ps, PID));
}

static void the_listener_hears_early_of_what_is_known(void **state)
{
	(void)state;
	exec_event(PID, "x");
	apply(code_of(subject, PID, 0x5000000));
	processes_settle(&ps);
	assert_int_equal(heard.changed, 0); // nobody has read that file yet
	assert_int_equal(files_read(), 0);
	frame_at(PID, 1, 0x5000100);
	assert_int_equal(heard.changed, 1);
	assert_int_equal(files_read(), 1);

	exec_event(CHILD, "x");
	apply(code_of(subject, CHILD, 0x6000000));
	anon_event(CHILD, 0x9000, 0x1000);
	processes_settle(&ps);
	assert_int_equal(heard.changed, 2);
	assert_int_equal(heard.mappings, 2);
	assert_int_equal(ps.stats.early, 1);
	frame_at(CHILD, 1, 0x6000100);
	assert_int_equal(heard.changed, 2); // it knows already
	assert_int_equal(files_read(), 1);

	exec_event(CHILD, "y");
	assert_int_equal(heard.forgotten, 1);
	exit_event(CHILD);
	processes_settle(&ps);
	assert_int_equal(heard.changed, 2);
}

static void few_are_told_of_early(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2 * PROCESS_EARLY_PER_SECOND; i++) {
		exec_event(PID + i, "x");
		anon_event(PID + i, 0x9000, 0x1000);
	}
	processes_settle(&ps);
	assert_int_equal(heard.changed, PROCESS_EARLY_PER_SECOND);
	frame_at(PID + 2 * PROCESS_EARLY_PER_SECOND - 1, 1, 0x9800);
	assert_int_equal(heard.changed, PROCESS_EARLY_PER_SECOND + 1);
}

/* Each time takes room in the kernel, which all share. */
static void who_changes_much_is_told_of_seldom(void **state)
{
	enum { MAPPINGS = 400 };

	(void)state;
	exec_event(PID, "x");
	for (uint64_t i = 0; i < MAPPINGS; i++)
		anon_event(PID, 0x10000 + 0x2000 * i, 0x1000);
	processes_settle(&ps);
	assert_int_equal(heard.changed, 1);
	for (uint64_t i = 0; i < 100; i++) {
		anon_event(PID, 0x1000000 + 0x2000 * i, 0x1000);
		processes_settle(&ps);
	}
	assert_int_equal(heard.changed, 1);
	clock_shift_ms(MAPPINGS + 100);
	processes_settle(&ps); // no event needed
	assert_int_equal(heard.changed, 2);
	assert_int_equal(heard.mappings, MAPPINGS + 100);
	anon_event(PID, 0x2000000, 0x1000);
	processes_settle(&ps);
	assert_int_equal(heard.changed, 2);
	clock_shift_ms(MAPPINGS + 101);
	frame_at(PID, 1, 0x2000000);
	assert_int_equal(heard.changed, 3);
}

static void what_was_not_told_early_is_told_with_a_sample(void **state)
{
	(void)state;
	exec_event(PID, "x");
	anon_event(PID, 0x9000, 0x1000);
	processes_settle(&ps);
	assert_int_equal(heard.changed, 1);
	for (uint32_t i = 1; i < 2 * PROCESS_EARLY_PER_SECOND; i++)
		exec_event(PID + i, "x");
	processes_settle(&ps);
	clock_shift_ms(10);
	anon_event(PID, 0xb000, 0x1000);
	processes_settle(&ps);
	frame_at(PID, 1, 0xb800);
	assert_int_equal(heard.mappings, 2);
}

/* Same inode, other bytes: what was guessed is looked at before anything is shipped. */
static void a_rewritten_file_is_not_mistaken(void **state)
{
	char path[160], command[400], text[BUILD_ID_TEXT];
	struct elf_ident now_there = ident_of(subject);

	(void)state;
	snprintf(path, sizeof(path), "%s/rewritten", proc);
	snprintf(command, sizeof(command), "cp %s %s", bare, path);
	assert_int_equal(system(command), 0);
	exec_event(PID, "x");
	apply(code_of(path, PID, 0x5000000));
	assert_string_equal(frame_at(PID, 1, 0x5000100).module->filename, path);
	assert_memory_equal(frame_at(PID, 1, 0x5000100).module->build_id, "htl-", 4);

	struct mmap_event again = code_of(path, CHILD, 0x5000000);

	snprintf(command, sizeof(command), "cat %s > %s", subject, path);
	assert_int_equal(system(command), 0);
	exec_event(CHILD, "x");
	apply(again);
	build_id_text(&now_there.id, text);
	assert_string_equal(frame_at(CHILD, 1, 0x5000100).module->build_id, text);
}

/* The path names another file by now: what is known is the build-ID and the place in the file. */
static void a_file_with_another_build_id_is_passed_over(void **state)
{
	struct mmap_event ev = code_of(subject, PID, 0x5000000);
	struct module_cache_stats stats;
	char text[BUILD_ID_TEXT];
	struct build_id id;
	struct frame f;

	(void)state;
	ev.build_id[3] ^= 1;
	exec_event(PID, "x");
	apply(ev);
	exit_event(PID);
	f = frame_at(PID, 1, 0x5000100);
	assert_string_equal(f.module->filename, subject);
	assert_false(f.module->has_ident);
	assert_true(f.module->by_offset);
	assert_int_equal(f.address, ev.offset + 0x100);
	assert_int_equal(build_id_set(&id, BUILD_ID_GNU, ev.build_id, ev.build_id_size, NULL), 0);
	build_id_text(&id, text);
	assert_string_equal(f.module->build_id, text);
	module_cache_stats(modules, &stats);
	assert_true(stats.files_other > 0);
}

/* Somebody maps a well-known library, puts a text in its place, and ends. */
static void what_lies_in_its_place_does_not_stand_for_it(void **state)
{
	struct mmap_event ev = code_of(subject, PID, 0x5000000);
	char text[128];

	(void)state;
	snprintf(text, sizeof(text), "%s/text", proc);
	write_text(text, "no ELF file");
	ev.path = str_from(text);
	exec_event(PID, "x");
	apply(ev);
	exit_event(PID);
	assert_true(frame_at(PID, 1, 0x5000100).module->by_offset); // by what the event told
	ev = code_of(subject, CHILD, 0x5000000);
	exec_event(CHILD, "x");
	apply(ev);
	assert_true(frame_at(CHILD, 1, 0x5000100).module->has_ident);
}

static void lost_events_are_made_up_for(void **state)
{
	(void)state;
	put_maps();
	exec_event(PID, "x");
	anon_event(PID, 0x9000, 0x1000);
	assert_string_equal(frame_at(PID, 1, 0x9800).module->filename, "[anon]");
	assert_int_equal(ps.stats.scans, 0);
	apply((struct mmap_event){.kind = MMAP_EVENT_LOST, .lost = 1});
	assert_string_equal(frame_at(PID, 1, 0xb800).module->filename, "[anon]");
	assert_int_equal(ps.stats.scans, 1);
	frame_at(PID, 1, 0xb800);
	assert_int_equal(ps.stats.scans, 1);
}

static void an_orphan_is_named_by_its_parent(void **state)
{
	(void)state;
	put_maps();
	fork_event(PID, CHILD);
	exit_event(CHILD);
	assert_string_equal(frame_at(CHILD, 1, 0xb800).module->filename, "[anon]");
	assert_int_equal(ps.stats.inherited, 1);
	assert_int_equal(ps.stats.gone, 0);
}

static void old_events_do_not_undo_a_scan(void **state)
{
	struct mmap_event old = {.kind = MMAP_EVENT_MMAP,
				 .pid = PID,
				 .start = 0xb000,
				 .len = 0x1000,
				 .path = STR("/old"),
				 .inode = 9,
				 .time_ns = 1};
	struct err e = ERR_INIT;

	(void)state;
	put_maps();
	frame_at(PID, 1, 0xb800);
	assert_ok(processes_apply(&ps, &old, &e));
	assert_string_equal(frame_at(PID, 1, 0xb800).module->filename, "[anon]");
}

static void forks_without_end_stay_bounded(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3 * PROCESSES_MAX; i++)
		fork_event(1, PID + i);
	assert_true(ps.by_pid.n <= PROCESSES_MAX);
	for (uint32_t i = 0; i < 3 * PROCESSES_MAX; i++)
		exec_event(PID + i, "x");
	assert_true(ps.by_pid.n <= PROCESSES_MAX);
}

static size_t count_mappings(void)
{
	size_t pos = 0, n = 0;
	struct str key;
	void *value;

	while (map_next(&ps.by_pid, &pos, &key, &value)) {
		const struct process *p = value;

		n += p->mappings.n + p->before.n;
	}
	return n;
}

/* Each child has all that its parent has, and one more. */
static void mappings_without_end_stay_bounded(void **state)
{
	enum { MAPPINGS = 500, CHILDREN = 1500 };
	size_t most = 0;

	(void)state;
	exec_event(PID, "x");
	for (uint64_t i = 0; i < MAPPINGS; i++)
		anon_event(PID, 0x10000 + 0x2000 * i, 0x1000);
	for (uint32_t i = 1; i <= CHILDREN; i++) {
		fork_event(PID + i - 1, PID + i);
		anon_event(PID + i, 0x1000, 0x1000);
		most = MAX(most, ps.mapping_count);
	}
	assert_true(most > PROCESSES_MAPPINGS_MAX / 2);
	assert_true(most <= PROCESSES_MAPPINGS_MAX + 2 * MAPPINGS);
	assert_int_equal(ps.mapping_count, count_mappings());
	assert_true(ps.stats.evicted > 0);
	for (uint32_t i = 1; i <= CHILDREN; i++)
		exec_event(PID + i, "y");
	clock_shift_ms(2000);
	processes_reap(&ps); // what was before execve()
	assert_int_equal(ps.mapping_count, 0);
}

static void a_child_of_very_many_mappings_has_none_yet(void **state)
{
	(void)state;
	exec_event(PID, "x");
	for (uint64_t i = 0; i < 1000; i++)
		anon_event(PID, 0x10000 + 0x2000 * i, 0x1000);
	fork_event(PID, CHILD);
	assert_int_equal(processes_find(&ps, CHILD)->mappings.n, 0);
	assert_false(processes_find(&ps, CHILD)->complete); // so /proc is read
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_that_has_gone_is_named),
		TEST(a_child_has_its_parents_mappings),
		TEST(the_newest_mapping_hides_older_ones),
		TEST(a_reused_pid_is_another_process),
		TEST(those_that_ended_are_kept_for_two_seconds),
		TEST(the_listener_hears_early_of_what_is_known),
		TEST(few_are_told_of_early),
		TEST(who_changes_much_is_told_of_seldom),
		TEST(what_was_not_told_early_is_told_with_a_sample),
		TEST(a_rewritten_file_is_not_mistaken),
		TEST(a_file_with_another_build_id_is_passed_over),
		TEST(what_lies_in_its_place_does_not_stand_for_it),
		TEST(lost_events_are_made_up_for),
		TEST(an_orphan_is_named_by_its_parent),
		TEST(old_events_do_not_undo_a_scan),
		TEST(forks_without_end_stay_bounded),
		TEST(mappings_without_end_stay_bounded),
		TEST(a_child_of_very_many_mappings_has_none_yet),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("process_track", tests, setup_all, teardown_all);
}
