/* SPDX-License-Identifier: Apache-2.0 */
/* Over a made-up /proc. */
#include "agent-lite/ship/process_labels.h"

#include "agent-lite/elf/testing.h"
#include "base/clock.h"
#include "base/mem.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "5f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8"

enum { PID = 42, TICKS = 500, CGROUP = 4711 };

static char proc[64];

static int setup(void **state)
{
	(void)state;
	test_dir_make(proc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(proc);
	return 0;
}

static void path_of(unsigned pid, const char *name, char out[static 256])
{
	snprintf(out, 256, "%s/%u", proc, pid);
	mkdir(out, 0755);
	snprintf(out, 256, "%s/%u/%s", proc, pid, name);
}

static void put(unsigned pid, const char *name, const void *bytes, size_t n)
{
	char path[256];
	FILE *f;

	path_of(pid, name, path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

#define PUT(pid, name, literal) put(pid, name, literal, sizeof(literal) - 1)

/* A process that is there, with an executable. */
static void make_process(unsigned pid, unsigned long ticks)
{
	char path[256], text[256];
	int n = snprintf(text, sizeof(text),
			 "%u (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %lu 20\n", pid,
			 ticks);

	put(pid, "stat", text, (size_t)n);
	path_of(pid, "exe", path);
	unlink(path);
	assert_int_equal(symlink("/usr/bin/app", path), 0);
}

static struct process_labels *labels_with(const char *rules)
{
	static struct process_labels_config config;
	struct process_labels *pl = NULL;
	struct err e = ERR_INIT;

	config = (struct process_labels_config){.proc = proc, .node = "n1", .rules = rules};
	assert_ok(process_labels_new(&config, &pl, &e));
	return pl;
}

static struct process_subject subject(unsigned pid)
{
	const uint64_t ns_per_tick = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);

	return (struct process_subject){{TICKS * ns_per_tick, 0, pid}, CGROUP, "comm", 0};
}

/* "name=value name=value" */
static void assert_labels(struct process_labels *pl, unsigned pid, const char *want)
{
	const struct process_subject s = subject(pid);
	struct buf text = BUF_INIT(LABELS_PACKED_MAX);
	struct str packed, name, value;
	struct err e = ERR_INIT;

	assert_ok(process_labels_get(pl, &s, &packed, &e));
	while (labels_next(&packed, &name, &value))
		buf_printf(&text, "%s" STR_FMT "=" STR_FMT, text.n ? " " : "", STR_ARG(name),
			   STR_ARG(value));
	assert_str(buf_str(&text), want);
	buf_deinit(&text);
}

static void the_services_name_is_the_best_there_is(void **state)
{
	struct process_labels *pl = labels_with(NULL);

	(void)state;
	make_process(1, TICKS);
	assert_labels(pl, 1, "node=n1 service_name=comm");
	make_process(2, TICKS);
	PUT(2, "cgroup", "0::/system.slice/nginx.service\n");
	assert_labels(pl, 2, "node=n1 service_name=nginx systemd_unit=nginx.service");
	make_process(3, TICKS);
	PUT(3, "cgroup", "0::/docker/" ID "\n");
	assert_labels(pl, 3, "container_id=" ID " node=n1 service_name=0123456789ab");
	make_process(4, TICKS);
	PUT(4, "cgroup", "0::/kubepods/pod" UID "/" ID "\n");
	PUT(4, "environ", "A=b\0OTEL_RESOURCE_ATTRIBUTES=k8s.container.name=app,k8s.pod.name=p,k8s.namespace.name=ns\0");
	assert_labels(pl, 4,
		      "container=app container_id=" ID " namespace=ns node=n1 pod=p pod_uid=" UID
		      " service_name=app");
	make_process(5, TICKS);
	PUT(5, "cgroup", "0::/kubepods/pod" UID "/" ID "\n");
	PUT(5, "environ", "OTEL_SERVICE_NAME=checkout\0");
	assert_labels(pl, 5, "container_id=" ID " node=n1 pod_uid=" UID " service_name=checkout");
	process_labels_free(pl);
}

static void kernel_threads_are_one_service(void **state)
{
	struct process_labels *pl = labels_with(NULL);
	char path[256];

	(void)state;
	make_process(PID, TICKS);
	path_of(PID, "exe", path);
	unlink(path);
	PUT(PID, "cgroup", "0::/\n");
	assert_labels(pl, PID, "node=n1 service_name=kernel");
	process_labels_free(pl);
}

/* What was found is kept, though /proc says other things by then; another image is looked at anew. */
static void an_image_is_looked_at_once(void **state)
{
	struct process_labels *pl = labels_with(NULL);
	struct process_labels_stats stats;
	struct process_subject again = subject(PID);
	struct str packed;
	struct err e = ERR_INIT;

	(void)state;
	make_process(PID, TICKS);
	PUT(PID, "environ", "OTEL_SERVICE_NAME=one\0");
	assert_labels(pl, PID, "node=n1 service_name=one");
	PUT(PID, "environ", "OTEL_SERVICE_NAME=two\0");
	assert_labels(pl, PID, "node=n1 service_name=one");
	again.key.exec_id = 1;
	assert_ok(process_labels_get(pl, &again, &packed, &e));
	assert_str(labels_find(packed, STR("service_name")), "two");
	process_labels_stats(pl, &stats);
	assert_int_equal(stats.looked_at, 2);
	assert_int_equal(stats.known, 2);
	clock_shift_ms(60 * 1000);
	process_labels_expire(pl, 30 * 1000);
	process_labels_stats(pl, &stats);
	assert_int_equal(stats.known, 0);
	assert_labels(pl, PID, "node=n1 service_name=two");
	clock_shift_ms(0);
	process_labels_free(pl);
}

/* A PID that is another process's by now, or nobody's. */
static void the_gone_keep_their_cgroups_labels(void **state)
{
	struct process_labels *pl = labels_with(NULL);
	struct process_labels_stats stats;

	(void)state;
	make_process(1, TICKS + 1);
	PUT(1, "environ", "OTEL_SERVICE_NAME=another\0");
	PUT(1, "cgroup", "0::/system.slice/another.service\n");
	assert_labels(pl, 1, "node=n1 service_name=comm");
	make_process(2, TICKS);
	PUT(2, "cgroup", "0::/docker/" ID "\n");
	assert_labels(pl, 2, "container_id=" ID " node=n1 service_name=0123456789ab");
	assert_labels(pl, 3, "container_id=" ID " node=n1 service_name=0123456789ab");
	process_labels_stats(pl, &stats);
	assert_int_equal(stats.gone, 2);
	process_labels_free(pl);
}

static struct str service_of_child(struct process_labels *pl, unsigned pid, unsigned parent)
{
	struct process_subject s = subject(pid);
	struct str packed;
	struct err e = ERR_INIT;

	s.parent = parent;
	s.cgroup_id = 0;
	assert_ok(process_labels_get(pl, &s, &packed, &e));
	return labels_find(packed, STR("service_name"));
}

/* Short-lived children of a named or contained parent are its; what services' managers start is not. */
static void the_gone_are_named_by_their_parents(void **state)
{
	struct process_labels *pl = labels_with(NULL);

	(void)state;
	make_process(1, 7);
	PUT(1, "environ", "OTEL_SERVICE_NAME=build\0");
	make_process(2, 7);
	PUT(2, "cgroup", "0::/docker/" ID "\n");
	make_process(3, 7);
	PUT(3, "cgroup", "0::/system.slice/containerd.service\n");
	assert_str(service_of_child(pl, 11, 1), "build");
	assert_str(service_of_child(pl, 12, 2), "0123456789ab");
	assert_str(service_of_child(pl, 13, 3), "comm");
	assert_str(service_of_child(pl, 14, 99), "comm");
	process_labels_free(pl);
}

static void rules_decide(void **state)
{
	static const char json[] =
		"[{\"source_labels\":[\"__meta_process_executable\"],\"regex\":\".*/(.*)\",\"target_label\":\"exe\"},"
		"{\"source_labels\":[\"__meta_cgroup_path\"],\"regex\":\"/noise/.*\",\"action\":\"drop\"},"
		"{\"source_labels\":[\"__meta_process_comm\"],\"target_label\":\"service_name\"}]";
	char rules[256];
	struct process_labels *pl;
	struct process_labels_stats stats;
	const struct process_subject noise = subject(2);
	struct str packed;
	struct err e = ERR_INIT;

	(void)state;
	snprintf(rules, sizeof(rules), "%s/rules.json", proc);
	write_text(rules, json);
	pl = labels_with(rules);
	make_process(1, TICKS);
	PUT(1, "environ", "OTEL_SERVICE_NAME=one\0");
	assert_labels(pl, 1, "exe=app node=n1 service_name=comm");
	make_process(2, TICKS);
	PUT(2, "cgroup", "0::/noise/x\n");
	assert_int_equal(process_labels_get(pl, &noise, &packed, &e), PROCESS_DROPPED);
	assert_int_equal(process_labels_get(pl, &noise, &packed, &e), PROCESS_DROPPED);
	process_labels_stats(pl, &stats);
	assert_int_equal(stats.dropped, 1);
	process_labels_free(pl);
}

static void fixed_labels_are_on_all(void **state)
{
	char *items[] = {(char *)"cluster=prod", (char *)"zone=a=b", NULL};
	char *bad[] = {(char *)"zone", NULL};
	const struct opt_list list = {items, 2}, wrong = {bad, 1};
	struct process_labels_config config = {.proc = proc, .labels = &list};
	struct process_labels *pl;
	char node[256] = "", want[512];
	struct err e = ERR_INIT;

	(void)state;
	make_process(PID, TICKS);
	assert_int_equal(gethostname(node, sizeof(node)), 0);
	assert_ok(process_labels_new(&config, &pl, &e));
	snprintf(want, sizeof(want), "cluster=prod node=%s service_name=comm zone=a=b", node);
	assert_labels(pl, PID, want);
	process_labels_free(pl);
	config.labels = &wrong;
	assert_int_equal(process_labels_new(&config, &pl, &e), -1);
	assert_err(&e, ERR_USAGE, "--label zone");
	config.labels = NULL;
	config.rules = "/nonexistent/rules";
	assert_int_equal(process_labels_new(&config, &pl, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "--relabel: ");
}

/* Half a megabyte of environment, the wanted variable first or behind what is read. */
static void large_environments_are_read_as_far_as_bounded(void **state)
{
	struct process_labels *pl = labels_with(NULL);
	static char environment[512 << 10];

	(void)state;
	memset(environment, 'x', sizeof(environment));
	memcpy(environment, "OTEL_SERVICE_NAME=first", sizeof("OTEL_SERVICE_NAME=first"));
	make_process(1, TICKS);
	put(1, "environ", environment, sizeof(environment));
	assert_labels(pl, 1, "node=n1 service_name=first");
	memset(environment, 'x', 64);
	environment[300 << 10] = 0;
	memcpy(environment + (300 << 10) + 1, "OTEL_SERVICE_NAME=last", sizeof("OTEL_SERVICE_NAME=last"));
	make_process(2, TICKS);
	put(2, "environ", environment, sizeof(environment));
	assert_labels(pl, 2, "node=n1 service_name=comm");
	process_labels_free(pl);
}

static void out_of_memory_is_survived(void **state)
{
	const struct process_subject s = subject(PID);
	struct process_labels_config config = {.proc = proc, .node = "n1"};
	bool fired = true;

	(void)state;
	make_process(PID, TICKS);
	PUT(PID, "cgroup", "0::/docker/" ID "\n");
	for (unsigned long nth = 1; fired; nth++) {
		struct process_labels *pl = NULL;
		struct err e = ERR_INIT;
		struct str packed;
		int r;

		mem_fault_at(nth, 0);
		r = process_labels_new(&config, &pl, &e);
		if (r == 0)
			r = process_labels_get(pl, &s, &packed, &e);
		fired = mem_fault_off();
		// A file that could not be read for want of memory is as if it were not there.
		assert_true(r == 0 || (fired && e.kind == ERR_NOMEM));
		process_labels_free(pl);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_services_name_is_the_best_there_is, setup,
						teardown),
		cmocka_unit_test_setup_teardown(kernel_threads_are_one_service, setup, teardown),
		cmocka_unit_test_setup_teardown(an_image_is_looked_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(the_gone_keep_their_cgroups_labels, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_gone_are_named_by_their_parents, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rules_decide, setup, teardown),
		cmocka_unit_test_setup_teardown(fixed_labels_are_on_all, setup, teardown),
		cmocka_unit_test_setup_teardown(large_environments_are_read_as_far_as_bounded,
						setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory_is_survived, setup, teardown),
	};

	return cmocka_run_group_tests_name("process_labels", tests, NULL, NULL);
}
