/* SPDX-License-Identifier: Apache-2.0 */
/* Crafted samples in, batches out: what becomes of kernel and user addresses, and of full batches.
 */
#include "agent-lite/collector.h"

#include "agent-lite/elf/testing.h"

enum { NO_SUCH_PID = 0x7ffffff0 };

static struct module_cache *modules;
static struct processes processes;
static struct process_labels *labels;
static struct collector collector;
static const struct kernel_image kernel = {
	.known = true,
	.start = 0xffffffff9a000000,
	.end = 0xffffffff9b000000,
	.bias = 0x19000000,
};
static const struct kernel_image unknown_kernel;
static struct err e;

static void start(const struct kernel_image *k, bool merged)
{
	e = ERR_INIT;
	processes_init(&processes, modules, "/proc");
	collector_init(&collector, &processes, k, merged);
	collector.labels = labels;
}

static void stop(void)
{
	collector_deinit(&collector);
	processes_deinit(&processes);
}

static int setup(void **state)
{
	const struct process_labels_config config = {.proc = "/proc", .node = "n1"};

	(void)state;
	if (process_labels_new(&config, &labels, &e) < 0)
		return -1;
	return module_cache_new(NULL, &modules, &e);
}

static int teardown(void **state)
{
	(void)state;
	module_cache_free(modules);
	process_labels_free(labels);
	return 0;
}

/* One at a time: its addresses are kept here. */
static struct record make(uint32_t pid, const uint64_t *ips, uint16_t kernel_count,
			  uint16_t user_count)
{
	static uint64_t words[2 * PROFILE_DEPTH];
	struct record r = {.kernel_ips = words,
			   .user_ips = words + kernel_count,
			   .head = {.tgid = pid,
				    .tid = pid,
				    .comm = "thread",
				    .leader_comm = "leader",
				    .kernel_count = kernel_count,
				    .user_count = user_count,
				    .why = PROFILE_END_FRAME_POINTER,
				    .count = 1}};

	memcpy(words, ips, ((size_t)kernel_count + user_count) * sizeof(*ips));
	return r;
}

static void add(struct record *r)
{
	assert_ok(collector_add(&collector, r, &e));
}

static const struct stacks *series(size_t i)
{
	return &collector.batch.series[i]->stacks;
}

/* The nth location of the first stack: its module's name, and the address. */
static void assert_location(size_t nth, const char *module, uint64_t address)
{
	const struct stacks *st = series(0);
	const struct stack_location *l = &st->locations[st->stacks[0].locations[nth]];

	assert_true(nth < st->stacks[0].location_count);
	assert_string_equal(st->modules[l->module]->filename, module);
	assert_int_equal(l->address, address);
}

static void kernel_addresses_are_those_of_vmlinux(void **state)
{
	const uint64_t ips[] = {0xffffffff9a001000, 0xffffffff9a002000, 0xffffffffc0001000};
	struct record r = make(NO_SUCH_PID, ips, 3, 0);

	(void)state;
	start(&kernel, false);
	add(&r);
	assert_location(0, "[kernel]", 0xffffffff81001000);
	assert_location(1, "[kernel]", 0xffffffff81001fff); // a caller: into the call
	assert_location(2, "[kernel module]", 0xffffffffc0000fff);
	assert_str(labels_find((struct str){collector.batch.series[0]->labels,
					    collector.batch.series[0]->labels_size},
			       STR("service_name")),
		   "leader");
	stop();
}

static void an_unknown_kernel_is_left_as_it_is(void **state)
{
	const uint64_t ips[] = {0xffffffff9a001000};
	struct record r = make(NO_SUCH_PID, ips, 1, 0);

	(void)state;
	start(&unknown_kernel, false);
	add(&r);
	assert_location(0, "[kernel]", 0xffffffff9a001000);
	stop();
}

static void the_user_stack_follows_the_kernel_one(void **state)
{
	uint64_t self = (uint64_t)(uintptr_t)the_user_stack_follows_the_kernel_one;
	const uint64_t ips[] = {0xffffffff9a001000, self, self + 1};
	struct record r = make((uint32_t)getpid(), ips, 1, 2);
	const struct stacks *st;

	(void)state;
	start(&kernel, false);
	add(&r);
	st = series(0);
	assert_int_equal(st->stacks[0].location_count, 3);
	// The leaf of the user stack stays, its caller loses 1: here both become the same.
	assert_int_equal(st->stacks[0].locations[1], st->stacks[0].locations[2]);
	assert_string_not_equal(st->modules[0]->build_id, "");
	stop();
}

static void a_process_that_is_gone_is_unknown(void **state)
{
	const uint64_t ips[] = {0x401000, 0x402000};
	struct record r = make(NO_SUCH_PID, ips, 0, 2);

	(void)state;
	start(&kernel, false);
	add(&r);
	assert_location(0, "[unknown]", 0x401000);
	assert_location(1, "[unknown]", 0x401fff);
	assert_int_equal(processes.stats.gone, 1);
	stop();
}

static void samples_without_addresses_are_counted(void **state)
{
	const uint64_t none = 0;
	struct record r = make(NO_SUCH_PID, &none, 0, 0);

	(void)state;
	start(&kernel, false);
	add(&r);
	assert_int_equal(collector.stats.empty, 1);
	assert_int_equal(collector.batch.samples, 0);
	stop();
}

static unsigned shipped;
static uint64_t shipped_samples;

static int count_shipped(void *ctx, struct batch *full, struct err *err)
{
	(void)ctx;
	(void)err;
	shipped++;
	shipped_samples += full->samples;
	return 0;
}

static void a_full_batch_is_shipped_early(void **state)
{
	(void)state;
	start(&kernel, false);
	collector.ship = count_shipped;
	for (uint64_t i = 0; i < STACKS_PUSH_MAX + 5; i++) {
		const uint64_t ip = kernel.start + i;
		struct record r = make(NO_SUCH_PID, &ip, 1, 0);

		add(&r);
	}
	assert_int_equal(shipped, 1);
	assert_int_equal(shipped_samples, STACKS_PUSH_MAX);
	assert_int_equal(collector.batch.samples, 5);
	assert_int_equal(collector.stats.dropped, 0);
	assert_int_equal(collector_flush(&collector, &e), 0);
	assert_int_equal(shipped_samples, STACKS_PUSH_MAX + 5);
	assert_int_equal(collector.stats.stacks, STACKS_PUSH_MAX + 5);
	stop();
}

static void an_empty_batch_is_not_shipped(void **state)
{
	(void)state;
	start(&kernel, false);
	shipped = 0;
	collector.ship = count_shipped;
	assert_int_equal(collector_flush(&collector, &e), 0);
	assert_int_equal(shipped, 0);
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_addresses_are_those_of_vmlinux),
		cmocka_unit_test(an_unknown_kernel_is_left_as_it_is),
		cmocka_unit_test(the_user_stack_follows_the_kernel_one),
		cmocka_unit_test(a_process_that_is_gone_is_unknown),
		cmocka_unit_test(samples_without_addresses_are_counted),
		cmocka_unit_test(a_full_batch_is_shipped_early),
		cmocka_unit_test(an_empty_batch_is_not_shipped),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("collector", tests, setup, teardown);
}
