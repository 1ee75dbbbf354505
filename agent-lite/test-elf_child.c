/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf_child.h"

#include "agent-lite/testing.h"
#include "base/io.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int self_fd(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Our only child process; 0 when there is none. */
static pid_t child_pid(void)
{
	struct buf b = BUF_INIT(4096);
	struct err e = ERR_INIT;
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
	struct elf_child *c = NULL;
	struct err e = ERR_INIT;
	int fd = self_fd();

	(void)state;
	assert_ok(elf_child_new(NULL, &c, &e));
	assert_ok(elf_ident_read(fd, &direct, &e));
	assert_ok(elf_child_ident(c, fd, &asked, &e));
	assert_ok(elf_child_ident(c, fd, &asked, &e));
	assert_true(build_id_eq(&direct.id, &asked.id));
	assert_int_equal(direct.load_count, asked.load_count);
	assert_memory_equal(direct.loads, asked.loads, sizeof(direct.loads));
	assert_int_equal(elf_child_starts(c), 1);
	elf_child_free(c);
	close(fd);
}

static void bad_files_do_not_end_it(void **state)
{
	struct elf_child *c = NULL;
	struct elf_ident id;
	struct err e = ERR_INIT;
	int bad = memfd_create("bad", MFD_CLOEXEC), good = self_fd();

	(void)state;
	assert_ok(elf_child_new(NULL, &c, &e));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(elf_child_ident(c, bad, &id, &e), -1);
		assert_err(&e, ERR_NOT_ELF, "0 bytes long");
	}
	assert_ok(elf_child_ident(c, good, &id, &e));
	assert_int_equal(elf_child_starts(c), 1);
	elf_child_free(c);
	close(bad);
	close(good);
}

static void a_dead_child_is_replaced(void **state)
{
	struct elf_child *c = NULL;
	struct elf_ident id;
	struct err e = ERR_INIT;
	int fd = self_fd();
	siginfo_t info;

	(void)state;
	assert_ok(elf_child_new(NULL, &c, &e));
	assert_ok(elf_child_ident(c, fd, &id, &e));

	pid_t pid = child_pid();

	if (pid == 0) {
		print_message("skip: the kernel has no /proc/PID/task/TID/children\n");
		elf_child_free(c);
		close(fd);
		skip();
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_ok(elf_child_ident(c, fd, &id, &e));
	assert_int_equal(elf_child_starts(c), 2);
	elf_child_free(c);
	close(fd);
}

/* A child that stopped in the middle: the file is given up after a while, the next one is read. */
static void a_hanging_child_is_given_up(void **state)
{
	struct elf_child *c = NULL;
	struct elf_ident id;
	struct err e = ERR_INIT;
	int fd = self_fd();
	pid_t pid;

	(void)state;
	assert_ok(elf_child_new(NULL, &c, &e));
	assert_ok(elf_child_ident(c, fd, &id, &e));
	pid = child_pid();
	if (pid > 0) {
		kill(pid, SIGSTOP);
		assert_int_equal(elf_child_ident(c, fd, &id, &e), -1);
		assert_err(&e, ERR_TIMEOUT, "no answer in 3000 ms");
		assert_ok(elf_child_ident(c, fd, &id, &e));
		assert_int_equal(elf_child_starts(c), 2);
	}
	elf_child_free(c);
	close(fd);
}

static void assert_status(pid_t pid, const char *line)
{
	struct buf b = BUF_INIT(64 << 10);
	struct err e = ERR_INIT;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	assert_ok(io_read_file(path, &b, &e));
	assert_holds(buf_str(&b), line);
	buf_deinit(&b);
}

static void it_is_fenced_and_nobody(void **state)
{
	struct elf_child *c = NULL;
	struct elf_ident id;
	struct err e = ERR_INIT;
	int fd = self_fd();
	pid_t pid;

	(void)state;
	assert_ok(elf_child_new(NULL, &c, &e));
	assert_ok(elf_child_ident(c, fd, &id, &e));
	pid = child_pid();
	if (pid > 0) {
		assert_status(pid, "\nNoNewPrivs:\t1\n");
		assert_status(pid, "\nSeccomp:\t2\n");
		assert_status(pid, "\nCapEff:\t0000000000000000\n");
		if (geteuid() == 0)
			assert_status(pid, "\nUid:\t65534\t65534\t65534\t65534\n");
	}
	elf_child_free(c);
	close(fd);
}

static void a_missing_program_is_an_error(void **state)
{
	struct elf_child *c = NULL;
	struct elf_ident id;
	struct err e = ERR_INIT;
	int fd = self_fd();

	(void)state;
	assert_ok(elf_child_new("/nonexistent/reader", &c, &e));
	assert_int_equal(elf_child_ident(c, fd, &id, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/nonexistent/reader");
	elf_child_free(c);
	close(fd);
}

/* A program that answers nonsense, as a taken-over child would. */
static void a_malformed_answer_is_refused(void **state)
{
	struct elf_child *c = NULL;
	struct elf_ident id;
	struct err e = ERR_INIT;
	char dir[64], script[128];
	int fd = self_fd();

	(void)state;
	test_dir_make(dir);
	snprintf(script, sizeof(script), "%s/liar", dir);
	write_text(script, "#!/bin/sh\necho lies >&3\nsleep 5\n");
	assert_int_equal(chmod(script, 0755), 0);
	assert_ok(elf_child_new(script, &c, &e));
	assert_int_equal(elf_child_ident(c, fd, &id, &e), -1);
	assert_err(&e, ERR_INTERNAL, "malformed answer");
	elf_child_free(c);
	test_dir_remove(dir);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_child_says_what_the_reader_says),
		cmocka_unit_test(bad_files_do_not_end_it),
		cmocka_unit_test(a_dead_child_is_replaced),
		cmocka_unit_test(a_hanging_child_is_given_up),
		cmocka_unit_test(it_is_fenced_and_nobody),
		cmocka_unit_test(a_missing_program_is_an_error),
		cmocka_unit_test(a_malformed_answer_is_refused),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("elf_child", tests, NULL, NULL);
}
