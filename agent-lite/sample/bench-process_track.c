/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What starting a program costs the agent, without the wakeups: a shell that forks children, each of
 * which calls execve(), maps five files' code and the vdso, and exits; told through a ring as the
 * kernel would. Prints CPU time of one.
 */
#include "agent-lite/elf/elf_child.h"
#include "agent-lite/process/testing_ring.h"
#include "agent-lite/sample/timeline.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <elf.h>
#include <fcntl.h>

enum { SHELL = 4000000, CHILD = 4000001, ROUNDS = 20000, FILES = 5 };

static uint8_t file_id[MAPPING_ID_MAX];
static uint64_t file_code; /* where in the file it lies */

/* All files are this program, which is known by its build-ID. */
static int know_file(struct module_cache *modules, struct err *e)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct mapping m = {.kind = MAPPING_FILE, .evented = true, .path = (char *)"self"};
	struct module *module = NULL;
	struct elf_ident ident;
	int found;

	if (fd < 0 || elf_ident_read(fd, &ident, e) < 0)
		return -1;
	m.build_id_size = MIN(ident.id.size, MAPPING_ID_MAX);
	memcpy(m.build_id, ident.id.bytes, m.build_id_size);
	memcpy(file_id, m.build_id, m.build_id_size);
	for (uint32_t i = 0; i < ident.load_count; i++) {
		if (ident.loads[i].flags & PF_X)
			file_code = ident.loads[i].offset;
	}
	found = module_cache_match(modules, &m, fd, &module, e);
	module_unref(module);
	return found < 0 ? -1 : 0;
}

static int refuse(void *ctx, const struct record *r, struct err *e)
{
	(void)ctx;
	(void)r;
	return err_set(e, ERR_INTERNAL, "there are no samples");
}

static void put(struct test_ring *ring, struct test_record r)
{
	if (!test_write(ring, r))
		abort();
}

static void put_image(struct test_ring *ring, uint64_t time, uint32_t pid)
{
	put(ring, test_comm(time, pid, pid, true, "child"));
	for (uint32_t i = 0; i < FILES; i++)
		put(ring, test_mmap2_id(time, pid, 0x7f0000000000 + i * MIB(1), KIB(512),
					file_code, file_id,
					"/usr/lib/x86_64-linux-gnu/libsomething.so.6.0.30"));
	put(ring, test_mmap2(time, pid, 0x7ffff0000000, KIB(8), 0, "[vdso]"));
}

static int run(struct timeline *t, struct test_ring *ring, struct err *e)
{
	uint64_t spent = 0;

	put_image(ring, 1, SHELL);
	if (timeline_run(t, 1, e) < 0)
		return -1;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t child = CHILD + i % 30000;

		put(ring, test_task(PERF_RECORD_FORK, 2 + i, child, child, SHELL));
		put_image(ring, 2 + i, child);
		put(ring, test_task(PERF_RECORD_EXIT, 2 + i, child, child, child));
		spent -= clock_thread_cpu_ns();
		if (timeline_run(t, 2 + i, e) < 0)
			return -1;
		spent += clock_thread_cpu_ns();
	}
	printf("one exec: %llu ns of CPU, in %llu bytes of events\n",
	       (unsigned long long)(spent / ROUNDS),
	       (unsigned long long)(ring->page.data_head / ROUNDS));
	return 0;
}

int main(int argc, char **argv)
{
	static struct test_ring ring;
	struct module_cache *modules;
	struct mmap_merge merge;
	struct processes ps;
	struct timeline t;
	struct err e = ERR_INIT;
	int r;

	if (argc == 2 && strcmp(argv[1], ELF_CHILD_ARG) == 0)
		return elf_child_main();
	if (module_cache_new(NULL, &modules, &e) < 0 || mmap_merge_init(&merge, 1, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	mmap_merge_open(&merge, 0, &ring.page, ring.data, sizeof(ring.data));
	processes_init(&ps, modules, "/proc");
	ps.tracked = true;
	timeline_init(&t, &ps, &merge, refuse, NULL);
	r = know_file(modules, &e) < 0 ? -1 : run(&t, &ring, &e);
	if (r < 0)
		fprintf(stderr, "%s\n", e.msg);
	timeline_deinit(&t);
	processes_deinit(&ps);
	mmap_merge_deinit(&merge);
	module_cache_free(modules);
	return r < 0;
}
