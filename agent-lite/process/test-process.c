/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process table over a made-up /proc for what must be exact, and over the real one for
 * ourselves.
 */
#include "agent-lite/process/process_scan.h"

#include "agent-lite/elf/testing.h"
#include "base/clock.h"
#include "base/io.h"
#include <gnu/libc-version.h>

static char proc[64];
static struct module_cache *modules;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	test_dir_make(proc);
	assert_ok(module_cache_new(NULL, &modules, &e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	module_cache_free(modules);
	test_dir_remove(proc);
	return 0;
}

/* Writes proc/PID/name. */
static void put(unsigned pid, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%u", proc, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%u/%s", proc, pid, name);
	write_text(path, text);
}

static void put_stat(unsigned pid, unsigned long ticks)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "%u (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %lu 20 21\n", pid,
		 ticks);
	put(pid, "stat", text);
}

static struct frame frame_of(struct processes *ps, const struct process_key *key, uint64_t address)
{
	struct process *p = NULL;
	struct frame f = {0};
	struct err e = ERR_INIT;
	size_t n = 0;

	assert_ok(processes_get(ps, key, &p, &e));
	assert_ok(processes_frames(ps, p, &address, 1, &f, &n, &e));
	assert_int_equal(n, 1);
	return f;
}

static void the_start_time_is_found_behind_any_name(void **state)
{
	uint64_t ticks = 0;

	(void)state;
	assert_true(process_start_ticks(
		STR("7 (x) y (z) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20"), &ticks));
	assert_int_equal(ticks, 777);
	assert_false(process_start_ticks(STR("7 (x) S 1 2"), &ticks));
	assert_false(process_start_ticks(STR(""), &ticks));
	assert_false(process_start_ticks(STR("7 (x)"), &ticks));
}

static void our_own_functions_are_found(void **state)
{
	struct processes ps;
	const struct process_key self = {0, 0, (uint64_t)getpid()};
	struct elf_ident ident;
	struct err e = ERR_INIT;
	char text[BUILD_ID_TEXT];
	struct frame f;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_ok(elf_ident_read(fd, &ident, &e));
	close(fd);
	build_id_text(&ident.id, text);
	processes_init(&ps, modules, "/proc");
	f = frame_of(&ps, &self, (uint64_t)(uintptr_t)our_own_functions_are_found);
	assert_string_equal(f.module->build_id, text);
	assert_true(f.address < MIB(64)); // of a PIE: the load bias is gone
	f = frame_of(&ps, &self, (uint64_t)(uintptr_t)gnu_get_libc_version);
	assert_holds(str_from(f.module->filename), "libc.so");
	assert_string_not_equal(f.module->build_id, "");
	assert_int_equal(ps.stats.scans, 1);
	processes_deinit(&ps);
}

static void a_reused_pid_is_not_mistaken(void **state)
{
	struct processes ps;
	struct process *p = NULL;
	const struct process_key old = {5000 * UINT64_C(10000000), 0, 77};
	const struct process_key now = {6000 * UINT64_C(10000000) + 123, 0, 77};
	struct err e = ERR_INIT;

	(void)state;
	put(77, "maps", "1000-2000 r-xp 0 00:00 0 \n");
	put_stat(77, 6000);
	processes_init(&ps, modules, proc);
	assert_ok(processes_get(&ps, &old, &p, &e));
	assert_true(p->gone);
	assert_string_equal(frame_of(&ps, &old, 0x1800).module->filename, "[unknown]");
	assert_ok(processes_get(&ps, &now, &p, &e));
	assert_false(p->gone);
	assert_string_equal(frame_of(&ps, &now, 0x1800).module->filename, "[anon]");
	assert_int_equal(ps.stats.gone, 1);
	processes_deinit(&ps);
}

static void an_exec_is_another_image(void **state)
{
	struct processes ps;
	const struct process_key before = {0, 1, 78}, after = {0, 2, 78};

	(void)state;
	put(78, "maps", "1000-2000 r-xp 0 00:00 0 \n");
	processes_init(&ps, modules, proc);
	frame_of(&ps, &before, 0x1800);
	put(78, "maps", "1000-2000 r-xp 0 00:01 5 /bin/true\n");
	assert_string_equal(frame_of(&ps, &before, 0x1800).module->filename, "[anon]");
	assert_string_equal(frame_of(&ps, &after, 0x1800).module->filename, "/bin/true");
	processes_deinit(&ps);
}

static void a_new_library_is_found_after_a_pause(void **state)
{
	struct processes ps;
	const struct process_key key = {0, 1, 79};

	(void)state;
	put(79, "maps", "1000-2000 r-xp 0 00:00 0 \n");
	processes_init(&ps, modules, proc);
	assert_string_equal(frame_of(&ps, &key, 0x3800).module->filename, "[unknown]");
	put(79, "maps", "1000-2000 r-xp 0 00:00 0 \n3000-4000 r-xp 800 00:01 5 /lib/new.so\n");
	assert_string_equal(frame_of(&ps, &key, 0x3800).module->filename, "[unknown]");
	clock_shift_ms(1100);
	assert_string_equal(frame_of(&ps, &key, 0x3800).module->filename, "/lib/new.so");
	assert_int_equal(frame_of(&ps, &key, 0x3800).address,
			 0x1000); // the offset: it cannot be read
	assert_int_equal(ps.stats.scans, 2);
	assert_true(ps.stats.files_unopened > 0);
	processes_deinit(&ps);
}

/* An address that is never found must not make us read /proc each second for ever. */
static void vain_rescans_become_seldom(void **state)
{
	struct processes ps;
	const struct process_key key = {0, 1, 80};

	(void)state;
	put(80, "maps", "1000-2000 r-xp 0 00:00 0 \n");
	processes_init(&ps, modules, proc);
	for (int i = 0; i < 30; i++) {
		clock_shift_ms(1000);
		frame_of(&ps, &key, 0x9999);
	}
	assert_in_range(ps.stats.scans, 3, 7);
	processes_deinit(&ps);
}

static void the_idle_are_forgotten(void **state)
{
	struct processes ps;
	const struct process_key key = {0, 1, 81};

	(void)state;
	put(81, "maps", "1000-2000 r-xp 0 00:00 0 \n");
	processes_init(&ps, modules, proc);
	frame_of(&ps, &key, 0x1000);
	processes_expire(&ps, 1000);
	assert_int_equal(ps.by_pid.n, 1);
	clock_shift_ms(2000);
	processes_expire(&ps, 1000);
	assert_int_equal(ps.by_pid.n, 0);
	processes_deinit(&ps);
}

static void the_table_is_bounded(void **state)
{
	struct processes ps;
	struct process *p;
	struct err e = ERR_INIT;

	(void)state;
	processes_init(&ps, modules, proc);
	for (uint64_t i = 0; i < PROCESSES_MAX + 100; i++) {
		const struct process_key key = {0, 1, 1000000 + i};

		assert_ok(processes_get(&ps, &key, &p, &e));
	}
	assert_true(ps.by_pid.n <= PROCESSES_MAX);
	assert_true(ps.stats.evicted > 0);
	processes_deinit(&ps);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_time_is_found_behind_any_name),
		cmocka_unit_test(our_own_functions_are_found),
		cmocka_unit_test(a_reused_pid_is_not_mistaken),
		cmocka_unit_test(an_exec_is_another_image),
		cmocka_unit_test(a_new_library_is_found_after_a_pause),
		cmocka_unit_test(vain_rescans_become_seldom),
		cmocka_unit_test(the_idle_are_forgotten),
		cmocka_unit_test(the_table_is_bounded),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("process", tests, setup, teardown);
}
