/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/record.h"

#include "base/testing.h"

struct wire {
	struct profile_record head;
	uint64_t ip[PROFILE_DEPTH + PROFILE_COPY_HEAD + PROFILE_COPY_WORDS + 2];
};

static struct wire make(uint16_t kernel, uint16_t user)
{
	struct wire w = {.head = {.ktime_ns = 1,
				  .start_ns = 2,
				  .exec_id = 3,
				  .tgid = 40,
				  .tid = 41,
				  .comm = "thread",
				  .leader_comm = "leader",
				  .kernel_count = kernel,
				  .user_count = user,
				  .why = PROFILE_END_FRAME_POINTER,
				  .unwinder = PROFILE_UNWINDER_FRAME_POINTER}};

	for (size_t i = 0; i < countof(w.ip); i++)
		w.ip[i] = 0x1000 + i;
	return w;
}

static size_t size_of(const struct wire *w)
{
	return sizeof(w->head) + ((size_t)w->head.kernel_count + w->head.user_count +
				  w->head.copy_words) * 8;
}

static void a_record_is_unpacked(void **state)
{
	struct wire w = make(2, 3);
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	assert_ok(record_parse(&w, size_of(&w), &r, &e));
	assert_int_equal(r.head.tgid, 40);
	assert_string_equal(r.head.leader_comm, "leader");
	assert_int_equal(r.kernel_ips[0], 0x1000);
	assert_int_equal(r.user_ips[0], 0x1002);
	assert_int_equal(r.user_ips[2], 0x1004);
}

static void the_deepest_record_fits(void **state)
{
	struct wire w = make(PROFILE_DEPTH, PROFILE_DEPTH);
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	assert_ok(record_parse(&w, size_of(&w), &r, &e));
	assert_int_equal(r.user_ips[PROFILE_DEPTH - 1], 0x1000 + 2 * PROFILE_DEPTH - 1);
}

static void every_other_size_is_refused(void **state)
{
	struct wire w = make(2, 3);
	struct err e;
	struct record r;

	(void)state;
	for (size_t n = 0; n < sizeof(w); n++) {
		e = ERR_INIT;
		if (n == size_of(&w))
			continue;
		assert_int_equal(record_parse(&w, n, &r, &e), -1);
		assert_err(&e, ERR_BAD_REQUEST,
			   n < sizeof(w.head) ? "a head has" : "does not hold 5 words");
	}
}

static void counts_beyond_the_depth_are_refused(void **state)
{
	struct wire w = make(PROFILE_DEPTH + 1, 0);
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	assert_int_equal(record_parse(&w, size_of(&w), &r, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "128 kernel and 0 user frames");
	w = make(0, UINT16_MAX);
	assert_int_equal(record_parse(&w, sizeof(w), &r, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "65535 user frames");
}

static void unknown_enumerators_are_refused(void **state)
{
	struct wire w = make(0, 1);
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	w.head.why = PROFILE_END_COUNT;
	assert_int_equal(record_parse(&w, size_of(&w), &r, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "stack end 8");
	w = make(0, 1);
	w.head.kind = PROFILE_KIND_COUNT;
	assert_int_equal(record_parse(&w, size_of(&w), &r, &e), -1);
	assert_err(&e, ERR_BAD_REQUEST, "of kind 2");
}

static struct wire make_copy(uint16_t kernel, uint16_t words)
{
	struct wire w = make(kernel, 0);

	w.head.unwinder = PROFILE_UNWINDER_COPY;
	w.head.why = PROFILE_END_NO_PROCESS;
	w.head.copy_words = words;
	return w;
}

static void a_copy_follows_the_kernel_frames(void **state)
{
	struct wire w = make_copy(2, PROFILE_COPY_HEAD + 3);
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	assert_ok(record_parse(&w, size_of(&w), &r, &e));
	assert_int_equal(r.copy->ip, 0x1002);
	assert_int_equal(r.copy->sp, 0x1003);
	assert_int_equal(r.copy_words, 3);
	assert_int_equal(r.copy->words[2], 0x1000 + 2 + PROFILE_COPY_HEAD + 2);
	w = make_copy(PROFILE_DEPTH, PROFILE_COPY_HEAD + PROFILE_COPY_WORDS);
	assert_ok(record_parse(&w, size_of(&w), &r, &e));
	assert_int_equal(r.copy_words, PROFILE_COPY_WORDS);
}

static void senseless_copies_are_refused(void **state)
{
	struct wire all[] = {
		make_copy(0, PROFILE_COPY_HEAD - 1), // without all registers
		make_copy(0, PROFILE_COPY_HEAD + PROFILE_COPY_WORDS + 1),
		make_copy(0, PROFILE_COPY_HEAD), // beside user frames
		make_copy(0, PROFILE_COPY_HEAD), // announced by nobody
	};
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	all[2].head.user_count = 1;
	all[3].head.unwinder = PROFILE_UNWINDER_TABLE;
	for (size_t i = 0; i < countof(all); i++) {
		assert_int_equal(record_parse(&all[i], size_of(&all[i]), &r, &e), -1);
		assert_err(&e, ERR_BAD_REQUEST, "with a stack copy of");
	}
}

static void names_are_always_terminated(void **state)
{
	struct wire w = make(0, 1);
	struct err e = ERR_INIT;
	struct record r;

	(void)state;
	memset(w.head.comm, 'x', sizeof(w.head.comm));
	assert_ok(record_parse(&w, size_of(&w), &r, &e));
	assert_int_equal(strlen(r.head.comm), PROFILE_COMM - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_unpacked),
		cmocka_unit_test(the_deepest_record_fits),
		cmocka_unit_test(every_other_size_is_refused),
		cmocka_unit_test(counts_beyond_the_depth_are_refused),
		cmocka_unit_test(unknown_enumerators_are_refused),
		cmocka_unit_test(a_copy_follows_the_kernel_frames),
		cmocka_unit_test(senseless_copies_are_refused),
		cmocka_unit_test(names_are_always_terminated),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
