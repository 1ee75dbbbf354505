/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_child.h"

#include "agent-lite/elf/elf_child_wire.h"
#include "agent-lite/elf/testing.h"
#include "base/io.h"
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct elf_child *c;
static int self; /* a good file: this program */
static struct elf_ident id;
static struct err e;

static int setup(void **state)
{
	(void)state;
	e = ERR_INIT;
	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return self < 0 || elf_child_new(NULL, &c, &e) < 0;
}

static int teardown(void **state)
{
	(void)state;
	elf_child_free(c);
	close(self);
	return 0;
}

/* Starts a child of another program instead. */
static void use_program(const char *path)
{
	elf_child_free(c);
	assert_ok(elf_child_new(path, &c, &e));
}

/* Our only child process; 0 when there is none. */
static pid_t child_pid(void)
{
	struct buf b = BUF_INIT(4096);
	struct str rest, word;
	uint64_t pid = 0;

	if (io_read_file("/proc/thread-self/children", &b, &e) == 0) {
		rest = buf_str(&b);
		if (str_next(&rest, ' ', &word) && !str_to_u64(word, INT32_MAX, &pid))
			pid = 0;
	}
	buf_deinit(&b);
	return (pid_t)pid;
}

static void the_child_says_what_the_reader_says(void **state)
{
	struct elf_ident direct, asked;

	(void)state;
	assert_ok(elf_ident_read(self, &direct, &e));
	assert_ok(elf_child_ident(c, self, &asked, &e));
	assert_ok(elf_child_ident(c, self, &asked, &e));
	assert_true(build_id_eq(&direct.id, &asked.id));
	assert_int_equal(direct.load_count, asked.load_count);
	assert_memory_equal(direct.loads, asked.loads, sizeof(direct.loads));
	assert_int_equal(elf_child_starts(c), 1);
}

static void the_child_makes_the_table_that_is_made_here(void **state)
{
	struct unwind_table direct, asked;
	uint64_t *slots = calloc(UNWIND_SLOTS_MAX, sizeof(*slots));
	const uint64_t *borrowed;

	(void)state;
	assert_non_null(slots);
	assert_ok(unwind_table_build(self, slots, UNWIND_SLOTS_MAX, &direct, &e));
	for (int i = 0; i < 2; i++) {
		assert_ok(elf_child_table(c, self, &asked, &borrowed, &e));
		assert_true(direct.rows > 100 && direct.rows == asked.rows);
		assert_true(direct.pages == asked.pages && direct.base == asked.base);
		assert_memory_equal(slots, borrowed, (direct.pages + direct.rows) * sizeof(*slots));
		assert_ok(elf_child_ident(c, self, &id, &e)); // leaves it alone
		assert_memory_equal(slots, borrowed, (direct.pages + direct.rows) * sizeof(*slots));
	}
	elf_child_table_release(c);
	assert_int_equal(borrowed[0] | borrowed[direct.pages], 0);
	assert_int_equal(elf_child_starts(c), 1);
	free(slots);
}

static void bad_files_do_not_end_it(void **state)
{
	int bad = memfd_create("bad", MFD_CLOEXEC);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(elf_child_ident(c, bad, &id, &e), -1);
		assert_err(&e, ERR_NOT_ELF, "0 bytes long");
	}
	assert_ok(elf_child_ident(c, self, &id, &e));
	assert_int_equal(elf_child_starts(c), 1);
	close(bad);
}

static void a_dead_child_is_replaced(void **state)
{
	siginfo_t info;

	(void)state;
	assert_ok(elf_child_ident(c, self, &id, &e));

	pid_t pid = child_pid();

	if (pid == 0) {
		print_message("skip: the kernel has no /proc/PID/task/TID/children\n");
		skip();
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_ok(elf_child_ident(c, self, &id, &e));
	assert_int_equal(elf_child_starts(c), 2);
}

/* Pages of memory that our mappings of the tables' memory hold. */
static size_t table_kib(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	size_t kib = 0, n;
	bool inside = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strchr(line, '-') && strstr(line, " r"))
			inside = strstr(line, "unhex-unwind-table") != NULL;
		if (inside && sscanf(line, "Rss: %zu kB", &n) == 1)
			kib += n;
	}
	fclose(f);
	return kib;
}

