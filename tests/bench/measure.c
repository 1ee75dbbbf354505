/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure REPORT PROGRAM [ARG]...
 *
 * Runs PROGRAM on our standard streams, writes one line to REPORT: wall seconds, user seconds, system
 * seconds, peak memory in KiB, peak anonymous memory in KiB, wait status. CPU and peak memory are the
 * kernel's count and include what the program waited for itself. The kernel keeps no peak of anonymous
 * memory (what belongs to no file): it is the largest seen of any process in looks that come every 2 ms.
 * A program of its own because a child's peak starts at that of the process it was forked from: forked
 * from an interpreter, nothing would seem to need less than 10 MB.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 2, PROC_TEXT = 4096, PROCESSES_MAX = 64 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void run(char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

// The beginning of a file of /proc, NUL-terminated; empty when the process is no more.
static void read_proc(pid_t pid, const char *name, char text[static PROC_TEXT])
{
	char path[64];
	ssize_t n;
	int fd;

	text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, PROC_TEXT - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

// KiB in memory that belong to no file.
static long anonymous_kib(pid_t pid)
{
	long resident = 0, shared = 0;
	char text[PROC_TEXT];

	read_proc(pid, "statm", text);
	if (sscanf(text, "%*d %ld %ld", &resident, &shared) != 2)
		return 0;
	return (resident - shared) * (sysconf(_SC_PAGESIZE) / 1024);
}

// Appends the children of pids[at]; returns how many there are now.
static size_t add_children(pid_t pids[static PROCESSES_MAX], size_t at, size_t n)
{
	char name[64], text[PROC_TEXT], *p = text, *end;

	snprintf(name, sizeof(name), "task/%d/children", (int)pids[at]);
	read_proc(pids[at], name, text);
	for (long pid = strtol(p, &end, 10); end != p && n < PROCESSES_MAX; pid = strtol(p, &end, 10)) {
		pids[n++] = (pid_t)pid;
		p = end;
	}
	return n;
}

// The largest of a process and what it has started.
static long largest_kib(pid_t first)
{
	pid_t pids[PROCESSES_MAX] = {first};
	long largest = 0;

	for (size_t i = 0, n = 1; i < n; i++) {
		long now = anonymous_kib(pids[i]);

		largest = now > largest ? now : largest;
		n = add_children(pids, i, n);
	}
	return largest;
}

static long watch(pid_t child)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
	long peak = 0;

	while (end.fd >= 0 && poll(&end, 1, LOOK_MS) == 0) {
		long now = largest_kib(child);

		peak = now > peak ? now : peak;
	}
	close(end.fd);
	return peak;
}

int main(int argc, char **argv)
{
	struct rusage used = {0};
	double start = now();
	long anonymous;
	int status = 0;
	FILE *report;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "usage: measure REPORT PROGRAM [ARG]...\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		run(argv + 2);
	anonymous = child < 0 ? 0 : watch(child);
	if (child < 0 || wait4(child, &status, 0, &used) != child) {
		perror("measure");
		return 1;
	}
	start = now() - start;
	report = fopen(argv[1], "w");
	if (!report) {
		perror(argv[1]);
		return 1;
	}
	fprintf(report, "%.6f %.6f %.6f %ld %ld %d\n", start, seconds(used.ru_utime),
		seconds(used.ru_stime), used.ru_maxrss, anonymous, status);
	return fclose(report) ? 1 : 0;
}
