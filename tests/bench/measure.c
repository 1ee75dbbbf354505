/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure REPORT PROGRAM [ARG]...
 *
 * Runs PROGRAM on our standard streams, writes one line to REPORT: wall seconds, user seconds, system
 * seconds, peak memory in KiB, wait status. CPU and memory include what the program waited for itself.
 * A program of its own because a child's peak starts at that of the process it was forked from: forked
 * from an interpreter, nothing would seem to need less than 10 MB.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
	struct rusage used = {0};
	double start = now();
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
	fprintf(report, "%.6f %.6f %.6f %ld %d\n", start, seconds(used.ru_utime), seconds(used.ru_stime),
		used.ru_maxrss, status);
	return fclose(report) ? 1 : 0;
}
