/* SPDX-License-Identifier: Apache-2.0 */
/* Files of this machine through the real child, and who gets room for a table. */
#include "agent-lite/process/module_cache.h"

#include "agent-lite/elf/testing.h"
#include "agent-lite/process/regular_file.h"
#include "base/clock.h"

static unsigned room, released;

static void release_one(void *ctx, struct module *m)
{
	(void)ctx;
	(void)m;
	released++;
	room++;
}

static bool take_one(void *ctx, struct module *m, const struct unwind_table *t,
		     const uint64_t *slots)
{
	(void)ctx;
	(void)t;
	(void)slots;
	if (room == 0)
		return false;
	room--;
	m->unwind.release = release_one;
	return true;
}

static struct module *get(struct module_cache *cache, const char *path)
{
	_cleanup_close_ int fd = regular_file_open(path);
	struct module *m = NULL;
	struct err e = ERR_INIT;

	assert_true(fd >= 0);
	assert_ok(module_cache_get(cache, fd, path, &m, &e));
	return m;
}

static void a_file_is_read_once(void **state)
{
	struct module_cache *cache;
	struct module_cache_stats stats;
	struct module *a, *b;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(module_cache_new(NULL, &cache, &e));
	a = get(cache, "/bin/sh");
	b = get(cache, "/bin/sh");
	assert_ptr_equal(a, b);
	assert_string_not_equal(a->build_id, "");
	module_cache_stats(cache, &stats);
	assert_int_equal(stats.files_read, 1);
	module_unref(a);
	module_unref(b);
	module_cache_free(cache);
}

/* What no process maps any more gives way to the table of what one does. */
static void unused_tables_make_room(void **state)
{
	struct module_cache *cache;
	struct module_cache_stats stats;
	struct module *used, *late;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(module_cache_new(NULL, &cache, &e));
	room = 2; // one is the vdso's
	released = 0;
	module_cache_set_tables(cache, take_one, NULL);
	module_unref(get(cache, "/bin/sh")); // known, but not in use
	assert_int_equal(room, 0);
	used = get(cache, "/bin/ls");
	assert_int_equal(released, 1);
	assert_non_null(used->unwind.release);
	late = get(cache, "/bin/cat");
	assert_null(late->unwind.release); // all others are in use
	module_cache_stats(cache, &stats);
	assert_int_equal(stats.tables_refused, 1);
	module_unref(used);
	module_unref(late);
	module_cache_free(cache);
	assert_int_equal(released, 3);
}

static uint64_t evictions(const struct module_cache *cache)
{
	struct module_cache_stats stats;

	module_cache_stats(cache, &stats);
	return stats.evictions;
}

/* What is forgotten is read again when it comes back: not for each file that finds no room. */
static void vain_evictions_are_seldom(void **state)
{
	static const char *const paths[] = {"/bin/sh", "/bin/ls", "/bin/cat", "/bin/mv"};
	struct module *used[countof(paths)];
	struct module_cache *cache;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(module_cache_new(NULL, &cache, &e));
	room = 2;
	module_cache_set_tables(cache, take_one, NULL);
	for (size_t i = 0; i < 3; i++)
		used[i] = get(cache, paths[i]);
	assert_int_equal(evictions(cache), 1);
	used[3] = get(cache, paths[3]);
	assert_int_equal(evictions(cache), 1);
	module_unref(used[0]);
	module_unref(used[3]);
	clock_shift_ms(60 * 1000);
	used[0] = get(cache, "/bin/cp"); // there is some now
	assert_int_equal(evictions(cache), 2);
	assert_non_null(used[0]->unwind.release);
	for (size_t i = 0; i < 3; i++)
		module_unref(used[i]);
	module_cache_free(cache);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_once),
		cmocka_unit_test(unused_tables_make_room),
		cmocka_unit_test(vain_evictions_are_seldom),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("module_cache", tests, NULL, NULL);
}
