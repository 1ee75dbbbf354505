/* SPDX-License-Identifier: Apache-2.0 */
/* When the server is asked about what; what is asked and how the answer is taken; the kernel's list. */
#include "agent-lite/give/giver_ids.h"

#include "agent-lite/process/kernel_list.h"
#include "agent-lite/elf/testing.h"
#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"

#include <sys/mman.h>

enum { PAUSE = 1000, TEXT_MAX = 1 << 20 };

static struct wanted_id due[WANTED_ASKED_MAX];

static void one_is_not_wanted(struct giver_ids *ids, const char *text, uint64_t now)
{
	struct wanted_id one = {0};

	snprintf(one.text, sizeof(one.text), "%s", text);
	giver_ids_answered(ids, &one, 1, NULL, 0, now);
}

static void the_unwanted_are_asked_about_less_and_less(void **state)
{
	struct giver_ids ids;
	uint64_t now = 5000, pause = PAUSE;

	(void)state;
	giver_ids_init(&ids, PAUSE);
	giver_ids_saw(&ids, "aa", false, now);
	giver_ids_saw(&ids, "bb", true, now);
	assert_int_equal(giver_ids_due(&ids, now, due), 2);
	giver_ids_put_off(&ids, "bb", UINT64_MAX);
	for (unsigned i = 0; i < 30; i++) {
		one_is_not_wanted(&ids, "aa", now);
		giver_ids_saw(&ids, "aa", false, now + 1); // that it is sampled again changes nothing
		assert_int_equal(giver_ids_due(&ids, now + pause - 1, due), 0);
		now += pause;
		assert_int_equal(giver_ids_due(&ids, now, due), 1);
		assert_string_equal(due[0].text, "aa");
		assert_false(due[0].is_list);
		pause = MIN(2 * pause, (uint64_t)GIVER_PAUSE_MAX_MS);
	}
	one_is_not_wanted(&ids, "cc", now); // unknown
	giver_ids_deinit(&ids);
}

// The server leases a few at a time: what is not among them may be wanted as much.
static void after_a_full_answer_the_rest_is_asked_about_again(void **state)
{
	size_t wanted[WANTED_FULL];
	struct giver_ids ids;
	char text[32];
	size_t n;

	(void)state;
	giver_ids_init(&ids, PAUSE);
	for (unsigned i = 0; i < WANTED_FULL + 5; i++) {
		snprintf(text, sizeof(text), "%08x", i);
		giver_ids_saw(&ids, text, false, 0);
	}
	n = giver_ids_due(&ids, 0, due);
	for (size_t i = 0; i < WANTED_FULL; i++) {
		wanted[i] = i;
		giver_ids_put_off(&ids, due[i].text, UINT64_MAX);
	}
	giver_ids_answered(&ids, due, n, wanted, WANTED_FULL, 0);
	n = giver_ids_due(&ids, 0, due);
	assert_int_equal(n, 5);
	giver_ids_answered(&ids, due, n, wanted, 1, 0); // the first
	assert_int_equal(giver_ids_due(&ids, 0, due), 1);
	giver_ids_deinit(&ids);
}

static void the_longest_unseen_make_room(void **state)
{
	struct giver_ids ids;
	char text[32];

	(void)state;
	giver_ids_init(&ids, PAUSE);
	for (unsigned i = 0; i < 3 * GIVER_IDS_MAX; i++) {
		snprintf(text, sizeof(text), "%08x", i);
		giver_ids_saw(&ids, text, false, i);
		assert_true(ids.by_text.n <= GIVER_IDS_MAX);
	}
	assert_non_null(map_get(&ids.by_text, str_from(text)));
	assert_null(map_get(&ids.by_text, STR("00000000")));
	assert_int_equal(giver_ids_due(&ids, UINT64_MAX, due), WANTED_ASKED_MAX);
	giver_ids_deinit(&ids);
}

// ---- question and answer ------------------------------------------------------------------------

static const struct wanted_id asked[] = {{"aa", false}, {"bb", true}, {"cc", false}};

