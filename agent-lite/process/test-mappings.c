/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/mappings.h"

#include "base/testing.h"
#include <sys/sysmacros.h>

static const char text[] =
	"55d0a1000000-55d0a1001000 r--p 00000000 fe:01 131 /usr/bin/a b\n"
	"55d0a1001000-55d0a1005000 r-xp 00001000 fe:01 131                        /usr/bin/a b\n"
	"7f0000000000-7f0000002000 rwxp 00000000 00:00 0 \n"
	"7f0000010000-7f0000020000 r-xp 00000000 00:05 77 /tmp/gone.so (deleted)\n"
	"7f0000020000-7f0000030000 r-xs 00000000 00:01 78 /memfd:jit (deleted)\n"
	"7f0000030000-7f0000031000 r-xp 00000000 00:00 0 [heap]\n"
	"7ffff0000000-7ffff0002000 r-xp 00000000 00:00 0                          [vdso]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void executable_mappings_are_kept(void **state)
{
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(mappings_parse(&m, str_from(text), &e));
	assert_int_equal(m.n, 7);
	assert_int_equal(m.dropped, 0);
	assert_int_equal(m.items[0].start, 0x55d0a1001000);
	assert_int_equal(m.items[0].end, 0x55d0a1005000);
	assert_int_equal(m.items[0].offset, 0x1000);
	assert_int_equal(m.items[0].inode, 131);
	assert_int_equal(m.items[0].device, makedev(0xfe, 1));
	assert_int_equal(m.items[0].kind, MAPPING_FILE);
	assert_string_equal(m.items[0].path, "/usr/bin/a b");
	assert_int_equal(m.items[1].kind, MAPPING_ANON);
	assert_int_equal(m.items[4].kind, MAPPING_ANON);
	assert_int_equal(m.items[5].kind, MAPPING_VDSO);
	assert_int_equal(m.items[6].kind, MAPPING_VSYSCALL);
	mappings_deinit(&m);
}

static void deleted_files_are_told_apart(void **state)
{
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(mappings_parse(&m, str_from(text), &e));
	assert_true(m.items[2].deleted);
	assert_string_equal(m.items[2].path, "/tmp/gone.so");
	assert_true(m.items[3].deleted);
	assert_string_equal(m.items[3].path, "/memfd:jit");
	assert_false(m.items[0].deleted);
	mappings_deinit(&m);
}

static void addresses_are_found_at_both_ends(void **state)
{
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(mappings_parse(&m, str_from(text), &e));
	assert_ptr_equal(mappings_find(&m, 0x55d0a1001000), &m.items[0]);
	assert_ptr_equal(mappings_find(&m, 0x55d0a1004fff), &m.items[0]);
	assert_null(mappings_find(&m, 0x55d0a1005000));
	assert_null(mappings_find(&m, 0x55d0a1000fff));
	assert_null(mappings_find(&m, 0));
	assert_null(mappings_find(&m, UINT64_MAX));
	assert_ptr_equal(mappings_find(&m, 0xffffffffff600800), &m.items[6]);
	mappings_deinit(&m);
}

static void nonsense_is_counted_and_skipped(void **state)
{
	static const char bad[] = "hello\n"
				  "1000 r-xp 0 00:00 0\n"
				  "2000-1000 r-xp 0 00:00 0 \n"
				  "1000-2000 r-xp 0 0000 0 \n"
				  "1000-2000 r-xp zz 00:00 0 \n"
				  "1000-2000 r-xp 0 00:00 -1 \n"
				  "1000-2000 rx 0 00:00 0 \n"
				  "1000-2000 r-xp 0 00:00 0 \n"
				  "1800-3000 r-xp 0 00:00 0 \n" // overlaps the one before
				  "\n"
				  "3000-4000 r-xp 0 00:00 0 /x";
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(mappings_parse(&m, str_from(bad), &e));
	assert_int_equal(m.n, 2);
	assert_int_equal(m.dropped, 8);
	assert_int_equal(m.items[1].kind, MAPPING_ANON); // inode 0: no file
	mappings_deinit(&m);
}

/* Any prefix of a listing parses into a prefix of the mappings. */
static void every_truncation_is_survived(void **state)
{
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		assert_ok(mappings_parse(&m, (struct str){text, n}, &e));
		assert_true(m.n <= 7);
	}
	mappings_deinit(&m);
}

static void paths_become_utf8(void **state)
{
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(mappings_parse(&m,
				 str_from("1000-2000 r-xp 0 00:01 5 /a\xff"
					  "b\n3000-4000 r-xp 0 00:01 6 /\xc3\xa4\n"),
				 &e));
	assert_string_equal(m.items[0].path, "/a?b");
	assert_string_equal(m.items[1].path, "/\xc3\xa4");
	mappings_deinit(&m);
}

static void the_number_is_bounded(void **state)
{
	struct buf b = BUF_INIT(4 << 20);
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned i = 1; i <= MAPPINGS_MAX + 10; i++)
		buf_printf(&b, "%x000-%x800 r-xp 0 00:00 0 \n", i, i);
	assert_ok(mappings_parse(&m, buf_str(&b), &e));
	assert_int_equal(m.n, MAPPINGS_MAX);
	assert_int_equal(m.dropped, 10);
	mappings_deinit(&m);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(executable_mappings_are_kept),
		cmocka_unit_test(deleted_files_are_told_apart),
		cmocka_unit_test(addresses_are_found_at_both_ends),
		cmocka_unit_test(nonsense_is_counted_and_skipped),
		cmocka_unit_test(every_truncation_is_survived),
		cmocka_unit_test(paths_become_utf8),
		cmocka_unit_test(the_number_is_bounded),
	};

	return cmocka_run_group_tests_name("mappings", tests, NULL, NULL);
}
