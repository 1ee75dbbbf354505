/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/stacks.h"

#include "base/mem.h"
#include "base/testing.h"

static struct module *libc_module, *app;

static int setup(void **state)
{
	(void)state;
	libc_module = module_new("/lib/libc.so.6", NULL);
	app = module_new("/bin/app", NULL);
	return !libc_module || !app;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(libc_module->refs, 1); // nothing kept a reference
	assert_int_equal(app->refs, 1);
	module_unref(libc_module);
	module_unref(app);
	return 0;
}

static struct stack_sample sample_of(const struct frame *frames, size_t n)
{
	return (struct stack_sample){.comm = "app",
				     .thread = "worker",
				     .pid = 7,
				     .frames = frames,
				     .frame_count = n,
				     .count = 1};
}

static void equal_stacks_are_counted(void **state)
{
	const struct frame f[] = {{libc_module, 0x10, NULL}, {app, 0x20, NULL}, {app, 0x30, NULL}};
	struct stack_sample s = sample_of(f, 3);
	struct stacks st;
	struct err e = ERR_INIT;

	(void)state;
	stacks_init(&st, 100);
	for (int i = 0; i < 5; i++)
		assert_ok(stacks_add(&st, &s, &e));
	s.count = 10;
	assert_ok(stacks_add(&st, &s, &e));
	assert_int_equal(st.stack_count, 1);
	assert_int_equal(st.stacks[0].count, 15);
	assert_int_equal(st.samples, 15);
	assert_int_equal(st.location_count, 3);
	assert_int_equal(st.module_count, 2);
	assert_int_equal(st.name_count, 2);
	assert_string_equal(st.names[st.stacks[0].thread], "worker");
	assert_int_equal(st.locations[st.stacks[0].locations[2]].address, 0x30);
	stacks_deinit(&st);
}

static void whatever_differs_is_another_stack(void **state)
{
	const struct frame f[] = {{libc_module, 0x10, NULL}, {app, 0x20, NULL}};
	const struct frame other_module[] = {{app, 0x10, NULL}, {app, 0x20, NULL}};
	const struct frame other_address[] = {{libc_module, 0x11, NULL}, {app, 0x20, NULL}};
	struct stack_sample samples[7];
	struct stacks st;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < countof(samples); i++)
		samples[i] = sample_of(f, 2);
	samples[1].comm = "other";
	samples[2].thread = "app"; // the comm's text in the other place
	samples[3].pid = 8;
	samples[4].frames = other_module;
	samples[5].frames = other_address;
	samples[6].frame_count = 1;
	stacks_init(&st, 100);
	for (size_t i = 0; i < countof(samples); i++)
		assert_ok(stacks_add(&st, &samples[i], &e));
	assert_int_equal(st.stack_count, countof(samples));
	assert_int_equal(st.location_count, 4);
	stacks_deinit(&st);
}

static void types_and_functions_are_identity(void **state)
{
	char long_name[STACK_FUNCTION_MAX + 20];
	struct frame f[] = {{app, 0x10, NULL}};
	struct stack_sample s = sample_of(f, 1);
	struct stacks st;
	struct err e = ERR_INIT;

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	stacks_init(&st, 100);
	assert_ok(stacks_add(&st, &s, &e));
	s.type = STACK_OFF_CPU;
	s.value_ns = 70;
	assert_ok(stacks_add(&st, &s, &e));
	assert_ok(stacks_add(&st, &s, &e));
	assert_int_equal(st.stack_count, 2);
	assert_int_equal(st.stacks[1].value_ns, 140);
	assert_int_equal(st.types, 1 << STACK_CPU | 1 << STACK_OFF_CPU);
	f[0].function = "app"; // the comm's text: another table
	assert_ok(stacks_add(&st, &s, &e));
	f[0].function = long_name;
	assert_ok(stacks_add(&st, &s, &e));
	assert_int_equal(st.stack_count, 4);
	assert_int_equal(st.location_count, 3);
	assert_int_equal(st.function_count, 2);
	long_name[0] = 'y'; // copied
	assert_int_equal(strlen(st.functions[1]), STACK_FUNCTION_MAX);
	assert_int_equal(st.functions[1][0], 'x');
	assert_string_equal(st.functions[st.locations[1].function - 1], "app");
	stacks_deinit(&st);
}

static void a_full_table_says_so(void **state)
{
	struct stacks st;
	struct err e = ERR_INIT;

	(void)state;
	stacks_init(&st, 10);
	for (uint64_t i = 0; i < 10; i++) {
		const struct frame f = {app, i, NULL};
		struct stack_sample s = sample_of(&f, 1);

		assert_ok(stacks_add(&st, &s, &e));
	}
	const struct frame one_more = {app, 10, NULL}, known = {app, 3, NULL};
	struct stack_sample s = sample_of(&one_more, 1);

	assert_int_equal(stacks_add(&st, &s, &e), STACKS_FULL);
	s.frames = &known;
	assert_ok(stacks_add(&st, &s, &e)); // what is known is still counted
	assert_int_equal(st.samples, 11);
	stacks_deinit(&st);
}

static void too_deep_is_refused(void **state)
{
	struct frame f[STACK_DEPTH_MAX + 1];
	struct stack_sample s = sample_of(f, countof(f));
	struct stacks st;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < countof(f); i++)
		f[i] = (struct frame){.module = app, .address = i};
	stacks_init(&st, 100);
	assert_int_equal(stacks_add(&st, &s, &e), -1);
	assert_err(&e, ERR_TOO_DEEP, "257 frames");
	s.frame_count = STACK_DEPTH_MAX;
	assert_ok(stacks_add(&st, &s, &e));
	stacks_deinit(&st);
}

static void names_become_clean(void **state)
{
	struct stack_sample s = sample_of(NULL, 0);
	struct stacks st;
	struct err e = ERR_INIT;

	(void)state;
	s.comm = "a\x01\xff";
	stacks_init(&st, 10);
	assert_ok(stacks_add(&st, &s, &e));
	assert_string_equal(st.names[0], "a??");
	stacks_deinit(&st);
}

/* Each allocation in turn fails: no leak, no lost reference (teardown looks), a clear error. */
static void out_of_memory_is_survived(void **state)
{
	const struct frame f[] = {{libc_module, 0x10, NULL}, {app, 0x20, "jitted"}};
	struct stack_sample s = sample_of(f, 2);
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		struct err e = ERR_INIT;
		struct stacks st;
		int r;

		stacks_init(&st, 10);
		mem_fault_at(nth, 0);
		r = stacks_add(&st, &s, &e);
		fired = mem_fault_off();
		assert_true(r == 0 || r == STACKS_FULL || e.kind == ERR_NOMEM);
		assert_true(fired || r == 0);
		stacks_deinit(&st);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_stacks_are_counted),
		cmocka_unit_test(whatever_differs_is_another_stack),
		cmocka_unit_test(types_and_functions_are_identity),
		cmocka_unit_test(a_full_table_says_so),
		cmocka_unit_test(too_deep_is_refused),
		cmocka_unit_test(names_become_clean),
		cmocka_unit_test(out_of_memory_is_survived),
	};

	return cmocka_run_group_tests_name("stacks", tests, setup, teardown);
}