static void the_question_is_what_the_server_reads(void **state)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(TEXT_MAX);

	(void)state;
	wanted_write(asked, countof(asked), &out);
	assert_string_equal(out.p, "{\"build_ids\":[\"aa\",\"cc\"],\"kallsyms\":[\"bb\"]}");
}

static int read_answer(const char *text, size_t ret[static WANTED_GIVEN_MAX], size_t *n, struct err *e)
{
	*e = ERR_INIT;
	return wanted_read(str_from(text), asked, countof(asked), ret, n, e);
}

static void only_what_was_asked_about_is_wanted(void **state)
{
	size_t wanted[WANTED_GIVEN_MAX], n = 0;
	struct err e;

	(void)state;
	assert_ok(read_answer("{\"wanted\":[{\"build_id\":\"cc\",\"type\":\"debuginfo\",\"lease_seconds\":600},"
			      "{\"build_id\":\"dd\",\"type\":\"debuginfo\"},{\"build_id\":\"aa\",\"type\":\"kallsyms\"},"
			      "{\"build_id\":\"bb\",\"type\":\"kallsyms\"},7,{}]}",
			      wanted, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(wanted[0], 2);
	assert_int_equal(wanted[1], 1);
	assert_int_equal(read_answer("{\"wanted\":{}}", wanted, &n, &e), -1);
	assert_int_equal(read_answer("[]", wanted, &n, &e), -1);
	assert_int_equal(read_answer("<html>", wanted, &n, &e), -1);
}

// ---- the list -----------------------------------------------------------------------------------

static void the_list_has_functions_alone(void **state)
{
	const struct kernel_image k = {.known = true,
				       .start = 0xffffffff91000000,
				       .end = 0xffffffffa1000000,
				       .bias = 0x10000000,
				       .id = {.kind = BUILD_ID_GNU, .size = 4, .bytes = {1, 2, 3, 4}}};
	_cleanup_close_ int out = memfd_create("list", MFD_CLOEXEC);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(TEXT_MAX), text = BUF_INIT(TEXT_MAX);
	char dir[64], path[96];
	const struct kernel_paths paths = {.kallsyms = path};
	struct zstd_out *z;
	struct err e = ERR_INIT;
	uint64_t size;

	(void)state;
	test_dir_make(dir);
	snprintf(path, sizeof(path), "%s/kallsyms", dir);
	write_text(path, "0000000000000000 A fixed_percpu_data\n"
			 "ffffffff91000000 T _stext\nffffffff91000000 T _text\nffffffff91000010 t f.isra.0\n"
			 "ffffffff91000020 D data\nffffffff91000030 R more\nffffffff91000040 W weak\n"
			 "ffffffff91000038 T back\nffffffff91000050 t ext\t[ext4]\n");
	assert_ok(zstd_out_new(out, TEXT_MAX, &z, &e));
	assert_ok(kernel_list_write(&paths, &k, z, &e));
	assert_ok(zstd_out_finish(z, &size, &e));
	zstd_out_free(z);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_ok(io_read_fd(out, &packed, &e));
	assert_ok(zstd_decompress(buf_str(&packed), &text, &e));
	assert_true(str_has_prefix(buf_str(&text), STR("unhex-kallsyms 1 01020304 ")));
	assert_string_equal(strchr(text.p, '\n'), "\nffffffff81000000 T _stext\nffffffff81000000 T _text\n"
						  "ffffffff81000010 t f.isra.0\nffffffff81000020 -\n"
						  "ffffffff81000040 W weak\n");
	assert_ok(zstd_out_new(out, 5, &z, &e));
	if (kernel_list_write(&paths, &k, z, &e) == 0)
		assert_int_equal(zstd_out_finish(z, &size, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "more than 5 bytes");
	zstd_out_free(z);
	test_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_unwanted_are_asked_about_less_and_less),
		cmocka_unit_test(after_a_full_answer_the_rest_is_asked_about_again),
		cmocka_unit_test(the_longest_unseen_make_room),
		cmocka_unit_test(the_question_is_what_the_server_reads),
		cmocka_unit_test(only_what_was_asked_about_is_wanted),
		cmocka_unit_test(the_list_has_functions_alone),
	};

	return cmocka_run_group_tests_name("giver_ids", tests, NULL, NULL);
}
