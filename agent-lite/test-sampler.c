/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU list anywhere; and, where eBPF is permitted, the whole of it: load, sample a program that
 * burns CPU in a known function for a second at 99 Hz, and look at what would be shipped.
 */
#include "agent-lite/sample/sampler.h"

#include "agent-lite/collector.h"
#include "agent-lite/elf/testing.h"
#include "base/clock.h"
#include "base/compress.h"
#include <signal.h>
#include <sys/wait.h>

static char dir[64], subject[128];

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	snprintf(subject, sizeof(subject), "%s/subject", dir);
	compile("gcc", "-O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls",
		"tests/subjects/busy.c", subject);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static void cpu_lists_are_read(void **state)
{
	bool online[8] = {false};

	(void)state;
	assert_true(sampler_parse_cpus(STR("0-2,5\n"), online, 8));
	assert_true(online[0] && online[1] && online[2] && !online[3] && online[5] && !online[7]);
	assert_true(sampler_parse_cpus(STR("0-4000"), online, 8)); // more than there is room for
	assert_true(online[7]);
	assert_false(sampler_parse_cpus(STR("0-"), online, 8));
	assert_false(sampler_parse_cpus(STR("a"), online, 8));
	assert_false(sampler_parse_cpus(STR("5000"), online, 8));
}

static void senseless_options_are_refused(void **state)
{
	const struct sampler_config none = {.hz = 0}, fast = {.hz = 100000};
	struct sampler *s;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sampler_new(&none, NULL, NULL, &s, &e), -1);
	assert_err(&e, ERR_USAGE, "--hz must be 1 to 1000");
	assert_int_equal(sampler_new(&fast, NULL, NULL, &s, &e), -1);
	assert_err(&e, ERR_USAGE, "--hz");
}

static void cgroups_are_of_version_2(void **state)
{
	const char *const here[] = {"/tmp"}, *const nowhere[] = {"/nonexistent"};
	const struct sampler_config wrong = {.hz = 19, .cgroups = here, .cgroup_count = 1};
	const struct sampler_config missing = {.hz = 19, .cgroups = nowhere, .cgroup_count = 1};
	struct sampler *s;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sampler_new(&wrong, NULL, NULL, &s, &e), -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "--cgroup /tmp is not in a cgroup v2 hierarchy, which is required");
	assert_int_equal(err_exit_code(e.kind), 1);
	assert_int_equal(sampler_new(&missing, NULL, NULL, &s, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "--cgroup /nonexistent: ");
}