static void a_table_is_borrowed_and_its_memory_given_back(void **state)
{
	struct unwind_table table;
	const uint64_t *slots;
	int bad = memfd_create("bad", MFD_CLOEXEC);
	uint64_t sum = 0;

	(void)state;
	assert_ok(elf_child_table(c, self, &table, &slots, &e));
	for (size_t i = 0; i < table.pages + table.rows; i++)
		sum += slots[i]; // which brings the pages in
	assert_true(sum > 0 && table_kib() > 0);
	assert_int_equal(elf_child_table(c, bad, &table, &slots, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "0 bytes long");
	assert_int_equal(table_kib(), 0);
	assert_int_equal(elf_child_starts(c), 1);
	close(bad);
}

/* A child that stopped in the middle: the file is given up after a while, the next one is read. */
static void a_hanging_child_is_given_up(void **state)
{
	struct unwind_table table;
	const uint64_t *slots;
	pid_t pid;

	(void)state;
	assert_ok(elf_child_ident(c, self, &id, &e));
	pid = child_pid();
	if (pid > 0) {
		kill(pid, SIGSTOP);
		assert_int_equal(elf_child_table(c, self, &table, &slots, &e), -1);
		assert_err(&e, ERR_TIMEOUT, "no answer in 3000 ms");
		assert_ok(elf_child_ident(c, self, &id, &e));
		assert_int_equal(elf_child_starts(c), 2);
	}
}

static void assert_status(pid_t pid, const char *line)
{
	struct buf b = BUF_INIT(64 << 10);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	assert_ok(io_read_file(path, &b, &e));
	assert_holds(buf_str(&b), line);
	buf_deinit(&b);
}

static void it_is_fenced_and_nobody(void **state)
{
	pid_t pid;

	(void)state;
	assert_ok(elf_child_ident(c, self, &id, &e));
	pid = child_pid();
	if (pid > 0) {
		assert_status(pid, "\nNoNewPrivs:\t1\n");
		assert_status(pid, "\nSeccomp:\t2\n");
		assert_status(pid, "\nCapEff:\t0000000000000000\n");
		if (geteuid() == 0)
			assert_status(pid, "\nUid:\t65534\t65534\t65534\t65534\n");
	}
}

static void a_missing_program_is_an_error(void **state)
{

	(void)state;
	use_program("/nonexistent/reader");
	assert_int_equal(elf_child_ident(c, self, &id, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/nonexistent/reader");
}

/* A program that answers nonsense, as a taken-over child would. */
static void a_malformed_answer_is_refused(void **state)
{
	char dir[64], script[128];

	(void)state;
	test_dir_make(dir);
	snprintf(script, sizeof(script), "%s/liar", dir);
	write_text(script, "#!/bin/sh\necho lies >&3\nsleep 5\n");
	assert_int_equal(chmod(script, 0755), 0);
	use_program(script);
	assert_int_equal(elf_child_ident(c, self, &id, &e), -1);
	assert_err(&e, ERR_INTERNAL, "malformed answer");
	test_dir_remove(dir);
}

/* ---- a child that was taken over ------------------------------------------------------------- */

enum lie {
	LIE_NONE, /* pages 1, rows 2 */
	LIE_MANY_ROWS,
	LIE_MANY_PAGES,
	LIE_NO_PAGES,
	LIE_PAGE_BEYOND,
	LIE_PAGE_GAP,
	LIE_PAGE_BACKWARDS,
	LIE_ROWS_LEFT,
	LIE_KIND,
	LIE_SEQUENCE,
	LIE_SHRINK, /* the memory, so that who reads it dies: cannot be */
	LIE_END,
};

static void lie_about(enum lie lie, struct elf_answer *a, struct unwind_page *pages, int memory)
{
	a->table = (struct unwind_table){.pages = 2, .rows = 2};
	pages[0] = (struct unwind_page){0, 1};
	pages[1] = (struct unwind_page){1, 2};
	if (lie == LIE_MANY_ROWS)
		a->table.rows = UINT32_MAX;
	else if (lie == LIE_MANY_PAGES)
		a->table.pages = UNWIND_SLOTS_MAX + 1u;
	else if (lie == LIE_NO_PAGES)
		a->table.pages = 0;
	else if (lie == LIE_PAGE_BEYOND)
		pages[1].end = 3;
	else if (lie == LIE_PAGE_GAP)
		pages[0].end = 0;
	else if (lie == LIE_PAGE_BACKWARDS)
		pages[1].end = 0;
	else if (lie == LIE_ROWS_LEFT)
		a->table.rows = 3;
	else if (lie == LIE_KIND)
		a->kind = ERR_KIND_COUNT;
	else if (lie == LIE_SEQUENCE)
		a->sequence++;
	else if (lie == LIE_SHRINK && (ftruncate(memory, 0) == 0 || errno != EPERM))
		a->table.rows = UINT32_MAX; // refused, and the test fails
}

/* One answer to one request for a table, then the end: what `--lie N` runs. */
static int be_liar(enum lie lie)
{
	union elf_fd_control control;
	struct elf_request rq;
	struct iovec iov = {&rq, sizeof(rq)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};
	struct elf_answer a = {.kind = ERR_NONE};
	int fds[ELF_CHILD_FDS_MAX];
	void *memory;

	if (recvmsg(ELF_CHILD_FD, &m, 0) != sizeof(rq))
		return EXIT_FAILED;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fds));
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
	if (memory == MAP_FAILED)
		return EXIT_FAILED;
	a.sequence = rq.sequence;
	lie_about(lie, &a, memory, fds[1]);
	return write(ELF_CHILD_FD, &a, sizeof(a)) == sizeof(a) ? EXIT_OK : EXIT_FAILED;
}

static void lies_about_tables_are_refused(void **state)
{
	char dir[64], script[128], program[256], text[512];
	struct unwind_table table;
	const uint64_t *slots;
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	(void)state;
	assert_true(n > 0);
	program[n] = '\0';
	test_dir_make(dir);
	snprintf(script, sizeof(script), "%s/liar", dir);
	for (int lie = 0; lie < LIE_END; lie++) {
		snprintf(text, sizeof(text), "#!/bin/sh\nexec %s --lie %d\n", program, lie);
		write_text(script, text);
		assert_int_equal(chmod(script, 0755), 0);
		use_program(script);
		e = ERR_INIT;
		if (lie == LIE_NONE || lie == LIE_SHRINK) {
			assert_ok(elf_child_table(c, self, &table, &slots, &e));
			assert_int_equal(table.rows, 2);
		} else {
			assert_int_equal(elf_child_table(c, self, &table, &slots, &e), -1);
			assert_err(&e, ERR_INTERNAL, "malformed answer");
		}
	}
	test_dir_remove(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_child_says_what_the_reader_says, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_child_makes_the_table_that_is_made_here, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bad_files_do_not_end_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_child_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hanging_child_is_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_is_borrowed_and_its_memory_given_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(lies_about_tables_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_fenced_and_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_program_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_malformed_answer_is_refused, setup, teardown),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	if (argc == 3 && strcmp(argv[1], "--lie") == 0)
		return be_liar((enum lie)strtol(argv[2], NULL, 10));
	return cmocka_run_group_tests_name("elf_child", tests, NULL, NULL);
}
