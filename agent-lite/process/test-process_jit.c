/* SPDX-License-Identifier: Apache-2.0 */
/* Many processes that write large perf maps, in a made-up /proc: what is read and kept is bounded. */
#include "agent-lite/process/process_jit.h"

#include "agent-lite/elf/testing.h"
#include "base/clock.h"

enum { FIRST_PID = 4000000, PROCESSES = 24, CODE = 0x10000, LINES = 14000 };

static char proc[64];
static struct module_cache *modules;
static struct processes ps;

/* 3.7 MB: one step. */
static void write_map(const char *path)
{
	FILE *f = fopen(path, "we");
	char name[PERF_MAP_NAME_MAX];

	assert_non_null(f);
	memset(name, 'x', sizeof(name));
	for (unsigned i = 0; i < LINES; i++)
		fprintf(f, "%x 10 f%u_%.240s\n", CODE + 16 * i, i, name);
	fclose(f);
}

static void make_process(unsigned pid, const char *map)
{
	char path[256], text[256];

	snprintf(path, sizeof(path), "%s/%u", proc, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%u/root", proc, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%u/root/tmp", proc, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%u/root/tmp/perf-7.map", proc, pid);
	assert_int_equal(link(map, path), 0);
	snprintf(path, sizeof(path), "%s/%u/status", proc, pid);
	snprintf(text, sizeof(text), "Uid:\t%u\t%u\t%u\t%u\nNSpid:\t%u\t7\n", getuid(), getuid(),
		 getuid(), getuid(), pid);
	write_text(path, text);
}

static int setup(void **state)
{
	char map[128];
	struct err e = ERR_INIT;

	(void)state;
	test_dir_make(proc);
	snprintf(map, sizeof(map), "%s/map", proc);
	write_map(map);
	for (unsigned i = 0; i < PROCESSES; i++)
		make_process(FIRST_PID + i, map);
	assert_ok(module_cache_new(NULL, &modules, &e));
	processes_init(&ps, modules, proc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	processes_deinit(&ps);
	module_cache_free(modules);
	test_dir_remove(proc);
	return 0;
}

static struct process *process(unsigned pid)
{
	struct process *p = processes_find(&ps, pid);
	struct err e = ERR_INIT;

	if (!p)
		assert_ok(processes_add(&ps, pid, &p, &e));
	return p;
}

static const char *name_in(unsigned pid)
{
	struct frame frame = {.module = module_cache_special(modules, MODULE_ANON), .address = CODE};
	struct err e = ERR_INIT;

	assert_ok(process_jit_name(&ps, process(pid), &frame, 1, &e));
	return frame.function;
}

static unsigned named(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PROCESSES; i++)
		n += name_in(FIRST_PID + i) != NULL;
	return n;
}

static uint64_t bytes_kept(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PROCESSES; i++)
		sum += process(FIRST_PID + i)->jit_bytes;
	return sum;
}

static void a_second_reads_so_much(void **state)
{
	const unsigned in_a_second = PROCESS_JIT_READ_PER_SECOND / (3700 * 1000) + 1;
	uint64_t begin = clock_mono_ms() / 1000, seconds;
	unsigned first;

	(void)state;
	first = named();
	seconds = clock_mono_ms() / 1000 - begin + 1; // many, on a slow machine
	assert_in_range(first, 1, in_a_second * seconds);
	clock_shift_ms(1000);
	assert_true(named() > first || first == PROCESSES);
}

static void all_keep_so_much(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PROCESSES; i++) {
		clock_shift_ms(1000);
		assert_non_null(name_in(FIRST_PID + i)); // whoever was just read stays
		assert_true(ps.jit.bytes <= PROCESS_JIT_BYTES_MAX);
	}
	assert_true(ps.jit.bytes > PROCESS_JIT_BYTES_MAX / 2);
	assert_int_equal(ps.jit.bytes, bytes_kept());
}

static void what_goes_is_not_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PROCESSES; i++)
		process_jit_drop(&ps, process(FIRST_PID + i));
	assert_int_equal(ps.jit.bytes, 0);
	clock_shift_ms(1000);
	assert_non_null(name_in(FIRST_PID));
	clock_shift_ms(1000);
	processes_expire(&ps, 1000);
	assert_int_equal(ps.by_pid.n, 0);
	assert_int_equal(ps.jit.bytes, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_reads_so_much),
		cmocka_unit_test(all_keep_so_much),
		cmocka_unit_test(what_goes_is_not_counted),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("process_jit", tests, setup, teardown);
}