/* Where in the file the function lies. */
static void range_of(const char *function, uint64_t *ret_start, uint64_t *ret_end)
{
	char command[256], line[256];
	struct str rest, start, size;
	FILE *f;

	snprintf(command, sizeof(command), "nm -S %s | grep ' T %s$'", subject, function);
	f = popen(command, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	rest = str_from(line);
	assert_true(str_next(&rest, ' ', &start) && str_next(&rest, ' ', &size));
	assert_true(str_hex_to_u64(start, ret_start) && str_hex_to_u64(size, ret_end));
	*ret_end += *ret_start;
}

static pid_t start_subject(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl(subject, "subject", "60", (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	usleep(100 * 1000); // let it reach main()
	return pid;
}

struct rig {
	struct module_cache *modules;
	struct processes processes;
	struct kernel_image kernel;
	struct collector collector;
	struct unwind_store *tables;
	struct sampler_stats stats;
};

static void start_rig(struct rig *rig)
{
	struct err e = ERR_INIT;

	*rig = (struct rig){.kernel = {.known = false}};
	assert_ok(module_cache_new(NULL, &rig->modules, &e));
	processes_init(&rig->processes, rig->modules, "/proc");
	collector_init(&rig->collector, &rig->processes, &rig->kernel, true);
}

static void stop_rig(struct rig *rig)
{
	collector_deinit(&rig->collector);
	processes_deinit(&rig->processes);
	module_cache_free(rig->modules);
	unwind_store_free(rig->tables);
}

static void start_tables(struct rig *rig, const struct sampler *s)
{
	struct unwind_maps maps;
	struct err e = ERR_INIT;

	if (!sampler_unwind_maps(s, &maps))
		return;
	assert_ok(unwind_store_new(&maps, &rig->tables, &e));
	module_cache_set_tables(rig->modules, unwind_store_add, rig->tables);
	rig->processes.listener = unwind_store_listener(rig->tables);
	rig->collector.tables = rig->tables;
}

/* Samples `pid` for a second. False when eBPF is not permitted: the reason has been printed. */
static bool sample(struct rig *rig, pid_t pid, enum sampler_unwinder unwinder)
{
	const uint32_t target = (uint32_t)pid;
	const struct sampler_config config = {
		.hz = 99, .pids = &target, .pid_count = 1, .unwinder = unwinder};
	struct sampler *s;
	struct err e = ERR_INIT;

	if (sampler_new(&config, collector_add, &rig->collector, &s, &e) < 0) {
		print_message("skip: %s\n", e.msg);
		assert_true(e.kind == ERR_NO_CAPABILITY || e.kind == ERR_NO_KERNEL_SUPPORT);
		return false;
	}
	start_tables(rig, s);
	// A busy machine gives the subject little time: longer, then.
	for (int i = 0; i < 10 || (rig->collector.stats.samples < 30 && i < 100); i++) {
		usleep(100 * 1000);
		assert_ok(sampler_drain(s, &e));
	}
	sampler_stop(s);
	assert_ok(sampler_drain(s, &e));
	sampler_stats(s, &rig->stats);
	assert_int_equal(rig->stats.lost, 0);
	assert_int_equal(rig->stats.malformed, 0);
	assert_int_equal(rig->stats.samples, rig->collector.stats.samples);
	sampler_free(s);
	return true;
}

/*
 * Samples whose leaf lies in the range, in user code; *ret_called: those with a caller in the
 * other.
 */
static uint64_t count_leaves(const struct stacks *st, const uint64_t leaf[2],
			     const uint64_t caller[2], uint64_t *ret_called)
{
	uint64_t n = 0;

	*ret_called = 0;
	for (size_t i = 0; i < st->stack_count; i++) {
		const struct stack *s = &st->stacks[i];
		uint64_t at = st->locations[s->locations[0]].address;

		if (at < leaf[0] || at >= leaf[1])
			continue;
		n += s->count;
		if (s->location_count < 2)
			continue;
		at = st->locations[s->locations[1]].address;
		if (at >= caller[0] && at < caller[1])
			*ret_called += s->count;
	}
	return n;
}

static void assert_no_names(const struct stacks *st)
{
	const struct profile_info info = {.hz = 99, .time_ns = 1, .duration_ns = 1};
	struct buf gz = BUF_INIT(1 << 20), p = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	assert_ok(profile_encode(st, &info, &gz, &e));
	assert_ok(gzip_decompress(buf_str(&gz), &p, &e));
	assert_holds(buf_str(&p), subject); // the file, yes
	assert_null(memmem(p.p, p.n, "inner", 5));
	assert_null(memmem(p.p, p.n, "middle", 6));
	assert_null(memmem(p.p, p.n, "busy.c", 6));
	buf_deinit(&p);
	buf_deinit(&gz);
}

static void look_at_leaves(const struct batch *b)
{
	uint64_t inner[2], middle[2], in_inner, called;

	range_of("inner", &inner[0], &inner[1]);
	range_of("middle", &middle[0], &middle[1]);
	assert_true(b->samples >= 15);
	assert_int_equal(b->series_count, 1);
	in_inner = count_leaves(&b->series[0]->stacks, inner, middle, &called);
	assert_true(in_inner >= b->samples * 9 / 10);
	assert_true(called >= in_inner * 9 / 10); // -1 made it point into the call
	assert_no_names(&b->series[0]->stacks);
}

static void sample_busy(struct rig *rig, enum sampler_unwinder unwinder)
{
	pid_t pid = start_subject();
	bool sampled;

	start_rig(rig);
	sampled = sample(rig, pid, unwinder);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (sampled) {
		look_at_leaves(&rig->collector.batch);
		return;
	}
	stop_rig(rig);
	skip();
}

static uint64_t complete(const struct rig *rig)
{
	const uint64_t *ends = rig->collector.stats.ends;

	return ends[PROFILE_END_ROOT] + ends[PROFILE_END_FRAME_POINTER_ROOT];
}

static void the_best_unwinder_reaches_the_root(void **state)
{
	struct rig rig;

	(void)state;
	sample_busy(&rig, SAMPLER_ANY);
	assert_true(complete(&rig) >= rig.stats.samples * 97 / 100);
	assert_true(rig.collector.stats.copies >= 1); // its mappings were not known at the first
	print_message("verified instructions: %u\n", rig.stats.verified_instructions);
	assert_in_range(rig.stats.verified_instructions, 1, 50000);
	stop_rig(&rig);
}

static void so_do_tail_calls(void **state)
{
	struct rig rig;

	(void)state;
	sample_busy(&rig, SAMPLER_TAIL);
	assert_true(complete(&rig) >= rig.stats.samples * 97 / 100);
	print_message("verified instructions: %u\n", rig.stats.verified_instructions);
	assert_in_range(rig.stats.verified_instructions, 1, 300000);
	stop_rig(&rig);
}

static void frame_pointers_alone_still_serve(void **state)
{
	struct rig rig;

	(void)state;
	sample_busy(&rig, SAMPLER_FRAME_POINTER);
	assert_int_equal(rig.collector.stats.copies, 0);
	stop_rig(&rig);
}

/* It is part of the agent's file, and of what each start reads. */
static void the_kernel_side_is_small(void **state)
{
	const char *build = getenv("UNHEX_BUILD");
	char path[256];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/bpf/profile.bpf.o", build ? build : "build");
	assert_int_equal(stat(path, &st), 0);
	print_message("BPF object: %lld bytes\n", (long long)st.st_size);
	assert_in_range(st.st_size, 1, 200 << 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpu_lists_are_read),
		cmocka_unit_test(senseless_options_are_refused),
		cmocka_unit_test(cgroups_are_of_version_2),
		cmocka_unit_test(the_best_unwinder_reaches_the_root),
		cmocka_unit_test(so_do_tail_calls),
		cmocka_unit_test(frame_pointers_alone_still_serve),
		cmocka_unit_test(the_kernel_side_is_small),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("sampler", tests, setup, teardown);
}
