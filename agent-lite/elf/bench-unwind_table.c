/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-unwind_table [-n ROUNDS] [-c] [-l] FILE...
 *
 * For each file: rows and slots of its unwind table, CPU time to build it (the best of the rounds);
 * with -c wall time through the sandboxed child, and the child's memory before, at most and after;
 * with -l libdw's CPU time for the same rows.
 */
#include "agent-lite/elf/cfi_section.h"
#include "agent-lite/elf/elf_child.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "tests/unit/cfi_oracle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 5, STATUS_MAX = 16 * 1024 };

struct bench {
	unsigned rounds;
	bool with_child, with_libdw;
	uint64_t *slots;
	struct elf_child *child;
	struct unwind_table table;
};

static double cpu_ms(void)
{
	return (double)clock_thread_cpu_ns() / 1e6;
}

static int time_build(struct bench *b, int fd, double *ret_ms, struct err *e)
{
	double best = 1e9;

	for (unsigned i = 0; i < b->rounds; i++) {
		double start = cpu_ms();

		if (unwind_table_build(fd, b->slots, UNWIND_SLOTS_MAX, &b->table, e) < 0)
			return -1;
		best = MIN(best, cpu_ms() - start);
	}
	*ret_ms = best;
	return 0;
}

/* ---- through the child ----------------------------------------------------------------------- */

/* Of our only child process; 0 where /proc does not tell. */
static uint64_t child_kib(const char *field)
{
	struct buf b = BUF_INIT(STATUS_MAX);
	char path[64];
	const char *at = NULL;
	uint64_t kib = 0;

	if (io_read_file("/proc/thread-self/children", &b, NULL) == 0 && b.n > 0) {
		snprintf(path, sizeof(path), "/proc/%ld/status", strtol(b.p, NULL, 10));
		buf_clear(&b);
		if (io_read_file(path, &b, NULL) == 0 && b.n > 0)
			at = strstr(b.p, field);
	}
	if (at)
		kib = strtoull(at + strlen(field), NULL, 10);
	buf_deinit(&b);
	return kib;
}

static int ask_child(struct bench *b, int fd, struct err *e)
{
	double best = 1e9;
	const uint64_t *slots;
	struct elf_ident ident;
	uint64_t before;

	if (elf_child_ident(b->child, fd, &ident, e) < 0)
		return -1;
	before = child_kib("\nVmRSS:");
	for (unsigned i = 0; i < b->rounds; i++) {
		uint64_t start = clock_mono_ns();

		if (elf_child_table(b->child, fd, &b->table, &slots, e) < 0)
			return -1;
		best = MIN(best, (double)(clock_mono_ns() - start) / 1e6);
	}
	printf("  child %.2f ms wall; its memory %" PRIu64 " KiB, at most %" PRIu64 ", after %" PRIu64
	       "\n",
	       best, before, child_kib("\nVmHWM:"), child_kib("\nVmRSS:"));
	elf_child_table_release(b->child);
	return 0;
}

/* ---- libdw ----------------------------------------------------------------------------------- */

struct walk {
	struct cfi_oracle oracle;
	size_t rows;
};

static int walk_function(void *ctx, uint64_t start, uint64_t end)
{
	struct walk *w = ctx;
	struct unwind_row row;
	uint64_t from;

	while (start < end && cfi_oracle_row(&w->oracle, start, &row, &from, &start))
		w->rows++;
	return 0;
}

static int time_libdw(int fd, double ours_ms, struct err *e)
{
	double start = cpu_ms();
	double ms;
	struct walk w = {.rows = 0};
	struct elf_headers headers = {.phdrs = NULL};
	struct cfi_section section = {.memory = NULL};
	int r = elf_headers_read(fd, &headers, e);

	if (r == 0)
		r = cfi_section_load(fd, &headers, &section, e);
	if (r == 0 && cfi_oracle_open(&w.oracle, fd)) {
		r = eh_frame_read(&section.frame, walk_function, &w, e);
		cfi_oracle_close(&w.oracle);
	}
	ms = cpu_ms() - start;
	if (r == 0)
		printf("  libdw %.2f ms for %zu rows: %.1f times ours\n", ms, w.rows, ms / ours_ms);
	cfi_section_deinit(&section);
	elf_headers_deinit(&headers);
	return r;
}

static int bench_file(struct bench *b, const char *path, struct err *e)
{
	_cleanup_close_ int fd = io_open_read(path, e);
	double ms;

	if (fd < 0 || time_build(b, fd, &ms, e) < 0)
		return -1;
	printf("%s: %u rows, %u pages, %.2f MiB, %.2f ms CPU, %.1f ns/row\n", path, b->table.rows,
	       b->table.pages, (double)(b->table.pages + b->table.rows) * 8 / 1048576, ms,
	       b->table.rows ? ms * 1e6 / b->table.rows : 0);
	if (b->with_child && ask_child(b, fd, e) < 0)
		return -1;
	return b->with_libdw ? time_libdw(fd, ms, e) : 0;
}

int main(int argc, char **argv)
{
	struct bench b = {.rounds = ROUNDS};
	struct err e = ERR_INIT;
	int option;

	if (argc == 2 && strcmp(argv[1], ELF_CHILD_ARG) == 0)
		return elf_child_main();
	while ((option = getopt(argc, argv, "n:cl")) > 0) {
		if (option == 'n')
			b.rounds = (unsigned)MAX(strtoul(optarg, NULL, 10), 1UL);
		else if (option == 'c')
			b.with_child = true;
		else if (option == 'l')
			b.with_libdw = true;
		else
			return EXIT_USAGE;
	}
	b.slots = mem_calloc(UNWIND_SLOTS_MAX, sizeof(*b.slots));
	if (!b.slots || elf_child_new(NULL, &b.child, &e) < 0)
		return EXIT_UNAVAILABLE;
	for (int i = optind; i < argc && e.kind == ERR_NONE; i++)
		if (bench_file(&b, argv[i], &e) < 0)
			fprintf(stderr, "bench-unwind_table: %s: %s\n", argv[i], e.msg);
	elf_child_free(b.child);
	free(b.slots);
	return err_exit_code(e.kind);
}
