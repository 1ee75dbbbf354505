/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes, each with an exec of its own. `crowd SECONDS N`: N at once, that sleep and now and
 * then burn a little; `crowd SECONDS`: one after the other, each for some milliseconds. They burn in
 * main -> member -> inner. Members end with the first process.
 */
#include "victim.h"

#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAUSE_US = 500 * 1000, BURNS_WHEN_SHORT = 50 };

extern char **environ;

NOIPA uint64_t inner(uint64_t x)
{
	return victim_burn(x);
}

NOIPA uint64_t member(uint64_t x, int times)
{
	for (int i = 0; i < times; i++) {
		x = inner(x);
		KEEP(x);
	}
	return x;
}

static int live_long(void)
{
	uint64_t x = (uint64_t)getpid();

	while (victim_goes_on()) {
		usleep(PAUSE_US + (useconds_t)(x % PAUSE_US));
		x = member(x, 4);
	}
	return x == 0;
}

static pid_t spawn(char **crowd, char *kind)
{
	char *argv[] = {crowd[0], crowd[1], "1", kind, NULL};
	pid_t pid;

	return posix_spawn(&pid, crowd[0], NULL, NULL, argv, environ) == 0 ? pid : -1;
}

static int spawn_at_once(char **crowd, int n)
{
	for (int i = 0; i < n; i++) {
		if (spawn(crowd, "long") < 0)
			return 1;
	}
	victim_ready();
	while (victim_goes_on())
		sleep(1);
	return 0;
}

static int spawn_in_turn(char **crowd)
{
	victim_ready();
	while (victim_goes_on()) {
		if (spawn(crowd, "short") < 0 || wait(NULL) < 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	victim_start(argc, argv);
	if (argc > 3) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return strcmp(argv[3], "long") == 0 ? live_long() : member(1, BURNS_WHEN_SHORT) == 0;
	}
	if (argc < 2)
		return 1;
	return argc > 2 ? spawn_at_once(argv, (int)strtol(argv[2], NULL, 10)) : spawn_in_turn(argv);
}
