/* SPDX-License-Identifier: Apache-2.0 */
/* Perf maps in the root of a made-up process, honest ones and others. */
#include "agent-lite/process/perf_map_file.h"

#include "agent-lite/elf/testing.h"
#include "base/clock.h"

enum { PID = 77, INSIDE = 5 };

static char proc[64];

static void path_of(const char *name, char out[static 256])
{
	snprintf(out, 256, "%s/%d/%s", proc, PID, name);
}

static void put(const char *name, const char *text)
{
	char path[256];

	path_of(name, path);
	write_text(path, text);
}

static void put_status(unsigned uid)
{
	char text[256];

	snprintf(text, sizeof(text), "Name:\tx\nUid:\t%u\t%u\t%u\t%u\nNSpid:\t%d\t%d\n", uid, uid, uid,
		 uid, PID, INSIDE);
	put("status", text);
}

static int setup(void **state)
{
	static const char *const folders[] = {"", "root", "root/tmp"};
	char path[256];

	(void)state;
	test_dir_make(proc);
	for (size_t i = 0; i < countof(folders); i++) {
		path_of(folders[i], path);
		mkdir(path, 0755);
	}
	put_status(getuid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(proc);
	return 0;
}

static void follow(struct perf_map_file *f)
{
	struct err e = ERR_INIT;

	clock_shift_ms(PERF_MAP_PAUSE_MAX_MS);
	assert_ok(perf_map_file_follow(f, proc, PID, &e));
}

static void assert_name(const struct perf_map_file *f, uint64_t address, const char *name)
{
	const char *got = perf_map_find(&f->map, address);

	if (!name)
		assert_null(got);
	else
		assert_string_equal(got ? got : "(none)", name);
}

static void the_owner_is_read(void **state)
{
	uint64_t pid = 0, uid = 0;

	(void)state;
	assert_true(perf_map_owner(STR("Uid:\t1\t2\t3\t4\nNSpid:\t100\t20\t3\n"), &pid, &uid));
	assert_int_equal(pid, 3);
	assert_int_equal(uid, 2);
	assert_false(perf_map_owner(STR("Uid:\t1\t2\t3\t4\n"), &pid, &uid));
	assert_false(perf_map_owner(STR("NSpid:\t1\nUid:\t1\n"), &pid, &uid));
	assert_false(perf_map_owner(STR(""), &pid, &uid));
}

static void a_growing_map_is_followed(void **state)
{
	struct perf_map_file *f = perf_map_file_new();
	uint64_t read;

	(void)state;
	assert_non_null(f);
	follow(f);
	assert_name(f, 0x1000, NULL);
	put("root/tmp/perf-5.map", "1000 10 first\n2000 10 half");
	follow(f);
	assert_name(f, 0x1000, "first");
	assert_name(f, 0x2000, NULL);
	read = f->read;
	put("root/tmp/perf-5.map", "1000 10 first\n2000 10 half done\n");
	follow(f);
	assert_name(f, 0x2000, "half done");
	assert_true(f->read > read);
	assert_int_equal(f->map.n, 2);
	put("root/tmp/perf-5.map", "3000 10 anew\n"); // cut off and begun anew
	follow(f);
	assert_name(f, 0x1000, NULL);
	assert_name(f, 0x3000, "anew");
	perf_map_file_free(f);
}

static void looks_are_seldom(void **state)
{
	struct perf_map_file *f = perf_map_file_new();
	struct err e = ERR_INIT;

	(void)state;
	follow(f);
	put("root/tmp/perf-5.map", "1000 10 first\n");
	assert_ok(perf_map_file_follow(f, proc, PID, &e));
	assert_name(f, 0x1000, NULL);
	clock_shift_ms(f->pause_ms);
	assert_ok(perf_map_file_follow(f, proc, PID, &e));
	assert_name(f, 0x1000, "first");
	assert_int_equal(f->pause_ms, PERF_MAP_PAUSE_MS);
	for (int i = 0; i < 10; i++)
		follow(f);
	assert_int_equal(f->pause_ms, PERF_MAP_PAUSE_MAX_MS);
	perf_map_file_free(f);
}

static void links_out_are_not_followed(void **state)
{
	char secret[128], path[256];
	struct perf_map_file *f = perf_map_file_new();

	(void)state;
	snprintf(secret, sizeof(secret), "%s/perf-5.map", proc);
	write_text(secret, "1000 10 secret\n");
	path_of("root/tmp/perf-5.map", path);
	assert_int_equal(symlink(secret, path), 0);
	follow(f);
	assert_int_equal(f->map.n, 0);
	assert_int_equal(unlink(path), 0);

	// The folder itself leads out of the root.
	path_of("root/tmp", path);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink(proc, path), 0);
	follow(f);
	assert_int_equal(f->map.n, 0);

	// Inside, it may.
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/other", path), 0);
	path_of("root/other", path);
	assert_int_equal(mkdir(path, 0755), 0);
	put("root/other/perf-5.map", "1000 10 inside\n");
	follow(f);
	assert_name(f, 0x1000, "inside");
	perf_map_file_free(f);
}

static void others_files_and_pipes_are_not_read(void **state)
{
	char path[256];
	struct perf_map_file *f = perf_map_file_new();

	(void)state;
	path_of("root/tmp/perf-5.map", path);
	assert_int_equal(mkfifo(path, 0644), 0);
	follow(f); // does not hang
	assert_int_equal(f->map.n, 0);
	assert_int_equal(unlink(path), 0);
	if (getuid() != 0) {
		perf_map_file_free(f);
		print_message("giving files away needs root\n");
		return;
	}
	put("root/tmp/perf-5.map", "1000 10 x\n");
	assert_int_equal(chown(path, 12345, 12345), 0);
	follow(f);
	assert_int_equal(f->map.n, 0);
	put_status(12345);
	follow(f);
	assert_name(f, 0x1000, "x");
	perf_map_file_free(f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_owner_is_read),
		TEST(a_growing_map_is_followed),
		TEST(looks_are_seldom),
		TEST(links_out_are_not_followed),
		TEST(others_files_and_pipes_are_not_read),
	};

	return cmocka_run_group_tests_name("perf_map_file", tests, NULL, NULL);
}
